"""Articles from files: plain text, Markdown, HTML, and rows of tables."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detente.article.reading import parse_date
from detente.inputs import Input, InputFile, read_span, scan
from detente.records import StatementError
from detente.table import Row

SINGLE_SUFFIXES: Final = (".txt", ".md", ".markdown", ".html", ".htm")
"""Endings of files that are one article each."""


@dataclass(frozen=True, slots=True)
class Document:
    """One article of an input.

    Attributes:
        id: The path within the input, or the ``id`` of a row, or its number.
        text: The article as plain text; empty if there is a problem.
        date: Its date, if the input gives one.
        problem: Why it cannot be read, else empty.
    """

    id: str
    text: str
    date: datetime.date | None = None
    problem: str = ""


def scan_articles(address: str | Path, most_rows: int = 1) -> Input:
    """Finds the articles of a file, a table or a folder of them; see ``inputs.scan``."""
    return scan(address, columns=False, most_rows=most_rows, single=SINGLE_SUFFIXES)


def load_documents(address: str | Path) -> Iterator[Document]:
    """The articles of a file or folder, in the order of their names; one that cannot be read says why.

    Args:
        address: A .txt, .md or .html file, a table whose rows have ``text`` and may have ``id`` and ``date``, or a
            folder of these; see ``inputs.scan``.

    Raises:
        StatementError: See ``inputs.scan``.
    """
    found = scan_articles(address)
    number = 0
    for span in found.spans:
        for chunk in read_span(found, span):
            for row in chunk.rows:
                number += 1
                yield to_document(row, found.files[span.file], number)


def load_document(path: Path) -> Document:
    """The article in a .txt, .md or .html file; see ``load_documents``."""
    return next(load_documents(path), Document(path.name, "", problem="no article was found"))


def to_document(row: Row, file: InputFile, number: int) -> Document:
    """The article in a row.

    Args:
        row: A row; its ``text`` is all that there is to a file of one article.
        file: Where it comes from.
        number: Of the row, from 1.
    """
    is_single = file.suffix in SINGLE_SUFFIXES
    given = file.name if is_single else row.values.get("id")
    name = f"row {number}" if given in (None, "") else str(given)
    if row.problem:
        return Document(name, "", problem=row.problem)
    text = row.values.get("text")
    if not isinstance(text, str):
        return Document(name, "", problem=f"text must be a string, found {type(text).__name__}: name the column text")
    if file.suffix in (".html", ".htm"):
        return extract_html(text, name)
    if is_single:
        return Document(name, strip_markdown(text) if file.suffix in (".md", ".markdown") else text)
    date = row.values.get("date") or None
    try:
        return Document(name, text, parse_date(date.date() if isinstance(date, datetime.datetime) else date))
    except StatementError as error:
        return Document(name, "", problem=str(error))


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
