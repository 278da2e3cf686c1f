"""The store: corrections that readers send, and the keys with which they sign in."""

import hashlib
import hmac
import re
import secrets
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Dialect, Engine, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from detente.labels import HEADS
from detente.records import Statement

ANONYMOUS: Final = "anonymous"
"""Author of a correction that came without a key."""
MAX_NOTE_CHARS: Final = 10_000
MAX_AUTHOR_CHARS: Final = 100
MAX_VERSION_CHARS: Final = 200
MIGRATIONS: Final = Path(__file__).parent / "migrations"

_CONNECT_S: Final = 3
_POOL_S: Final = 5
_BUSY_MS: Final = 5_000
_LOCK: Final = 6_820_145  # any number, as long as nothing else in the database locks the same
_KEY: Final = re.compile(r"dtn_[A-Za-z0-9_-]{43}")
_PREFIX_CHARS: Final = len("dtn_") + 8


class DatabaseUnavailableError(Exception):
    """The database cannot be reached, opened or written to at the moment."""


def _check_characters(value: str, where: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where} has half a surrogate pair at character {error.start}: decode it as UTF-8 first"
        ) from error
    if "\0" in value:
        raise ValueError(f"{where} has a null character at {value.index(chr(0))}, which no database keeps: remove it")


def _check_line(value: object, where: str, max_chars: int) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} must be at least one letter, found {value!r}: pass it as a string")
    if len(value) > max_chars:
        raise ValueError(f"{where} has {len(value):,} characters, at most {max_chars:,} are allowed: shorten it")
    _check_characters(value, where)


