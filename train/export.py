"""Writes the shipped form of a trained folder.

python -m train.export runs/tuned/model detente/weights
python -m train.export --attribution runs/attribution/model detente/weights
"""

import argparse
import logging
from pathlib import Path

from detente.export import export, export_attribution


def main() -> None:
    """Parses the command line, exports and prints the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder made by train.finetune, train.average or train.attribution")
    parser.add_argument("output", type=Path, help="folder to write; only the network that reads articles stays in it")
    parser.add_argument("--attribution", action="store_true", help="add the network that reads articles to the output")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    write = export_attribution if arguments.attribution else export
    print(write(arguments.model, arguments.output))


if __name__ == "__main__":
    main()
