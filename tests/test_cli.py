"""The command line: one statement, files in and out, bad rows, errors in one line."""

import csv
import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import ROOT

from detente import inputs
from detente.artifact import FORMAT_VERSION
from detente.classifier import Classifier
from detente.cli import main
from detente.records import Statement, StatementError
from detente.table import SCORE_COLUMNS

TEXT = "Norway accuses Canada of a lie."
ROWS: tuple[dict[str, Any], ...] = (
    {"id": "a", "text": TEXT, "speaker": "Norway", "counterpart": "Canada", "note": 'x, "y"\nz'},
    {"id": "b", "text": "Good news.", "speaker": "", "counterpart": "", "note": ""},
    {"id": "c", "text": " ", "speaker": "Norway", "counterpart": "Canada", "note": "blank"},
    {"id": "d", "text": TEXT, "speaker": "Norway", "counterpart": "Norway", "note": "one party"},
    {"id": "e", "text": "They will pay — dearly 🇨🇦.", "speaker": "Kenya", "counterpart": "Peru", "note": "last"},
)


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(shipped_form: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("score", ...)``: the command with the tiny model."""

    monkeypatch.setenv("COLUMNS", "200")

    def call(command: str, *arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["detente", command, "--model", str(shipped_form), *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return Result(int(stopped.value.code or 0), out, " ".join(err.split()))

    return call


def write_csv(path: Path, rows: tuple[dict[str, Any], ...] = ROWS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: tuple[Any, ...] = ROWS) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


# One statement


def test_score_text_as_json_is_what_python_says(run: Run, classifier: Classifier) -> None:
    result = run("score", TEXT, "--speaker", "Norway", "--counterpart", "Canada", "--json")
    assert result.code == 0
    assert json.loads(result.out) == json.loads(json.dumps(classifier.score(TEXT, "Norway", "Canada").to_dict()))


@pytest.mark.parametrize("words", [60, 1500])
def test_text_longer_than_a_file_name(run: Run, words: int) -> None:
    result = run("score", "lies " * words, "--json")
    assert result.code == 0 and json.loads(result.out)["stance_label"]


def test_score_text_prints_a_table(run: Run, classifier: Classifier) -> None:
    result = run("score", TEXT, "--speaker", "Norway", "--counterpart", "Canada")
    assert result.code == 0
    assert "Norway" in result.out and f"{classifier.score(TEXT, 'Norway', 'Canada').stance:+.2f}" in result.out


def test_markup_in_a_text_is_printed_as_it_is(run: Run) -> None:
    assert "[red]x[/]" in run("score", "[red]x[/]").out


def test_explain(run: Run, classifier: Classifier) -> None:
    found = json.loads(run("explain", TEXT, "--speaker", "Norway", "--counterpart", "Canada", "--json").out)
    assert [w["word"] for w in found["hostility"]] == ["accuses", "of", "a", "lie"]
    assert found["stance"][0]["weight"] == classifier.explain(TEXT, "Norway", "Canada").stance[0].weight
    assert all(TEXT[w["start"] : w["end"]] == w["word"] for w in found["stance"])
    printed = run("explain", TEXT, "--speaker", "Norway", "--counterpart", "Canada")
    assert printed.code == 0 and "accuses" in printed.out and "hostility" in printed.out


def test_info(run: Run, classifier: Classifier) -> None:
    facts = json.loads(run("info", "--json").out)
    assert facts["model version"] == classifier.manifest.model_version
    assert facts["artifact format"] == FORMAT_VERSION and facts["package version"]
    assert {f"SHA-256 of {name}" for name in classifier.manifest.files} <= set(facts)
    assert classifier.manifest.model_version in run("info").out


# Files


@pytest.mark.parametrize("source", ["in.csv", "in.jsonl"])
@pytest.mark.parametrize("target", ["out.csv", "out.jsonl"])
def test_file_is_scored_row_by_row(run: Run, classifier: Classifier, tmp_path: Path, source: str, target: str) -> None:
    path = (write_csv if source.endswith("csv") else write_jsonl)(tmp_path / source)
    result = run("score", str(path), "-o", str(tmp_path / target))
    assert result.code == 0 and "5 rows, 2 with an error" in result.err
    found = read_rows(tmp_path / target)
    assert [{key: row[key] for key in ROWS[0]} for row in found] == list(ROWS), "other columns are kept"
    assert ["blank" in (r["error"] or "") or "empty" in (r["error"] or "") for r in found] == [0, 0, 1, 0, 0]
    assert "both 'Norway'" in found[3]["error"] and not found[3]["stance"]
    for row, given in zip(found, ROWS, strict=True):
        if not row["error"]:
            statement = Statement(given["text"], given["speaker"] or None, given["counterpart"] or None)
            expected = classifier.score(statement).to_dict()
            assert {name: str(row[name]) for name in SCORE_COLUMNS} == {n: str(expected[n]) for n in SCORE_COLUMNS}


def test_file_without_output_is_printed(run: Run, tmp_path: Path) -> None:
    lines = run("score", str(write_csv(tmp_path / "in.csv")), "--json").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a", "b", "c", "d", "e"]
    table = run("score", str(tmp_path / "in.csv"))
    assert table.code == 0 and "Norway" in table.out


def test_more_rows_than_a_batch(run: Run, tmp_path: Path) -> None:
    rows = tuple({"id": str(i), "text": "News." if i % 3 else ""} for i in range(150))
    run("score", str(write_csv(tmp_path / "in.csv", rows)), "-o", str(tmp_path / "out.jsonl"))
    found = read_rows(tmp_path / "out.jsonl")
    assert [row["id"] for row in found] == [str(i) for i in range(150)]
    assert sum(row["error"] is None for row in found) == 100


def test_bad_jsonl_lines_keep_their_reason(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = ['{"text": "News."', "[1]", '{"words": "News."}', '{"text": 7}', "", '{"text": "News.", "extra": [1]}']
    path.write_text("\n".join(lines), encoding="utf-8")
    assert run("score", str(path), "-o", str(tmp_path / "out.jsonl")).code == 0
    broken, array, other, number, good = read_rows(tmp_path / "out.jsonl")
    assert "line 1 is not JSON" in broken["error"] and broken["line"] == lines[0]
    assert "line 2 must be an object, found list" in array["error"]
    assert "no 'text' in the row, found words" in other["error"] and other["words"] == "News."
    assert "text must be a string, found int" in number["error"]
    assert good["error"] is None and good["extra"] == [1] and good["stance_label"]


def test_csv_output_keeps_columns_that_the_first_row_lacks(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('not JSON\n{"text": "News.", "id": "b"}\n', encoding="utf-8")
    run("score", str(path), "-o", str(tmp_path / "out.csv"))
    second = read_rows(tmp_path / "out.csv")[1]
    assert (second["text"], second["id"]) == ("News.", "b")


def test_bad_csv_rows_keep_their_reason(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("text,speaker\nNo, thanks, all.,Norway\nshort\n\nNews.,Norway\n", encoding="utf-8")
    assert run("score", str(path), "-o", str(tmp_path / "out.jsonl")).code == 0
    long, short, good = read_rows(tmp_path / "out.jsonl")
    assert "more cells than the header: quote the text" in long["error"]
    assert short["error"] is None and good["error"] is None


def test_text_too_long_does_not_stop_the_batch(run: Run, tmp_path: Path) -> None:
    rows = ({"text": "a" * 150_000}, {"text": "News."})
    assert run("score", str(write_csv(tmp_path / "in.csv", rows)), "-o", str(tmp_path / "out.jsonl")).code == 0
    long, good = read_rows(tmp_path / "out.jsonl")
    assert "150,000 characters" in long["error"] and good["error"] is None


def test_half_a_surrogate_pair_does_not_stop_the_batch(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "We \\ud83d"}\n{"text": "News."}\n', encoding="utf-8")
    assert run("score", str(path), "-o", str(tmp_path / "out.jsonl")).code == 0
    bad, good = read_rows(tmp_path / "out.jsonl")
    assert bad["error"] and good["error"] is None


def test_column_named_like_a_score_is_not_lost(run: Run, tmp_path: Path) -> None:
    """A coder's own column "stance" must not be replaced without a word."""
    path = write_csv(tmp_path / "in.csv", ({"text": "News.", "stance": "coded by hand"},))
    result = run("score", str(path), "-o", str(tmp_path / "out.csv"))
    if result.code == 0:
        assert "coded by hand" in (tmp_path / "out.csv").read_text(encoding="utf-8")
    else:
        assert "stance" in result.err


def test_byte_order_mark_and_empty_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("text\nNews.\n", encoding="utf-8-sig")
    assert json.loads(run("score", str(path), "--json").out)["text"] == "News."
    path.write_text("text\n", encoding="utf-8")
    assert run("score", str(path), "-o", str(tmp_path / "out.csv")).code == 0


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.csv",), "none.csv is not there: give the path of an existing file"),
        (("in.csv", "-o", "out.csv", "--workers", "2"), "--address and --workers go with --engine ray"),
        (("News.", "-o", "out.csv"), "-o goes with a table"),
        (("News.", "--speaker", "Norway", "--counterpart", "Norway"), "both 'Norway'"),
        ((" ",), "text is empty"),
    ],
)
def test_errors_are_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("score", *arguments)
    assert result.code == 2
    assert result.err.startswith("detente:") and message in result.err and "Traceback" not in result.err


