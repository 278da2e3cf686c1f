"""Trains the network that reads articles: ``python -m train.attribution --config configs/attribution.yaml``.

A run that was killed goes on from its last checkpoint when started again.
"""

import argparse
import logging
from pathlib import Path

from detente.attribution_training import train_attribution
from detente.config import AttributionRunConfig, load_config


def main() -> None:
    """Parses the command line, trains, and prints the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    print(train_attribution(load_config(arguments.config, kind=AttributionRunConfig)))


if __name__ == "__main__":
    main()
