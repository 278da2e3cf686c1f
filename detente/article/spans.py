"""Attributions in an article: spans of characters for who speaks, the word that says so, and what is said."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

Voice = Literal["direct", "indirect", "act", "author"]
SpanKind = Literal["source", "cue", "content", "act", "view", "party", "person"]
SPAN_KINDS: Final[tuple[SpanKind, ...]] = ("source", "cue", "content", "act", "view", "party", "person")
"""What a token may be part of: who speaks, the attributing words, what is said; an act of one party toward another and
a view of the outlet's own; the name of a party and of a person."""
ATTRIBUTION_KINDS: Final[tuple[SpanKind, ...]] = SPAN_KINDS[:3]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """``text[start:end]`` of an article."""

    start: int
    end: int

    def overlaps(self, other: "Span") -> bool:
        """Whether the two share a character."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Attribution:
    """One thing said, thought or felt, as the article reports it.

    Attributes:
        content: What is said; several pieces if the article interrupts it.
        source: Who says it, as the article names them here; empty if it names nobody.
        cue: The words that attribute it, such as ``said`` or ``according to``; empty if there are none.
    """

    content: tuple[Span, ...]
    source: tuple[Span, ...] = ()
    cue: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class AttributedArticle:
    """An article with its attributions: what the attribution network learns from.

    Attributes:
        id: Unique within its source.
        text: The whole article.
        attributions: In the order of their content.
        split: ``train`` or ``validation``.
    """

    id: str
    text: str
    attributions: tuple[Attribution, ...]
    split: str


def write_articles(articles: Iterable[AttributedArticle], path: Path) -> None:
    """Writes articles to a Parquet file that ``read_articles`` and ``datasets.load_dataset("parquet")`` read."""
    import pyarrow
    from pyarrow.parquet import write_table

    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pyarrow.Table.from_pylist([asdict(article) for article in articles]), path)


def read_articles(path: Path) -> list[AttributedArticle]:
    """Reads articles that ``write_articles`` wrote.

    Raises:
        FileNotFoundError: The file is not there.
    """
    from pyarrow.parquet import read_table

    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: python -m data.build writes it")
    return [
        AttributedArticle(
            **{
                **row,
                "attributions": tuple(
                    Attribution(**{kind: tuple(Span(**span) for span in spans) for kind, spans in found.items()})
                    for found in row["attributions"]
                ),
            }
        )
        for row in read_table(path).to_pylist()
    ]
