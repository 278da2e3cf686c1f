"""Tables of any size: what a file or folder holds, and its rows, stretch by stretch.

``scan`` goes over the input once, counts its rows and cuts it into spans. Each span can be read by itself, by another
process or after an interruption: a span of text begins at a byte, one of Parquet or Arrow at a row group or batch.
Files that are one row each, such as articles, are spans of one row.
"""

import csv
import hashlib
import json
import os.path
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from detente.records import StatementError
from detente.table import DELIMITERS, ERROR_COLUMN, SCORE_COLUMNS, TABLE_SUFFIXES, Row

if TYPE_CHECKING:
    from io import BufferedReader

    import pyarrow

SPAN_ROWS: Final = 4096
"""Statements of a span of text, and the most that are read at once."""
NEEDED_COLUMNS: Final = ("text", "speaker", "counterpart")
ARROW_SUFFIXES: Final = (".parquet", ".arrow")
_MOST_RECORD_CHARS: Final = 10_000_000
_RENAMED: Final = "_input"
_EXTRA_CELLS: Final = "\0extra"  # no CSV header holds it


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of an input.

    Attributes:
        path: Path or address.
        name: Its path within the folder that was given; else its own name.
        suffix: One of ``TABLE_SUFFIXES``, or that of a file that is one row.
        fingerprint: SHA-256 of a local file; what the store says of a remote one.
        columns: Its columns, as they are called there, with the Arrow type or the JSON kind of each; empty for JSONL
            whose columns nobody asked for.
        partition: Columns that its folders give, such as ``{"year": "2020"}`` for ``year=2020/``.
    """

    path: str
    name: str
    suffix: str
    fingerprint: str
    columns: Mapping[str, str]
    partition: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one file that is read by itself.

    Attributes:
        file: Position of the file.
        start: First byte, row group or record batch.
        stop: One past the last row group or record batch; 0 for text, of which ``rows`` are read.
        line: First line, 1-based; 0 if the file has no lines.
        rows: Number of rows.
    """

    file: int
    start: int
    stop: int
    line: int
    rows: int


@dataclass(frozen=True, slots=True)
class Input:
    """What ``scan`` found.

    Attributes:
        files: In the order of their names.
        spans: In the order of the rows.
        most_rows: The most rows that are read at once.
        ignored: Files of a folder that are not read.
    """

    files: tuple[InputFile, ...]
    spans: tuple[Span, ...]
    most_rows: int
    ignored: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(span.rows for span in self.spans)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of all files, those that folders give last; one that is called like a score has its other name."""
        own = dict.fromkeys(name for file in self.files for name in file.columns)
        given = dict.fromkeys(name for file in self.files for name in file.partition)
        return tuple(dict.fromkeys(rename(name) for name in (*own, *given)))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that are read at once, and the Arrow table that they came from if it was asked for.

    With a table the rows hold the columns ``text``, ``speaker`` and ``counterpart`` alone.
    """

    rows: list[Row]
    table: "pyarrow.Table | None" = None


def rename(column: str) -> str:
    """What an input column is called beside the scores, also if the input has scores already."""
    own = column
    while own.endswith(_RENAMED):
        own = own.removesuffix(_RENAMED)
    return column + _RENAMED if own in (*SCORE_COLUMNS, ERROR_COLUMN) else column


def is_table(source: str) -> bool:
    """Whether this names a table, a folder or an address, and is no statement."""
    is_address = "://" in source and not any(c.isspace() for c in source)
    # os.path's own test, as that of pathlib raises for a text longer than a file name may be
    return is_address or source.lower().endswith(TABLE_SUFFIXES) or os.path.isdir(source)


def scan(
    address: str | Path, *, columns: bool = True, most_rows: int | None = None, single: Sequence[str] = ()
) -> Input:
    """Goes over a table or a folder of tables once.

    Args:
        address: A .csv, .tsv, .jsonl, .parquet or .arrow file, or a folder that is searched for them; a path of this
            machine or an address that fsspec knows, such as ``s3://bucket/folder``.
        columns: Whether to find the columns of JSONL, which takes as long as reading it.
        most_rows: Rows of a span of text, and the most rows that are read at once; None for ``SPAN_ROWS``.
        single: Endings of files that are one row each, whose ``text`` is all that they hold.

    Raises:
        StatementError: Nothing is there, a file is of another kind or broken as a whole, or a table has no column
            ``text`` or two columns of one name.
        ModuleNotFoundError: A Parquet or Arrow file without pyarrow, or an address without fsspec.
    """
    most_rows = most_rows or SPAN_ROWS
    paths, ignored = _list_files(str(address), (*TABLE_SUFFIXES, *single))
    files: list[InputFile] = []
    spans: list[Span] = []
    for path, name, partition in paths:
        suffix = _find_suffix(path, (*TABLE_SUFFIXES, *single))
        if suffix in single:
            found, stretches = {"text": "string"}, [(0, 0, 1, 1)]
        elif suffix in ARROW_SUFFIXES:
            found, stretches = _scan_arrow(path, suffix, most_rows)
        else:
            found, stretches = _scan_text(path, suffix, columns, most_rows)
        _check_names(path, [rename(name) for name in (*found, *partition)])
        files.append(InputFile(path, name, suffix, _take_fingerprint(path, suffix), found, partition))
        spans += [Span(len(files) - 1, *stretch) for stretch in stretches]
    return Input(tuple(files), tuple(spans), most_rows, tuple(ignored))


