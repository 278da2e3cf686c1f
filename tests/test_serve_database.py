"""The store, on SQLite files and on a PostgreSQL server that the tests start."""

import hashlib
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("alembic", reason="the packages of the service are not installed")
sa = pytest.importorskip("sqlalchemy", reason="the packages of the service are not installed")

import httpx  # noqa: E402 (after the check for the packages)
from alembic.autogenerate import compare_metadata  # noqa: E402 (after the check for the packages)
from alembic.migration import MigrationContext  # noqa: E402
from service import Server  # noqa: E402

from detente.artifact import find_shipped  # noqa: E402
from detente.labels import HEADS  # noqa: E402
from serve.database import METADATA, ApiKey, Database, DatabaseUnavailableError, Feedback  # noqa: E402

ROOT = Path(__file__).parent.parent
FEEDBACK = {
    "text": "They have lied to us for years. Ça suffit! 够了",
    "speaker": "Chile",
    "counterpart": "Peru",
    "stance": "against",
    "hostility": "accusation",
    "sentiment": "negative",
    "note": "'lied' is an accusation; DROP TABLE feedback;--",
    "author": "newsroom",
    "is_editor": True,
    "model_version": "1.0.0",
}


class Postgres:
    """A PostgreSQL server in a folder of its own, which listens on a socket in it and on no port."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        self.is_root = os.geteuid() == 0
        if self.is_root:  # PostgreSQL refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
        self.call("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def call(self, program: str, *arguments: str) -> None:
        who: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": ()} if self.is_root else {}
        with (self.folder.parent / f"{self.folder.name}.txt").open("w") as file:
            subprocess.run(
                [self.programs / program, *arguments],
                check=True,
                timeout=60,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                **who,
            )

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self.call("pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-o", options, "-w", "start")

    def stop(self) -> None:
        self.call("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def make_database(self, name: str) -> str:
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", exc_type=ImportError, reason="psycopg, the driver of PostgreSQL, is not installed")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin/initdb")
    if os.geteuid() == 0 and not any(account.pw_name == "postgres" for account in pwd.getpwall()):
        pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres'")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    server = None
    try:
        server = Postgres(programs[-1].parent, folder)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)
        folder.with_suffix(".txt").unlink(missing_ok=True)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that is still empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new folder/100%/detente.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.make_database("t" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12])


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database.open(url)) as opened:
        yield opened


def make_feedback(**changes: Any) -> Feedback:
    return Feedback(**{**FEEDBACK, **changes})


def test_what_is_stored_comes_back_whole(database: Database, url: str) -> None:
    full = database.add_feedback(make_feedback())
    bare = database.add_feedback(Feedback("Enough.", sentiment="negative", model_version="1.0.0"))
    with closing(Database.open(url)) as again:
        assert again.list_feedback() == [full, bare]
    assert bare.author == "anonymous" and not bare.is_editor and bare.note is None
    assert len(full.id) == 32 and full.created.tzinfo is UTC
    assert all(row.created.tzinfo is UTC for row in database.list_feedback())


def test_the_oldest_comes_first(database: Database) -> None:
    now = datetime.now(UTC)
    elsewhere = timezone(timedelta(hours=9))
    rows = [
        database.add_feedback(make_feedback(created=now.astimezone(elsewhere))),
        database.add_feedback(make_feedback(created=now - timedelta(seconds=1))),
        database.add_feedback(make_feedback(created=now)),
    ]
    assert database.list_feedback() == [rows[1], rows[0], rows[2]]


def test_the_same_feedback_is_stored_once(database: Database) -> None:
    row = database.add_feedback(make_feedback())
    with pytest.raises(ValueError, match="stored already"):
        database.add_feedback(row)
    assert database.list_feedback() == [row]


def test_every_label_is_accepted(database: Database) -> None:
    rows = [
        database.add_feedback(Feedback("Enough.", **{head: label}, model_version="1"))  # type: ignore[arg-type]
        for head, labels in HEADS.items()
        for label in labels
    ]
    assert database.list_feedback() == rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": " "}, "text is empty: pass at least one word"),
        ({"text": "half \ud800"}, "text has half a surrogate pair"),
        ({"text": "a\0b"}, "text has a null character at 1"),
        ({"speaker": "a\0b"}, "speaker has a null character at 1"),
        ({"speaker": "Peru"}, "speaker and counterpart are both 'Peru'"),
        ({"stance": "favor"}, "stance must be one of favour, neutral, against, found 'favor': pick"),
        ({"hostility": "3"}, "hostility must be one of none, criticism, .* found '3'"),
        ({"sentiment": "bad"}, "sentiment must be one of negative, .* found 'bad'"),
        ({"stance": None, "hostility": None, "sentiment": None}, "at least one of .* found none: say what"),
        ({"note": "x" * 10_001}, "note has 10,001 characters"),
        ({"note": "a\0"}, "note has a null character"),
        ({"author": ""}, "author must be at least one letter"),
        ({"model_version": "v" * 201}, "model_version has 201 characters"),
        ({"created": datetime(2026, 1, 1)}, "created must have a time zone"),
    ],
)
def test_wrong_feedback_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_feedback(**changes)


def test_migrations_make_the_tables_that_the_code_uses(database: Database, url: str) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()
    database.check()


def test_many_may_open_a_new_database_at_once(url: str) -> None:
    ready = threading.Barrier(6)

    def work() -> str:
        ready.wait()
        with closing(Database.open(url)) as opened:
            return opened.add_feedback(make_feedback()).id

    with ThreadPoolExecutor(6) as pool:
        ids = {future.result() for future in [pool.submit(work) for _ in range(6)]}
    with closing(Database.open(url)) as opened:
        assert {row.id for row in opened.list_feedback()} == ids and len(ids) == 6


def test_threads_share_a_database(database: Database) -> None:
    with ThreadPoolExecutor(12) as pool:
        rows = list(pool.map(lambda n: database.add_feedback(make_feedback(text=f"No. {n}")), range(120)))
    assert {row.id for row in database.list_feedback()} == {row.id for row in rows}


def test_a_newer_database_is_refused(url: str) -> None:
    Database.open(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(RuntimeError, match=r"cannot be brought up to date .*9999.*a newer one"):
        Database.open(url)


def test_a_failed_migration_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    make: Callable[..., Any] = op.create_index

    def fail(*_: Any) -> None:
        raise KeyError("power is out")

    monkeypatch.setattr(op, "create_index", fail)
    with pytest.raises(KeyError):
        Database.open(url)
    monkeypatch.setattr(op, "create_index", make)
    with closing(Database.open(url)) as opened:
        assert opened.list_feedback() == []


def test_keys_are_found_until_they_are_revoked(database: Database, url: str) -> None:
    plaintext = database.make_key("newsroom")
    editor = database.make_key("desk", is_editor=True)
    assert len(plaintext) == len("dtn_") + 43 and plaintext.startswith("dtn_")
    key = database.find_key(plaintext)
    assert isinstance(key, ApiKey)
    assert (key.name, key.prefix, key.is_editor, key.revoked) == ("newsroom", plaintext[:12], False, None)
    assert database.list_keys() == [key, database.find_key(editor)]

    with closing(Database.open(url)) as again:
        assert again.revoke_key(key.id)
    assert database.find_key(plaintext) is None
    assert not database.revoke_key(key.id) and not database.revoke_key("unknown")
    revoked, other = database.list_keys()
    assert revoked.revoked is not None and revoked.revoked >= revoked.created
    assert other == database.find_key(editor) and other.is_editor


def test_other_keys_are_not_found(database: Database) -> None:
    plaintext = database.make_key("newsroom")
    last = "A" if plaintext[-1] != "A" else "B"
    for other in ("", "dtn_", plaintext[:-1], plaintext + "A", plaintext[:-1] + last, plaintext + "\n", plaintext[:12]):
        assert database.find_key(other) is None
    assert database.find_key("dtn_" + "\0" * 43) is None


@pytest.mark.parametrize("name", ["", " ", "Anonymous ", "x" * 101])
def test_a_key_needs_a_name_of_its_own(database: Database, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        database.make_key(name)
    assert database.list_keys() == []


def test_no_key_stands_in_the_file(tmp_path: Path) -> None:
    with closing(Database.open(f"sqlite:///{tmp_path}/detente.db")) as database:
        plaintext = database.make_key("newsroom")
        while_open = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    whole = while_open + b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert plaintext[:12].encode() in whole  # what may be shown
    for length in (len(plaintext), 16):
        assert plaintext[:length].encode() not in whole
    assert plaintext[12:].encode() not in whole


def test_sqlite_is_set_to_lose_nothing(tmp_path: Path) -> None:
    with closing(Database.open(f"sqlite:///{tmp_path}/detente.db")) as database, database._begin() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5_000, "foreign_keys": 1}


WRITER = """
import sys
from serve.database import Database, Feedback
database = Database.open(sys.argv[1])
while True:
    row = database.add_feedback(Feedback("Enough.", stance="against", model_version="1"))
    print(row.id, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/detente.db"
    acknowledged: set[str] = set()
    for number in range(5):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged.add(writer.stdout.readline().strip())
        for writer in writers:
            time.sleep(0.013 * number)
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            rest, _ = writer.communicate()
            assert writer.returncode == -signal.SIGKILL
            acknowledged.update(line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n"))
    with closing(Database.open(url)) as database:
        stored = [row.id for row in database.list_feedback()]
        database.check()
    assert len(acknowledged) >= 10 and {len(name) for name in acknowledged} == {32}
    assert acknowledged <= set(stored) and len(stored) == len(set(stored))
    assert len(stored) <= len(acknowledged) + 10  # each writer may have stored one that it could not report
    with closing(sqlite3.connect(tmp_path / "detente.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_unreachable_server_says_so_soon() -> None:
    pytest.importorskip("psycopg", exc_type=ImportError, reason="psycopg, the driver of PostgreSQL, is not installed")
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match="does not answer") as caught:
        Database.open("postgresql+psycopg://reader:secret@127.0.0.1:1/detente")
    assert time.monotonic() - began < 5
    assert "secret" not in str(caught.value)


def test_a_server_that_was_away_is_used_again(postgres: Postgres) -> None:
    with closing(Database.open(postgres.make_database("away"))) as database:
        row = database.add_feedback(make_feedback())
        postgres.stop()
        try:
            for call in (database.check, database.list_feedback, lambda: database.make_key("desk")):
                with pytest.raises(DatabaseUnavailableError):
                    call()
        finally:
            postgres.start()
        database.check()
        assert database.list_feedback() == [row]


def test_a_service_outlives_its_server(postgres: Postgres, tmp_path: Path) -> None:
    if not (find_shipped() / "config.json").is_file():
        pytest.skip("detente/weights has no model")
    server = Server(tmp_path, DATABASE_URL=postgres.make_database("outlived"))
    correction = {"text": "They have lied.", "stance": "against"}

    def ask() -> tuple[int, int]:
        scored = httpx.post(f"{server.url}/v1/score", json={"statements": [{"text": "They have lied."}]}, timeout=20)
        return scored.status_code, httpx.post(f"{server.url}/v1/feedback", json=correction, timeout=20).status_code

    try:
        assert ask() == (200, 201)
        postgres.stop()
        try:
            assert ask() == (200, 503)
        finally:
            postgres.start()
        assert ask() == (200, 201)
    finally:
        server.stop()


def test_a_locked_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.database._BUSY_MS", 50)
    with (
        closing(Database.open(f"sqlite:///{tmp_path}/detente.db")) as database,
        closing(sqlite3.connect(tmp_path / "detente.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailableError, match="locked"):
            database.add_feedback(make_feedback())
        other.execute("ROLLBACK")
        row = database.add_feedback(make_feedback())
        assert database.list_feedback() == [row]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    with pytest.raises(DatabaseUnavailableError, match="file is not a database"):
        Database.open(f"sqlite:///{tmp_path}/notes.txt")
    with pytest.raises(DatabaseUnavailableError, match="cannot be made"):
        Database.open(f"sqlite:///{tmp_path}/notes.txt/folder/detente.db")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("detente.db", "must be a URL"),
        ("mysql://reader:secret@host/name", "must be SQLite or PostgreSQL, found 'mysql'"),
        ("sqlite://", "must have a file"),
        ("sqlite:///:memory:", "must have a file"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Database.open(url)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_says_how_to_install_it() -> None:
    with pytest.raises(RuntimeError, match="pip install"):
        Database.open("postgresql+pg8000://reader@host/name")