def test_output_of_another_kind_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("score", str(write_csv(tmp_path / "in.csv")), "-o", str(tmp_path / "out.xlsx"))
    assert result.code == 2 and "must end in .csv, .tsv, .jsonl, .parquet, .arrow" in result.err


def test_csv_without_the_column_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("score", str(write_csv(tmp_path / "in.csv", ({"words": "News."},))))
    assert result.code == 2 and "needs a header with the column text, found words" in result.err


@pytest.mark.parametrize(("name", "head"), [("in.csv", "text\nNews.\n"), ("in.jsonl", '{"text": "News."}\n')])
def test_row_that_is_not_utf8_keeps_its_reason(run: Run, tmp_path: Path, name: str, head: str) -> None:
    (tmp_path / name).write_bytes((head + '{"text": "Señor"}\n').encode("latin-1"))
    good, bad = (json.loads(line) for line in run("score", str(tmp_path / name), "--json").out.splitlines())
    assert good["error"] is None and good["stance_label"]
    assert bad["error"] and "is not UTF-8: save the file as UTF-8" in bad["error"]
    assert r"Se\xf1or" in (bad.get("line") or bad["text"])


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
def test_utf16_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('text\n{"text": "News."}\n', encoding="utf-16")
    result = run("score", str(tmp_path / name))
    assert result.code == 2 and "is UTF-16: save it as UTF-8" in result.err


