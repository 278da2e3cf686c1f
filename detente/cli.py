"""The command line: ``detente score``, ``explain``, ``read``, ``dyads`` and ``info``."""

import datetime
import itertools
import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from detente import __version__
from detente.article.documents import Document, load_documents
from detente.article.ledger import Entry, plot_dyad, read_ledger
from detente.article.reading import Reading
from detente.artifact import FORMAT_VERSION, ArtifactError, find_shipped
from detente.batch import ModelChoice, Progress, Run, score_files
from detente.classifier import Classifier
from detente.cluster import RayEngine
from detente.collection import read_files
from detente.inputs import is_table, read_rows
from detente.labels import HOSTILITY_LEVELS, MAX_LEVEL
from detente.records import Explanation, Score, Statement, StatementError, WordWeight
from detente.table import Row, score_rows, to_json, to_values

app = typer.Typer(help="Scores who is hostile to whom.", no_args_is_help=True, add_completion=False)
console = Console()
errors = Console(stderr=True)

_STANCE_COLOURS = {"favour": "green", "neutral": "white", "against": "red"}
_TELL_EVERY_S: Final = 60


class Engine(StrEnum):
    """Where files are worked through."""

    local = "local"
    ray = "ray"


Speaker = Annotated[str | None, typer.Option(help="Whose attitude is scored; leave out for the author.")]
Counterpart = Annotated[str | None, typer.Option(help="Toward whom; leave out for whomever it is about.")]
Model = Annotated[str | None, typer.Option(help="Folder or hub id; leave out for the shipped weights.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Begin anew, whatever -o holds.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; other than cpu needs detente[torch].")]
Threads = Annotated[int | None, typer.Option(min=1, help="Cores to use on the CPU; leave out for all.")]
EngineName = Annotated[Engine, typer.Option(help="Work in this process, or on a Ray cluster.")]
Address = Annotated[str | None, typer.Option(help="Of the Ray cluster; leave out to start one here.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Ray workers; leave out for as many as there is room for.")]


