"""Labelled statements as a corpus: clean text, stable hashes, grouped splits, de-duplication, parquet files.

Pure functions on lists of LabelledStatement. Nothing here draws a random number: what is held out follows from a hash
of the row's own name, so a source that grows or is read in another order keeps its splits.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detente.records import LabelledStatement

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS: Final = ("train", "validation", "test")
SPLIT_SEED: Final = 13
"""Seed of every held-out part that a source does not define itself."""
Drops = Counter[tuple[str, str]]
"""How many rows were dropped, by (source, reason)."""

_INTEGERS: Final = ("hostility_low", "hostility_high")


class SourceError(ValueError):
    """A file of a source is not what its adapter expects; the message says where, what was expected and found."""

    def __init__(self, path: Path, line: int | None, expected: str, found: object) -> None:
        """Say where, what was expected and what was found; ``line`` counts from 1."""
        where = path.as_posix() if line is None else f"{path.as_posix()}, line {line}"
        super().__init__(f"{where}: expected {expected}, found {found!r}")


def normalise_text(text: str) -> str:
    """The letters and digits of a text, NFKC-normalised and case-folded: two texts are the same if these are."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def hash_text(text: str) -> str:
    """Sixteen hexadecimal digits that name a text up to case, spacing and punctuation."""
    return hashlib.sha256(normalise_text(text).encode()).hexdigest()[:16]


def stable_fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone: the same on every machine and in every run."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def tidy_spacing(text: str) -> str:
    """Undo tokenisation: "Asia 's growth , he said ( today ) ." becomes "Asia's growth, he said (today)."."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ([,.;:!?%)\]}»”])", r"\1", text)
    text = re.sub(r"([(\[{«“$]) ", r"\1", text)
    text = re.sub(r" (['’](?:s|t|re|ve|ll|d|m)\b)", r"\1", text, flags=re.IGNORECASE)
    text = re.sub(r"(\w) (n['’]t)\b", r"\1\2", text)
    return re.sub(r'" ([^"]*?) "', r'"\1"', text)


def is_held_out(source: str, group: str, fraction: float, seed: int = SPLIT_SEED) -> bool:
    """Whether a group of a source belongs to the held-out part.

    Args:
        source: Name of the source.
        group: Name of the group.
        fraction: Share of the groups to hold out, in [0, 1].
        seed: Another seed gives another choice.
    """
    return stable_fraction(seed, source, group) < fraction


def split_groups(rows: Iterable[LabelledStatement], fraction: float, seed: int = SPLIT_SEED) -> list[LabelledStatement]:
    """Move about a fraction of the groups of the train rows to validation; other rows stay as they are.

    Args:
        rows: Rows of any sources; the groups of each source are split apart.
        fraction: Share of the groups that become validation, in [0, 1].
        seed: Another seed gives another choice.

    Returns:
        All rows in their order; no group of a source stands in both train and validation.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in [0, 1], found {fraction}")
    return [
        replace(row, split="validation")
        if row.split == "train" and is_held_out(row.source, row.group, fraction, seed)
        else row
        for row in rows
    ]


def drop_leaks(rows: Sequence[LabelledStatement]) -> tuple[list[LabelledStatement], Drops]:
    """Drop the rows by which training would see what is held out.

    Where a source's own parts share a sentence, the validation row goes: in DSE a quarter of the validation pairs stand
    in the train part word for word, and a figure on them would measure memory. Then every train row goes whose
    normalised text stands in a held-out row of any source, or whose group has held-out rows in the same source. Rows
    without a letter or digit are dropped too: no text could be told from another.
    """
    dropped: Drops = Counter()
    kept = []
    texts = [normalise_text(row.text) for row in rows]
    trained = {(row.source, text) for row, text in zip(rows, texts, strict=True) if row.split == "train"}
    seen = [row.split == "validation" and (row.source, text) in trained for row, text in zip(rows, texts, strict=True)]
    held = [row.split != "train" and not known for row, known in zip(rows, seen, strict=True)]
    held_texts = {text for text, is_held in zip(texts, held, strict=True) if is_held}
    held_groups = {(row.source, row.group) for row, is_held in zip(rows, held, strict=True) if is_held}
    for row, text, known in zip(rows, texts, seen, strict=True):
        if not text:
            dropped[row.source, "no letter or digit in the text"] += 1
        elif known:
            dropped[row.source, "validation text stands in the train part"] += 1
        elif row.split == "train" and text in held_texts:
            dropped[row.source, "train text stands in a validation or test row"] += 1
        elif row.split == "train" and (row.source, row.group) in held_groups:
            dropped[row.source, "train row of a group with validation or test rows"] += 1
        else:
            kept.append(row)
    return kept, dropped


