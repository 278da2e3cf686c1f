"""Labels: names and order, which saved models depend on, and the codebook that defines them."""

import re
from pathlib import Path

from detente.labels import HEADS, HOSTILITY_LEVELS, MAX_LEVEL, SENTIMENTS, STANCES

CODEBOOK = (Path(__file__).parent.parent / "docs" / "codebook.md").read_text(encoding="utf-8")


def test_names_and_order_are_pinned() -> None:
    assert HEADS == {
        "stance": ("favour", "neutral", "against"),
        "hostility": ("none", "criticism", "accusation", "vilification", "threat"),
        "sentiment": ("negative", "neutral", "positive"),
    }
    assert list(HEADS) == ["stance", "hostility", "sentiment"]
    assert MAX_LEVEL == 4


def test_codebook_has_the_same_levels() -> None:
    rows = re.findall(r"^\| (\d) \| `(\w+)` \|", CODEBOOK, re.MULTILINE)
    assert rows == [(str(level), name) for level, name in enumerate(HOSTILITY_LEVELS)]


def test_codebook_has_the_same_stances_and_sentiments() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \|", CODEBOOK, re.MULTILINE)) == STANCES
    heading = next(line for line in CODEBOOK.splitlines() if line.startswith("## 3 Sentiment"))
    assert tuple(re.findall(r"`(\w+)`", heading)) == SENTIMENTS
