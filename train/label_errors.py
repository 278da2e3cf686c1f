"""Lists the rows whose stance is most likely labelled wrongly, the most doubtful first.

python -m train.label_errors --rows build/data/train.parquet --out runs/label_errors.jsonl [--model FOLDER]

Confident learning (Northcutt, Jiang and Chuang 2021, by cleanlab) on the model's probabilities. A model that was
trained on these very rows has learnt some of their errors too, and finds fewer of them.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from detente.classifier import Classifier
from detente.corpus import read_parquet
from detente.evaluation import find_label_errors


def main() -> None:
    """Parses the command line, searches, writes the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="Parquet file made by data.build")
    parser.add_argument("--out", type=Path, required=True, help="JSONL file to write")
    parser.add_argument("--model", type=Path, help="an artifact; default: the shipped weights")
    arguments = parser.parse_args()
    rows = read_parquet(arguments.rows)
    found = find_label_errors(Classifier.from_pretrained(arguments.model), rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(row) | {"probability": share}, ensure_ascii=False) + "\n" for row, share in found]
    arguments.out.write_text("".join(lines), encoding="utf-8")
    print(f"{len(found)} of {len(rows)} rows are doubtful: {arguments.out}")


if __name__ == "__main__":
    main()
