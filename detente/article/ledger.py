"""Many articles: copies of one story found, statements in one table, dyads by day, and how a dyad changes over time."""

import datetime
import json
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detente.article.reading import estimate_interval

SAME_STORY: Final = 0.6
"""Jaccard similarity of two articles' five-word sequences from which on they are copies of one story."""
_SHINGLE_WORDS: Final = 5
_PERMUTATIONS: Final = 128
_WORD = re.compile(r"\w+")
_MIN_DAYS: Final = 3
_PENALTY: Final = 3.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One dyad on one day.

    Attributes:
        date: The day, ``YYYY-MM-DD``; empty if the articles have none.
        speaker: The speaking party.
        counterpart: The party spoken of.
        n: Statements, without repeats and without those of copied stories.
        articles: Articles that they stand in.
        stance: Mean stance, in [-1, 1].
        stance_low: Lower end of the 95 % bootstrap interval of the mean.
        stance_high: Upper end.
        hostility: Mean hostility, in [0, 1].
        hostility_low: Lower end of the 95 % bootstrap interval of the mean.
        hostility_high: Upper end.
        hostility_max: Highest hostility of one statement.
        model_version: Version of the model that scored.
    """

    date: str
    speaker: str
    counterpart: str
    n: int
    articles: int
    stance: float
    stance_low: float
    stance_high: float
    hostility: float
    hostility_low: float
    hostility_high: float
    hostility_max: float
    model_version: str


_ARROW_TYPES: Final[dict[Any, str]] = {str: "string", int: "int64", float: "double"}
ENTRY_COLUMNS: Final = {entry.name: _ARROW_TYPES[entry.type] for entry in fields(Entry)}
"""The columns of a ledger and their Arrow types."""


def make_sketch(text: str) -> bytes:
    """What ``find_copies`` needs to know of a text: the MinHash of its five-word sequences (Broder 1997), serialised.

    A text of fewer than five words is one sequence.

    Raises:
        ModuleNotFoundError: datasketch is not installed.
    """
    words = _WORD.findall(text.lower())
    last = max(1, len(words) - _SHINGLE_WORDS + 1)
    datasketch = _load_datasketch()
    sketch = datasketch.MinHash(num_perm=_PERMUTATIONS, seed=1)
    sketch.update_batch([" ".join(words[i : i + _SHINGLE_WORDS]).encode() for i in range(last)])
    small = datasketch.LeanMinHash(sketch)
    stored = bytearray(small.bytesize())
    small.serialize(stored)
    return bytes(stored)


def find_copies(sketches: Iterable[bytes]) -> list[int | None]:
    """For each text the position of the earliest one of which it is a copy, or None.

    Wire copies differ by a headline, a dateline or a cut; they share most of their five-word sequences.

    Args:
        sketches: Of the texts, by ``make_sketch``.

    Raises:
        ModuleNotFoundError: datasketch is not installed.
    """
    datasketch = _load_datasketch()
    index = datasketch.MinHashLSH(threshold=SAME_STORY, num_perm=_PERMUTATIONS)
    kept: dict[int, Any] = {}
    copies: list[int | None] = []
    for position, stored in enumerate(sketches):
        sketch = datasketch.LeanMinHash.deserialize(bytearray(stored))
        near = [k for k in index.query(sketch) if kept[k].jaccard(sketch) >= SAME_STORY]
        copies.append(min(near) if near else None)
        if not near:
            kept[position] = sketch
            index.insert(position, sketch)
    return copies


def _load_datasketch() -> Any:
    try:
        import datasketch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reading many articles needs datasketch: pip install 'detente[articles]'") from error
    return datasketch


def make_ledger(statements: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """The dyads of each day, by date, speaker and counterpart.

    Args:
        statements: Rows of ``Reading.to_rows`` with the number of their article in ``row``, article after article, and
            in ``copy_of`` the one of which it is a copy, whose statements do not count again.
    """
    groups: dict[tuple[str, str, str], _Group] = {}
    version = ""
    for row in statements:
        version = row["model_version"]
        if row["counts"] and row["copy_of"] is None:
            group = groups.setdefault((row["date"] or "", row["speaker"], row["counterpart"]), _Group())
            group.stances.append(row["stance"])
            group.hostilities.append(row["hostility"])
            group.articles += row["row"] != group.last
            group.last = row["row"]
    entries = []
    for (day, speaker, counterpart), group in sorted(groups.items()):
        stances, hostilities = np.array(group.stances), np.array(group.hostilities)
        entries.append(
            Entry(
                day,
                speaker,
                counterpart,
                len(stances),
                group.articles,
                float(stances.mean()),
                *estimate_interval(stances),
                float(hostilities.mean()),
                *estimate_interval(hostilities),
                float(hostilities.max()),
                version,
            )
        )
    return entries


@dataclass(slots=True)
class _Group:
    """The scores of one dyad on one day, the number of its articles, and the last of them."""

    stances: "array[float]" = field(default_factory=lambda: array("d"))
    hostilities: "array[float]" = field(default_factory=lambda: array("d"))
    articles: int = 0
    last: int = 0


def read_ledger(path: Path) -> list[Entry]:
    """Reads ``ledger.jsonl`` or ``ledger.parquet`` of ``detente read``.

    Raises:
        ValueError: It is no ledger; the message says what is missing.
    """
    if path.suffix == ".parquet":
        from pyarrow.parquet import read_table

        rows = read_table(path).to_pylist()
    else:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        return [Entry(**row) for row in rows]
    except TypeError as error:
        raise ValueError(f"{path} is no ledger: {error}; make one with detente read DIR -o OUT") from error


def find_changes(values: npt.NDArray[np.float64]) -> list[int]:
    """Where a series changes its level: the first position of each new level but the first.

    Penalised least squares (PELT, Killick, Fearnhead and Eckley 2012) on the series in units of its noise, which the
    differences of neighbours give; the penalty grows with the logarithm of the length.

    Args:
        values: (days, series).
    """
    if len(values) < 2 * _MIN_DAYS:
        return []
    from ruptures import Pelt

    differences = np.diff(values, axis=0)
    noise = np.median(np.abs(differences), axis=0) / 0.6745 / 2**0.5
    scaled = values / np.maximum(noise, 0.02)
    penalty = _PENALTY * values.shape[1] * float(np.log(len(values)))
    ends = Pelt(model="l2", min_size=_MIN_DAYS, jump=1).fit(scaled).predict(pen=penalty)
    return [int(end) for end in ends[:-1]]


def plot_dyad(entries: Sequence[Entry], speaker: str, counterpart: str, path: Path) -> list[str]:
    """Draws stance and hostility of one dyad over its days, with bands of uncertainty and marked change points.

    Args:
        entries: A ledger.
        speaker: The speaking party.
        counterpart: The party spoken of.
        path: Image file to write, .png or .svg.

    Returns:
        The days on which a new level begins.

    Raises:
        ValueError: The ledger has no dated entry of this dyad.
    """
    mine = sorted(
        (e for e in entries if (e.speaker, e.counterpart) == (speaker, counterpart) and e.date), key=lambda e: e.date
    )
    if not mine:
        known = sorted({f"{e.speaker} → {e.counterpart}" for e in entries if e.date})[:10]
        raise ValueError(f"no dated entry of {speaker} → {counterpart}; the ledger has {', '.join(known) or 'none'}")
    from matplotlib.figure import Figure

    days = [datetime.date.fromisoformat(entry.date) for entry in mine]
    changes = find_changes(np.array([[entry.stance, entry.hostility] for entry in mine]))
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for axes, name, colour, lowest in ((above, "stance", "#2a6f97", -1.0), (below, "hostility", "#ae2012", 0.0)):
        middle = [getattr(entry, name) for entry in mine]
        low, high = ([getattr(entry, f"{name}_{end}") for entry in mine] for end in ("low", "high"))
        axes.fill_between(days, low, high, color=colour, alpha=0.2, label="95 % interval of the mean")
        axes.plot(days, middle, color=colour, marker="o", markersize=3, label=name)
        for k, change in enumerate(changes):
            axes.axvline(days[change], color="#444444", linestyle="--", label="change" if k == 0 else None)
        axes.set_ylim(lowest - 0.05, 1.05)
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize="small", frameon=False)
    above.axhline(0, color="#888888", linewidth=0.8)
    above.set_title(f"{speaker} → {counterpart}", loc="right")
    figure.autofmt_xdate()
    figure.savefig(path, dpi=140)
    return [days[change].isoformat() for change in changes]
