"""Articles in, their statements and a ledger of dyads by day out, of any size; see ``batch``.

A part holds what was read of a few articles. At the end OUT is made of the parts: the tables ``articles``,
``statements`` and ``ledger``, each as JSONL and Parquet.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from detente.article.documents import scan_articles, to_document
from detente.article.ledger import ENTRY_COLUMNS, find_copies, make_ledger, make_sketch
from detente.article.reading import STATEMENT_COLUMNS
from detente.batch import Made, Run, describe_model
from detente.classifier import Classifier
from detente.inputs import Chunk, InputFile
from detente.outputs import Place, check_output, writing_rows
from detente.records import StatementError
from detente.table import ERROR_COLUMN, encode_rows

_ARTICLES_AT_ONCE: Final = 16
_ARTICLE_COLUMNS: Final = {
    "article": "string",
    "row": "int64",
    "file": "string",
    "date": "string",
    "copy_of": "string",
    "statements": "int64",
    "notices": "string",
    ERROR_COLUMN: "string",
}
_STATEMENT_COLUMNS: Final = {"article": "string", "row": "int64", "copy_of": "string", **STATEMENT_COLUMNS}


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of a collection of articles.

    Attributes:
        articles: All of them.
        failed: Those that could not be read.
        copies: Those that tell the story of an earlier one.
        notices: Those with a notice, such as one that they are in another language.
        statements: Rows of the table of statements.
        entries: Rows of the ledger.
    """

    articles: int
    failed: int
    copies: int
    notices: int
    statements: int
    entries: int


@dataclass(frozen=True, slots=True)
class ReadingArticles:
    """Rows with a ``text``, and maybe ``id`` and ``date``, become what was read of them."""

    part_name: str = "_part-{:06d}-{:05d}.jsonl"
    with_tables: bool = False

    def run(self, chunk: Chunk, file: InputFile, first_row: int, classifier: Classifier) -> Made:
        """See ``batch.Work``."""
        records = []
        problems = []
        for number, row in enumerate(chunk.rows, first_row):
            document = to_document(row, file, number)
            record: dict[str, Any] = {"article": document.id, "row": number, "file": file.name, ERROR_COLUMN: None}
            try:
                if document.problem:
                    raise StatementError(document.problem)
                reading = classifier.read(document.text, document.date)
                record["date"] = reading.date and reading.date.isoformat()
                record["notices"] = "; ".join(reading.notices) or None
                record["sketch"] = base64.b64encode(make_sketch(document.text)).decode()
                record["statements"] = reading.to_rows()
            except StatementError as error:
                record[ERROR_COLUMN] = str(error)
                problems.append({**record, "file": file.path})
            records.append(record)
        return Made(encode_rows(".jsonl", (), records), problems)


def read_files(address: str | Path, out: Path, run: Run | None = None) -> Collected:
    """Reads every article of a file, a table or a folder of them.

    Args:
        address: See ``documents.load_documents``.
        out: Folder for the tables.
        run: None for the shipped weights, in this process.

    Returns:
        What came of it.

    Raises:
        StatementError: See ``batch.score_files``.
        ModuleNotFoundError: ``detente[articles]`` is not installed.
    """
    check_output(out, str(address))
    if out.is_file():
        raise StatementError(f"{out} is a file: name a folder for the tables")
    run = run or Run()
    classifier = run.model.open()
    classifier.read("Norway thanked Chile.")  # whatever is not installed is missed now, and not after hours
    found = scan_articles(address, _ARTICLES_AT_ONCE)
    made_by = {**describe_model(classifier), "attribution": classifier.manifest.attribution.get("version")}
    place = Place(out, is_folder=True)
    end = run.finish(found, ReadingArticles(), place, made_by, classifier, lambda: _join(place.parts, made_by))
    return Collected(found.rows, *(end[name] for name in ("failed", "copies", "notices", "statements", "entries")))


def _join(folder: Path, made_by: Mapping[str, Any]) -> dict[str, int]:
    """Makes the tables of the parts in a folder, beside them; returns what it counted."""
    sketches = (base64.b64decode(record["sketch"]) for record in _read_parts(folder) if record[ERROR_COLUMN] is None)
    copies = find_copies(sketches)
    counts = {"copies": sum(copy is not None for copy in copies), "notices": 0, "statements": 0}

    def write() -> Iterator[dict[str, Any]]:
        names: list[str] = []
        with (
            writing_rows(folder / "articles", _ARTICLE_COLUMNS, made_by) as write_article,
            writing_rows(folder / "statements", _STATEMENT_COLUMNS, made_by) as write_statement,
        ):
            for record in _read_parts(folder):
                shared = {"article": record["article"], "row": record["row"], "copy_of": None}
                if record[ERROR_COLUMN] is None:
                    names.append(record["article"])
                    copy = copies[len(names) - 1]
                    shared["copy_of"] = None if copy is None else names[copy]
                rows: Sequence[dict[str, Any]] = record.get("statements", ())
                write_article({**dict.fromkeys(_ARTICLE_COLUMNS), **record, **shared, "statements": len(rows)})
                counts["notices"] += record.get("notices") is not None
                counts["statements"] += len(rows)
                for row in rows:
                    statement = {**shared, **row}
                    write_statement(statement)
                    yield statement

    entries = make_ledger(write())
    with writing_rows(folder / "ledger", ENTRY_COLUMNS, made_by) as write_entry:
        for entry in entries:
            write_entry(asdict(entry))
    return {**counts, "entries": len(entries)}


def _read_parts(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("_part-*.jsonl")):
        with path.open(encoding="utf-8") as stream:
            yield from map(json.loads, stream)
