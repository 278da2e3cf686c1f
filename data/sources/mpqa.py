"""MPQA 2.0 opinions: holder, target, polarity and intensity in the world press (Wiebe et al., 2005).

``data/raw/mpqa/{train,dev}.json`` as in jerbarnes/direct_parsing_to_sent_graph. The test part is taken to be
``test.json``; it is read if it is there, and spells its labels differently, so case is ignored.

An opinion gives one row, holder to target; without a holder the author speaks. No row is made for the opposite
direction: nobody coded it. Negative is 1-4; of weak intensity 1-3, since a threat is never weak. Positive does not
exclude a charge in passing: 0-2. Neutral, "both" and uncertain polarity are skipped: they mark private states without
a direction, not the absence of one.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detente.corpus import SourceError, tidy_spacing
from detente.records import LabelledStatement

NAME: Final = "mpqa"
FILES: Final = {
    "train": "data/raw/mpqa/train.json",
    "validation": "data/raw/mpqa/dev.json",
    "test": "data/raw/mpqa/test.json",
}
MAX_SPAN_CHARS: Final = 100
"""A longer holder or target is a clause, not a party."""

logger = logging.getLogger(__name__)


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read MPQA.

    Args:
        folder: The repository, with ``data/raw/mpqa/train.json``.
        skipped: Counts the opinions that are left out, by reason.

    Raises:
        SourceError: A sentence or an opinion lacks a key or has an unknown polarity.
    """
    skipped = Counter() if skipped is None else skipped
    for split, name in FILES.items():
        path = folder / name
        if split == "test" and not path.is_file():
            continue
        sentences = json.loads(path.read_text(encoding="utf-8"))
        for number, sentence in enumerate(sentences, start=1):
            try:
                sent_id, text = sentence["sent_id"], tidy_spacing(sentence["text"])
                opinions = sentence["opinions"]
            except (KeyError, TypeError) as error:
                raise SourceError(path, None, f"sent_id, text and opinions in sentence {number}", sentence) from error
            for index, opinion in enumerate(opinions):
                row = _read_opinion(path, sent_id, text, index, opinion, split, skipped)
                if row is not None:
                    yield row
    logger.info("%s: skipped %s", NAME, dict(skipped))


def _read_opinion(
    path: Path, sent_id: str, text: str, index: int, opinion: dict[str, object], split: str, skipped: Counter[str]
) -> LabelledStatement | None:
    where = f"in opinion {index} of {sent_id}"
    missing = [key for key in ("Source", "Target", "Polarity", "Intensity") if key not in opinion]
    if missing:
        raise SourceError(path, None, f"the keys {', '.join(missing)} {where}", opinion)
    polarity = str(opinion["Polarity"] or "none").lower()
    intensity = str(opinion["Intensity"] or "none").lower()
    if polarity in ("neutral", "both", "none") or polarity.startswith("uncertain"):
        skipped[f"polarity {polarity}"] += 1
        return None
    if polarity not in ("positive", "negative"):
        raise SourceError(path, None, f"a polarity positive, negative, neutral, both or uncertain {where}", polarity)
    speaker, counterpart = (_join_spans(path, opinion[key], f"{key} {where}") for key in ("Source", "Target"))
    if counterpart is None:
        skipped["no target"] += 1
        return None
    if max(len(counterpart), len(speaker or "")) > MAX_SPAN_CHARS:
        skipped[f"holder or target longer than {MAX_SPAN_CHARS} characters"] += 1
        return None
    if speaker is not None and speaker.casefold() == counterpart.casefold():
        skipped["holder and target are equal"] += 1
        return None
    negative = polarity == "negative"
    high = (3 if intensity == "weak" else 4) if negative else 2
    return LabelledStatement(
        text=text,
        speaker=speaker,
        counterpart=counterpart,
        source=NAME,
        id=f"{sent_id}#{index}",
        split=split,
        group=sent_id.rsplit("-", 1)[0],
        stance="against" if negative else "favour",
        hostility_low=1 if negative else 0,
        hostility_high=high,
        native=f"{polarity}/{intensity}",
    )


def _join_spans(path: Path, spans: object, where: str) -> str | None:
    """The words of a holder or target, several spans joined by a space; None if there is no span."""
    if not isinstance(spans, list) or len(spans) != 2 or not isinstance(spans[0], list):
        raise SourceError(path, None, f"[texts, offsets] as {where}", spans)
    return tidy_spacing(" ".join(spans[0])) or None
