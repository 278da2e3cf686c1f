"""Where a source's files are: the user's own clone, or a download of the pinned revision, checked by SHA-256."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

import yaml

MANIFEST_FILE: Final = Path(__file__).parent / "manifest.yaml"
BASE_ADDRESS: Final = "https://raw.githubusercontent.com"

logger = logging.getLogger(__name__)


class FetchError(RuntimeError):
    """A file of a source cannot be had, or is not the one of the manifest; the message says what to do."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a repository.

    Attributes:
        path: Path in the repository, or where the archive's member belongs.
        sha256: Of the file that the published numbers come from.
        partial: That file lacks the rows kept back for release measurements, so the upstream file has another SHA-256.
        archive: Path of the ZIP file in the repository that holds the file, if it is not there by itself.
        member: The file's name in the archive.
    """

    path: str
    sha256: str
    partial: bool = False
    archive: str | None = None
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """A pinned repository.

    Attributes:
        folder: Name of its clone.
        repository: Owner and name.
        revision: The commit.
        files: What the adapter reads, file by file.
        trees: Folders of many small files that the adapter reads, each with the hash of ``hash_tree``; such a
            repository must be cloned.
    """

    folder: str
    repository: str
    revision: str
    files: tuple[SourceFile, ...]
    trees: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of the manifest.

    Attributes:
        name: As in ``data.sources.SOURCES``.
        repositories: None for what is written in this project.
        test_files: Upstream paths of the test parts that the adapter reads if they are there; never downloaded.
        licence: As its authors state it.
        citation: Authors, title, venue and year.
        train: Whether it may be trained on.
        reason: Why, or why not.
    """

    name: str
    repositories: tuple[Repository, ...]
    test_files: tuple[str, ...]
    licence: str
    citation: Mapping[str, str | int]
    train: bool
    reason: str


def load_manifest(path: Path = MANIFEST_FILE) -> dict[str, Source]:
    """Read the manifest; the keys are the names of the sources.

    Raises:
        TypeError: An entry has an unknown key or lacks one.
    """
    with path.open(encoding="utf-8") as file:
        entries = yaml.safe_load(file)["sources"]
    sources = {}
    for name, entry in entries.items():
        repositories = tuple(
            Repository(**{**repository, "files": tuple(SourceFile(**item) for item in repository["files"])})
            for repository in entry.pop("repositories")
        )
        test_files = tuple(entry.pop("test_files"))
        sources[name] = Source(name=name, repositories=repositories, test_files=test_files, **entry)
    return sources


def locate(source: Source, clones: Path | None, cache: Path, base: str = BASE_ADDRESS) -> Path:
    """The folder that the source's adapter reads.

    Args:
        source: The manifest's entry.
        clones: A folder of the user's own clones, each under the manifest's ``folder``; None, or a folder that lacks
            this source, means a download.
        cache: Where downloads are kept.
        base: Address under which ``owner/name/revision/path`` is served.

    Returns:
        The repository's folder; for a source of several repositories, the folder that holds them.

    Raises:
        FetchError: A file is missing, has another SHA-256, or cannot be downloaded.
    """
    if not source.repositories:
        return Path(__file__).parent / source.name
    root = clones
    if clones is None or not all((clones / repository.folder).is_dir() for repository in source.repositories):
        root = cache
        for repository in source.repositories:
            if repository.trees:
                raise FetchError(
                    f"{source.name} has too many files to fetch one by one: clone {repository.repository} at "
                    f"{repository.revision} to a folder {repository.folder} and give the folder that holds it with "
                    "--clones, or leave the source out with --sources"
                )
            for file in repository.files:
                _download(repository, file, cache, base)
    root = cast(Path, root)
    for repository in source.repositories:
        for file in repository.files:
            _check(root / repository.folder / file.path, file, repository)
        for tree, sha256 in repository.trees.items():
            if (found := hash_tree(root / repository.folder / tree)) != sha256:
                raise FetchError(
                    f"{root / repository.folder / tree} has the hash {found}, expected {sha256}: check out "
                    f"{repository.repository} at {repository.revision}"
                )
    return root if len(source.repositories) > 1 else root / source.repositories[0].folder


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_tree(folder: Path) -> str:
    """SHA-256 over the paths and hashes of all files below a folder, in the order of their paths; in hexadecimal."""
    files = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    lines = "".join(f"{hash_file(path)}  {name}\n" for name, path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _check(path: Path, file: SourceFile, repository: Repository) -> None:
    if not path.is_file():
        raise FetchError(
            f"{path} is missing: check out {repository.repository} at {repository.revision}"
            + (f" and unzip {file.archive}" if file.archive else "")
        )
    found = hash_file(path)
    if found == file.sha256:
        return
    if file.partial:
        logger.warning(
            "%s has SHA-256 %s, not %s: taken for the whole upstream file, whose other rows are the test part",
            path,
            found,
            file.sha256,
        )
        return
    raise FetchError(
        f"{path} has SHA-256 {found}, expected {file.sha256}: check out {repository.repository} at "
        f"{repository.revision}, or leave the folder out to download it"
    )


def _download(repository: Repository, file: SourceFile, cache: Path, base: str) -> None:
    """Fetch one file into ``cache / folder / path`` unless it is there."""
    import pooch  # slow to import

    target = cache / repository.folder / file.path
    if target.is_file() and (file.partial or hash_file(target) == file.sha256):
        return
    address = f"{base}/{repository.repository}/{repository.revision}/{quote(file.archive or file.path)}"
    known_hash = None if file.partial or file.archive else f"sha256:{file.sha256}"
    try:
        if file.archive:
            processor = pooch.Unzip(members=[file.member], extract_dir=str(target.parent.resolve()))
            archive = cache / repository.folder / file.archive
            pooch.retrieve(address, known_hash, fname=archive.name, path=archive.parent, processor=processor)
        else:
            pooch.retrieve(address, known_hash, fname=target.name, path=target.parent)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
        raise FetchError(
            f"{address} cannot be fetched ({error}): clone the repository to a folder {repository.folder} and give the "
            "folder that holds it with --clones"
        ) from error