def read_span(found: Input, span: Span, *, tables: bool = False) -> Iterator[Chunk]:
    """The rows of a span, at most ``found.most_rows`` at once.

    Args:
        found: What ``scan`` found.
        span: One of its spans.
        tables: Whether to give Arrow tables beside the rows of a Parquet or Arrow file.
    """
    file = found.files[span.file]
    if file.suffix in ARROW_SUFFIXES:
        for table in _read_tables(file, span, found.most_rows):
            renamed = table.rename_columns([rename(name) for name in table.column_names])
            for name, value in file.partition.items():
                renamed = renamed.append_column(rename(name), _repeat(value, len(renamed)))
            wanted = [n for n in renamed.column_names if n in NEEDED_COLUMNS] if tables else renamed.column_names
            rows = renamed.select(wanted).to_pylist() if wanted else [{} for _ in range(len(renamed))]
            yield Chunk([Row(row) for row in rows], renamed if tables else None)
        return
    if file.suffix not in TABLE_SUFFIXES:
        yield Chunk([_read_single(file)])
        return
    rows_read: list[Row] = []
    with _open(file.path) as stream:
        stream.seek(span.start)
        lines = _Lines(stream, span.line, file.path)
        for row in _parse(lines, file.suffix, tuple(file.columns)):
            lines.begin_row()
            values = {rename(name): value for name, value in (row.values | dict(file.partition)).items()}
            rows_read.append(Row(values, row.problem))
            if len(rows_read) == span.rows:
                break
    if len(rows_read) != span.rows:
        raise StatementError(f"{file.path} was changed while it was read: start again with a file that stays")
    yield Chunk(rows_read)


def _read_single(file: InputFile) -> Row:
    try:
        with _open(file.path) as stream:
            content = stream.read(_MOST_RECORD_CHARS + 1)
    except StatementError as error:
        return Row({}, str(error))
    if len(content) > _MOST_RECORD_CHARS:
        return Row({}, f"over {_MOST_RECORD_CHARS:,} bytes: split it")
    try:
        return Row({"text": content.decode("utf-8-sig")})
    except UnicodeDecodeError as error:
        return Row({}, f"not UTF-8 at byte {error.start}: save it as UTF-8")


def read_rows(address: str | Path) -> list[Row]:
    """All rows of a table that fits the memory; see ``scan``."""
    found = scan(address, columns=False)
    return [row for span in found.spans for chunk in read_span(found, span) for row in chunk.rows]


