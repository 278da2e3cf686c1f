"""Two versions of a model on the same statements: how far scores move, and which thresholds keep their meaning."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detente.inputs import read_rows, rename
from detente.records import StatementError
from detente.table import ERROR_COLUMN

SCORES: Final[Mapping[str, tuple[float, ...]]] = {
    "stance": (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75),
    "hostility": (0.25, 0.5, 0.75),
}
"""The scores, and the thresholds of the old version for which new ones are advised."""
LABELS: Final = ("stance_label", "hostility_level", "sentiment_label", "needs_review")
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


def compare_files(old: Path, new: Path) -> dict[str, Any]:
    """Compares two outputs of ``detente score`` on the same statements, JSON-ready.

    Rows that have no score in one of them are left out and counted.

    Returns:
        ``rows``; ``left_out``; ``versions`` of old and new; for each score ``quantiles`` (of old, of new, of their
        difference, at ``QUANTILES``), ``mean_change`` (absolute) and ``thresholds``: old to new, beyond which the same
        share of statements lies; ``changed``: share of rows with another label.

    Raises:
        StatementError: A file cannot be read, or they do not hold the same statements in the same order.
    """
    tables = [[row.values for row in read_rows(path)] for path in (old, new)]
    keys = [[tuple(row.get(name) or None for name in ("text", "speaker", "counterpart")) for row in t] for t in tables]
    if keys[0] != keys[1]:
        where = next((i for i, (a, b) in enumerate(zip(*keys, strict=False), 1) if a != b), min(map(len, keys)) + 1)
        raise StatementError(
            f"{old} and {new} differ from row {where} on: score the same statements with both versions"
        )
    for path, table in ((old, tables[0]), (new, tables[1])):
        if missing := [name for name in (*SCORES, *LABELS) if table and rename(name) not in table[0]]:
            raise StatementError(f"{path} has no column {missing[0]}: expected an output of detente score")
    pairs = [
        (a, b)
        for a, b in zip(*tables, strict=True)
        if not a.get(rename(ERROR_COLUMN)) and not b.get(rename(ERROR_COLUMN))
    ]
    if not pairs:
        raise StatementError(f"{old} and {new} have no statement with a score in both")
    found: dict[str, Any] = {
        "rows": len(pairs),
        "left_out": len(tables[0]) - len(pairs),
        "versions": [_find_version(path, pairs[0][side]) for side, path in enumerate((old, new))],
        "changed": {
            name: float(np.mean([str(a[rename(name)]) != str(b[rename(name)]) for a, b in pairs])) for name in LABELS
        },
    }
    for score, thresholds in SCORES.items():
        before, after = (np.array([float(pair[side][rename(score)]) for pair in pairs]) for side in (0, 1))
        found[score] = {
            "quantiles": [np.quantile(values, QUANTILES).tolist() for values in (before, after, after - before)],
            "mean_change": float(np.abs(after - before).mean()),
            "thresholds": [[threshold, move_threshold(before, after, threshold)] for threshold in thresholds],
        }
    return found


def _find_version(path: Path, row: Mapping[str, Any]) -> str:
    """The model's version, from the row, or from the manifest beside files that were scored before rows carried it."""
    if version := row.get(rename("model_version")):
        return str(version)
    manifest = path.with_name(f"{path.name}.manifest.json")
    if not manifest.is_file():
        return "not stated"
    return str(json.loads(manifest.read_text(encoding="utf-8"))["made_by"]["model_version"])


def move_threshold(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], threshold: float) -> float:
    """The threshold on new scores beyond which as many statements lie as beyond the old one on old scores."""
    return float(np.quantile(after, float(np.mean(before <= threshold))))
