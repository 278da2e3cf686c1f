"""Writes the shipped form of a trained folder: ``python -m train.export runs/reference/model detente/weights``."""

import argparse
import logging
from pathlib import Path

from detente.export import export


def main() -> None:
    """Parses the command line, exports and prints the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder made by train.finetune")
    parser.add_argument("output", type=Path, help="folder to write; it is emptied first")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    print(export(arguments.model, arguments.output))


if __name__ == "__main__":
    main()
