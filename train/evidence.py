"""Fits how the evidence for speakers and counterparts is weighed, and stores the weights with the model.

python -m train.evidence --gold data/articles/evidence.jsonl --model detente/weights
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from detente.article.gold import read_gold
from detente.artifact import read_manifest, write_manifest
from detente.classifier import Classifier
from detente.evidence_training import collect_choices, fit_evidence

_ROUNDS: Final = 3
"""Each reads the articles with the weights of the round before."""


def main() -> None:
    """Parses the command line, fits, rewrites the model's manifest and prints its path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--gold", type=Path, required=True, help="JSONL file of articles that the attribution network has not seen"
    )
    parser.add_argument("--model", type=Path, required=True, help="a model that reads articles, in its shipped form")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    articles = read_gold(arguments.gold)
    attributor = Classifier.from_pretrained(arguments.model).open_attributor()
    markups = [attributor.mark(article.text) for article in articles]
    evidence = None
    for _ in range(_ROUNDS):
        evidence = fit_evidence(collect_choices(articles, markups, evidence))
    manifest = read_manifest(arguments.model)
    attribution = {**manifest.attribution, "evidence": evidence}
    write_manifest(arguments.model, replace(manifest, attribution=attribution))
    print(arguments.model)


if __name__ == "__main__":
    main()
