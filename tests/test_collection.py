"""Articles of any number: each once, in tables that are the same after any number of stops."""

import datetime
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from test_batch import kill, stop_after

from detente import collection
from detente.article.ledger import read_ledger
from detente.batch import Run
from detente.classifier import Classifier
from detente.collection import Collected, read_files
from detente.outputs import METADATA_KEY
from detente.records import StatementError

pyarrow = pytest.importorskip("pyarrow")
from pyarrow.parquet import read_table, write_table  # noqa: E402  # after the skip

STORY = (
    "{0} accused {1} on Monday of breaking the truce. “{1} lies, and {1} will pay for it,” said {0}’s minister. "
    "{1} said that it still wanted good relations with {0}. Talks number {2} are to be held in Geneva.\n"
)
NAMES = ("Norway", "Chile", "Peru", "Kenya", "Canada")
ROWS: list[dict[str, Any]] = [
    {
        "id": f"story-{i}",
        "date": datetime.date(2026, 1, 1 + i % 3),
        "text": "" if i == 4 else STORY.format(NAMES[i % 5], NAMES[(i + 1 + i // 5) % 5], i),
    }
    for i in range(9)
]
TABLES = ("articles", "ledger", "statements")


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two articles a part, so that few articles have several parts."""
    monkeypatch.setattr(collection, "_ARTICLES_AT_ONCE", 2)


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows), encoding="utf-8")
    return path


def read(out: Path, table: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / f"{table}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert read_table(out / f"{table}.parquet").to_pylist() == lines
    return lines


@pytest.mark.parametrize("name", ["in.jsonl", "in.parquet"])
def test_every_article_is_there_once_and_read_alike(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    done = read_files(write(tmp_path / name), out)
    articles, statements = read(out, "articles"), read(out, "statements")
    assert [row["article"] for row in articles] == [row["id"] for row in ROWS]
    assert [row["row"] for row in articles] == list(range(1, 10))
    classifier = Classifier.from_pretrained()
    expected = []
    for number, row in enumerate(ROWS, 1):
        article = articles[number - 1]
        if row["text"]:
            found = classifier.read(row["text"], row["date"]).to_rows()
            shared = {"article": row["id"], "row": number, "copy_of": article["copy_of"]}
            expected += [{**shared, **statement} for statement in found]
            assert (article["statements"], article["error"]) == (len(found), None)
        else:
            assert article["statements"] == 0 and "the article is empty" in article["error"]
    assert statements == expected and {row["date"] for row in statements} == {f"2026-01-0{day}" for day in (1, 2, 3)}
    entries = read_ledger(out / "ledger.jsonl")
    counting = [row for row in statements if row["counts"] and not row["copy_of"]]
    assert sum(entry.n for entry in entries) == len(counting) > 9
    assert done == Collected(9, 1, sum(bool(row["copy_of"]) for row in articles), 0, len(statements), len(entries))
    (error,) = [json.loads(line) for line in (tmp_path / "out.errors.jsonl").read_text().splitlines()]
    assert (error["row"], error["article"], error["file"]) == (5, "story-4", str(tmp_path / name))
    made_by = json.loads((tmp_path / "out.manifest.json").read_text())["made_by"]
    assert made_by["attribution"] == classifier.manifest.attribution["version"]
    for table in TABLES:
        assert json.loads(read_table(out / f"{table}.parquet").schema.metadata[METADATA_KEY]) == made_by
    assert {p.name for p in out.iterdir()} == {f"{table}.{kind}" for table in TABLES for kind in ("jsonl", "parquet")}
    assert {p.name for p in tmp_path.iterdir()} == {name, "out", "out.errors.jsonl", "out.manifest.json"}


def test_folder_of_articles_and_tables(tmp_path: Path) -> None:
    write(tmp_path / "in" / "b.jsonl", [ROWS[0], {"text": ROWS[0]["text"]}])
    (tmp_path / "in" / "a.txt").write_text(ROWS[1]["text"], encoding="utf-8")
    (tmp_path / "in" / "c.html").write_bytes(b"<html></html>")
    (tmp_path / "in" / "d.pdf").touch()
    assert read_files(tmp_path / "in", tmp_path / "out").articles == 4
    found = [(row["article"], row["file"], row["copy_of"]) for row in read(tmp_path / "out", "articles")]
    assert found == [
        ("a.txt", "a.txt", None),
        ("story-0", "b.jsonl", None),
        ("row 3", "b.jsonl", "story-0"),
        ("c.html", "c.html", None),
    ]
    assert {row["article"] for row in read(tmp_path / "out", "statements") if row["copy_of"]} == {"row 3"}
    assert json.loads((tmp_path / "out.manifest.json").read_text())["ignored"] == ["d.pdf"]


def test_reading_goes_on_and_does_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write(tmp_path / "in.jsonl"), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        read_files(source, out, Run(on_progress=stop_after(2)))
    parts = len(list((tmp_path / "out.parts").glob("_part-*")))
    read_texts: list[str] = []
    whole = Classifier.read
    monkeypatch.setattr(
        Classifier, "read", lambda self, text, date=None: read_texts.append(text) or whole(self, text, date)
    )
    done = read_files(source, out)
    assert parts >= 2 and len([text for text in read_texts if "Talks number" in text]) <= 9 - 2 * parts
    read_texts.clear()
    assert read_files(source, out) == done
    assert not [text for text in read_texts if "Talks number" in text], "a complete run is left alone"
    source.write_text(source.read_text().replace("truce", "treaty"), encoding="utf-8")
    with pytest.raises(StatementError, match=r"belongs to another run: the input .*in\.jsonl was changed"):
        read_files(source, out)


def test_a_file_that_cannot_be_read_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "in" / name).write_text(ROWS[0]["text"], encoding="utf-8")
    whole = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "a.txt":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return whole(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert read_files(tmp_path / "in", tmp_path / "out").failed == 1
    bad, good = read(tmp_path / "out", "articles")
    assert "a.txt cannot be read: Permission denied" in bad["error"] and good["statements"] > 0


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/se\xf1or.txt")).write_text(ROWS[0]["text"], encoding="utf-8")
    assert read_files(tmp_path / "in", tmp_path / "out").failed == 0
    assert {row["article"] for row in read_table(tmp_path / "out" / "statements.parquet").to_pylist()} == {
        r"se\udcf1or.txt"
    }


@pytest.mark.parametrize("out", ["thesis.txt", "in"])
def test_outputs_that_cannot_be(tmp_path: Path, out: str) -> None:
    source = write(tmp_path / "in" / "in.jsonl")
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(StatementError, match=r"thesis\.txt is a file|lies in the input"):
        read_files(source.parent, tmp_path / out, Run(overwrite=True))
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work" and source.is_file()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("mode", "least"), [(("random", "10"), {"killed": 10}), (("points", "0"), {"points": 40})])
def test_reading_that_is_killed_and_started_again(tmp_path: Path, mode: tuple[str, str], least: dict[str, int]) -> None:
    counts = kill(write(tmp_path / "in.jsonl", ROWS[3:6]), tmp_path / "out", "", *mode, what="read")
    assert all(counts[name] >= number for name, number in least.items())
