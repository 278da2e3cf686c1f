"""Files of any size: every row once, the same bytes after any number of stops, and stops that say what to do."""

import contextlib
import csv
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from detente import inputs
from detente.batch import ModelChoice, Progress, Run, score_files
from detente.classifier import Classifier
from detente.inputs import read_span, scan
from detente.outputs import METADATA_KEY
from detente.records import Statement, StatementError
from detente.table import SCORE_COLUMNS

pyarrow = pytest.importorskip("pyarrow")
from pyarrow.ipc import new_file, open_file  # noqa: E402  # after the skip
from pyarrow.parquet import read_table, write_table  # noqa: E402  # likewise

ROWS: list[dict[str, Any]] = [
    {
        "text": "" if i % 17 == 5 else f"Norway accuses Canada of lie number {i}, “again”.\nIt said so.",
        "speaker": "Norway" if i % 3 else None,
        "counterpart": "Canada",
        "id": i,
        "share": i / 7,
        "stance": "coded by hand",
    }
    for i in range(75)
]
FAILED = sum(not row["text"] for row in ROWS)


@pytest.fixture(autouse=True)
def short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans of ten rows, so that small files have several."""
    monkeypatch.setattr(inputs, "SPAN_ROWS", 10)


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=24)
    elif path.suffix == ".arrow":
        table = pyarrow.Table.from_pylist(rows)
        with new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.is_dir() or path.suffix == ".parquet":
        return list(read_table(path).to_pylist())
    if path.suffix == ".arrow":
        return list(open_file(path).read_all().to_pylist())
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.fixture(scope="module")
def model(shipped_form: Path) -> ModelChoice:
    return ModelChoice(str(shipped_form))


KINDS = (".csv", ".tsv", ".jsonl", ".parquet", ".arrow")


@pytest.mark.parametrize("target", [*KINDS, ""])
@pytest.mark.parametrize("source", KINDS)
def test_every_row_is_there_once_and_scored_alike(
    tmp_path: Path, model: ModelChoice, classifier: Classifier, source: str, target: str
) -> None:
    out = tmp_path / f"out{target}"
    told: list[Progress] = []
    done = score_files(write(tmp_path / f"in{source}"), out, Run(model, on_progress=told.append))
    assert done == told[-1] == Progress(75, 75, FAILED)
    found = read(out)
    assert [int(row["id"]) for row in found] == list(range(75))
    assert [row["stance_input"] for row in found] == ["coded by hand"] * 75, "their own column of that name is kept"
    good = [row for row in ROWS if row["text"]]
    scores = classifier.score_many([Statement(row["text"], row["speaker"], row["counterpart"]) for row in good])
    expected = {row["id"]: score for row, score in zip(good, scores, strict=True)}
    typed = target in ("", ".parquet", ".arrow", ".jsonl")
    for row, given in zip(found, ROWS, strict=True):
        assert (row["text"], row["counterpart"]) == (given["text"], "Canada")
        assert float(row["share"]) == given["share"]
        if given["id"] in expected:
            want = {name: getattr(expected[given["id"]], name) for name in SCORE_COLUMNS}
            assert {name: row[name] for name in SCORE_COLUMNS} == (
                want if typed else {k: str(v) for k, v in want.items()}
            )
            assert not row["error"]
        else:
            assert "text is empty" in row["error"] and not row["stance"]
    errors = read(Path(f"{out}.errors.jsonl"))
    assert [error["row"] for error in errors] == [row["id"] + 1 for row in ROWS if not row["text"]]
    assert all("text is empty" in error["error"] and error["file"].endswith(source) for error in errors)
    manifest = json.loads(Path(f"{out}.manifest.json").read_text(encoding="utf-8"))
    assert manifest["complete"] and manifest["made_by"]["model_version"] == classifier.manifest.model_version
    if target in (".parquet", ""):
        path = next(out.glob("*.parquet")) if out.is_dir() else out
        assert json.loads(read_table(path).schema.metadata[METADATA_KEY]) == manifest["made_by"]
    left = {p.name for p in tmp_path.iterdir()} - {f"in{source}"}
    assert left == {out.name, f"{out.name}.errors.jsonl", f"{out.name}.manifest.json"}
    assert not out.is_dir() or all(p.name.startswith("part-") for p in out.iterdir())


def test_types_of_arrow_columns_are_kept(tmp_path: Path, model: ModelChoice) -> None:
    import datetime

    table = pyarrow.table(
        {
            "text": ["News."] * 3,
            "day": pyarrow.array([datetime.date(2026, 1, 2)] * 3),
            "at": pyarrow.array([1, 2, 3], pyarrow.timestamp("ns", "UTC")),
            "tags": pyarrow.array([["a"], [], None], pyarrow.list_(pyarrow.string())),
            "kind": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
            "small": pyarrow.array([1, None, 3], pyarrow.int16()),
        }
    )
    write_table(table, tmp_path / "in.parquet")
    score_files(tmp_path / "in.parquet", tmp_path / "out.parquet", Run(model))
    found = read_table(tmp_path / "out.parquet")
    for name in ("day", "at", "tags", "small"):
        assert found[name].equals(table[name]) and found.schema.field(name).type == table.schema.field(name).type
    assert found["kind"].to_pylist() == ["x", "y", "x"]


def test_folder_of_several_kinds(tmp_path: Path, model: ModelChoice) -> None:
    write(tmp_path / "in" / "year=2020" / "b.parquet", ROWS[:30])
    write(tmp_path / "in" / "year=2021" / "a.parquet", ROWS[30:60])
    write(tmp_path / "in" / "z.jsonl", ROWS[60:])
    (tmp_path / "in" / "notes.txt").write_text("no table", encoding="utf-8")
    assert score_files(tmp_path / "in", tmp_path / "out.parquet", Run(model)).rows == 75
    found = read(tmp_path / "out.parquet")
    assert [row["id"] for row in found] == list(range(75))
    assert [row["year"] for row in found] == ["2020"] * 30 + ["2021"] * 30 + [None] * 15
    assert json.loads((tmp_path / "out.parquet.manifest.json").read_text())["ignored"] == ["notes.txt"]


def test_address_of_a_store(tmp_path: Path, model: ModelChoice) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name in ("a.csv", "b.parquet"):
        store.pipe_file(f"/news/{name}", write(tmp_path / name, [{"text": f"News {name}."}] * 12).read_bytes())
    try:
        assert score_files("memory://news", tmp_path / "out.jsonl", Run(model)).rows == 24
        assert [row["text"] for row in read(tmp_path / "out.jsonl")] == ["News a.csv."] * 12 + ["News b.parquet."] * 12
        with pytest.raises(StatementError, match=r"memory://none\.csv is not there"):
            scan("memory://none.csv")
    finally:
        store.rm("/news", recursive=True)


def test_rows_of_a_span_can_be_read_alone(tmp_path: Path) -> None:
    """Rows with line breaks, marks of the byte order and blank lines: a span begins where the one before ended."""
    path = write(tmp_path / "in.csv")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\r\n\r\n", 20))
    found = scan(path)
    assert [span.rows for span in found.spans] == [10] * 7 + [5]
    backwards = [row for span in found.spans[::-1] for chunk in read_span(found, span) for row in chunk.rows[::-1]]
    assert [row.values["id"] for row in backwards] == [str(i) for i in range(74, -1, -1)]


def test_scores_can_be_scored_again(tmp_path: Path, model: ModelChoice) -> None:
    first, second, third = (tmp_path / f"{name}.csv" for name in ("first", "second", "third"))
    write(first, [{"text": "News.", "stance": "coded by hand"}])
    score_files(first, second, Run(model))
    score_files(second, third, Run(model))
    (before,), (after,) = read(second), read(third)
    assert after["stance_input_input"] == before["stance_input"] == "coded by hand"
    assert after["stance_input"] == before["stance"] == after["stance"]


# Stops


def kill(source: Path, out: Path, model: Path | str, *mode: str, what: str = "score") -> dict[str, int]:
    command = [sys.executable, str(ROOT / "tests" / "killing.py"), what, str(source), str(out), str(model), *mode]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("source", "target"), [("in.csv", "out.jsonl"), ("in.parquet", "out.parquet")])
def test_killed_at_random_and_started_again(tmp_path: Path, shipped_form: Path, source: str, target: str) -> None:
    rows = [{**row, "id": i} for i, row in enumerate(ROWS * 8)]
    counts = kill(write(tmp_path / source, rows), tmp_path / target, shipped_form, "random", "30")
    assert counts["killed"] == 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("source", "target"), [("in.jsonl", "out.csv"), ("in.parquet", "folder")])
def test_stopped_at_each_change_to_the_disk(tmp_path: Path, shipped_form: Path, source: str, target: str) -> None:
    counts = kill(write(tmp_path / source, ROWS[:30]), tmp_path / target, shipped_form, "points", "0")
    assert counts["points"] > 20


def stop_after(parts: int) -> Callable[[Progress], None]:
    """A progress function that ends the run after so many parts."""
    seen: list[Progress] = []

    def count(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == parts:
            raise KeyboardInterrupt

    return count


def test_run_goes_on_and_does_nothing_twice(
    tmp_path: Path, model: ModelChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = write(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        score_files(source, out, Run(model, on_progress=stop_after(4)))
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out.jsonl.parts").glob("part-*")}
    assert len(before) >= 4 and not out.exists()
    scored: list[int] = []
    whole = Classifier.score_many
    monkeypatch.setattr(Classifier, "score_many", lambda self, many: scored.append(len(many)) or whole(self, many))
    score_files(source, out, Run(model))
    assert len(scored) == 8 - len(before), "parts that were done are not scored again"
    assert len(read(out)) == 75
    scored.clear()
    assert score_files(source, out, Run(model)) == Progress(75, 75, FAILED)
    assert not scored, "a complete run is left alone"


@pytest.mark.parametrize("complete", [True, False])
def test_changed_input_and_another_model_are_refused(
    tmp_path: Path, model: ModelChoice, trained: Path, complete: bool
) -> None:
    source, out = write(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    if complete:
        score_files(source, out, Run(model))
    else:
        with pytest.raises(KeyboardInterrupt):
            score_files(source, out, Run(model, on_progress=stop_after(2)))
    before = {p: p.read_bytes() for p in tmp_path.rglob("out.jsonl*") if p.is_file()}
    with pytest.raises(StatementError, match=r"out\.jsonl belongs to another run: weights sha256 was .*--overwrite"):
        score_files(source, out, Run(ModelChoice(str(trained))))
    source.write_text(source.read_text().replace("lie", "lies"))
    with pytest.raises(StatementError, match=r"belongs to another run: the input .*in\.jsonl was changed"):
        score_files(source, out, Run(model))
    with pytest.raises(StatementError, match="belongs to another run: it read other files"):
        score_files(write(tmp_path / "in2.jsonl"), out, Run(model))
    assert {p: p.read_bytes() for p in before} == before, "nothing was spoiled"
    assert score_files(source, out, Run(model, overwrite=True)).rows == 75
    assert "lies number" in read(out)[1]["text"]


def test_file_of_somebody_else_is_not_overwritten(tmp_path: Path, model: ModelChoice) -> None:
    out = tmp_path / "out.csv"
    out.write_text("my own work", encoding="utf-8")
    with pytest.raises(StatementError, match=r"out\.csv is there already, and no out\.csv\.manifest\.json"):
        score_files(write(tmp_path / "in.csv"), out, Run(model))
    assert out.read_text(encoding="utf-8") == "my own work"


def test_output_in_the_input_is_refused(tmp_path: Path, model: ModelChoice) -> None:
    source = write(tmp_path / "in" / "a.csv")
    before = source.read_bytes()
    for address, out in ((source, source), (source.parent, source.parent / "out.csv"), (source.parent, source.parent)):
        with pytest.raises(StatementError, match="lies in the input"):
            score_files(address, out, Run(model, overwrite=True))
    assert source.read_bytes() == before and len(list(source.parent.iterdir())) == 1


def test_folder_with_other_files_is_not_overwritten(tmp_path: Path, model: ModelChoice) -> None:
    source, out = write(tmp_path / "in.csv"), tmp_path / "thesis"
    out.mkdir()
    for name in ("chapter.txt", "_notes.txt", "articles.csv"):
        (out / name).write_text("years of work", encoding="utf-8")
        with pytest.raises(StatementError, match="holds files that no run made"):
            score_files(source, out, Run(model, overwrite=True))
        assert (out / name).read_text(encoding="utf-8") == "years of work"
        (out / name).unlink()
    assert {p.name for p in tmp_path.iterdir()} == {"in.csv", "thesis"}


def test_input_that_changes_meanwhile_is_noticed(tmp_path: Path, model: ModelChoice) -> None:
    source, out = write(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"

    def append(_: Progress) -> None:
        with source.open("a", encoding="utf-8") as stream:
            stream.write('{"text": "More news."}\n')

    with pytest.raises(StatementError, match=r"in\.jsonl was changed while it was read"):
        score_files(source, out, Run(model, on_progress=append))
    assert not out.exists()


def test_two_runs_at_once_are_refused(tmp_path: Path, model: ModelChoice) -> None:
    source, out = write(tmp_path / "in.csv"), tmp_path / "out.csv"

    def start_another(_: Progress) -> None:
        with pytest.raises(StatementError, match=r"another run is writing .*out\.csv"):
            score_files(source, out, Run(model))

    assert score_files(source, out, Run(model, on_progress=start_another)).rows == 75


def test_full_disk_stops_and_goes_on(tmp_path: Path, model: ModelChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write(tmp_path / "in.csv"), tmp_path / "out.csv"
    calls: list[int] = []
    sync = os.fsync

    def fill(stream: int) -> None:
        calls.append(stream)
        if len(calls) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(stream)

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(StatementError, match="No space left on device; make room and give the same command again"):
        score_files(source, out, Run(model))
    assert not out.exists() and not list(tmp_path.rglob("*.tmp"))
    monkeypatch.setattr(os, "fsync", sync)
    assert score_files(source, out, Run(model)).rows == len(read(out)) == 75


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", b"words\nNews.\n", "needs a header with the column text, found words"),
        ("in.csv", b"text,a,a\nNews.,1,2\n", "two columns called 'a': rename one"),
        ("in.csv", b'text\n"News.\n' + b"News.\n" * 2_000_000, "a quote that opens a cell may not be closed"),
        ("in.parquet", b"PAR1 but no more", "no Parquet file that can be read"),
        ("in.parquet", b"", "no Parquet file that can be read"),
        ("in.arrow", b"ARROW1 but no more", "no Arrow file that can be read"),
    ],
)
def test_broken_input_is_a_clear_stop(
    tmp_path: Path, model: ModelChoice, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StatementError, match=message):
        score_files(tmp_path / name, tmp_path / "out.jsonl", Run(model))
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_types_that_do_not_go_together(tmp_path: Path, model: ModelChoice) -> None:
    write(tmp_path / "in" / "a.parquet", [{"text": "News.", "id": 1}])
    write(tmp_path / "in" / "b.parquet", [{"text": "News.", "id": "one"}])
    with pytest.raises(StatementError, match=r"columns of one name and different types.*id"):
        score_files(tmp_path / "in", tmp_path / "out.parquet", Run(model))
    assert score_files(tmp_path / "in", tmp_path / "out.jsonl", Run(model)).rows == 2


def test_keys_and_kinds_of_jsonl_become_columns(tmp_path: Path, model: ModelChoice) -> None:
    lines = [
        '{"text": "News.", "n": 1}',
        '{"text": "News.", "n": 2.5, "tags": ["a"]}',
        "no JSON",
        '{"text": "News.", "big": 99999999999999999999}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert score_files(tmp_path / "in.jsonl", tmp_path / "out.parquet", Run(model)).failed == 1
    found = read(tmp_path / "out.parquet")
    assert [row["n"] for row in found] == [1.0, 2.5, None, None]
    assert found[1]["tags"] == '["a"]' and found[3]["big"] == "99999999999999999999"
    assert found[2]["line"] == "no JSON" and "line 3 is not JSON" in found[2]["error"]


def test_no_rows(tmp_path: Path, model: ModelChoice) -> None:
    (tmp_path / "in.csv").write_text("text,id\n", encoding="utf-8")
    assert score_files(tmp_path / "in.csv", tmp_path / "out.csv", Run(model)).rows == 0
    assert (tmp_path / "out.csv").read_text().startswith("text,id,stance,")


# More than one machine


def find_port() -> int:
    """A free port below those that Ray hands out to its workers."""
    for port in range(6400, 6500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port")


RAY_ENVIRONMENT = {
    **os.environ,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "b2f1" * 10,
    "PYTHONPATH": str(ROOT),
}


@pytest.fixture
def cluster() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A Ray cluster of two nodes with a core each: its address, and the second node, which leads a process group."""
    pytest.importorskip("ray")
    ray = str(Path(sys.executable).with_name("ray"))
    address = f"127.0.0.1:{find_port()}"
    folder = f"/tmp/detente-ray-{os.getuid()}"  # noqa: S108  # sockets need a short path
    first = ["--head", f"--port={address.partition(':')[2]}", "--include-dashboard=false", f"--temp-dir={folder}"]
    nodes = []
    for where in (first, [f"--address={address}"]):
        nodes.append(
            subprocess.Popen(
                [ray, "start", *where, "--num-cpus=1", "--block"],
                env=RAY_ENVIRONMENT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        time.sleep(6)
    try:
        yield address, nodes[1]
    finally:
        for node in nodes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)
        for node in nodes:
            node.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def test_ray_gives_the_same_bytes_though_a_node_is_killed(
    tmp_path: Path, cluster: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    address, node = cluster
    rows = [{**row, "id": i, "text": row["text"] and f"{row['text']} {i}"} for i, row in enumerate(ROWS * 80)]
    write(tmp_path / "in.parquet", rows)
    code = "from detente import inputs; inputs.SPAN_ROWS = 100; from detente.cli import main; main()"
    command = [sys.executable, "-c", code, "score", "in.parquet", "-o"]
    options = ["--engine", "ray", "--address", address]
    with (tmp_path / "ray.log").open("wb") as log:
        run = subprocess.Popen(
            [*command, "out.parquet", *options], cwd=tmp_path, env=RAY_ENVIRONMENT, stdout=log, stderr=log
        )
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "out.parquet.parts").glob("part-*"))) < 12:
        assert run.poll() is None and time.monotonic() < deadline, (tmp_path / "ray.log").read_text()[-2000:]
        time.sleep(0.05)
    os.killpg(node.pid, signal.SIGKILL)
    assert run.wait(240) == 0, (tmp_path / "ray.log").read_text()[-2000:]
    subprocess.run([*command, "here.parquet"], cwd=tmp_path, env=RAY_ENVIRONMENT, check=True, capture_output=True)
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
    assert [row["id"] for row in read(tmp_path / "out.parquet")] == list(range(6000))
    for name in ("errors.jsonl", "manifest.json"):
        found, expected = ((tmp_path / f"{out}.parquet.{name}").read_text() for out in ("out", "here"))
        assert found == expected
