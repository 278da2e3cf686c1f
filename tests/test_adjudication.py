"""Who is right when readers disagree."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("alembic", reason="the packages of the service are not installed")
pytest.importorskip("sqlalchemy", reason="the packages of the service are not installed")

from data.build import main as build_main
from data.sources import feedback
from detente.corpus import SourceError, read_parquet
from serve.__main__ import main as serve_main
from serve.adjudication import Conflict, Resolution, adjudicate
from serve.database import Database, Feedback

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


def test_corrections_become_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'd.sqlite'}")
    pair = {"speaker": "Chile", "counterpart": "Peru", "model_version": "v"}
    settled, open_, half = "They have lied\u2028to us.", "They met.", "We thank them."
    for text, labels in (
        (settled, {"stance": "against", "hostility": "accusation"}),
        (settled, {"stance": "against"}),
        (open_, {"stance": "favour"}),
        (open_, {"stance": "neutral"}),
        (half, {"sentiment": "positive"}),
    ):
        database.add_feedback(Feedback(text, **pair, **labels))
    database.close()
    monkeypatch.setenv("DETENTE_DATABASE_URL", f"sqlite:///{tmp_path / 'd.sqlite'}")
    monkeypatch.setattr("sys.argv", ["serve", "export", str(tmp_path / "out")])
    serve_main()
    said = capsys.readouterr().out
    assert "5 corrections: 2 statements" in said and "conflict on stance (favour 1, neutral 1)" in said
    rows = list(feedback.read(tmp_path / "out"))
    assert [(r.text, r.stance, r.hostility_low, r.sentiment) for r in rows] == [
        (settled, "against", 2, None),
        (half, None, None, "positive"),
    ]
    assert (rows[0].speaker, rows[0].counterpart, rows[0].source) == ("Chile", "Peru", "feedback")


def test_the_corpus_is_built_from_corrections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = dict.fromkeys(feedback.KEYS) | {"stance": "against", "ids": ["1"]}
    texts = [f"They have lied to us on day {k} of {k * 7} days." for k in range(40)]
    lines = [json.dumps(row | {"text": text, "ids": [text]}) for text in texts]
    (tmp_path / "feedback.jsonl").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr("data.build.locate", lambda *_: tmp_path)
    build_main(["--source", "feedback", "--out", str(tmp_path / "out")])
    counts = [len(read_parquet(path)) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert sum(counts) == 40 and len(counts) == 2


def test_missing_or_broken_corrections_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="python -m serve export"):
        list(feedback.read(tmp_path))
    (tmp_path / "feedback.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    with pytest.raises(SourceError, match="line 1"):
        list(feedback.read(tmp_path))
