"""Many articles: inputs, copies, ledgers, changes over time, and the plot."""

import datetime
import itertools
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from detente.article.documents import load_documents
from detente.article.ledger import (
    ENTRY_COLUMNS,
    Entry,
    find_changes,
    find_copies,
    make_ledger,
    make_sketch,
    plot_dyad,
    read_ledger,
)
from detente.article.reading import Named, Reading, ReadStatement, mark_repeats, sum_up
from detente.outputs import writing_rows
from detente.records import Score, StatementError

STORY = (
    "OSLO - Norway expelled two Chilean diplomats on Monday after a row over fish. The foreign ministry said the two "
    "had broken the law. Chile called the step absurd and promised an answer within days, according to its ambassador."
)


def score(stance: float, hostility: float) -> Score:
    against = (1 - stance) / 2
    levels = {"none": 1 - hostility, "criticism": 0.0, "accusation": 0.0, "vilification": 0.0, "threat": hostility}
    tones = {"negative": against, "neutral": 0.0, "positive": 1 - against}
    return Score({"favour": 1 - against, "neutral": 0.0, "against": against}, levels, tones, 0.9, False, ((0, 1),))


STARTS = itertools.count(step=1_000)


def statement(text: str, stance: float = 0.0, hostility: float = 0.0, voice: str = "direct") -> ReadStatement:
    norway, chile = Named("Norway", "Norway", "registry"), Named("Chile", "Chile", "registry")
    start = next(STARTS)
    return ReadStatement(
        text,
        start,
        start + len(text),
        ((0, len(text)),),
        norway,
        chile,
        None,
        voice,
        score(stance, hostility),  # type: ignore[arg-type]
    )


def reading(day: str | None, *statements: ReadStatement) -> Reading:
    date = datetime.date.fromisoformat(day) if day else None
    return Reading("text", statements, sum_up(statements), (), date, "model-1")


# Inputs


def test_documents_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_text(STORY, encoding="utf-8")
    (tmp_path / "b" / "c.md").write_text("# Row\n\nNorway **expelled** two\ndiplomats.\n\n* one\n* [two](x)\n")
    (tmp_path / "d.txt").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "e.pdf").write_bytes(b"")
    found = {document.id: document for document in load_documents(tmp_path)}
    assert list(found) == ["a.txt", "b/c.md", "d.txt"]
    assert found["a.txt"].text == STORY
    assert found["b/c.md"].text == "Row\n\nNorway expelled two diplomats.\n\none\n\ntwo"
    assert "not UTF-8" in found["d.txt"].problem


def test_html_gives_the_article_and_its_date(tmp_path: Path) -> None:
    body = "".join(f"<p>{STORY} Paragraph {n}.</p>" for n in range(4))
    page = (
        '<html><head><title>Row over fish</title><meta property="article:published_time" content="2026-03-04">'
        f"</head><body><nav><a href='/'>Home</a> Subscribe now</nav><article><h1>Row over fish</h1>{body}</article>"
        "<footer>All rights reserved</footer></body></html>"
    )
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    (document,) = load_documents(tmp_path / "page.html")
    assert document.text.startswith("Row over fish") and "expelled two Chilean diplomats" in document.text
    assert "Subscribe" not in document.text
    assert str(document.date) == "2026-03-04"


