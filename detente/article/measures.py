"""How well attributions were found: pure functions over gold and predicted attributions."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

import numpy as np

from detente.article.gold import GoldArticle
from detente.article.reading import Reading
from detente.article.rules import find_quotations
from detente.article.spans import ATTRIBUTION_KINDS, AttributedArticle, Attribution, Span, SpanKind

AUTHOR: Final = "(author)"
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Counts:
    """Right, predicted and expected items.

    Attributes:
        right: Predicted items that are expected.
        predicted: Predicted items.
        expected: Expected items.
    """

    right: int
    predicted: int
    expected: int

    @property
    def precision(self) -> float:
        """Share of the predicted items that are right, 0 if there are none."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the expected items that were found, 0 if there are none."""
        return self.right / self.expected if self.expected else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 to 1."""
        return 2 * self.right / total if (total := self.predicted + self.expected) else 0.0


@dataclass(frozen=True, slots=True)
class AttributionFigures:
    """Figures over articles.

    Attributes:
        tokens: By kind of span, words and punctuation marks.
        spans: By kind of span, pieces whose both ends are right.
        sources: Attributions that name a source, ``right`` where the prediction that shares most of the content names
            a source that overlaps.
        direct_sources: The same, of direct quotations only.
    """

    tokens: dict[SpanKind, Counts]
    spans: dict[SpanKind, Counts]
    sources: Counts
    direct_sources: Counts


def measure_attributions(
    articles: Sequence[AttributedArticle], predictions: Sequence[Sequence[Attribution]]
) -> AttributionFigures:
    """Compares predictions with the annotation.

    Args:
        articles: The annotated articles.
        predictions: Predicted attributions of each article.
    """
    tokens = {kind: [0, 0, 0] for kind in ATTRIBUTION_KINDS}
    spans = {kind: [0, 0, 0] for kind in ATTRIBUTION_KINDS}
    named, direct = [0, 0, 0], [0, 0, 0]
    for article, predicted in zip(articles, predictions, strict=True):
        words = [Span(*match.span()) for match in _WORD.finditer(article.text)]
        for kind in ATTRIBUTION_KINDS:
            gold_spans = {span for a in article.attributions for span in getattr(a, kind)}
            found_spans = {span for a in predicted for span in getattr(a, kind)}
            _count(spans[kind], gold_spans, found_spans)
            _count(tokens[kind], _cover(words, gold_spans), _cover(words, found_spans))
        quotations = list(find_quotations(article.text))
        for gold in article.attributions:
            if not gold.source:
                continue
            best = max(predicted, key=lambda p: _shared(p.content, gold.content), default=None)
            found = best is not None and _shared(best.content, gold.content) > 0
            right = found and best is not None and _shared(best.source, gold.source) > 0
            is_direct = 2 * _shared(gold.content, quotations) > sum(span.end - span.start for span in gold.content)
            for total in (named, direct) if is_direct else (named,):
                total[0] += right
                total[1] += found
                total[2] += 1
    return AttributionFigures(
        {kind: Counts(*counts) for kind, counts in tokens.items()},
        {kind: Counts(*counts) for kind, counts in spans.items()},
        Counts(*named),
        Counts(*direct),
    )


def _count(counts: list[int], gold: Set[object], found: Set[object]) -> None:
    counts[0] += len(gold & found)
    counts[1] += len(found)
    counts[2] += len(gold)


def _cover(words: Sequence[Span], spans: set[Span]) -> set[int]:
    return {w for w, word in enumerate(words) if any(word.overlaps(span) for span in spans)}


def _shared(a: Sequence[Span], b: Sequence[Span]) -> int:
    return sum(max(0, min(x.end, y.end) - max(x.start, y.start)) for x in a for y in b)


def expect_dyads(article: GoldArticle) -> set[tuple[str, str, str]]:
    """Speaker party, counterpart party and stance of every gold statement; the outlet is ``(author)``."""
    return {
        (plain_name(s.speaker_party or AUTHOR), plain_name(party), stance)
        for s in article.statements
        for party, (stance, _) in s.counterparts.items()
    }


def find_dyads(reading: Reading) -> set[tuple[str, str, str]]:
    """The same of a reading's statements."""
    return {
        (plain_name(s.speaker.party if s.speaker else AUTHOR), plain_name(s.counterpart.party), s.score.stance_label)
        for s in reading.statements
        if s.counterpart and s.repeats is None and (s.speaker is None or s.speaker.is_party) and s.counterpart.is_party
    }


def measure_dyads(pairs: Sequence[tuple[GoldArticle, Reading]], *, with_stance: bool = True) -> Counts:
    """How many of the expected (speaker party, counterpart party, stance) were read, and the reverse.

    Args:
        pairs: Gold articles and what was read in them.
        with_stance: Ask for the right stance as well as for the two parties.
    """
    counts = [0, 0, 0]
    size = 3 if with_stance else 2
    for article, reading in pairs:
        expected, found = ({d[:size] for d in dyads} for dyads in (expect_dyads(article), find_dyads(reading)))
        _count(counts, expected, found)
    return Counts(*counts)


def estimate_f1_interval(
    pairs: Sequence[tuple[GoldArticle, Reading]], *, with_stance: bool = True, resamples: int = 1_000, seed: int = 1
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the F1 of ``measure_dyads``, over articles (Efron 1979)."""
    counts = [measure_dyads([pair], with_stance=with_stance) for pair in pairs]
    table = np.array([(c.right, c.predicted, c.expected) for c in counts])
    draws = np.random.default_rng(seed).integers(0, len(table), (resamples, len(table)))
    right, predicted, expected = table[draws].sum(axis=1).T
    low, high = np.quantile(2 * right / np.maximum(predicted + expected, 1), (0.025, 0.975))
    return float(low), float(high)


def plain_name(name: str) -> str:
    """A party's name without case and article: two names that agree in this are one party."""
    return name.casefold().removeprefix("the ").strip()
