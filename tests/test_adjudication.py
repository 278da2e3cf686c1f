"""Who is right when readers disagree."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("alembic", reason="the packages of the service are not installed")
pytest.importorskip("sqlalchemy", reason="the packages of the service are not installed")

from serve.adjudication import Conflict, Resolution, adjudicate
from serve.database import Feedback

START = datetime(2026, 3, 4, 12, tzinfo=UTC)


def make(minute: int, **values: Any) -> Feedback:
    values = {"text": "They have lied.", "speaker": "Chile", "counterpart": "Peru", **values}
    return Feedback(**values, model_version="1", id=f"id{minute}", created=START + timedelta(minutes=minute))


def test_nothing_gives_nothing() -> None:
    assert adjudicate([]) == ([], [])


def test_one_correction_holds() -> None:
    row = make(0, stance="against", hostility="accusation")
    assert adjudicate([row]) == (
        [Resolution("They have lied.", "Chile", "Peru", "against", "accusation", None, ("id0",))],
        [],
    )


def test_more_than_half_decide() -> None:
    rows = [make(0, stance="against"), make(1, stance="neutral"), make(2, stance="against")]
    resolutions, conflicts = adjudicate(rows)
    assert [r.stance for r in resolutions] == ["against"] and conflicts == []
    assert resolutions[0].ids == ("id0", "id1", "id2")


@pytest.mark.parametrize(
    ("stances", "votes"),
    [
        (("against", "favour"), (("favour", 1), ("against", 1))),
        (("favour", "neutral", "against"), (("favour", 1), ("neutral", 1), ("against", 1))),
        (("against", "neutral", "against", "favour"), (("favour", 1), ("neutral", 1), ("against", 2))),  # just half
    ],
)
def test_a_tie_is_listed_and_left_out(stances: tuple[str, ...], votes: tuple[tuple[str, int], ...]) -> None:
    resolutions, conflicts = adjudicate([make(n, stance=stance) for n, stance in enumerate(stances)])
    ids = tuple(f"id{n}" for n in range(len(stances)))
    assert resolutions == []
    assert conflicts == [Conflict("They have lied.", "Chile", "Peru", "stance", votes, ids)]


def test_heads_are_settled_one_by_one() -> None:
    rows = [
        make(0, stance="against", hostility="threat", sentiment="negative"),
        make(1, stance="against", hostility="none"),
        make(2, sentiment="negative"),
    ]
    resolutions, conflicts = adjudicate(rows)
    assert [(r.stance, r.hostility, r.sentiment) for r in resolutions] == [("against", None, "negative")]
    assert [(c.head, c.votes, c.ids) for c in conflicts] == [
        ("hostility", (("none", 1), ("threat", 1)), ("id0", "id1"))
    ]


def test_the_latest_word_of_an_editor_holds() -> None:
    rows = [
        make(3, stance="neutral", is_editor=True),
        make(0, stance="favour", is_editor=True),
        *(make(n, stance="against") for n in (1, 2, 4, 5)),
    ]
    resolutions, conflicts = adjudicate(rows)
    assert [r.stance for r in resolutions] == ["neutral"] and conflicts == []


def test_an_editor_decides_only_what_he_judged() -> None:
    rows = [make(0, stance="neutral", is_editor=True), make(1, stance="against", hostility="threat")]
    resolutions, _ = adjudicate(rows)
    assert [(r.stance, r.hostility) for r in resolutions] == [("neutral", "threat")]


def test_at_the_same_moment_the_later_row_counts() -> None:
    rows = [make(0, stance=stance, is_editor=True) for stance in ("favour", "against")]
    assert [r.stance for r in adjudicate(rows)[0]] == ["against"]


def test_spelling_does_not_part_statements_but_parties_do() -> None:
    rows = [
        make(0, stance="against"),
        make(1, stance="against", text="THEY have lied!"),
        make(2, stance="neutral", counterpart="Bolivia"),
        make(3, stance="favour", counterpart=None),
        make(4, stance="favour", text="They have not lied."),
    ]
    resolutions, conflicts = adjudicate(rows)
    assert [(r.text, r.counterpart, r.stance, r.ids) for r in resolutions] == [
        ("THEY have lied!", "Peru", "against", ("id0", "id1")),
        ("They have lied.", "Bolivia", "neutral", ("id2",)),
        ("They have lied.", None, "favour", ("id3",)),
        ("They have not lied.", "Peru", "favour", ("id4",)),
    ]
    assert conflicts == []


def test_texts_without_letters_stay_apart() -> None:
    rows = [make(0, sentiment="positive", text="👍"), make(1, sentiment="negative", text="👎")]
    resolutions, conflicts = adjudicate(rows)
    assert [r.sentiment for r in resolutions] == ["positive", "negative"] and conflicts == []


def test_the_order_of_rows_makes_no_difference() -> None:
    rows = [make(n, stance=s, is_editor=n == 2) for n, s in enumerate(("favour", "against", "neutral", "against"))]
    assert adjudicate(rows) == adjudicate(rows[::-1])
