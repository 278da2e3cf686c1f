"""Articles from files: plain text, Markdown, HTML, folders of them, and JSONL."""

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from detente.article.reading import parse_date
from detente.records import StatementError

SUFFIXES: Final = (".txt", ".md", ".markdown", ".html", ".htm")


@dataclass(frozen=True, slots=True)
class Document:
    """One article of an input.

    Attributes:
        id: The path within the input, or the ``id`` of a JSONL row, or its line.
        text: The article as plain text; empty if there is a problem.
        date: Its date, if the input gives one.
        problem: Why it cannot be read, else empty.
    """

    id: str
    text: str
    date: datetime.date | None = None
    problem: str = ""


def load_documents(path: Path) -> Iterator[Document]:
    """The articles of a file or folder, in the order of their names; one that cannot be read says why.

    Args:
        path: A .txt, .md or .html file, a folder that is searched for them, or a .jsonl file whose rows have ``text``
            and may have ``id`` and ``date``.

    Raises:
        StatementError: The path is not there, has another ending, or the folder holds no article.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)
        if not files:
            raise StatementError(f"{path} has no article: expected files that end in {', '.join(SUFFIXES)}")
        for file in files:
            yield load_document(file, file.relative_to(path).as_posix())
    elif not path.is_file():
        raise StatementError(f"{path} is not there: give the path of an existing file or folder")
    elif path.suffix.lower() == ".jsonl":
        yield from _load_rows(path)
    elif path.suffix.lower() in SUFFIXES:
        yield load_document(path, path.name)
    else:
        raise StatementError(f"{path} must end in {', '.join((*SUFFIXES, '.jsonl'))}, or be a folder")


def load_document(path: Path, name: str) -> Document:
    """One article file."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return Document(name, "", problem=f"not UTF-8 at byte {error.start}: save it as UTF-8")
    except OSError as error:
        return Document(name, "", problem=f"cannot be read: {error.strerror}")
    suffix = path.suffix.lower()
    if suffix in (".html", ".htm"):
        return extract_html(content, name)
    return Document(name, strip_markdown(content) if suffix in (".md", ".markdown") else content)


def extract_html(content: str, name: str) -> Document:
    """The main text of a web page, without menus and footers, and its date if the page states one."""
    try:
        from trafilatura import bare_extraction
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reading HTML needs trafilatura: pip install 'detente[articles]'") from error
    found = bare_extraction(content, with_metadata=True, include_comments=False, include_tables=False)
    if found is None or not found.text:
        return Document(name, "", problem="no article was found in the HTML: save the page's text as .txt")
    heading = f"{found.title}\n\n" if found.title and not found.text.startswith(found.title) else ""
    date = datetime.date.fromisoformat(found.date) if found.date else None
    return Document(name, heading + found.text.replace("\n", "\n\n"), date)


def strip_markdown(content: str) -> str:
    """The words of a Markdown text, one block a paragraph."""
    from markdown_it import MarkdownIt

    blocks = [
        "".join(" " if child.type in ("softbreak", "hardbreak") else child.content for child in token.children or ())
        for token in MarkdownIt("commonmark").parse(content)
        if token.type == "inline"
    ]
    return "\n\n".join(blocks)


def _load_rows(path: Path) -> Iterator[Document]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield _load_row(line, f"line {number}")


def _load_row(line: str, where: str) -> Document:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Document(where, "", problem=f"not JSON: {error}")
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return Document(where, "", problem='expected an object with the string "text"')
    name = str(row.get("id", where))
    try:
        return Document(name, row["text"], parse_date(row.get("date")))
    except StatementError as error:
        return Document(name, "", problem=str(error))