@dataclass(frozen=True, slots=True)
class Feedback:
    """How one reader corrects the score of one statement.

    Attributes:
        text: The statement.
        speaker: The party whose attitude it is; None means the author, or anyone in the text.
        counterpart: The party toward whom; None means whomever the statement is about.
        stance: The right stance; None if it is not judged.
        hostility: The name of the right hostility level; None if it is not judged.
        sentiment: The right sentiment; None if it is not judged.
        note: Why, in the reader's words.
        author: Name of the key of whoever corrects.
        is_editor: Whether the author's word settles a disagreement.
        model_version: The model that was corrected.
        id: 32 hexadecimal digits, the same in the database.
        created: When it was given, in UTC.

    Raises:
        ValueError: The text is blank, a label is unknown, no label is given, or something is too long.
    """

    text: str
    speaker: str | None = None
    counterpart: str | None = None
    stance: str | None = None
    hostility: str | None = None
    sentiment: str | None = None
    note: str | None = None
    author: str = ANONYMOUS
    is_editor: bool = False
    model_version: str = field(kw_only=True)
    id: str = field(default_factory=lambda: uuid.uuid4().hex, kw_only=True)
    created: datetime = field(default_factory=lambda: datetime.now(UTC), kw_only=True)

    def __post_init__(self) -> None:
        Statement(self.text, self.speaker, self.counterpart)  # refuses what cannot be scored
        _check_characters(self.text, "text")
        for where, name in (("speaker", self.speaker), ("counterpart", self.counterpart)):
            if name is not None:
                _check_characters(name, where)
        given = {"stance": self.stance, "hostility": self.hostility, "sentiment": self.sentiment}
        for head, label in given.items():
            if label is not None and label not in HEADS[head]:
                raise ValueError(
                    f"{head} must be one of {', '.join(HEADS[head])}, found {label!r}: "
                    "pick one of these or leave it out"
                )
        if all(label is None for label in given.values()):
            raise ValueError(
                "expected at least one of stance, hostility and sentiment, found none: say what the right label is"
            )
        if self.note is not None:
            if len(self.note) > MAX_NOTE_CHARS:
                raise ValueError(
                    f"note has {len(self.note):,} characters, at most {MAX_NOTE_CHARS:,} are allowed: shorten it"
                )
            _check_characters(self.note, "note")
        _check_line(self.author, "author", MAX_AUTHOR_CHARS)
        _check_line(self.model_version, "model_version", MAX_VERSION_CHARS)
        if self.created.tzinfo is None:
            raise ValueError(f"created must have a time zone, found {self.created}: pass datetime.now(UTC)")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; the key itself is not stored.

    Attributes:
        id: 32 hexadecimal digits.
        name: Who holds it.
        prefix: How it begins, to tell keys apart in a list.
        is_editor: Whether the holder's word settles a disagreement.
        created: When it was made, in UTC.
        revoked: Since when it is refused, in UTC; None while it is good.
    """

    id: str
    name: str
    prefix: str
    is_editor: bool
    created: datetime
    revoked: datetime | None


class _Moment(sa.TypeDecorator[datetime]):
    """A time in UTC. SQLite keeps no time zone, so it is taken off and put back."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (given)
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA: Final = sa.MetaData()
_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up only what is called INTEGER
_FEEDBACK: Final = sa.Table(
    "feedback",
    METADATA,
    sa.Column("number", _NUMBER, primary_key=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("created", _Moment(), nullable=False),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("speaker", sa.Text()),
    sa.Column("counterpart", sa.Text()),
    sa.Column("stance", sa.String(32)),
    sa.Column("hostility", sa.String(32)),
    sa.Column("sentiment", sa.String(32)),
    sa.Column("note", sa.Text()),
    sa.Column("author", sa.Text(), nullable=False),
    sa.Column("is_editor", sa.Boolean(), nullable=False),
    sa.Column("model_version", sa.Text(), nullable=False),
)
_KEYS: Final = sa.Table(
    "api_key",
    METADATA,
    sa.Column("number", _NUMBER, primary_key=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("name", sa.Text(), nullable=False),
    sa.Column("prefix", sa.String(32), nullable=False, index=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("is_editor", sa.Boolean(), nullable=False),
    sa.Column("created", _Moment(), nullable=False),
    sa.Column("revoked", _Moment()),
)
_FEEDBACK_COLUMNS: Final = [_FEEDBACK.c[name] for name in Feedback.__dataclass_fields__]
_KEY_COLUMNS: Final = [_KEYS.c[name] for name in ApiKey.__dataclass_fields__]


class Database:
    """A SQLite file or a PostgreSQL database. Threads and processes may share it.

    What a method has written is on disk before it returns. Every method may raise ``DatabaseUnavailableError``.
    """

    def __init__(self, engine: Engine) -> None:
        """Wraps an engine whose tables exist; ``open`` makes both."""
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> "Database":
        """Opens a database and brings its tables up to date.

        Args:
            url: Such as ``sqlite:///folder/detente.db``, whose folder is made if need be, or
                ``postgresql+psycopg://user:password@host/name``.

        Raises:
            ValueError: The URL names no database that can be used.
            DatabaseUnavailableError: The database cannot be reached.
            RuntimeError: The driver is missing, or a newer version of the service has changed the tables.
        """
        engine = _make_engine(_check_url(url))
        try:
            with _translate(engine.url):
                _migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Lets go of all connections."""
        self._engine.dispose()

    def check(self) -> None:
        """Asks for nothing, to see whether the database answers."""
        with self._begin() as connection:
            connection.execute(sa.text("SELECT 1"))

    def add_feedback(self, feedback: Feedback) -> Feedback:
        """Stores a correction.

        Returns:
            What is now stored.

        Raises:
            ValueError: It is stored already.
        """
        try:
            with self._begin() as connection:
                connection.execute(_FEEDBACK.insert(), asdict(feedback))
        except sa.exc.IntegrityError as error:
            raise ValueError(
                f"feedback {feedback.id} is stored already: make a new one for a new correction"
            ) from error
        return feedback

    def list_feedback(self) -> list[Feedback]:
        """All corrections, the oldest first."""
        query = sa.select(*_FEEDBACK_COLUMNS).order_by(_FEEDBACK.c.created, _FEEDBACK.c.number)
        with self._begin() as connection:
            return [Feedback(**row) for row in connection.execute(query).mappings()]

    def make_key(self, name: str, *, is_editor: bool = False) -> str:
        """Makes a key for somebody.

        Args:
            name: Who holds it: the author of what they correct.
            is_editor: Whether the holder's word settles a disagreement.

        Returns:
            The key, which cannot be shown again: only its hash is stored.

        Raises:
            ValueError: The name is blank, too long or taken by those without a key.
        """
        _check_line(name, "name", MAX_AUTHOR_CHARS)
        if name.strip().casefold() == ANONYMOUS:
            raise ValueError(f"name must not be {ANONYMOUS!r}, which stands for those without a key: choose another")
        plaintext = f"dtn_{secrets.token_urlsafe(32)}"
        row = {
            "id": uuid.uuid4().hex,
            "name": name,
            "prefix": plaintext[:_PREFIX_CHARS],
            "sha256": _hash(plaintext),
            "is_editor": is_editor,
            "created": datetime.now(UTC),
        }
        with self._begin() as connection:
            connection.execute(_KEYS.insert(), row)
        return plaintext

    def find_key(self, plaintext: str) -> ApiKey | None:
        """The key of this plaintext; None if it is unknown or revoked."""
        if not _KEY.fullmatch(plaintext):
            return None
        query = sa.select(*_KEY_COLUMNS, _KEYS.c.sha256).where(
            _KEYS.c.prefix == plaintext[:_PREFIX_CHARS], _KEYS.c.revoked.is_(None)
        )
        with self._begin() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        digest = _hash(plaintext)
        for row in rows:
            if hmac.compare_digest(row.pop("sha256"), digest):
                return ApiKey(**row)
        return None

    def list_keys(self) -> list[ApiKey]:
        """All keys, revoked ones too, the oldest first."""
        query = sa.select(*_KEY_COLUMNS).order_by(_KEYS.c.created, _KEYS.c.number)
        with self._begin() as connection:
            return [ApiKey(**row) for row in connection.execute(query).mappings()]

    def revoke_key(self, id: str) -> bool:  # noqa: A002 (the field's name)
        """Refuses a key from now on.

        Returns:
            False if there is no such key, or it is revoked already.
        """
        query = _KEYS.update().where(_KEYS.c.id == id, _KEYS.c.revoked.is_(None)).values(revoked=datetime.now(UTC))
        with self._begin() as connection:
            return connection.execute(query).rowcount == 1

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with _translate(self._engine.url), self._engine.begin() as connection:
            yield connection


def _hash(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode()).hexdigest()


def _check_url(url: str) -> URL:
    """A URL that can be used. Messages leave out what may be a password."""
    expected = "sqlite:///folder/file.db or postgresql+psycopg://user:password@host/name"
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError:
        raise ValueError(f"the database must be a URL, found something else: write {expected}") from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(f"the database must be SQLite or PostgreSQL, found {backend!r}: write {expected}")
    if backend == "sqlite":
        name = parsed.database or ""
        if name in ("", ":memory:") or name.startswith("file:"):
            raise ValueError(f"SQLite must have a file, found {name!r}: write sqlite:///folder/file.db")
    return parsed


def _make_engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        folder = Path(str(url.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailableError(
                f"the folder {folder} cannot be made ({error.strerror}): make it, or name another"
            ) from error
        arguments: dict[str, Any] = {"timeout": _BUSY_MS / 1_000}
    else:
        limits = {"connect_timeout": _CONNECT_S, "tcp_user_timeout": _POOL_S * 1_000}
        arguments = {name: value for name, value in limits.items() if name not in url.query}
    try:
        engine = sa.create_engine(
            url, connect_args=arguments, pool_pre_ping=True, pool_timeout=_POOL_S, hide_parameters=True
        )
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise RuntimeError(
            f"the driver of {url.drivername} is missing: install it with pip install 'psycopg[binary]', "
            "and begin the URL with postgresql+psycopg"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # or the driver would change tables outside of any transaction
    deadline = time.monotonic() + _BUSY_MS / 1_000
    for setting in (f"busy_timeout={_BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        while True:
            try:
                connection.execute(f"PRAGMA {setting}").close()
                break
            except sqlite3.OperationalError as error:  # SQLite itself does not wait where two change the journal
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin_with", "BEGIN"))


def _migrate(engine: Engine) -> None:
    """Brings the tables up to date, whole or not at all; of several processes, one does it and the others wait."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.connect() as plain:
        connection = plain.execution_options(begin_with="BEGIN IMMEDIATE")
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise RuntimeError(
                    f"the tables cannot be brought up to date ({error}): run the version of the service that last "
                    "changed them, or a newer one"
                ) from error


@contextmanager
def _translate(url: URL) -> Iterator[None]:
    """Tells failures of the database from mistakes of ours."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise DatabaseUnavailableError(f"all connections to {_show(url)} are in use: try again later") from error
    except sa.exc.DBAPIError as error:
        is_down = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.InternalError)
        if not (is_down or error.connection_invalidated or type(error) is sa.exc.DatabaseError):
            raise
        raise DatabaseUnavailableError(
            f"{_show(url)} does not answer as it should ({str(error.orig).strip()}): see whether it runs, "
            "can be reached, and has room on its disk"
        ) from error


def _show(url: URL) -> str:
    return url.set(query={}).render_as_string(hide_password=True)
