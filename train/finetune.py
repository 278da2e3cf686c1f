"""Trains a model from a config: ``python -m train.finetune --config configs/reference.yaml``.

A run that was killed goes on from its last checkpoint when started again. Several GPUs: ``accelerate launch -m
train.finetune ...``.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

import yaml

from detente.config import load_config
from detente.training import finetune


def main() -> None:
    """Parses the command line, trains, and prints the folder of the artifact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as optimiser.epochs=1")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    print(finetune(load_config(arguments.config, parse_overrides(arguments.set))))


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """``["seed=2"]`` to ``{"seed": 2}``; values are read as YAML."""
    return {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)}


if __name__ == "__main__":
    main()
