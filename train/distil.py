"""Teaches one network what several say on average.

python -m train.distil TEACHER TEACHER ... --start FOLDER --rows build/data/train.parquet --out FOLDER
"""

import argparse
import logging
from pathlib import Path

from detente.corpus import read_parquet
from detente.training import distil


def main() -> None:
    """Parses the command line, trains and prints the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teachers", type=Path, nargs="+", help="folders made by train.finetune")
    parser.add_argument("--start", type=Path, required=True, help="folder of the network that goes on learning")
    parser.add_argument("--rows", type=Path, required=True, help="Parquet file made by data.build; labels are not read")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it must not exist")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    print(distil(arguments.teachers, arguments.start, read_parquet(arguments.rows), arguments.out))


if __name__ == "__main__":
    main()
