"""Where a model can be relied on: names, direction, phenomena, slices, levels, and its most confident errors."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detente.corpus import read_parquet
from detente.evaluation import Predictor, Probabilities, measure_behaviour, swap_names
from detente.inputs import read_rows, rename
from detente.labels import HEADS, HOSTILITY_LEVELS, MAX_LEVEL, STANCES
from detente.metrics import (
    estimate_share,
    measure_calibration_error,
    score_kappa,
    score_macro_f1,
    trace_risk_coverage,
)
from detente.parties import Party, find_party
from detente.records import LabelledStatement, Statement, StatementError
from detente.table import Row, to_statement

SWAP_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "state in Africa": ("Nigeria", "Kenya", "Egypt", "South Africa"),
    "state in the Americas": ("United States", "Brazil", "Cuba", "Mexico"),
    "state in Asia": ("China", "Japan", "India", "North Korea"),
    "state in Europe": ("Russia", "Norway", "Ukraine", "France"),
    "state in the Middle East": ("Iran", "Israel", "Saudi Arabia", "Syria"),
    "bloc": ("NATO", "European Union", "African Union", "ASEAN"),
    "company": ("Gazprom", "Boeing", "Huawei", "Tata Steel"),
    "person": ("Maria Sanchez", "John Miller", "Mohammed al-Rashid", "Wei Zhang"),
}
"""What the parties of a statement are exchanged for, by kind."""
LENGTHS: Final = (0, 15, 30, 60)
"""Where the slices of length end, in words."""
CONFIDENT_ERRORS: Final = 50
MIN_ROWS: Final = 20
"""Smallest slice that is reported."""
KEPT: Final = 0.8
"""Share of the statements that are kept when the least certain are left to a reader."""
_SWAPPED_ROWS: Final = 150
_WORD: Final = re.compile(r"\w+")


def audit(rows: Sequence[LabelledStatement], predict: Predictor, behaviour: Path | None = None) -> dict[str, Any]:
    """The whole audit on labelled rows, JSON-ready and without their texts.

    Args:
        rows: Of any sources.
        predict: The model.
        behaviour: A file of behaviour pairs; see ``evaluation.measure_behaviour``.

    Returns:
        See the functions below, by name.
    """
    probabilities = predict([row.to_statement() for row in rows])
    report = {
        "rows": len(rows),
        "names": measure_names(rows, predict),
        "direction": measure_direction(rows, probabilities),
        "slices": measure_slices(rows, probabilities),
        "levels": measure_levels(rows, probabilities),
        "review": measure_review(rows, probabilities),
        "errors": [
            {key: value for key, value in error.items() if key not in ("text", "speaker", "counterpart")}
            for error in list_errors(rows, probabilities)
        ],
    }
    if behaviour is not None:
        pairs = measure_behaviour(behaviour, predict)
        report["behaviour"] = {"all": _share(pairs["ordered"], pairs["pairs"])} | {
            name: _share(share, pairs["phenomena_pairs"][name]) for name, share in pairs["phenomena"].items()
        }
    return report


def read_labelled(path: Path) -> tuple[list[LabelledStatement], list[str]]:
    """Labelled rows of a corpus made by ``data.build``, or of a user's own table, and why others were left out.

    A table has the columns ``text``, ``speaker``, ``counterpart`` and ``stance`` (favour, neutral, against), and may
    have ``hostility`` (a level's name or number), ``sentiment`` and ``source``.

    Raises:
        StatementError: The file cannot be read; see ``inputs.scan``.
    """
    if path.suffix == ".parquet":
        try:
            return read_parquet(path), []
        except ValueError:
            pass  # a table of the user's own
    rows, problems = [], []
    for number, row in enumerate(read_rows(path), 1):
        try:
            rows.append(_to_labelled(row, number, path.stem))
        except StatementError as error:
            problems.append(f"row {number}: {error}")
    return rows, problems


def _to_labelled(row: Row, number: int, name: str) -> LabelledStatement:
    statement = to_statement(row)
    if isinstance(statement, str):
        raise StatementError(statement)
    given = {head: _read_label(row.values.get(rename(head))) for head in HEADS}
    level = given["hostility"]
    if level in HOSTILITY_LEVELS:
        level = str(HOSTILITY_LEVELS.index(level))
    if level is not None and level not in map(str, range(MAX_LEVEL + 1)):
        raise StatementError(
            f"hostility must be one of {', '.join(HOSTILITY_LEVELS)} or 0 to {MAX_LEVEL}, found {level}"
        )
    bound = None if level is None else int(level)
    source = str(row.values.get("source") or name)
    return LabelledStatement(
        statement.text,
        statement.speaker,
        statement.counterpart,
        source,
        str(number),
        "validation",
        str(number),
        given["stance"],
        bound,
        bound,
        given["sentiment"],
    )


def _read_label(value: object) -> str | None:
    return None if value is None else str(value).strip().lower() or None


def measure_names(rows: Sequence[LabelledStatement], predict: Predictor) -> dict[str, Any]:
    """How far scores move when the two parties get other names, in the text too.

    Up to 150 statements whose two parties stand in them, evenly over all, are written anew for each pair of kinds of
    ``SWAP_NAMES``.

    Returns:
        ``statements``; ``kinds``; ``stance`` and ``hostility``, each a matrix of gaps: rows are the kinds of the
        speaker, columns those of the counterpart, values the mean score less the mean over all; ``stance_range``: mean
        and highest range of the stance of one statement over all names, in [0, 2].
    """
    kinds = list(SWAP_NAMES)
    parties = {kind: [find_party(name) or Party(name, kind) for name in names] for kind, names in SWAP_NAMES.items()}
    pairs = list(product(kinds, kinds))

    def vary(row: LabelledStatement, number: int) -> list[Statement] | None:
        variants = []
        for ahead, back in pairs:
            speaker, counterpart = parties[ahead][number % 4], parties[back][(number + 1 + number // 4 % 3) % 4]
            variant = swap_names(row.to_statement(), speaker, counterpart)
            if variant is None:
                return None
            variants.append(variant)
        return variants

    step = max(1, len(rows) // (10 * _SWAPPED_ROWS))
    varied: list[list[Statement]] = []
    for row in rows[::step]:
        if len(varied) < _SWAPPED_ROWS and (variants := vary(row, len(varied))):
            varied.append(variants)
    if not varied:
        return {"statements": 0}
    probabilities = predict([statement for variants in varied for statement in variants])
    scores = {
        name: values.reshape(len(varied), len(kinds), len(kinds)) for name, values in _to_scores(probabilities).items()
    }
    ranges = np.ptp(scores["stance"].reshape(len(varied), -1), axis=1)
    return {
        "statements": len(varied),
        "kinds": kinds,
        **{name: (values.mean(axis=0) - values.mean()).round(4).tolist() for name, values in scores.items()},
        "stance_range": {"mean": float(ranges.mean()), "max": float(ranges.max())},
    }


def measure_direction(rows: Sequence[LabelledStatement], probabilities: Probabilities) -> dict[str, Any]:
    """Share of the texts labelled in both directions, with different stances, that the model puts in the right order.

    Returns:
        By source, and for ``all``: ``rows``, ``share``, ``interval``.
    """
    stance = _to_scores(probabilities)["stance"]
    by_key = {(row.source, row.text, row.speaker, row.counterpart): i for i, row in enumerate(rows)}
    right: dict[str, list[bool]] = {}
    for (source, text, speaker, counterpart), i in by_key.items():
        j = by_key.get((source, text, counterpart, speaker))
        here, there = rows[i].stance, None if j is None else rows[j].stance
        if j is None or j <= i or here is None or there is None or here == there:
            continue
        is_right = bool((stance[i] > stance[j]) == (STANCES.index(here) < STANCES.index(there)))
        for name in (source, "all"):
            right.setdefault(name, []).append(is_right)
    return {name: _share(float(np.mean(found)), len(found)) for name, found in sorted(right.items())}


def measure_slices(rows: Sequence[LabelledStatement], probabilities: Probabilities) -> dict[str, Any]:
    """How well the stance is found in slices of at least ``MIN_ROWS`` rows.

    Registers and phenomena are those of the authored rows, whose native label is ``register:phenomenon``.

    Returns:
        For ``source``, ``register``, ``phenomenon`` and ``length``, by name of the slice: ``rows``, ``share`` of right
        stances, its ``interval``, ``macro_f1``, ``calibration_error``, and ``overconfidence``: mean confidence less
        ``share``.
    """
    known = [i for i, row in enumerate(rows) if row.stance is not None]
    truth = np.array([STANCES.index(rows[i].stance or "") for i in known])
    stance = probabilities["stance"][known]
    predicted, confidence = stance.argmax(axis=1), stance.max(axis=1)

    def name_length(row: LabelledStatement) -> str:
        words = len(_WORD.findall(row.text))
        fitting = (f"{low + 1} to {high} words" for low, high in pairwise(LENGTHS) if words <= high)
        return next(fitting, f"over {LENGTHS[-1]} words")

    keys: dict[str, Callable[[LabelledStatement], str]] = {
        "source": lambda row: row.source,
        "register": lambda row: row.native.partition(":")[0] if row.source == "authored" else "",
        "phenomenon": lambda row: row.native.partition(":")[2] if row.source == "authored" else "",
        "length": name_length,
    }

    def measure(inside: npt.NDArray[np.bool_]) -> dict[str, Any]:
        correct = predicted[inside] == truth[inside]
        return {
            **_share(float(correct.mean()), len(correct)),
            "macro_f1": score_macro_f1(truth[inside], predicted[inside], len(STANCES)),
            "calibration_error": measure_calibration_error(confidence[inside], correct),
            "overconfidence": float((confidence[inside] - correct).mean()),
        }

    slices: dict[str, Any] = {}
    for kind, key in keys.items():
        names = np.array([key(rows[i]) for i in known])
        counts = Counter(names.tolist())
        slices[kind] = {name: measure(names == name) for name in sorted(counts) if name and counts[name] >= MIN_ROWS}
    return slices


def measure_levels(rows: Sequence[LabelledStatement], probabilities: Probabilities) -> dict[str, Any]:
    """How well hostility levels are found where the label is one level: by source ``rows``, ``kappa``, ``macro_f1``."""
    exact = {
        source: [
            i for i, r in enumerate(rows) if r.source == source and r.hostility_low == r.hostility_high is not None
        ]
        for source in sorted({row.source for row in rows})
    }
    found = {}
    for source, index in exact.items():
        truth = np.array([rows[i].hostility_low for i in index])
        if len(truth) >= MIN_ROWS and len(np.unique(truth)) > 2:
            predicted = probabilities["hostility"][index].argmax(axis=1)
            found[source] = {
                "rows": len(truth),
                "kappa": score_kappa(truth, predicted, MAX_LEVEL + 1),
                "macro_f1": score_macro_f1(truth, predicted, MAX_LEVEL + 1),
            }
    return found


def measure_review(rows: Sequence[LabelledStatement], probabilities: Probabilities) -> dict[str, Any]:
    """Share of wrong stances among all rows and among the most certain ``KEPT`` of them, by source and for ``all``."""
    found = {}
    for source in (*sorted({row.source for row in rows}), "all"):
        index = [i for i, row in enumerate(rows) if row.stance is not None and source in (row.source, "all")]
        if len(index) >= MIN_ROWS:
            stance = probabilities["stance"][index]
            correct = stance.argmax(axis=1) == np.array([STANCES.index(rows[i].stance or "") for i in index])
            kept, all_rows = trace_risk_coverage(stance.max(axis=1), correct, np.array([KEPT, 1.0]))
            found[source] = {"rows": len(index), "all": float(all_rows), "kept": float(kept)}
    return found


def list_errors(rows: Sequence[LabelledStatement], probabilities: Probabilities) -> list[dict[str, Any]]:
    """The ``CONFIDENT_ERRORS`` rows whose stance the model is surest of and wrong about, the surest first."""
    stance = probabilities["stance"]
    predicted = stance.argmax(axis=1)
    wrong = [i for i, row in enumerate(rows) if row.stance is not None and STANCES[predicted[i]] != row.stance]
    return [
        {
            "source": rows[i].source,
            "id": rows[i].id,
            "label": rows[i].stance,
            "found": STANCES[predicted[i]],
            "confidence": round(float(stance[i].max()), 4),
            "text": rows[i].text,
            "speaker": rows[i].speaker,
            "counterpart": rows[i].counterpart,
        }
        for i in sorted(wrong, key=lambda i: -stance[i].max())[:CONFIDENT_ERRORS]
    ]


def _share(share: float, rows: int) -> dict[str, Any]:
    return {"rows": rows, "share": share, "interval": list(estimate_share(share, rows))}


def _to_scores(probabilities: Probabilities) -> dict[str, npt.NDArray[np.float64]]:
    """Stance in [-1, 1] and hostility in [0, 1]."""
    stance = probabilities["stance"]
    return {
        "stance": stance[:, 0] - stance[:, 2],
        "hostility": probabilities["hostility"] @ np.arange(MAX_LEVEL + 1) / MAX_LEVEL,
    }
