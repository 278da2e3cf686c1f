"""Compares two versions of a model by their scores of the same statements, for the release notes.

python -m train.compare OLD NEW [--page docs/releases/NAME.md]

OLD and NEW are outputs of `detente score`, each made with its own version of package and model.
"""

import argparse
from pathlib import Path

from detente.comparison import compare_files
from detente.modelcard import render_comparison


def main() -> None:
    """Parses the command line, compares, prints and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--page", type=Path, help="Markdown page to write")
    arguments = parser.parse_args()
    page = render_comparison(compare_files(arguments.old, arguments.new))
    if arguments.page:
        arguments.page.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
