"""What is predicted: the names of the labels, their order, their meaning and the range of each score.

Source: docs/codebook.md. Every other module takes names and order from here.
"""

from typing import Final

STANCES: Final = ("favour", "neutral", "against")
"""Stance labels in the order of the stance head's logits."""

HOSTILITY_LEVELS: Final = ("none", "criticism", "accusation", "vilification", "threat")
"""Hostility levels from 0 to 4; the index is the level."""

SENTIMENTS: Final = ("negative", "neutral", "positive")
"""Sentiment labels in the order of the sentiment head's logits."""

HEADS: Final[dict[str, tuple[str, ...]]] = {
    "stance": STANCES,
    "hostility": HOSTILITY_LEVELS,
    "sentiment": SENTIMENTS,
}
"""The three heads and their labels, in order."""

MAX_LEVEL: Final = len(HOSTILITY_LEVELS) - 1
"""The highest hostility level; the hostility score is the expected level divided by it."""
