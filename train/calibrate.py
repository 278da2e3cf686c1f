"""Calibrates a trained folder anew.

python -m train.calibrate --config configs/reference.yaml --model runs/reference/model
"""

import argparse
import logging
from pathlib import Path

from detente.config import load_config
from detente.training import calibrate


def main() -> None:
    """Parses the command line, calibrates the folder and prints its calibration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    print(calibrate(arguments.model, load_config(arguments.config)))


if __name__ == "__main__":
    main()