@app.command()
def score(
    source: Annotated[
        str,
        typer.Argument(
            metavar="TEXT|FILE|DIR|ADDRESS",
            help="A statement; a .csv, .tsv, .jsonl, .parquet or .arrow file, or a folder of them, also as an address.",
        ),
    ],
    speaker: Speaker = None,
    counterpart: Counterpart = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Where scores go: a file of these kinds, or a folder of Parquet files."),
    ] = None,
    model: Model = None,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    device: Device = None,
    threads: Threads = None,
    engine: EngineName = Engine.local,
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Scores one statement, or every row of a table with the columns (or keys) text, speaker and counterpart.

    Other columns are kept. A row that cannot be scored is kept with its reason in the column "error", and listed in
    OUT.errors.jsonl. A run that was stopped goes on when the same command is given again. Without -o a table is
    printed.
    """
    run_on = _find_engine(engine, address, workers)
    if is_table(source):
        if out is None:
            _print_scores(source, Classifier.from_pretrained(model, device=device, threads=threads), as_json)
            return
        with _ProgressBar("scoring", "rows", out) as bar:
            done = score_files(source, out, Run(ModelChoice(model, device, threads), overwrite, bar.show, run_on))
        errors.print(f"{done.rows} rows, {done.failed} with an error, in {escape(str(out))}")
        return
    if out:
        raise StatementError(
            f"-o goes with a table, and {source!r} is no table, folder or address: check the path, or leave -o out"
        )
    statement = Statement(source, speaker, counterpart)
    found = Classifier.from_pretrained(model, device=device, threads=threads).score(statement)
    if as_json:
        print(json.dumps(found.to_dict()))
    else:
        console.print(_make_table([(Row({"text": source, "speaker": speaker, "counterpart": counterpart}), found)]))


@app.command()
def explain(
    text: str, speaker: Speaker = None, counterpart: Counterpart = None, model: Model = None, as_json: AsJson = False
) -> None:
    """Shows the words that moved the score of one statement."""
    statement = Statement(text, speaker, counterpart)
    found = Classifier.from_pretrained(model).explain(statement)
    if as_json:
        weights = {
            dimension: [{"start": w.start, "end": w.end, "word": w.word, "weight": w.weight} for w in values]
            for dimension, values in (("stance", found.stance), ("hostility", found.hostility))
        }
        print(json.dumps({"score": found.score.to_dict(), **weights}))
        return
    console.print(_make_table([(Row({"text": text, "speaker": speaker, "counterpart": counterpart}), found.score)]))
    _print_explanation(text, found)


@app.command()
def read(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|DIR|ADDRESS|-",
            help="A .txt, .md or .html file, a table with text, id and date, a folder of these, or - for stdin.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for the tables of articles, statements and dyads by day.")
    ] = None,
    date: Annotated[str | None, typer.Option(help="Date of a single article, YYYY-MM-DD.")] = None,
    model: Model = None,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    device: Device = None,
    threads: Threads = None,
    engine: EngineName = Engine.local,
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Finds who says what about whom in articles, and scores it.

    One article is printed with its statements and dyads. Many need -o: their statements and a ledger of dyads by day,
    as JSONL and Parquet. An article that cannot be read is listed with its reason, and never stops the others. A run
    that was stopped goes on when the same command is given again.
    """
    choice = ModelChoice(model, device, threads)
    run_on = _find_engine(engine, address, workers)
    if out is not None:
        if source == "-" or date is not None:
            raise StatementError("stdin and --date go with a single article, which is printed: leave -o out")
        with _ProgressBar("reading", "articles", out) as bar:
            done = read_files(source, out, Run(choice, overwrite, bar.show, run_on))
        errors.print(
            f"{done.articles} articles: {done.failed} with an error, {done.copies} copies of another, {done.notices} "
            f"with a notice; {done.statements} statements, {done.entries} dyads by day in {escape(str(out))}"
        )
        return
    given = iter([Document("stdin", sys.stdin.read())]) if source == "-" else load_documents(source)
    documents = list(itertools.islice(given, 2))
    if len(documents) != 1:
        raise StatementError(f"{source} has {'several articles' if documents else 'no article'}: name a folder with -o")
    (document,) = documents
    if document.problem:
        raise StatementError(f"{document.id}: {document.problem}")
    found = choice.open().read(document.text, date or document.date)
    if as_json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _print_reading(found)


@app.command()
def dyads(
    ledger: Annotated[Path, typer.Argument(help="ledger.jsonl or ledger.parquet, made by detente read.")],
    speaker: Annotated[str | None, typer.Option(help="Show this speaking party only.")] = None,
    counterpart: Annotated[str | None, typer.Option(help="Show this counterpart only.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw one dyad over time into this .png or .svg file.")] = None,
) -> None:
    """Sums a ledger up by dyad, or draws one dyad's stance and hostility over time with marked changes."""
    try:
        entries = read_ledger(ledger)
        if plot is not None:
            if speaker is None or counterpart is None:
                raise StatementError("--plot draws one dyad: name it with --speaker and --counterpart")
            changes = plot_dyad(entries, speaker, counterpart, plot)
            console.print(f"{escape(str(plot))}; changes: {', '.join(changes) or 'none found'}")
            return
    except (ValueError, OSError) as error:
        raise StatementError(str(error)) from error
    chosen = [e for e in entries if speaker in (None, e.speaker) and counterpart in (None, e.counterpart)]
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in chosen:
        groups.setdefault((entry.speaker, entry.counterpart), []).append(entry)
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("dyad", "statements", "days", "stance", "hostility", "highest"):
        table.add_column(name, justify="left" if name == "dyad" else "right")
    for (who, whom), found in sorted(groups.items(), key=lambda g: -sum(e.n for e in g[1])):
        total = sum(e.n for e in found)
        table.add_row(
            f"{escape(who)} → {escape(whom)}",
            str(total),
            str(len(found)),
            f"{sum(e.stance * e.n for e in found) / total:+.2f}",
            f"{sum(e.hostility * e.n for e in found) / total:.2f}",
            f"{max(e.hostility_max for e in found):.2f}",
        )
    console.print(table)


