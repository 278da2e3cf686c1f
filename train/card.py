"""Writes the model card from a report.

python -m train.card --report docs/reports/validation.json --out MODEL_CARD.md [--model FOLDER]
"""

import argparse
import json
from pathlib import Path

from detente.artifact import read_manifest, resolve_folder
from detente.modelcard import render_card


def main() -> None:
    """Parses the command line, writes the card and prints its path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, required=True, help="JSON report of train.evaluate")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--model", type=Path, help="an artifact; default: the shipped weights")
    parser.add_argument("--articles", type=Path, help="JSON report of train.articles")
    arguments = parser.parse_args()
    articles = json.loads(arguments.articles.read_text(encoding="utf-8")) if arguments.articles else None
    report = json.loads(arguments.report.read_text(encoding="utf-8"))
    card = render_card(read_manifest(resolve_folder(arguments.model)), report, articles)
    arguments.out.write_text(card, encoding="utf-8")
    print(arguments.out)


if __name__ == "__main__":
    main()
