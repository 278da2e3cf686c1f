"""Audits a model on labelled rows: names, direction, phenomena, slices, levels, review, and its most confident errors.

python -m train.audit --rows build/data/validation.parquet --out docs/reports/audit.json --page docs/audit.md \
  [--errors errors.jsonl] [--model FOLDER]

Rows may be your own: a table with the columns text, speaker, counterpart and stance.
"""

import argparse
import json
from pathlib import Path

from detente.audit import audit, list_errors, read_labelled
from detente.classifier import Classifier
from detente.evaluation import predict_with
from detente.modelcard import render_audit
from train.evaluate import BEHAVIOUR


def main() -> None:
    """Parses the command line, audits, and writes the report, its page and the errors with their texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="labelled rows: Parquet of data.build, or any table")
    parser.add_argument("--out", type=Path, required=True, help="JSON report to write, without texts")
    parser.add_argument("--page", type=Path, help="Markdown page to write")
    parser.add_argument("--errors", type=Path, help="JSONL file for the most confident errors, with their texts")
    parser.add_argument("--model", type=Path, help="an artifact; default: the shipped weights")
    parser.add_argument("--backend", choices=["onnx", "torch"])
    arguments = parser.parse_args()
    rows, problems = read_labelled(arguments.rows)
    for problem in problems:
        print(f"left out: {problem}")
    if not rows:
        parser.error(f"{arguments.rows} has no row that can be audited")
    classifier = Classifier.from_pretrained(arguments.model, backend=arguments.backend)
    trained = classifier.manifest.run["data"]["weights"]
    if own := [row for row in rows if row.source in trained]:
        print(f"{len(rows) - len(own)} of {len(rows)} rows are of sources that the model did not learn: left out")
        rows = own
    predict = predict_with(classifier)
    report = {
        "model_version": classifier.manifest.model_version,
        **audit(rows, predict, BEHAVIOUR if BEHAVIOUR.is_file() else None),
    }
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    page = render_audit(report)
    if arguments.page:
        arguments.page.write_text(page, encoding="utf-8")
    if arguments.errors:
        found = list_errors(rows, predict([row.to_statement() for row in rows]))
        arguments.errors.write_text("".join(json.dumps(e, ensure_ascii=False) + "\n" for e in found), encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
