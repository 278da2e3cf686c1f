"""Corrections that readers of a deployment sent, as its service exports them; see ``python -m serve export``.

Only what was settled between readers is here: the latest word of an editor, else the label that most gave. A part of
the statements is validation, chosen by a hash of the text.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detente.corpus import SourceError, normalise_text, split_groups
from detente.labels import HOSTILITY_LEVELS
from detente.records import LabelledStatement, StatementError

NAME: Final = "feedback"
FILE: Final = "feedback.jsonl"
VALIDATION_FRACTION: Final = 0.12
KEYS: Final = frozenset({"text", "speaker", "counterpart", "stance", "hostility", "sentiment", "ids"})


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Reads the corrections.

    Args:
        folder: ``data/feedback`` of the project, where ``python -m serve export`` writes.
        skipped: Unused, since nothing is left out.

    Raises:
        SourceError: There is no file, or a row is none of the service.
    """
    del skipped
    path = folder / FILE
    if not path.is_file():
        raise SourceError(path, None, "the corrections of a service: write them with python -m serve export", "no file")
    with path.open(encoding="utf-8") as lines:  # which, unlike str.splitlines, breaks at line feeds only
        rows = [_read_row(path, number, line) for number, line in enumerate(lines, 1)]
    yield from split_groups(rows, VALIDATION_FRACTION)


def _read_row(path: Path, number: int, line: str) -> LabelledStatement:
    try:
        row = json.loads(line)
        if not isinstance(row, dict) or row.keys() != KEYS:
            raise ValueError(f"keys {sorted(row)}")
        level = None if row["hostility"] is None else HOSTILITY_LEVELS.index(row["hostility"])
        return LabelledStatement(
            text=row["text"],
            speaker=row["speaker"],
            counterpart=row["counterpart"],
            source=NAME,
            id=row["ids"][0],
            split="train",
            group=normalise_text(row["text"]),
            stance=row["stance"],
            hostility_low=level,
            hostility_high=level,
            sentiment=row["sentiment"],
        )
    except (ValueError, TypeError, IndexError, AttributeError, StatementError) as error:
        raise SourceError(path, number, f"an object with {', '.join(sorted(KEYS))}", str(error)) from error
