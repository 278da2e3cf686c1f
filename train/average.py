"""Averages trained folders of one base.

python -m train.average runs/reference/model runs/second/model runs/mean
"""

import argparse
import logging
from pathlib import Path

from detente.training import average


def main() -> None:
    """Parses the command line, averages and prints the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="folders made by train.finetune")
    parser.add_argument("output", type=Path, help="folder to write")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    print(average(arguments.models, arguments.output))


if __name__ == "__main__":
    main()
