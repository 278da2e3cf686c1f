"""Measures a model on labelled rows and writes a JSON report.

python -m train.evaluate --rows build/data/validation.parquet --out runs/report.json [--model FOLDER] [--baseline vader]
"""

import argparse
import json
import logging
from pathlib import Path

from detente.classifier import Classifier
from detente.corpus import read_parquet
from detente.evaluation import print_report, report_model

BEHAVIOUR = Path("tests/behaviour/pairs.jsonl")


def main() -> None:
    """Parses the command line, measures, prints a table and saves the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="Parquet file made by data.build")
    parser.add_argument("--out", type=Path, required=True, help="JSON report to write")
    parser.add_argument("--model", type=Path, help="an artifact; default: the shipped weights")
    parser.add_argument("--backend", choices=["onnx", "torch"])
    parser.add_argument("--baseline", action="append", default=[], choices=["majority", "vader"])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    classifier = Classifier.from_pretrained(arguments.model, backend=arguments.backend)
    report = report_model(classifier, read_parquet(arguments.rows), BEHAVIOUR, arguments.baseline)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print_report(report)
    print(arguments.out)


if __name__ == "__main__":
    main()
