"""The command line: ``detente score``, ``detente explain``, ``detente info``."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table
from rich.text import Text

from detente import __version__
from detente.artifact import FORMAT_VERSION, ArtifactError, find_shipped
from detente.classifier import Classifier
from detente.records import Explanation, Score, Statement, StatementError, WordWeight

app = typer.Typer(help="Scores who is hostile to whom.", no_args_is_help=True, add_completion=False)
console = Console()
errors = Console(stderr=True)

SCORE_COLUMNS = (
    "stance",
    "stance_label",
    "hostility",
    "hostility_level",
    "sentiment_label",
    "confidence",
    "needs_review",
)
ERROR_COLUMN = "error"
_STANCE_COLOURS = {"favour": "green", "neutral": "white", "against": "red"}
_BATCH = 64

Speaker = Annotated[str | None, typer.Option(help="Whose attitude is scored; leave out for the author.")]
Counterpart = Annotated[str | None, typer.Option(help="Toward whom; leave out for whomever it is about.")]
Model = Annotated[str | None, typer.Option(help="Folder or hub id; leave out for the shipped weights.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def score(
    source: Annotated[str, typer.Argument(metavar="TEXT|FILE", help="A statement, or a .csv or .jsonl file.")],
    speaker: Speaker = None,
    counterpart: Counterpart = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Where a file's scores go, .csv or .jsonl.")] = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Scores one statement, or every row of a file with the columns (or keys) text, speaker and counterpart.

    Other columns are kept. A row that cannot be scored is kept with its reason in the column "error". Without -o a
    table is printed.
    """
    path = Path(source)
    if path.suffix.lower() in (".csv", ".jsonl"):
        if not path.is_file():
            raise StatementError(f"{path} is not there: give the path of an existing file")
        _score_file(path, out, Classifier.from_pretrained(model), as_json)
        return
    if out:
        raise StatementError("-o goes with a .csv or .jsonl file: leave it out for a single statement")
    statement = Statement(source, speaker, counterpart)
    found = Classifier.from_pretrained(model).score(statement)
    if as_json:
        print(json.dumps(found.to_dict()))
    else:
        console.print(_make_table([({"text": source, "speaker": speaker, "counterpart": counterpart}, found)]))


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
    console.print(_make_table([({"text": text, "speaker": speaker, "counterpart": counterpart}, found.score)]))
    _print_explanation(text, found)


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
    for name, value in facts.items():
        table.add_row(f"[bold]{name}[/]", escape(str(value)))
    console.print(table)


def main() -> None:
    """Runs the command line; an error that the user can mend is printed in one line, with exit status 2."""
    try:
        app(standalone_mode=True)
    except (StatementError, ArtifactError) as error:
        errors.print(f"[red]detente:[/] {escape(str(error))}")
        raise SystemExit(2) from error


def _score_file(path: Path, out: Path | None, classifier: Classifier, as_json: bool) -> None:
    rows = list(_read_csv(path) if path.suffix.lower() == ".csv" else _read_jsonl(path))
    scored: list[tuple[dict[str, Any], Score | str]] = []
    with ExitStack() as stack:
        write = stack.enter_context(_open_writer(out)) if out else None
        batches = range(0, len(rows), _BATCH)
        for begin in track(batches, "scoring", console=errors, disable=not errors.is_terminal):
            found = _score_rows(rows[begin : begin + _BATCH], classifier)
            scored += found
            if write:
                for row, result in found:
                    write(_to_row(row, result))
    failed = sum(isinstance(result, str) for _, result in scored)
    if out:
        errors.print(f"{len(scored)} rows, {failed} with an error, in {escape(str(out))}")
    elif as_json:
        for row, result in scored:
            print(json.dumps(_to_row(row, result), ensure_ascii=False))
    else:
        console.print(_make_table(scored))


def _score_rows(rows: list[dict[str, Any]], classifier: Classifier) -> list[tuple[dict[str, Any], Score | str]]:
    """A score, or the reason why there is none, for each row."""
    results: list[Score | str] = []
    good = []
    for row in rows:
        try:
            if "_problem" in row:
                raise StatementError(row["_problem"])
            if "text" not in row:
                raise StatementError(f"no 'text' in the row, found {', '.join(row) or 'nothing'}: name the column text")
            good.append(Statement(row["text"], row.get("speaker") or None, row.get("counterpart") or None))
            results.append("")
        except StatementError as error:
            results.append(str(error))
    scores = iter(classifier.score_many(good))
    return [(row, result or next(scores)) for row, result in zip(rows, results, strict=True)]


def _to_row(row: dict[str, Any], result: Score | str) -> dict[str, Any]:
    kept = {key: value for key, value in row.items() if key != "_problem"}
    if isinstance(result, str):
        return kept | dict.fromkeys(SCORE_COLUMNS) | {ERROR_COLUMN: result}
    values = result.to_dict()
    return kept | {name: values[name] for name in SCORE_COLUMNS} | {ERROR_COLUMN: None}


def _read_csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if "text" not in (reader.fieldnames or ()):
            found = ", ".join(reader.fieldnames or ()) or "nothing"
            raise StatementError(f"{path} needs a header with the column text, found {found}")
        for row in reader:
            extra = row.pop(None, None)  # DictReader's key for cells beyond the header
            if extra:
                row["_problem"] = f"line {reader.line_num} has {len(extra)} cells more than the header: quote the text"
            yield row


def _read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                yield {"line": line.rstrip("\n"), "_problem": f"line {number} is not JSON: {error}"}
                continue
            if isinstance(row, dict):
                yield row
            else:
                yield {"line": row, "_problem": f"line {number} must be an object, found {type(row).__name__}"}


class _open_writer:  # noqa: N801  # used like a function
    """Opens a .csv or .jsonl file for rows; the CSV header is that of the first row."""

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in (".csv", ".jsonl"):
            raise StatementError(f"{path} must end in .csv or .jsonl")
        self._path = path

    def __enter__(self) -> Callable[[dict[str, Any]], None]:
        stream: IO[str] = self._path.open("w", encoding="utf-8", newline="")
        self._stream = stream
        writer: csv.DictWriter[str] | None = None

        def write(row: dict[str, Any]) -> None:
            nonlocal writer
            if self._path.suffix.lower() == ".jsonl":
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                return
            if writer is None:
                writer = csv.DictWriter(stream, list(row), restval="", extrasaction="ignore")
                writer.writeheader()
            writer.writerow(row)

        return write

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def _make_table(scored: list[tuple[dict[str, Any], Score | str]]) -> Table:
    table = Table(show_lines=False, header_style="bold")
    for name, options in (
        ("statement", {"ratio": 1}),
        ("speaker", {}),
        ("counterpart", {}),
        ("stance", {"justify": "right"}),
        ("", {}),
        ("hostility", {"justify": "right"}),
        ("", {}),
        ("tone", {}),
        ("review", {}),
    ):
        table.add_column(name, **options)
    for row, result in scored:
        who = [escape(str(row.get(key) or "-")) for key in ("speaker", "counterpart")]
        text = escape(str(row.get("text") or row.get("line") or ""))
        if isinstance(result, str):
            table.add_row(text, *who, f"[red]{escape(result)}[/]")
            continue
        colour = _STANCE_COLOURS[result.stance_label]
        table.add_row(
            text,
            *who,
            f"[{colour}]{result.stance:+.2f}[/]",
            f"[{colour}]{result.stance_label}[/]",
            f"{result.hostility:.2f}",
            result.hostility_level,
            result.sentiment_label,
            "yes" if result.needs_review else "",
        )
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
