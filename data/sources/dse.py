"""DSE: directed sentiment between two political entities p and q of a news sentence (Park et al., 2021).

A line of ``dataset/{train,valid}.txt`` holds four tab-separated fields, quoted as in CSV: the sentence with p and q
in square brackets, p, q, and a label: 0 none, 1 p likes q, 2 q likes p, 3 p dislikes q, 4 q dislikes p. The test part
is taken to be ``dataset/test.txt``, by the pattern of the other two; it is read if it is there.

Each line gives two rows, p to q and q to p. The source codes one attitude a pair, so the other direction is neutral,
0. Negative can be anything from criticism to a threat: 1-4. Positive does not exclude a charge in passing (codebook,
rule 2): 0-2.

The marks were made from names stripped of "s" and apostrophes, so "[the United State]s" stands for the United States
and "[Kasich’]s" for Kasich's: a mark is extended to the end of its word unless what follows is a possessive.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Final

from detente.corpus import SourceError, hash_text
from detente.records import LabelledStatement

NAME: Final = "dse"
FILES: Final = {"train": "dataset/train.txt", "validation": "dataset/valid.txt", "test": "dataset/test.txt"}
LABELS: Final = {
    "0": (("neutral", 0, 0), ("neutral", 0, 0)),
    "1": (("favour", 0, 2), ("neutral", 0, 0)),
    "2": (("neutral", 0, 0), ("favour", 0, 2)),
    "3": (("against", 1, 4), ("neutral", 0, 0)),
    "4": (("neutral", 0, 0), ("against", 1, 4)),
}
"""Label to (stance, lowest level, highest level) of p to q and of q to p."""

_MARK: Final = re.compile(r"\[([^\[\]]*)\]")
_GLUED_WORDS: Final = {"the", "for", "and", "of", "to", "in", "on", "with", "out"}
"""Words that a missing space glues to a mark; other small letters after a mark belong to its word."""
_EDGES: Final = " \t“”\"‘’'(),;:-–"

logger = logging.getLogger(__name__)


def extend_mark(before: str, mark: str, after: str) -> str:
    """The name that a mark stands for.

    Args:
        before: The sentence up to the mark.
        mark: The words in the brackets.
        after: The sentence behind the mark.

    Returns:
        The name to the end of its word, without a leading article, quotes or a possessive.
    """
    if mark[-1:].isalpha():
        letters = "".join(takewhile(str.islower, after))
        if letters not in _GLUED_WORDS:
            mark += letters
    if mark[:1].islower() and re.search(r"(?:^|\W)s$", before):
        mark = "s" + mark
    mark = " ".join(mark.strip(_EDGES).split())
    return re.sub(r"^the\s+(?=\S)", "", mark, flags=re.IGNORECASE)


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read DSE.

    Args:
        folder: The repository, with ``dataset/train.txt``.
        skipped: Counts the lines that are left out, by reason.

    Raises:
        SourceError: A line has not four fields, two marks or a known label.
    """
    skipped = Counter() if skipped is None else skipped
    for split, name in FILES.items():
        path = folder / name
        if split == "test" and not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            for number, fields in enumerate(csv.reader(file, delimiter="\t"), start=1):
                yield from _read_line(path, number, fields, split, skipped)
    logger.info("%s: skipped %s", NAME, dict(skipped))


def _read_line(
    path: Path, number: int, fields: list[str], split: str, skipped: Counter[str]
) -> Iterator[LabelledStatement]:
    if len(fields) != 4:
        raise SourceError(path, number, "4 fields: sentence, p, q, label", fields)
    marked, *_, label = fields
    if label not in LABELS:
        raise SourceError(path, number, f"a label of {', '.join(LABELS)}", label)
    marks = list(_MARK.finditer(marked))
    if len(marks) != 2:
        raise SourceError(path, number, "two marked entities", marked)
    if any('"' in mark[1].strip('"') for mark in marks):
        skipped["a mark spans two sentences"] += 1
        return
    names = [extend_mark(marked[: mark.start()], mark[1], marked[mark.end() :]) for mark in marks]
    if not all(names) or names[0].casefold() == names[1].casefold():
        skipped["the two names are equal, or one is empty"] += 1
        return
    text = " ".join(_MARK.sub(r"\1", marked).split())
    prefix = f"{split}-{number}"
    directions = (("pq", names[0], names[1]), ("qp", names[1], names[0]))
    for (suffix, speaker, counterpart), (stance, low, high) in zip(directions, LABELS[label], strict=True):
        yield LabelledStatement(
            text=text,
            speaker=speaker,
            counterpart=counterpart,
            source=NAME,
            id=f"{prefix}-{suffix}",
            split=split,
            group=hash_text(text),
            stance=stance,
            hostility_low=low,
            hostility_high=high,
            native=label,
        )
