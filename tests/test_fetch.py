"""Fetching: the user's clone or a pinned download, both checked by SHA-256. The server is a local one."""

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from data.fetch import FetchError, Repository, Source, SourceFile, hash_tree, load_manifest, locate
from data.sources import ARTICLE_SOURCES, OWN_SOURCES, SOURCES

CONTENT = b"invented\trow\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the library's
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An address and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join()
    server.server_close()


def make_source(*files: SourceFile, folders: tuple[str, ...] = ("invented",)) -> Source:
    return Source(
        name="invented",
        repositories=tuple(Repository(folder, "owner/name", "abc123", files) for folder in folders),
        test_files=(),
        licence="none",
        citation={},
        train=True,
        reason="test",
    )


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_clone_is_used_where_it_lies(tmp_path: Path) -> None:
    put(tmp_path / "invented" / "dataset" / "train.txt")
    source = make_source(SourceFile("dataset/train.txt", SHA256))
    assert locate(source, tmp_path, tmp_path / "cache", "http://127.0.0.1:1") == tmp_path / "invented"
    assert not (tmp_path / "cache").exists()


def test_changed_clone_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "invented" / "train.txt", b"other")
    with pytest.raises(FetchError, match=f"expected {SHA256}: check out owner/name at abc123"):
        locate(make_source(SourceFile("train.txt", SHA256)), tmp_path, tmp_path / "cache")


def test_incomplete_clone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "invented").mkdir()
    with pytest.raises(FetchError, match="is missing: check out owner/name at abc123"):
        locate(make_source(SourceFile("train.txt", SHA256)), tmp_path, tmp_path / "cache")


def test_partial_file_may_be_the_whole_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "invented" / "all.csv", b"more rows")
    locate(make_source(SourceFile("all.csv", SHA256, partial=True)), tmp_path, tmp_path / "cache")
    assert "whole upstream file" in caplog.text


def test_several_repositories_give_the_folder_above(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        put(tmp_path / folder / "a.csv")
    source = make_source(SourceFile("a.csv", SHA256), folders=("one", "two"))
    assert locate(source, tmp_path, tmp_path / "cache") == tmp_path


def test_download_quotes_the_path_and_is_kept(tmp_path: Path, served: tuple[str, Path]) -> None:
    base, folder = served
    origin = put(folder / "owner/name/abc123/My Data/a+b.xlsx")
    source = make_source(SourceFile("My Data/a+b.xlsx", SHA256))
    for clones in (None, tmp_path / "no_clones"):
        found = locate(source, clones, tmp_path / "cache", base)
        assert (found / "My Data/a+b.xlsx").read_bytes() == CONTENT
        origin.unlink(missing_ok=True)  # the second time it comes from the cache


def test_download_with_another_hash_is_refused(tmp_path: Path, served: tuple[str, Path]) -> None:
    base, folder = served
    put(folder / "owner/name/abc123/train.txt", b"other")
    with pytest.raises(FetchError, match="cannot be fetched"):
        locate(make_source(SourceFile("train.txt", SHA256)), None, tmp_path / "cache", base)


def test_missing_download_says_what_to_do(tmp_path: Path, served: tuple[str, Path]) -> None:
    with pytest.raises(FetchError, match="give the folder that holds it with --clones"):
        locate(make_source(SourceFile("none.txt", SHA256)), None, tmp_path / "cache", served[0])


def test_archive_is_unpacked_to_the_path(tmp_path: Path, served: tuple[str, Path]) -> None:
    base, folder = served
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("table.csv", CONTENT)
        archive.writestr("other.csv", b"not wanted")
    put(folder / "owner/name/abc123/raw/tables.zip", buffer.getvalue())
    file = SourceFile("unzipped/tables/table.csv", SHA256, archive="raw/tables.zip", member="table.csv")
    found = locate(make_source(file), None, tmp_path / "cache", base)
    assert (found / file.path).read_bytes() == CONTENT


def test_manifest_has_an_entry_for_each_adapter() -> None:
    manifest = load_manifest()
    assert list(manifest) == [*SOURCES, *ARTICLE_SOURCES, *OWN_SOURCES]
    for source in manifest.values():
        assert source.reason and source.licence and set(source.citation) == {"authors", "title", "venue", "year"}
        for repository in source.repositories:
            assert len(repository.revision) == 40
            assert all(len(file.sha256) == 64 for file in repository.files)
    assert not manifest["semeval2016"].train


def test_authored_lies_in_the_project(tmp_path: Path) -> None:
    assert (locate(load_manifest()["authored"], None, tmp_path) / "README.md").is_file()


def test_a_tree_is_cloned_and_checked(tmp_path: Path) -> None:
    clone = tmp_path / "clones" / "many"
    for name in ("part/b.txt", "part/sub/a.txt", "other.txt"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(name)
    repository = Repository("many", "owner/name", "abc123", (), {"part": hash_tree(clone / "part")})
    source = dataclasses.replace(make_source(SourceFile("x", SHA256)), repositories=(repository,))
    assert locate(source, tmp_path / "clones", tmp_path / "cache") == clone
    with pytest.raises(FetchError, match="too many files to fetch one by one: clone owner/name at abc123"):
        locate(source, None, tmp_path / "cache")
    (clone / "part" / "b.txt").write_text("changed")
    with pytest.raises(FetchError, match="check out owner/name at abc123"):
        locate(source, tmp_path / "clones", tmp_path / "cache")