@app.command()
def info(model: Model = None, as_json: AsJson = False) -> None:
    """Shows the versions of package, artifact format and model, hashes, base model and licences."""
    from detente.artifact import check_files, read_manifest, resolve_folder

    folder = resolve_folder(model)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    facts = {
        "package version": __version__,
        "artifact format": FORMAT_VERSION,
        "model version": manifest.model_version,
        "attribution network": manifest.attribution.get("version", "none: this model cannot read articles"),
        "folder": "shipped in the package" if folder == find_shipped() else str(folder),
        "licence of the weights": manifest.licence,
        "base model": manifest.base_model,
        "base SHA-256": manifest.base_sha256,
        "longest sequence (tokens)": manifest.max_tokens,
        "review below confidence": round(manifest.calibration.review_below, 4),
        "selective risk": manifest.calibration.selective_risk,
        **{f"SHA-256 of {name}": digest for name, digest in manifest.files.items()},
        **{f"data SHA-256 of {name}": digest for name, digest in manifest.data_sha256.items()},
        **{f"licence of {name}": licence for name, licence in manifest.sources.items()},
    }
    if as_json:
        print(json.dumps(facts))
        return
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(f"[bold]{name}[/]", escape(str(value)))
    console.print(table)


def main() -> None:
    """Runs the command line; an error that the user can mend is printed in one line, with exit status 2."""
    try:
        app(standalone_mode=True)
    except (StatementError, ArtifactError, ModuleNotFoundError) as error:
        errors.print(f"[red]detente:[/] {escape(str(error))}")
        raise SystemExit(2) from error


def _find_engine(engine: Engine, address: str | None, workers: int | None) -> RayEngine | None:
    if engine is Engine.ray:
        return RayEngine(address, workers)
    if address is not None or workers is not None:
        raise StatementError("--address and --workers go with --engine ray: add it, or leave them out")
    return None


def _print_reading(reading: Reading) -> None:
    """The statements of one article, then its dyads."""
    for notice in reading.notices:
        errors.print(f"[yellow]notice:[/] {escape(notice)}")
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("who says it of whom", ratio=2)
    table.add_column("statement", ratio=4)
    table.add_column("stance", no_wrap=True)
    table.add_column("hostility", no_wrap=True)
    for s in reading.statements:
        if s.counterpart is None and s.repeats is None and s.score.stance_label == "neutral":
            continue
        names = [named.party if named else None for named in (s.speaker, s.counterpart)]
        who, whom = escape(names[0] or "the outlet"), escape(names[1] or "anyone")
        colour = _STANCE_COLOURS[s.score.stance_label]
        level = HOSTILITY_LEVELS.index(s.score.hostility_level)
        written = f"[dim]{escape(s.speaker.written)}[/] " if s.speaker and s.speaker.written != s.speaker.party else ""
        again = " [dim](repeats)[/]" if s.repeats is not None else ""
        table.add_row(
            f"{who} → {whom}\n{written}[dim]{s.voice}[/]{again}",
            escape(" ".join(s.text.split())),
            f"[{colour}]{s.score.stance:+.2f} {s.score.stance_label}[/]{' ?' if s.score.needs_review else ''}",
            f"{s.score.hostility:.2f} [red]{'■' * level}[/][dim]{'□' * (MAX_LEVEL - level)}[/]",
        )
    console.print(table)
    dyads_table = Table(title="dyads", title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("speaker → counterpart", "n", "stance", "hostility", "highest"):
        dyads_table.add_column(name, justify="left" if "→" in name else "right")
    for dyad in reading.dyads:
        dyads_table.add_row(
            f"{escape(dyad.speaker)} → {escape(dyad.counterpart)}",
            str(dyad.n),
            f"{dyad.stance:+.2f} [dim]({dyad.stance_interval[0]:+.2f} to {dyad.stance_interval[1]:+.2f})[/]",
            f"{dyad.hostility:.2f} [dim]({dyad.hostility_interval[0]:.2f} to {dyad.hostility_interval[1]:.2f})[/]",
            f"{dyad.hostility_max:.2f}",
        )
    console.print(dyads_table)


def _print_scores(source: str, classifier: Classifier, as_json: bool) -> None:
    scored = score_rows(read_rows(source), classifier.score_many)
    if as_json:
        for row, result in scored:
            print(to_json(to_values(row, result)))
    else:
        console.print(_make_table(scored))


class _ProgressBar:
    """Shows how far a run is: a bar on a terminal, else a line a minute."""

    def __init__(self, doing: str, unit: str, out: Path) -> None:
        self._unit = unit
        self._out = out
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=errors,
            disable=not errors.is_terminal,
        )
        self._task = self._bar.add_task(doing, total=None, visible=False, rate="")
        self._first: tuple[float, int] | None = None
        self._told = time.monotonic()

    def __enter__(self) -> "_ProgressBar":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            errors.print(
                f"stopped: what is done is kept; to go on towards {escape(str(self._out))}, give the same command"
            )

    def show(self, progress: Progress) -> None:
        """Takes in how far the run is; the rate counts from the first call, as parts done before come at once."""
        now = time.monotonic()
        first, before = self._first = self._first or (now, progress.rows)
        rate = (progress.rows - before) / max(now - first, 1e-3)
        rate_text = f"{rate:,.0f} {self._unit}/s" if now > first else ""
        self._bar.update(self._task, total=progress.all_rows, completed=progress.rows, visible=True, rate=rate_text)
        if not errors.is_terminal and now - self._told >= _TELL_EVERY_S:
            self._told = now
            known = []
            if rate > 0:
                left = datetime.timedelta(seconds=round((progress.all_rows - progress.rows) / rate))
                known = [rate_text, f"{left} left"]
            done = f"{progress.rows:,} of {progress.all_rows:,} {self._unit}"
            errors.print(", ".join([done, f"{progress.failed:,} with an error", *known]))


