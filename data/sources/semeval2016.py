"""SemEval-2016 task 6: stance of tweets to a target and, apart from it, sentiment (Mohammad et al., 2016).

``dataset/semeval2016/train.txt``, tab-separated; the test part is taken to be ``test.txt``, and read if it is there.
The source shows whether a model tells stance from sentiment. It is "for research use", so the manifest keeps it out
of training: the whole train file is validation, used only to report. The author speaks; hostility is missing.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detente.corpus import SourceError, hash_text
from detente.records import LabelledStatement

NAME: Final = "semeval2016"
FILES: Final = {"validation": "dataset/semeval2016/train.txt", "test": "dataset/semeval2016/test.txt"}
HEADER: Final = ["ID", "Target", "Tweet", "Stance", "Opinion towards", "Sentiment"]
STANCES: Final = {"FAVOR": "favour", "AGAINST": "against", "NONE": "neutral"}
SENTIMENTS: Final = {"POSITIVE": "positive", "NEGATIVE": "negative", "NEITHER": "neutral"}

logger = logging.getLogger(__name__)


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read the tweets.

    Args:
        folder: The repository.
        skipped: Counts the rows that are left out, by reason; none are.

    Raises:
        SourceError: The header differs, or a line has not six fields or an unknown label.
    """
    skipped = Counter() if skipped is None else skipped
    for split, name in FILES.items():
        path = folder / name
        if split == "test" and not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\r").split("\t")
            if number == 1:
                if fields != HEADER:
                    raise SourceError(path, number, f"the header {HEADER}", fields)
                continue
            if fields == [""] and number == len(lines):
                continue
            if len(fields) != len(HEADER) or fields[3] not in STANCES or fields[5] not in SENTIMENTS:
                raise SourceError(path, number, f"the fields {HEADER} with known labels", fields)
            tweet_id, target, tweet, stance, _, sentiment = fields
            yield LabelledStatement(
                text=tweet.removesuffix("#SemST").strip(),
                speaker=None,
                counterpart=target,
                source=NAME,
                id=f"{path.stem}-{tweet_id}",
                split=split,
                group=hash_text(tweet),
                stance=STANCES[stance],
                sentiment=SENTIMENTS[sentiment],
                native=f"{stance}/{sentiment}",
            )
    logger.info("%s: skipped %s", NAME, dict(skipped))
