"""Rows of tables: what is scored of them, and how they are written; a row that cannot be scored says why."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    "model_version",
)
ERROR_COLUMN: Final = "error"
TABLE_SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".parquet", ".arrow")
DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an input file: its columns, and why it cannot be scored if that is known when it is read."""

    values: dict[str, Any]
    problem: str = ""


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


def to_values(row: Row, result: Score | str) -> dict[str, Any]:
    """The columns of a scored row: those of the input, those of the score, and the reason why there is none."""
    if isinstance(result, str):
        return row.values | dict.fromkeys(SCORE_COLUMNS) | {ERROR_COLUMN: result}
    return row.values | {name: getattr(result, name) for name in SCORE_COLUMNS} | {ERROR_COLUMN: None}


def to_json(values: Mapping[str, Any]) -> str:
    """The columns of a row as a line of JSON; what JSON has no type for, such as the dates of Parquet, as text."""
    return json.dumps(values, ensure_ascii=False, default=str)


def encode_header(suffix: str, columns: Sequence[str]) -> bytes:
    """What a table of text begins with: the names of the columns for .csv and .tsv, nothing for .jsonl."""
    if suffix == ".jsonl":
        return b""
    return encode_rows(suffix, columns, [dict(zip(columns, columns, strict=True))])


def encode_rows(suffix: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as text; a character that UTF-8 does not have is written as its escape.

    Args:
        suffix: .csv, .tsv or .jsonl.
        columns: The columns of a .csv or .tsv file, in their order.
        rows: Values by column.
    """
    stream = io.StringIO(newline="")
    if suffix == ".jsonl":
        stream.writelines(to_json(row) + "\n" for row in rows)
    else:
        csv.DictWriter(stream, columns, delimiter=DELIMITERS[suffix]).writerows(rows)
    return stream.getvalue().encode("utf-8", "backslashreplace")
