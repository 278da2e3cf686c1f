"""Labels of our own for rows of public sources, by row id and hash: the texts stay where they are.

``data/codes/<source>.csv`` has the columns ``id``, ``text`` (``corpus.hash_text``), ``stance``, ``hostility`` and
``sentiment``, coded by the codebook from the text and the two names alone; ``data/codes/README.md`` says how. A label
of the source is never overruled, but for ``REPLACED`` sources: a code adds what the source does not say. An id with
``REVERSED`` behind it is the row's other direction, which becomes a training row of its own.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from detente.corpus import SourceError, hash_text
from detente.labels import MAX_LEVEL, SENTIMENTS, STANCES
from detente.records import LabelledStatement

FOLDER: Final = Path(__file__).parent / "codes"
REPLACED: Final = frozenset({"rusentrel_en"})
"""Sources whose labels were put on sentences from whole documents: only rows that were coded again are used."""
REVERSED: Final = "~"
_COLUMNS: Final = ["id", "text", "stance", "hostility", "sentiment"]


@dataclass(frozen=True, slots=True)
class Code:
    """What a coder found in a row; ``stance`` is None where the row cannot be coded, and so are the other two."""

    text: str
    stance: str | None
    hostility: int | None
    sentiment: str | None


def read_codes(path: Path) -> dict[str, Code]:
    """Read the codes of one source, by row id.

    Raises:
        SourceError: The columns or a value are not what they should be, or an id comes twice.
    """
    codes: dict[str, Code] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != _COLUMNS:
            raise SourceError(path, 1, f"the columns {', '.join(_COLUMNS)}", reader.fieldnames)
        for record in reader:
            labels = record["stance"], record["hostility"], record["sentiment"]
            known = labels[0] in STANCES and labels[1] in map(str, range(MAX_LEVEL + 1)) and labels[2] in SENTIMENTS
            if not known and labels != ("", "", ""):
                raise SourceError(path, reader.line_num, "a stance, a level and a sentiment, or none of them", labels)
            if record["id"] in codes:
                raise SourceError(path, reader.line_num, "an id that no other line has", record["id"])
            stance, level, sentiment = labels if known else (None, None, None)
            codes[record["id"]] = Code(record["text"], stance, None if level is None else int(level), sentiment)
    return codes


def recode(
    rows: Sequence[LabelledStatement], codes: Mapping[str, Mapping[str, Code]], dropped: Counter[tuple[str, str]]
) -> list[LabelledStatement]:
    """Add the codes to the rows, in their order; test rows stay as they are.

    Args:
        rows: Rows of any sources.
        codes: By source, then by row id.
        dropped: Counts what is left out and what was not used, by source and reason.

    Raises:
        SourceError: A row's text is not the one that was coded.
    """
    recoded = []
    for row in rows:
        code, back = (codes.get(row.source, {}).get(row.id + suffix) for suffix in ("", REVERSED))
        for given in (code, back):
            if given is not None and given.text != hash_text(row.text):
                path = FOLDER / f"{row.source}.csv"
                raise SourceError(path, None, f"the text with hash {given.text} as {row.id}", hash_text(row.text))
        if row.split == "train" and back is not None and back.stance is not None:
            turned = replace(
                row, id=row.id + REVERSED, speaker=row.counterpart, counterpart=row.speaker, native="coded"
            )
            recoded.append(label(turned, back))
        if row.split == "test" or row.source not in codes:
            recoded.append(row)
        elif row.source in REPLACED:
            if code is None or code.stance is None:
                dropped[row.source, "no code" if code is None else "could not be coded"] += 1
            else:
                recoded.append(label(row, code))
        elif code is None or code.stance is None:
            recoded.append(row)
        else:
            if contradicts(row, code):
                dropped[row.source, "code not used, as it contradicts the source"] += 1
                recoded.append(row)
            else:
                recoded.append(label(row, replace(code, sentiment=row.sentiment or code.sentiment)))
    return recoded


def contradicts(row: LabelledStatement, code: Code) -> bool:
    """Whether a code has another stance than its row, or a level outside of the row's interval."""
    assert code.hostility is not None
    outside = row.hostility_low is not None and not row.hostility_low <= code.hostility <= (row.hostility_high or 0)
    return outside or (row.stance is not None and row.stance != code.stance)


def label(row: LabelledStatement, code: Code) -> LabelledStatement:
    """The row with the code's labels."""
    return replace(
        row,
        stance=code.stance,
        hostility_low=code.hostility,
        hostility_high=code.hostility,
        sentiment=code.sentiment,
    )
