"""PLV: news sentences with a marked source and target, coded by the PLOVER ontology (Hu et al., 2024).

``datasets/PLV_train.tsv``; the README runs on ``datasets/PLV_test.tsv``, which is read as the test part if it is
there. There is no validation part: a fifth of the sentences is held out by hash.

``gold_root`` becomes a row from source to target by what the act says of stance and level: AGREE, SUPPORT, COOPERATE,
AID, YIELD (RETREAT): favour, 0. CONSULT: neutral, 0, for to meet is procedure. ACCUSE: against, 1-3, as the wording
decides. REJECT: against, 1-2. PROTEST: against, 1-3. REQUEST of the conflict classes is a demand that implies a
fault: against, 1; else neutral, 0-1. THREATEN, SANCTION, COERCE, ASSAULT, MOBILIZE: against, 4. INVESTIGATE: level
0-2 and no stance, for an investigation may be routine. A root of the other side than its penta class (COOPERATE in
material conflict) is skipped.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detente.corpus import SourceError, hash_text, split_groups
from detente.records import LabelledStatement

NAME: Final = "plv"
FILES: Final = {"train": "datasets/PLV_train.tsv", "test": "datasets/PLV_test.tsv"}
VALIDATION_FRACTION: Final = 0.2
FRIENDLY: Final = frozenset({"AGREE", "SUPPORT", "COOPERATE", "AID", "YIELD", "RETREAT"})
LABELS: Final[dict[str, tuple[str | None, int, int]]] = {
    **dict.fromkeys(sorted(FRIENDLY), ("favour", 0, 0)),
    "CONSULT": ("neutral", 0, 0),
    "REQUEST": ("neutral", 0, 1),
    "DEMAND": ("neutral", 0, 1),
    "INVESTIGATE": (None, 0, 2),
    "ACCUSE": ("against", 1, 3),
    "REJECT": ("against", 1, 2),
    "PROTEST": ("against", 1, 3),
    **dict.fromkeys(("THREATEN", "SANCTION", "COERCE", "ASSAULT", "MOBILIZE"), ("against", 4, 4)),
}
"""Root to (stance, lowest level, highest level)."""
CONFLICT: Final = frozenset({"3", "4"})
"""Penta classes verbal and material conflict; 0 is neutral, 1 and 2 are co-operation."""
_COLUMNS: Final = ("sentence_id", "sentence", "marked_sentence", "source", "target", "gold_penta", "gold_root")

logger = logging.getLogger(__name__)


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read PLV.

    Args:
        folder: The repository, with ``datasets/PLV_train.tsv``.
        skipped: Counts the rows that are left out, by reason.

    Raises:
        SourceError: A column is missing, a code is unknown, or the marks do not give the plain sentence.
    """
    skipped = Counter() if skipped is None else skipped
    rows = []
    for split, name in FILES.items():
        path = folder / name
        if split == "test" and not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise SourceError(path, 1, f"the columns {', '.join(missing)}", reader.fieldnames)
            for number, record in enumerate(reader):
                row = _read_record(path, reader.line_num, number, record, split, skipped)
                if row is not None:
                    rows.append(row)
    logger.info("%s: skipped %s", NAME, dict(skipped))
    yield from split_groups(rows, VALIDATION_FRACTION)


def _read_record(
    path: Path, line: int, number: int, record: dict[str, str | None], split: str, skipped: Counter[str]
) -> LabelledStatement | None:
    sentence, marked, speaker, counterpart, penta, root = (record[column] or "" for column in _COLUMNS[1:])
    if re.sub(r"</?[st]>", "", marked) != sentence:
        raise SourceError(path, line, "the plain sentence once the <s> and <t> marks are gone", marked)
    if root not in LABELS or penta not in ("0", "1", "2", "3", "4"):
        raise SourceError(path, line, f"penta 0 to 4 and a root of {', '.join(LABELS)}", f"{penta}:{root}")
    speaker, counterpart = speaker.strip(), counterpart.strip()
    if not speaker or not counterpart or speaker.casefold() == counterpart.casefold():
        skipped["source and target are equal, or one is empty"] += 1
        return None
    stance, low, high = LABELS[root]
    if (root in FRIENDLY and penta in CONFLICT) or (stance == "against" and penta in ("1", "2")):
        skipped["root and penta class contradict each other"] += 1
        return None
    if root in ("REQUEST", "DEMAND") and penta in CONFLICT:
        stance, low, high = "against", 1, 1
    return LabelledStatement(
        text=sentence,
        speaker=speaker,
        counterpart=counterpart,
        source=NAME,
        id=f"{split}-{number}-{record['sentence_id']}",
        split=split,
        group=hash_text(sentence),
        stance=stance,
        hostility_low=low,
        hostility_high=high,
        native=f"{penta}:{root}",
    )
