"""From many corrections to one label for each statement: who is right when readers disagree."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detente.corpus import normalise_text
from detente.labels import HEADS
from serve.database import Feedback


@dataclass(frozen=True, slots=True)
class Resolution:
    """The labels that hold for a statement.

    Attributes:
        text: The statement, as it was last written.
        speaker: The party whose attitude it is, if one was named.
        counterpart: The party toward whom, if one was named.
        stance: The stance that holds; None if nobody judged it or readers disagree.
        hostility: The name of the hostility level that holds; None likewise.
        sentiment: The sentiment that holds; None likewise.
        ids: The corrections of this statement, the oldest first.
    """

    text: str
    speaker: str | None
    counterpart: str | None
    stance: str | None
    hostility: str | None
    sentiment: str | None
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A label on which readers disagree, which an editor should settle.

    Attributes:
        text: The statement, as it was last written.
        speaker: The party whose attitude it is, if one was named.
        counterpart: The party toward whom, if one was named.
        head: ``stance``, ``hostility`` or ``sentiment``.
        votes: How many corrections give each label; the labels stand in the order of ``detente.labels``.
        ids: The corrections that give one, the oldest first.
    """

    text: str
    speaker: str | None
    counterpart: str | None
    head: str
    votes: tuple[tuple[str, int], ...]
    ids: tuple[str, ...]


def adjudicate(rows: Sequence[Feedback]) -> tuple[list[Resolution], list[Conflict]]:
    """Settles each label of each statement.

    Corrections are of one statement if their texts have the same letters and digits, and their parties are the same.
    The latest word of an editor holds; without one, the label that more than half of the corrections give; otherwise
    none, and the label is listed as a conflict.

    Args:
        rows: Corrections in any order; of two given at the same moment, the one that stands later counts as later.

    Returns:
        The statements for which a label holds, and the conflicts, both in the order in which statements were first
        corrected.
    """
    groups: dict[tuple[str, str | None, str | None], list[Feedback]] = {}
    for row in sorted(rows, key=lambda row: row.created):
        groups.setdefault((normalise_text(row.text) or row.text, row.speaker, row.counterpart), []).append(row)
    resolutions: list[Resolution] = []
    conflicts: list[Conflict] = []
    for (_, speaker, counterpart), group in groups.items():
        text = group[-1].text
        labels: dict[str, str | None] = {}
        for head in HEADS:
            given = [(row, label) for row in group if (label := _get_label(row, head)) is not None]
            labels[head] = _settle(given)
            if given and labels[head] is None:
                votes = Counter(label for _, label in given)
                counted = tuple((label, votes[label]) for label in HEADS[head] if votes[label])
                conflicts.append(Conflict(text, speaker, counterpart, head, counted, _list_ids(r for r, _ in given)))
        if any(labels.values()):
            resolutions.append(Resolution(text, speaker, counterpart, **labels, ids=_list_ids(group)))
    return resolutions, conflicts


def _get_label(row: Feedback, head: str) -> str | None:
    return {"stance": row.stance, "hostility": row.hostility, "sentiment": row.sentiment}[head]


def _list_ids(rows: Iterable[Feedback]) -> tuple[str, ...]:
    return tuple(row.id for row in rows)


def _settle(given: Sequence[tuple[Feedback, str]]) -> str | None:
    """The label that holds, of corrections with the oldest first; None if none does."""
    by_editors = [label for row, label in given if row.is_editor]
    if by_editors:
        return by_editors[-1]
    if not given:
        return None
    label, votes = Counter(label for _, label in given).most_common(1)[0]
    return label if 2 * votes > len(given) else None
