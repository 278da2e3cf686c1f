"""NewsMTSC: sentiment toward a person in US political news (Hamborg and Donnay, 2021).

JSON lines in ``NewsSentiment/experiments/default/datasets/newsmtsc-{rw,mt}-hf/{train,dev}.jsonl``. The test parts are
taken to be ``test.jsonl`` in the same folders; they are read if they are there.

The author speaks (speaker None), the mention is the counterpart; the polarity is the stance toward it. Hostility is
missing, since a sentence that is bad for a person need not attack it. The tone of the sentence is known only if all
its mentions agree.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detente.corpus import SourceError
from detente.records import LabelledStatement

NAME: Final = "newsmtsc"
FOLDER: Final = "NewsSentiment/experiments/default/datasets"
FILES: Final = (
    ("rw", "train", "newsmtsc-rw-hf/train.jsonl"),
    ("rw", "validation", "newsmtsc-rw-hf/dev.jsonl"),
    ("mt", "validation", "newsmtsc-mt-hf/dev.jsonl"),
    ("rw", "test", "newsmtsc-rw-hf/test.jsonl"),
    ("mt", "test", "newsmtsc-mt-hf/test.jsonl"),
)
"""Part, split and file."""
LABELS: Final = {-1: ("against", "negative"), 0: ("neutral", "neutral"), 1: ("favour", "positive")}
"""Polarity to stance and sentiment."""
_KEYS: Final = ("mention", "polarity", "sentence", "id")
_ID: Final = re.compile(r"(.+?)_\d+_(?!-?\d+_).*_\d+_\d+", re.DOTALL)
"""Article, sentence number, person, start, end: ``allsides_1000_401_25_Jane Roe_0_6``."""

logger = logging.getLogger(__name__)


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read NewsMTSC.

    Args:
        folder: The repository.
        skipped: Counts the rows that are left out, by reason.

    Raises:
        SourceError: A line is not JSON, lacks a key, or has an unknown polarity or an id of another form.
    """
    skipped = Counter() if skipped is None else skipped
    for part, split, name in FILES:
        path = folder / FOLDER / name
        if split == "test" and not path.is_file():
            continue
        yield from _read_file(path, part, split, skipped)
    logger.info("%s: skipped %s", NAME, dict(skipped))


def _read_file(path: Path, part: str, split: str, skipped: Counter[str]) -> Iterator[LabelledStatement]:
    records = []
    with path.open(encoding="utf-8") as file:
        for line, text in enumerate(file, start=1):
            try:
                record = json.loads(text)
                mention, polarity, sentence, row_id = (record[key] for key in _KEYS)
            except (ValueError, KeyError, TypeError) as error:
                raise SourceError(path, line, f"JSON with the keys {', '.join(_KEYS)}", text.strip()[:200]) from error
            match = _ID.fullmatch(row_id)
            if polarity not in LABELS or match is None:
                raise SourceError(path, line, "polarity -1, 0 or 1 and an id such as x_1_2_25_Name_0_6", record)
            records.append((mention.strip(), int(polarity), sentence, row_id, match[1]))
    tones: dict[str, set[int]] = {}
    for _, polarity, sentence, *_ in records:
        tones.setdefault(sentence, set()).add(polarity)
    seen = set()
    for mention, polarity, sentence, row_id, article in records:
        if (mention, polarity, sentence) in seen:
            skipped["same sentence, mention and polarity again"] += 1
            continue
        seen.add((mention, polarity, sentence))
        stance, tone = LABELS[polarity]
        yield LabelledStatement(
            text=sentence,
            speaker=None,
            counterpart=mention,
            source=NAME,
            id=f"{part}-{row_id}",
            split=split,
            group=article,
            stance=stance,
            sentiment=tone if len(tones[sentence]) == 1 else None,
            native=f"{part}:{polarity}",
        )
