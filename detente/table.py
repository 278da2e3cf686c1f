"""Tables of statements: rows read from a file, scored, and written; a row that cannot be scored says why."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from detente.records import Score, Statement, StatementError

SCORE_COLUMNS: Final = (
    "stance",
    "stance_label",
    "hostility",
    "hostility_level",
    "sentiment_label",
    "confidence",
    "needs_review",
)
ERROR_COLUMN: Final = "error"
TABLE_SUFFIXES: Final = (".csv", ".jsonl", ".parquet")
_EXTRA_CELLS: Final = "\0extra"  # no CSV header holds it


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an input file: its columns, and why it cannot be scored if that is known when it is read."""

    values: dict[str, Any]
    problem: str = ""


def read_rows(path: Path) -> list[Row]:
    """The rows of a .csv, .jsonl or .parquet file, which has a column (or key) ``text``, and may have others.

    An input column that is called like a score keeps its values under its name and ``_input``.

    Raises:
        StatementError: The file is not there, is of another kind, or is broken as a whole.
        ModuleNotFoundError: A Parquet file is given, and pyarrow is not installed.
    """
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise StatementError(f"{path.name} must end in {', '.join(TABLE_SUFFIXES)}: save the table as one of these")
    try:
        return [_keep_input_names(row) for row in readers[path.suffix.lower()](path)]
    except UnicodeDecodeError as error:
        raise StatementError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error


def to_statement(row: Row) -> Statement | str:
    """The statement of a row, or the reason why there is none."""
    try:
        if row.problem:
            raise StatementError(row.problem)
        if "text" not in row.values:
            found = ", ".join(row.values) or "nothing"
            raise StatementError(f"no 'text' in the row, found {found}: name the column text")
        speaker, counterpart = (row.values.get(key) or None for key in ("speaker", "counterpart"))
        return Statement(row.values["text"], speaker, counterpart)
    except StatementError as error:
        return str(error)


def score_rows(
    rows: Sequence[Row], score_many: Callable[[list[Statement]], Sequence[Score]]
) -> list[tuple[Row, Score | str]]:
    """A score, or the reason why there is none, for each row."""
    read = [to_statement(row) for row in rows]
    return join_scores(rows, read, score_many([found for found in read if isinstance(found, Statement)]))


def join_scores(
    rows: Sequence[Row], read: Sequence[Statement | str], scores: Sequence[Score]
) -> list[tuple[Row, Score | str]]:
    """Rows beside their scores, which are those of the statements in ``read``, or beside why there is none."""
    left = iter(scores)
    return [(row, found if isinstance(found, str) else next(left)) for row, found in zip(rows, read, strict=True)]


def _keep_input_names(row: Row) -> Row:
    """An input column that is called like a score keeps its values under its name and ``_input``."""
    taken = {*SCORE_COLUMNS, ERROR_COLUMN}
    return Row({f"{key}_input" if key in taken else key: value for key, value in row.values.items()}, row.problem)


def to_values(row: Row, result: Score | str) -> dict[str, Any]:
    """The columns of a scored row: those of the input, those of the score, and the reason why there is none."""
    if isinstance(result, str):
        return row.values | dict.fromkeys(SCORE_COLUMNS) | {ERROR_COLUMN: result}
    values = result.to_dict()
    return row.values | {name: values[name] for name in SCORE_COLUMNS} | {ERROR_COLUMN: None}


def to_json(values: dict[str, Any]) -> str:
    """The columns of a row as a line of JSON; what JSON has no type for, such as the dates of Parquet, as text."""
    return json.dumps(values, ensure_ascii=False, default=str)


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # a cell that is too long is an error of its row, not of the file
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, restkey=_EXTRA_CELLS)
        if "text" not in (reader.fieldnames or ()):
            found = ", ".join(reader.fieldnames or ()) or "nothing"
            raise StatementError(f"{path} needs a header with the column text, found {found}")
        for values in reader:
            extra = values.pop(_EXTRA_CELLS, None)
            many = (
                f"line {reader.line_num} has {len(extra)} more cells than the header: quote the text" if extra else ""
            )
            yield Row(dict(values), many)


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Row({"line": line.rstrip("\n")}, f"line {number} is not JSON: {error}")
                continue
            if isinstance(values, dict):
                yield Row(values)
            else:
                yield Row({"line": values}, f"line {number} must be an object, found {type(values).__name__}")


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Parquet files need pyarrow: pip install 'detente[articles]'") from error
    try:
        rows = read_table(path).to_pylist()
    except ArrowException as error:
        raise StatementError(f"{path} is no Parquet file that can be read: {error}") from error
    yield from map(Row, rows)


@contextmanager
def open_writer(path: Path, rows: Sequence[Row]) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Opens a .csv or .jsonl file; the CSV header holds the columns of all rows, then those of the scores."""
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise StatementError(f"{path} must end in .csv or .jsonl")
    try:
        stream = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise StatementError(f"{path} cannot be written: {error.strerror}; choose another place for -o") from error
    with stream:
        if path.suffix.lower() == ".jsonl":
            yield lambda row: print(to_json(row), file=stream)
            return
        columns = dict.fromkeys([*(key for row in rows for key in row.values), *SCORE_COLUMNS, ERROR_COLUMN])
        writer = csv.DictWriter(stream, list(columns))
        writer.writeheader()
        yield writer.writerow
