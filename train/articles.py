"""Measures how well articles are read and writes a JSON report.

python -m train.articles --gold data/articles/validation.jsonl [MORE.jsonl ...] --out runs/articles.json
    [--attributions build/data/articles.validation.parquet] [--model FOLDER]
"""

import argparse
import json
from pathlib import Path

from detente.article.gold import read_gold
from detente.article.spans import read_articles
from detente.article_evaluation import print_articles, report_articles
from detente.classifier import Classifier


def main() -> None:
    """Parses the command line, measures, prints two tables and saves the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--gold", type=Path, nargs="+", required=True, help="JSONL files of articles with gold statements"
    )
    parser.add_argument("--attributions", type=Path, help="Parquet file of annotated articles made by data.build")
    parser.add_argument("--out", type=Path, required=True, help="JSON report to write")
    parser.add_argument("--model", type=Path, help="an artifact; default: the shipped weights")
    arguments = parser.parse_args()
    annotated = read_articles(arguments.attributions) if arguments.attributions else []
    gold = {path.stem: read_gold(path) for path in arguments.gold}
    report = report_articles(Classifier.from_pretrained(arguments.model), annotated, gold)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print_articles(report)
    print(arguments.out)


if __name__ == "__main__":
    main()
