"""What a run over files leaves: parts that are whole or not there, one file made of them, and a manifest.

Parts get their name when they are whole and on disk. OUT, its errors and its manifest are put together at the end, in
this order, so that whatever is missing is made again from the parts.
"""

import contextlib
import errno
import io
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from detente.inputs import ARROW_SUFFIXES, Input, InputFile, read_schema, rename
from detente.records import StatementError
from detente.table import ERROR_COLUMN, SCORE_COLUMNS, TABLE_SUFFIXES, encode_header, encode_rows

if TYPE_CHECKING:
    import pyarrow

METADATA_KEY: Final = b"detente"
"""Key of the provenance, as JSON, in the metadata of Parquet and Arrow files."""
_ROW_GROUP: Final = 131_072
_WAITING_ROWS: Final = 16_384
_OUR_NAMES: Final = re.compile(r"_?part-.*|_errors-.*|(?:articles|statements|ledger)\.(?:jsonl|parquet)")
"""Files of a folder that a run made; those that begin with ``_`` go when it is complete."""


@dataclass(frozen=True, slots=True)
class Form:
    """What parts look like.

    Attributes:
        suffix: One of ``TABLE_SUFFIXES``.
        columns: Their columns, in order.
        schema: Their Arrow schema, serialised; None for text.
    """

    suffix: str
    columns: tuple[str, ...]
    schema: bytes | None

    def encode(self, rows: Sequence[dict[str, Any]], table: "pyarrow.Table | None" = None) -> bytes:
        """Rows as the bytes of a part; columns that ``table`` has are taken from there."""
        if self.schema is None:
            return encode_rows(self.suffix, self.columns, rows)
        return encode_table(self.suffix, make_table(self.schema, rows, table))


