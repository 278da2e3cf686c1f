"""A markup that is told what the network would find, for tests of what follows it."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from detente.article.attribution import Markup
from detente.article.spans import Attribution, Span


def span(text: str, words: str, nth: int = 0) -> Span:
    """Where words stand in a text as whole words, counted from 0."""
    return Span(*[m.span() for m in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text)][nth])


class ToldPointing:
    """Points where it is told: words to the names to which they point."""

    def __init__(self, text: str, points: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self._text = text
        self._points = points

    def assign(self, groups: Sequence[Sequence[Span]]) -> Sequence[Sequence[Span]]:
        return groups

    def share(
        self, link: str, pieces: Sequence[Span], source: Sequence[Span], groups: Sequence[Sequence[Span]]
    ) -> npt.NDArray[np.float64]:
        del source
        meant = self._find(link, pieces, groups)
        shares = np.array([not meant.any(), *meant], dtype=np.float64)
        return shares / shares.sum()

    def rate(
        self, pieces: Sequence[Span], source: Sequence[Span], groups: Sequence[Sequence[Span]]
    ) -> npt.NDArray[np.float64]:
        del source
        return 0.01 + 0.98 * self._find("counterpart", pieces, groups)

    def _find(self, link: str, pieces: Sequence[Span], groups: Sequence[Sequence[Span]]) -> npt.NDArray[np.float64]:
        words = " ".join(self._text[p.start : p.end] for p in pieces)
        names = self._points.get(link, {}).get(words, ())
        return np.array(
            [any(self._text[s.start : s.end] in names for s in spans) for spans in groups], dtype=np.float64
        )


def told(
    text: str,
    *,
    said: Sequence[tuple[str, str, str]] = (),
    acts: Sequence[str] = (),
    views: Sequence[str] = (),
    parties: Sequence[str] = (),
    people: Sequence[str] = (),
    speaker: Mapping[str, Sequence[str]] | None = None,
    affiliation: Mapping[str, Sequence[str]] | None = None,
    counterpart: Mapping[str, Sequence[str]] | None = None,
) -> Markup:
    """A markup: what is said as (source, cue, content), acts, views and names as words, and where words point."""
    attributions = [
        Attribution((span(text, content),), (span(text, source),) if source else (), (span(text, cue),) if cue else ())
        for source, cue, content in said
    ]
    kinds = {"act": acts, "view": views, "party": parties, "person": people}
    spans = {kind: [span(text, words) for words in found] for kind, found in kinds.items()}
    points = {"speaker": speaker or {}, "affiliation": affiliation or {}, "counterpart": counterpart or {}}
    return Markup(attributions, spans, ToldPointing(text, points))  # type: ignore[arg-type]  # it stands in