def labels_disagree(rows: Sequence[LabelledStatement]) -> bool:
    """Whether two rows have different stances or sentiments, or hostility intervals without a common level.

    A label that is missing disagrees with nothing.
    """
    if len({row.stance for row in rows if row.stance is not None}) > 1:
        return True
    if len({row.sentiment for row in rows if row.sentiment is not None}) > 1:
        return True
    lows = [row.hostility_low for row in rows if row.hostility_low is not None]
    highs = [row.hostility_high for row in rows if row.hostility_high is not None]
    return bool(lows) and max(lows) > min(highs)


def _count_labels(row: LabelledStatement) -> int:
    return sum(label is not None for label in (row.stance, row.hostility_low, row.sentiment))


def drop_duplicates(rows: Sequence[LabelledStatement]) -> tuple[list[LabelledStatement], Drops]:
    """Keep one row of each normalised text, speaker and counterpart within a split; none where the labels disagree.

    The row with the most labels is kept, the first of equals. Run ``drop_leaks`` first: rows of different splits are no
    duplicates here.
    """
    dropped: Drops = Counter()
    groups: dict[tuple[str, str, str | None, str | None], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault((row.split, normalise_text(row.text), row.speaker, row.counterpart), []).append(index)
    keep = set()
    for indices in groups.values():
        same = [rows[index] for index in indices]
        if labels_disagree(same):
            dropped.update((row.source, "duplicates whose labels disagree") for row in same)
            continue
        best = max(indices, key=lambda index: (_count_labels(rows[index]), -index))
        keep.add(best)
        dropped.update((rows[index].source, "exact duplicate") for index in indices if index != best)
    return [row for index, row in enumerate(rows) if index in keep], dropped


def clean_rows(rows: Sequence[LabelledStatement]) -> tuple[list[LabelledStatement], Drops]:
    """Drop leaks, then duplicates: the one road from the adapters' rows to the corpus."""
    rows, leaks = drop_leaks(rows)
    rows, duplicates = drop_duplicates(rows)
    return rows, leaks + duplicates


def to_dataset(rows: Iterable[LabelledStatement]) -> "Dataset":
    """Rows as a ``datasets.Dataset``: one column for each field, of the same type whatever the rows are."""
    from datasets import Dataset, Features, Value  # slow to import

    names = [field.name for field in fields(LabelledStatement)]
    features = Features({name: Value("int64" if name in _INTEGERS else "string") for name in names})
    records = [asdict(row) for row in rows]
    return Dataset.from_dict({name: [record[name] for record in records] for name in names}, features=features)


def from_dataset(dataset: "Dataset") -> list[LabelledStatement]:
    """The rows of a dataset that ``to_dataset`` made; each is checked again."""
    columns = set(dataset.column_names)
    names = {field.name for field in fields(LabelledStatement)}
    if columns != names:
        raise ValueError(f"a corpus has the columns {sorted(names)}, found {sorted(columns)}: run python -m data.build")
    return [LabelledStatement(**record) for record in dataset]


def write_parquet(rows: Iterable[LabelledStatement], path: Path) -> None:
    """Write rows to a parquet file that ``read_parquet`` and ``datasets.load_dataset("parquet")`` read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    to_dataset(rows).to_parquet(path)


def read_parquet(path: Path) -> list[LabelledStatement]:
    """Read rows that ``write_parquet`` wrote.

    Raises:
        FileNotFoundError: The file is not there.
    """
    from datasets import Dataset  # slow to import
    from pyarrow.parquet import read_table

    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: python -m data.build writes it")
    return from_dataset(Dataset(read_table(path)))  # not from_parquet, which leaves a copy in the user's cache