class Place:
    """Where a run writes: OUT, and what stands beside it."""

    def __init__(self, out: Path, *, is_folder: bool) -> None:
        """Takes OUT."""
        self.out = out
        self.is_folder = is_folder
        self.parts = out.with_name(out.name + ".parts")
        self.manifest = out.with_name(out.name + ".manifest.json")
        self.errors = out.with_name(out.name + ".errors.jsonl")

    @contextlib.contextmanager
    def claim(self, description: Mapping[str, Any], *, overwrite: bool) -> Iterator[Mapping[str, Any] | None]:
        """Makes the place this run's own, while it lasts.

        Yields:
            None, or if the same run is already complete, what its manifest says of that; see ``finish``.

        Raises:
            StatementError: Another run made what is there, or writes here now, or the folder cannot be written.
        """
        if not overwrite and (finished := self._compare(description)) is not None:
            self._tidy()
            yield finished
            return
        if self.out.is_dir() and not all(_OUR_NAMES.fullmatch(p.name) for p in self.out.iterdir()):
            raise StatementError(f"{self.out} holds files that no run made, and is left alone: choose another -o")
        with contextlib.ExitStack() as held:
            with explain_os_errors(self.parts):
                if self.out.is_dir() and not self.parts.exists() and self.manifest.exists():
                    self.out.replace(self.parts)  # a folder that was stopped just before it was called complete
                self.parts.mkdir(exist_ok=True)
                held.enter_context(self._lock())
                if overwrite:
                    self._clear()
                for path in self.parts.glob(".*.tmp"):
                    path.unlink()
                if not self.manifest.exists():
                    write_safely(self.manifest, _to_pretty_json({**description, "complete": False}))
            yield None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            from fcntl import LOCK_EX, LOCK_NB, flock
        except ModuleNotFoundError:  # Windows has no such lock
            yield
            return
        held = os.open(self.parts, os.O_RDONLY)
        try:
            try:
                flock(held, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise StatementError(f"another run is writing {self.out}: wait for it, or choose another -o") from error
            yield
        finally:
            os.close(held)

    def _compare(self, description: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """None if the run may begin or go on; what the manifest says of its end if it is complete."""
        if not self.manifest.exists():
            if _holds_something(self.out) or _holds_something(self.parts):
                raise StatementError(
                    f"{self.out} is there already, and no {self.manifest.name} says that this run made it: "
                    "choose another -o, or give --overwrite"
                )
            return None
        try:
            before = json.loads(self.manifest.read_text(encoding="utf-8"))
            status = {key: before.pop(key) for key in [*before] if key not in description}
        except (ValueError, AttributeError, OSError) as error:
            raise StatementError(f"{self.manifest} cannot be read: {error}; delete it, or choose another -o") from error
        if difference := _find_difference(before, json.loads(json.dumps(description))):
            raise StatementError(f"{self.out} belongs to another run: {difference}; choose another -o, or --overwrite")
        return status if status.get("complete") and self.out.exists() else None

    def _clear(self) -> None:
        for path in (self.out, self.manifest, self.errors):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for path in self.parts.iterdir():
            path.unlink()

    def finish(
        self, description: Mapping[str, Any], failed: int, join: Callable[[], Mapping[str, int]]
    ) -> Mapping[str, Any]:
        """Puts the parts together under the name OUT, then says in the manifest that it is done, then tidies up.

        Args:
            description: What the run was claimed with.
            failed: Number of rows without a result.
            join: Writes OUT, or if OUT is a folder, what shall be in it beside the parts, into the folder of the parts;
                returns what it counted.

        Returns:
            What the manifest now says of the end of the run: ``failed``, and what ``join`` counted.
        """
        errors = sorted(self.parts.glob("_errors-*.jsonl"))
        with explain_os_errors(self.out):
            if errors:
                with writing(self.errors) as stream:
                    for path in errors:
                        stream.write(path.read_bytes())
            status = {"complete": True, "failed": failed, **join()}
            if self.is_folder:
                self.parts.replace(self.out)
            write_safely(self.manifest, _to_pretty_json({**description, **status}))
            self._tidy()
        return status

    def _tidy(self) -> None:
        """Removes what a complete run no longer needs."""
        if self.parts.exists():
            shutil.rmtree(self.parts)
        if self.out.is_dir():
            for path in self.out.glob("_*"):
                if _OUR_NAMES.fullmatch(path.name):
                    path.unlink()


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _find_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What two descriptions of a run do not share, in words; empty if they are the same."""
    made, makes = before.get("made_by") or {}, now["made_by"]
    for key, value in makes.items():
        if made.get(key) != value:
            name = "package version" if key == "detente" else key.replace("_", " ")
            return f"{name} was {made.get(key)!r}, now {value!r}"
    old, new = before.get("files") or [], now["files"]
    if [file["path"] for file in old] != [file["path"] for file in new]:
        return f"it read {len(old)} other files" if len(old) != len(new) else "it read other files"
    for earlier, later in zip(old, new, strict=True):
        if earlier != later:
            return f"the input {later['path']} was changed"
    return "" if dict(before) == dict(now) else "it was made with other settings"


def _to_pretty_json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def find_output_suffix(out: Path) -> str:
    """The ending of the table OUT; empty for a folder.

    Raises:
        StatementError: It is none of ``TABLE_SUFFIXES``.
    """
    suffix = out.suffix.lower()
    if suffix and suffix not in TABLE_SUFFIXES:
        expected = ", ".join(TABLE_SUFFIXES)
        raise StatementError(f"{out} must end in {expected}, or in nothing for a folder of Parquet files")
    return suffix


def check_output(out: Path, address: str) -> None:
    """Refuses an OUT that cannot be written, or lies in the input.

    Raises:
        StatementError: Likewise.
    """
    if "://" in str(out):
        raise StatementError(f"{out} must be a path of this machine, such as a mounted folder: then copy it there")
    if "://" not in address and out.resolve().is_relative_to(Path(address).resolve()):
        raise StatementError(f"{out} lies in the input {address}, of which it would become a part: choose another -o")
    if not out.parent.is_dir():
        raise StatementError(f"{out.parent} is no folder: make it first, or choose another -o")


@contextlib.contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turns what the disk refuses into an error that says what to do."""
    try:
        yield
    except OSError as error:
        advice = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
        raise StatementError(
            f"{path} cannot be written: {error.strerror}; {advice} and give the same command again, "
            "as what is done is kept"
        ) from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[io.BufferedWriter]:
    """A stream whose content gets the name ``path`` once it is whole and on disk."""
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with draft.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_safely(path: Path, content: bytes) -> None:
    """Writes a file that is there as a whole or not at all."""
    with explain_os_errors(path), writing(path) as stream:
        stream.write(content)


def make_form(suffix: str, found: Input, provenance: Mapping[str, Any]) -> Form:
    """The form of the scored rows of an input; see ``make_schema``."""
    columns = (*found.columns, *SCORE_COLUMNS, ERROR_COLUMN)
    is_text = suffix not in ARROW_SUFFIXES
    return Form(suffix, columns, None if is_text else make_schema(found, provenance).serialize().to_pybytes())


def make_schema(found: Input, provenance: Mapping[str, Any]) -> "pyarrow.Schema":
    """The Arrow schema of the output: the columns of all files, the scores, and the provenance as metadata.

    Raises:
        StatementError: Two files have one column with types that do not go together.
        ModuleNotFoundError: pyarrow is not installed.
    """
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Parquet and Arrow files need pyarrow: pip install 'detente[files]'") from error
    schemas = [_find_schema(file) for file in found.files]
    try:
        whole = pyarrow.unify_schemas(schemas, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise StatementError(f"the files have columns of one name and different types: {error}") from error
    fields = []
    for column in whole:
        kind = column.type.value_type if pyarrow.types.is_dictionary(column.type) else column.type
        fields.append(pyarrow.field(column.name, pyarrow.string() if pyarrow.types.is_null(kind) else kind))
    kinds = {"stance": "double", "hostility": "double", "confidence": "double", "needs_review": "bool"}
    fields += [
        pyarrow.field(name, pyarrow.type_for_alias(kinds.get(name, "string")))
        for name in (*SCORE_COLUMNS, ERROR_COLUMN)
    ]
    metadata = {**(whole.metadata or {}), METADATA_KEY: json.dumps(provenance, ensure_ascii=False).encode()}
    order = {name: i for i, name in enumerate((*found.columns, *SCORE_COLUMNS, ERROR_COLUMN))}
    return pyarrow.schema(sorted(fields, key=lambda column: order[column.name]), metadata=metadata)


def _find_schema(file: InputFile) -> "pyarrow.Schema":
    import pyarrow

    names = {"bool": "bool", "int": "int64", "float": "double"}
    if file.suffix in ARROW_SUFFIXES:
        schema = read_schema(file)
    else:
        schema = pyarrow.schema(
            [(rename(name), pyarrow.type_for_alias(names.get(kind, "string"))) for name, kind in file.columns.items()]
        )
    for name in file.partition:
        schema = schema.append(pyarrow.field(rename(name), pyarrow.string()))
    return schema


def make_table(schema: bytes, rows: Sequence[Mapping[str, Any]], table: "pyarrow.Table | None") -> "pyarrow.Table":
    """Scored rows as an Arrow table; columns that ``table`` has are taken from there."""
    import pyarrow

    target = pyarrow.ipc.read_schema(pyarrow.py_buffer(schema))
    given = set(table.column_names) if table is not None else set()
    columns = []
    for column in target:
        if column.name in given:
            assert table is not None
            columns.append(table[column.name].cast(column.type))
            continue
        values = [row.get(column.name) for row in rows]
        if column.type == pyarrow.string():
            values = [value if value is None else _to_text(value) for value in values]
        columns.append(pyarrow.array(values, column.type))
    return pyarrow.Table.from_arrays(columns, schema=target)


def _to_text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "backslashreplace").decode()


def encode_table(suffix: str, table: "pyarrow.Table") -> bytes:
    """A table as the bytes of a .parquet or .arrow file."""
    from pyarrow.ipc import new_file
    from pyarrow.parquet import write_table

    stream = io.BytesIO()
    if suffix == ".parquet":
        write_table(table, stream)
    else:
        with new_file(stream, table.schema) as writer:
            writer.write_table(table)
    return stream.getvalue()


@contextlib.contextmanager
def writing_rows(
    stem: Path, columns: Mapping[str, str], provenance: Mapping[str, Any]
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Writes rows one by one as ``stem.jsonl`` and ``stem.parquet``, which get these names once they are whole.

    Args:
        stem: Path without ending.
        columns: Name and Arrow type of each column.
        provenance: Goes into the metadata of the Parquet file.

    Yields:
        A function that takes a row.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema(
        [(name, pyarrow.type_for_alias(kind)) for name, kind in columns.items()],
        metadata={METADATA_KEY: json.dumps(provenance, ensure_ascii=False)},
    )
    waiting: list[Mapping[str, Any]] = []
    with (
        writing(stem.with_suffix(".jsonl")) as lines,
        writing(stem.with_suffix(".parquet")) as stream,
        ParquetWriter(stream, schema) as table,
    ):

        def flush() -> None:
            lines.write(encode_rows(".jsonl", list(columns), waiting))
            table.write_table(pyarrow.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

        def write(row: Mapping[str, Any]) -> None:
            waiting.append({k: _to_text(v) if isinstance(v := row[k], str) else v for k in columns})
            if len(waiting) == _WAITING_ROWS:
                flush()

        yield write
        if waiting:
            flush()


def join_parts(stream: io.BufferedWriter, parts: Sequence[Path], form: Form) -> None:
    """Writes the parts one after another as one file."""
    if form.schema is None:
        stream.write(encode_header(form.suffix, form.columns))
        for path in parts:
            with path.open("rb") as part:
                shutil.copyfileobj(part, stream)
        return
    import pyarrow
    from pyarrow.ipc import new_file, open_file
    from pyarrow.parquet import ParquetWriter, read_table

    schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(form.schema))
    with ParquetWriter(stream, schema) if form.suffix == ".parquet" else new_file(stream, schema) as writer:
        waiting: list[pyarrow.Table] = []
        for path in parts:
            waiting.append(
                read_table(path, partitioning=None) if form.suffix == ".parquet" else open_file(path).read_all()
            )
            if sum(map(len, waiting)) >= _ROW_GROUP:
                writer.write_table(pyarrow.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pyarrow.concat_tables(waiting))