def _list_files(address: str, suffixes: Sequence[str]) -> tuple[list[tuple[str, str, dict[str, str]]], list[str]]:
    """Files with their names and the columns that their folders give, and what is none of ours."""
    if "://" in address:
        store, root = _open_store(address)
        if not store.isdir(root):
            return [(address, address.rsplit("/", 1)[-1], {})], []
        below = {store.unstrip_protocol(p): p.removeprefix(root).strip("/") for p in store.find(root)}
    else:
        folder = Path(address)
        if folder.is_file():
            return [(address, folder.name, {})], []
        if not folder.is_dir():
            raise StatementError(f"{folder} is not there: give the path of an existing file")
        below = {str(p): p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    listed: list[tuple[str, str, dict[str, str]]] = []
    ignored = []
    for path, name in sorted(below.items(), key=lambda item: item[1]):
        parts = name.split("/")
        if not name.lower().endswith(tuple(suffixes)) or any(part.startswith((".", "_")) for part in parts):
            ignored.append(name)
            continue
        partition = dict(part.split("=", 1) for part in parts[:-1] if "=" in part)
        listed.append((path, name, partition))
    if not listed:
        raise StatementError(f"{address} has no file to read: expected some that end in {', '.join(suffixes)}")
    return listed, ignored


def _check_names(path: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise StatementError(f"{path} has two columns called {', '.join(map(repr, twice))}: rename one")


def _find_suffix(path: str, suffixes: Sequence[str]) -> str:
    for suffix in suffixes:
        if path.lower().endswith(suffix):
            return suffix
    raise StatementError(f"{path} must end in {', '.join(suffixes)}: save it as one of these")


def _open_store(address: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{address} needs fsspec: pip install 'detente[files]'") from error
    try:
        store, path = url_to_fs(address)
    except (ValueError, ImportError) as error:
        raise StatementError(f"{address} cannot be opened: {error}") from error
    if not store.exists(path):
        raise StatementError(f"{address} is not there: give the address of an existing file")
    return store, path


def _open(path: str) -> "BufferedReader":
    try:
        if "://" not in path:
            return Path(path).open("rb")
        store, inside = _open_store(path)
        return cast("BufferedReader", store.open(inside, "rb"))
    except OSError as error:
        raise StatementError(f"{path} cannot be read: {error.strerror or error}") from error


def has_changed(file: InputFile) -> bool:
    """Whether a file is not what it was when it was scanned."""
    return _take_fingerprint(file.path, file.suffix) != file.fingerprint


def _take_fingerprint(path: str, suffix: str) -> str:
    """SHA-256 of a local file; of a remote one, which would have to come here, what the store knows of its content.

    A file that is one row must not stop the others: if it cannot be read, its row says so.
    """
    if "://" in path:
        store, inside = _open_store(path)
        return f"{store.size(inside)} {store.ukey(inside)}"
    try:
        with _open(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except StatementError:
        if suffix in TABLE_SUFFIXES:
            raise
        return "cannot be read"


class _Lines:
    """Lines of a binary stream as text; knows how many bytes and lines it gave out.

    Bytes that are no UTF-8 become lone surrogates, which the row is then refused for.
    """

    def __init__(self, stream: "BufferedReader", line: int, path: str) -> None:
        self._stream = stream
        self._path = path
        self.next_line = line
        self.offset = self._row_offset = stream.tell()

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        raw = next(iter(self._stream))
        if self.offset == 0:
            if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise StatementError(f"{self._path} is UTF-16: save it as UTF-8")
            self.offset = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
            raw = raw[self.offset :]
        self.offset += len(raw)
        if self.offset - self._row_offset > _MOST_RECORD_CHARS:
            raise StatementError(
                f"{self._path}: a row that goes on in line {self.next_line} has over {_MOST_RECORD_CHARS:,} bytes: "
                "a quote that opens a cell may not be closed"
            )
        self.next_line += 1
        return raw.decode("utf-8", "surrogateescape")

    def begin_row(self) -> None:
        """To be told after each row: what is longer than a row may be is refused before it is read."""
        self._row_offset = self.offset


def _parse(lines: _Lines, suffix: str, columns: Sequence[str]) -> Iterator[Row]:
    return _parse_jsonl(lines) if suffix == ".jsonl" else _parse_csv(lines, DELIMITERS[suffix], columns)


def _parse_csv(lines: _Lines, delimiter: str, columns: Sequence[str]) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # a cell that is too long is an error of its row, not of the file
    for values in csv.DictReader(lines, columns, restkey=_EXTRA_CELLS, delimiter=delimiter):
        extra = values.pop(_EXTRA_CELLS, None)
        problem = (
            f"line {lines.next_line - 1} has {len(extra)} more cells than the header: quote the text" if extra else ""
        )
        broken = _find_broken(value for value in values.values() if value)
        if broken:
            values = {name: value and _show_bytes(value) for name, value in values.items()}
            problem = f"line {lines.next_line - 1} is not UTF-8: save the file as UTF-8"
        yield Row(dict(values), problem)


def _parse_jsonl(lines: _Lines) -> Iterator[Row]:
    for line in lines:
        number = lines.next_line - 1
        if not line.strip():
            continue
        if _find_broken([line]):
            shown = _show_bytes(line.rstrip("\r\n"))
            yield Row({"line": shown}, f"line {number} is not UTF-8: save the file as UTF-8")
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row({"line": line.rstrip("\r\n")}, f"line {number} is not JSON: {error}")
            continue
        if isinstance(values, dict):
            yield Row(values)
        else:
            yield Row({"line": values}, f"line {number} must be an object, found {type(values).__name__}")


def _find_broken(texts: Iterable[str]) -> bool:
    """Whether a text has bytes that were no UTF-8."""
    return any(not text.isascii() and any("\udc80" <= c <= "\udcff" for c in text) for text in texts)


def _show_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


Stretch = tuple[int, int, int, int]
"""The fields of a ``Span`` after the file."""


def _scan_text(path: str, suffix: str, columns: bool, most_rows: int) -> tuple[dict[str, str], list[Stretch]]:
    """Columns of a text file with their kinds, and its stretches of ``most_rows`` rows."""
    stretches: list[Stretch] = []
    kinds: dict[str, str] = {}
    with _open(path) as stream:
        lines = _Lines(stream, 1, path)
        try:
            if suffix != ".jsonl":
                kinds = dict.fromkeys(_read_header(lines, path, DELIMITERS[suffix]), "string")
            begin, line, rows = lines.offset, lines.next_line, 0
            for row in _parse(lines, suffix, tuple(kinds)):
                lines.begin_row()
                rows += 1
                if columns and suffix == ".jsonl":
                    for name, value in row.values.items():
                        kinds[name] = _widen(kinds.get(name, "null"), value)
                if rows == most_rows:
                    stretches.append((begin, 0, line, rows))
                    begin, line, rows = lines.offset, lines.next_line, 0
        except csv.Error as error:
            raise StatementError(f"{path} cannot be read at line {lines.next_line - 1}: {error}") from error
    if rows:
        stretches.append((begin, 0, line, rows))
    return kinds, stretches


def _read_header(lines: _Lines, path: str, delimiter: str) -> list[str]:
    header = next(csv.reader(lines, delimiter=delimiter), [])
    if "text" not in header:
        raise StatementError(f"{path} needs a header with the column text, found {', '.join(header) or 'nothing'}")
    _check_names(path, header)
    return header


def _widen(kind: str, value: object) -> str:
    """The kind of column that holds a JSON value beside those seen before: null, bool, int, float, string or json."""
    if value is None:
        return kind
    found = {bool: "bool", int: "int", float: "float", str: "string"}.get(type(value), "json")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        found = "json"
    if kind in ("null", found):
        return found
    return "float" if {kind, found} == {"int", "float"} else "json"


def _scan_arrow(path: str, suffix: str, most_rows: int) -> tuple[dict[str, str], list[Stretch]]:
    """Columns of a Parquet or Arrow file with their types, and its stretches: small row groups are read together."""
    with _open_arrow(path, suffix) as reader:
        schema = reader.schema_arrow if suffix == ".parquet" else reader.schema
        if "text" not in schema.names:
            raise StatementError(f"{path} needs a column text, found {', '.join(schema.names) or 'nothing'}")
        if suffix == ".parquet":
            sizes = [reader.metadata.row_group(i).num_rows for i in range(reader.metadata.num_row_groups)]
        else:
            sizes = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
    _check_names(path, schema.names)
    stretches: list[Stretch] = []
    start, rows = 0, 0
    for i, size in enumerate(sizes):
        if rows and rows + size > most_rows:
            stretches.append((start, i, 0, rows))
            start, rows = i, 0
        rows += size
    if rows:
        stretches.append((start, len(sizes), 0, rows))
    return {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}, stretches


def read_schema(file: InputFile) -> "pyarrow.Schema":
    """The Arrow schema of a Parquet or Arrow file, its columns called as they are beside the scores."""
    import pyarrow

    with _open_arrow(file.path, file.suffix) as reader:
        schema = reader.schema_arrow if file.suffix == ".parquet" else reader.schema
    return pyarrow.schema([column.with_name(rename(column.name)) for column in schema])


def _read_tables(file: InputFile, span: Span, most_rows: int) -> Iterator["pyarrow.Table"]:
    import pyarrow

    with _open_arrow(file.path, file.suffix) as reader:
        if file.suffix == ".parquet":
            batches = reader.iter_batches(most_rows, row_groups=list(range(span.start, span.stop)))
        else:
            batches = (reader.get_batch(i) for i in range(span.start, span.stop))
        for batch in batches:
            for begin in range(0, batch.num_rows, most_rows):
                yield pyarrow.Table.from_batches([batch.slice(begin, most_rows)])


def _open_arrow(path: str, suffix: str) -> Any:
    """A reader that closes what it opened."""
    try:
        import pyarrow
        from pyarrow.ipc import open_file
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Parquet and Arrow files need pyarrow: pip install 'detente[files]'") from error
    source = _open(path) if "://" in path else pyarrow.OSFile(path)
    try:
        return ParquetFile(source) if suffix == ".parquet" else open_file(source)
    except (pyarrow.ArrowException, OSError) as error:
        kind = "Parquet" if suffix == ".parquet" else "Arrow"
        raise StatementError(f"{path} is no {kind} file that can be read: {error}") from error


def _repeat(value: str, times: int) -> "pyarrow.Array":
    import pyarrow

    return pyarrow.repeat(pyarrow.scalar(value), times)