def test_an_html_page_without_article_says_so(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html></html>")
    (document,) = load_documents(tmp_path / "page.html")
    assert "no article was found" in document.problem


def test_rows_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    rows = [
        {"id": "one", "text": STORY, "date": "2026-01-02"},
        {"text": "No date."},
        {"text": 3},
        {"text": "x", "date": "May"},
    ]
    lines = [*map(json.dumps, rows), "{", "", "[]"]
    (tmp_path / "articles.jsonl").write_text("\n".join(lines))
    found = list(load_documents(tmp_path / "articles.jsonl"))
    assert [(d.id, bool(d.problem)) for d in found] == [
        ("one", False),
        ("row 2", False),
        ("row 3", True),
        ("row 4", True),
        ("row 5", True),
        ("row 6", True),
    ]
    assert [d.problem.partition(":")[0] for d in found[2:]] == [
        "text must be a string, found int",
        "date must be YYYY-MM-DD, found 'May'",
        "line 5 is not JSON",
        "line 7 must be an object, found list",
    ]
    assert str(found[0].date) == "2026-01-02"


@pytest.mark.parametrize(
    ("name", "message"), [("none.txt", "is not there"), ("a.pdf", "must end in"), ("empty", "has no file to read")]
)
def test_inputs_that_are_none(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "a.pdf").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(StatementError, match=message):
        list(load_documents(tmp_path / name))


# Counting once


def test_wire_copies_are_found() -> None:
    copy = "Norway throws out diplomats\n\n" + STORY.replace("OSLO - ", "") + " Reporting by our staff."
    other = "Kenya and Portugal signed a treaty on fisheries on Monday, and both ministers praised their friendship."
    sketches = map(make_sketch, [STORY, other, copy, STORY, "Yes.", "Yes.", "No."])
    assert find_copies(sketches) == [None, None, 0, 0, None, 4, None]


def test_repeats_count_once() -> None:
    headline = statement("Norway calls Chile a liar in fish row", voice="act")
    quoted = statement("Chile is a liar in this fish row and Norway calls it so", voice="direct")
    other = statement("We will close every port to their boats by Friday")
    marked = mark_repeats([headline, quoted, other, statement(quoted.text)])
    assert [s.repeats for s in marked] == [1, None, None, 1]
    assert sum_up(marked)[0].n == 2


def test_ledger_counts_by_day_and_leaves_copies_out(tmp_path: Path) -> None:
    first = reading("2026-01-01", statement("a b c d", -1.0, 1.0), statement("e f g h", 0.0, 0.0))
    second = reading("2026-01-02", statement("i j k l", 1.0, 0.0))
    articles = enumerate([first, first, second, reading(None, statement("x"))], 1)
    rows = [{"row": i, "copy_of": "1" if i == 2 else None, **row} for i, read in articles for row in read.to_rows()]
    entries = make_ledger(rows)
    assert [(e.date, e.n, e.articles, e.stance, e.hostility_max) for e in entries] == [
        ("", 1, 1, 0.0, 0.0),
        ("2026-01-01", 2, 1, -0.5, 1.0),
        ("2026-01-02", 1, 1, 1.0, 0.0),
    ]
    with writing_rows(tmp_path / "ledger", ENTRY_COLUMNS, {}) as write:
        for entry in entries:
            write(asdict(entry))
    assert read_ledger(tmp_path / "ledger.jsonl") == read_ledger(tmp_path / "ledger.parquet") == entries
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match="is no ledger"):
        read_ledger(tmp_path / "other.jsonl")


# Over time


def entries_of(stances: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[Entry]:
    first = datetime.date(2026, 1, 1)
    return [
        Entry((first + datetime.timedelta(k)).isoformat(), "A", "B", 3, 2, s, s - 0.1, s + 0.1, 0.2, 0.1, 0.3, 0.4, "m")
        for k, s in enumerate(stances.tolist())
    ]


def test_a_change_of_level_is_found_and_noise_is_not() -> None:
    noise = np.random.default_rng(3).normal(0, 0.05, 40)
    level = np.where(np.arange(40) < 25, 0.4, -0.5)
    flat = np.zeros(40)
    assert find_changes(np.stack([level + noise, flat], axis=1)) == [25]
    assert find_changes(np.stack([noise, noise[::-1]], axis=1)) == []
    assert find_changes(np.zeros((3, 2))) == []


def test_plot_marks_the_change(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0, 0.05, 30)
    entries = entries_of(np.where(np.arange(30) < 12, 0.3, -0.6) + noise)
    assert plot_dyad(entries, "A", "B", tmp_path / "plot.png") == ["2026-01-13"]
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no dated entry of B → A; the ledger has A → B"):
        plot_dyad(entries, "B", "A", tmp_path / "none.png")
