"""RuSentRel in English: attitudes between entities in analytical articles, translated by machine (Loukachevitch, 2018).

``unzipped/chatgpt-input-extraction-prompts/chatgpt_input_rusentrel.csv`` is the unzipped file of the leaderboard's
``submissions/raw/chatgpt-input-extraction-prompts.zip``: tab-separated, each row a prompt that quotes a sentence and
names X and the target Y. The README does not explain the labels; the rows do (Russia to NATO is 2, allies are 1) and
so does its task text, which lists positive and negative relations: 0 none, 1 positive, 2 negative.

The labels belong to the pair in the whole article and were put on every sentence with both names, so they are noisy:
stance only for label 0, 1-4 for negative and 0-2 for positive. Tokens are joined again; names keep their spelling
("rf" is Russia). The official test part has the documents above ``LAST_TRAIN_DOCUMENT``; a tenth of the other
documents is validation by hash.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detente.corpus import SourceError, split_groups, tidy_spacing
from detente.records import LabelledStatement

NAME: Final = "rusentrel_en"
FILE: Final = "unzipped/chatgpt-input-extraction-prompts/chatgpt_input_rusentrel.csv"
VALIDATION_FRACTION: Final = 0.1
LAST_TRAIN_DOCUMENT: Final = 45
LABELS: Final[dict[str, tuple[str, int | None, int | None]]] = {
    "0": ("neutral", None, None),
    "1": ("favour", 0, 2),
    "2": ("against", 1, 4),
}
_COLUMNS: Final = ("id", "doc_id", "label", "text_a")
_PROMPT: Final = re.compile(
    r'What\'s the attitude of the sentence: "(.*)" from "(.*?)" to the target "(.*?)"\. positive or negative\.',
    re.DOTALL,
)

logger = logging.getLogger(__name__)


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read RuSentRel in English.

    Args:
        folder: The repository, with the prompts unzipped as ``FILE`` says.
        skipped: Counts the rows that are left out, by reason.

    Raises:
        SourceError: A column is missing, a label is unknown or a prompt has another wording.
    """
    skipped = Counter() if skipped is None else skipped
    path = folder / FILE
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise SourceError(path, 1, f"the columns {', '.join(missing)}", reader.fieldnames)
        for record in reader:
            row_id, document, label, prompt = (record[column] or "" for column in _COLUMNS)
            match = _PROMPT.fullmatch(prompt.strip())
            if match is None:
                raise SourceError(
                    path, reader.line_num, 'What\'s the attitude ... from "X" to the target "Y"...', prompt
                )
            if label not in LABELS or not document.isdigit():
                raise SourceError(path, reader.line_num, "a document number and a label 0, 1 or 2", (document, label))
            text, speaker, counterpart = (tidy_spacing(group) for group in match.groups())
            if not speaker or not counterpart or speaker.casefold() == counterpart.casefold():
                skipped["the two names are equal, or one is empty"] += 1
                continue
            stance, low, high = LABELS[label]
            rows.append(
                LabelledStatement(
                    text=text,
                    speaker=speaker,
                    counterpart=counterpart,
                    source=NAME,
                    id=row_id,
                    split="train" if int(document) <= LAST_TRAIN_DOCUMENT else "test",
                    group=document,
                    stance=stance,
                    hostility_low=low,
                    hostility_high=high,
                    native=label,
                )
            )
    logger.info("%s: skipped %s", NAME, dict(skipped))
    yield from split_groups(rows, VALIDATION_FRACTION)