def _make_table(scored: list[tuple[Row, Score | str]]) -> Table:
    """One row a statement: its words, who speaks to whom below them, and the three scores."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("statement", ratio=1)
    table.add_column("stance", no_wrap=True)
    table.add_column("hostility", no_wrap=True)
    table.add_column("tone", no_wrap=True)
    doubtful = 0
    for row, result in scored:
        text = escape(str(row.values.get("text") or row.values.get("line") or ""))
        speaker = escape(str(row.values.get("speaker") or "author"))
        counterpart = escape(str(row.values.get("counterpart") or "anyone"))
        words = f"{text}\n[dim]{speaker} → {counterpart}[/]\n"
        if isinstance(result, str):
            table.add_row(f"{text}\n[red]{escape(result)}[/]\n", "-", "-", "-")
            continue
        doubtful += result.needs_review
        colour = _STANCE_COLOURS[result.stance_label]
        level = HOSTILITY_LEVELS.index(result.hostility_level)
        table.add_row(
            words,
            f"[{colour}]{result.stance:+.2f} {result.stance_label}[/]{' ?' if result.needs_review else ''}",
            f"{result.hostility:.2f} [red]{'■' * level}[/][dim]{'□' * (MAX_LEVEL - level)}[/] {result.hostility_level}",
            result.sentiment_label,
        )
    if doubtful:
        table.caption = f"? = too uncertain to rely on: have it read ({doubtful} of {len(scored)})"
    return table


def _print_explanation(text: str, explanation: Explanation) -> None:
    for name, weights, up, down in (
        ("stance", explanation.stance, "green", "red"),
        ("hostility", explanation.hostility, "red", "green"),
    ):
        marked = Text(text)
        top = max((abs(w.weight) for w in weights), default=0.0) or 1.0
        for weight in weights:
            if abs(weight.weight) > 0.15 * top:
                bold = "bold " if abs(weight.weight) > 0.5 * top else ""
                marked.stylize(f"{bold}{up if weight.weight > 0 else down}", weight.start, weight.end)
        strongest: list[WordWeight] = sorted(weights, key=lambda w: -abs(w.weight))[:5]
        console.print(f"\n[bold]{name}[/]", marked)
        console.print("  " + ", ".join(f"{escape(w.word)} {w.weight:+.2f}" for w in strongest))