def test_output_in_no_folder_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("score", str(write_csv(tmp_path / "in.csv")), "-o", str(tmp_path / "none" / "out.csv"))
    assert result.code == 2 and "none" in result.err


def test_command_as_a_process(tmp_path: Path) -> None:
    """A folder that is no model: status 2, one line, no traceback."""
    code = "from detente.cli import main; main()"
    command = [sys.executable, "-c", code, "score", "News.", "--model", str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2
    assert "has no config.json" in " ".join(found.stderr.split()) and "Traceback" not in found.stderr


def test_a_parquet_file_is_scored_like_the_others(run: Run, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    rows = [{"text": TEXT, "speaker": "Norway", "day": datetime.date(2026, 3, 4)}, {"text": " "}]
    write_table(pyarrow.Table.from_pylist(rows), tmp_path / "in.parquet")
    assert run("score", str(tmp_path / "in.parquet"), "-o", str(tmp_path / "out.jsonl")).code == 0
    good, bad = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert good["day"] == "2026-03-04" and good["stance"] is not None and good["error"] is None
    assert bad["stance"] is None and "text is empty" in bad["error"]
    shown = [json.loads(line) for line in run("score", str(tmp_path / "in.parquet"), "--json").out.splitlines()]
    assert shown == [good, bad]


def test_a_broken_parquet_file_is_said_to_be_one(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "in.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(StatementError, match="no Parquet file that can be read"):
        inputs.read_rows(tmp_path / "in.parquet")
