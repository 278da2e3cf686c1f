"""One adapter a source: ``SOURCES`` and ``ARTICLE_SOURCES`` map a name to what reads the source's folder."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from data.sources import (
    articles,
    authored,
    dse,
    feedback,
    mpqa,
    newsmtsc,
    plv,
    polnear,
    rusentrel_en,
    semeval2016,
    unsc_attitude,
    unscon,
)
from detente.article.spans import AttributedArticle
from detente.records import LabelledStatement

SOURCES: Final[dict[str, Callable[[Path, Counter[str] | None], Iterator[LabelledStatement]]]] = {
    module.NAME: module.read
    for module in (authored, articles, dse, mpqa, plv, unscon, rusentrel_en, newsmtsc, unsc_attitude, semeval2016)
}
"""Name to ``read(folder, skipped)``; the rows that are left out are counted in ``skipped`` by reason."""

ARTICLE_SOURCES: Final[dict[str, Callable[[Path, Counter[str] | None], Iterator[AttributedArticle]]]] = {
    polnear.NAME: polnear.read
}
"""Sources of annotated articles, read likewise."""

OWN_SOURCES: Final = {feedback.NAME: feedback.read}
"""Sources that a deployment has for itself: read when they are asked for by name."""
