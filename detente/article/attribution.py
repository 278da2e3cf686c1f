"""An article to attributions: windows of tokens in, spans out, whatever runs the network in between.

The network gives each token a tag for each of source, cue and content (outside, begin, inside), and points from each
token of a content to the tokens of its source and of its cue, or to ``[CLS]`` if the article names none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from detente.article.spans import SPAN_KINDS, Attribution, Span, SpanKind
from detente.encoding import find_token

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = npt.NDArray[np.float64]
Outputs = dict[str, npt.NDArray[np.float32]]
TAGS: Final = ("outside", "begin", "inside")
LINKS: Final[tuple[SpanKind, ...]] = ("source", "cue")
"""What a content points to."""
_BEGIN, _INSIDE = 1, 2
_WINDOWS_AT_ONCE: Final = 16
_MAX_GAP_TOKENS: Final = 6


@dataclass(frozen=True, slots=True)
class ArticleTokens:
    """An article as tokens, and the windows that cover it.

    Attributes:
        text: The article.
        ids: Token ids, without special tokens.
        offsets: Characters of each token.
        windows: First and one past the last token of each window; neighbours overlap.
        first: Id of ``[CLS]``.
        last: Id of ``[SEP]``.
    """

    text: str
    ids: list[int]
    offsets: list[tuple[int, int]]
    windows: list[tuple[int, int]]
    first: int
    last: int

    def sequences(self) -> list[list[int]]:
        """The input sequence of each window."""
        return [[self.first, *self.ids[start:end], self.last] for start, end in self.windows]


@dataclass(frozen=True, slots=True)
class WindowOutput:
    """What the network says of one window, special tokens left out of the rows.

    Attributes:
        tags: (kinds, seq, tags) probabilities, in the orders of ``SPAN_KINDS`` and ``TAGS``.
        links: (links, seq, 1 + seq) probabilities that a token's content has its source, or cue, at each token; the
            first column stands for none.
    """

    tags: Floats
    links: Floats


def tokenise_article(text: str, tokenizer: "Tokenizer", *, max_tokens: int, overlap_tokens: int) -> ArticleTokens:
    """Cuts an article into windows.

    Args:
        text: The article.
        tokenizer: The base model's tokenizer.
        max_tokens: Longest window, its two special tokens included.
        overlap_tokens: Tokens that neighbouring windows share.
    """
    encoded = tokenizer.encode(text, add_special_tokens=False)
    room = max_tokens - 2
    stride = room - overlap_tokens
    count = len(encoded.ids)
    starts = range(0, max(1, count - overlap_tokens), stride)
    windows = [(start, min(start + room, count)) for start in starts]
    first, last = (find_token(tokenizer, *names) for names in (("[CLS]", "<s>"), ("[SEP]", "</s>")))
    return ArticleTokens(text, encoded.ids, encoded.offsets, windows, first, last)


def decode(tokens: ArticleTokens, outputs: Sequence[WindowOutput]) -> list[Attribution]:
    """Joins the windows and reads the attributions off.

    Each token is judged by the window in which it stands farthest from an edge.

    Args:
        tokens: The article.
        outputs: One for each window.

    Returns:
        The attributions, in the order of their first content.
    """
    count = len(tokens.ids)
    if count == 0:
        return []
    owner = _choose_windows(tokens.windows, count)
    tags = np.zeros((len(SPAN_KINDS), count, len(TAGS)))
    for w, (start, end) in enumerate(tokens.windows):
        mine = np.flatnonzero(owner[start:end] == w)
        tags[:, start + mine] = outputs[w].tags[:, mine]
    inside_word = find_inner_tokens(tokens)
    spans = {kind: read_spans(finish_words(tags[k].argmax(axis=1), inside_word)) for k, kind in enumerate(SPAN_KINDS)}
    linked: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for first, end in spans["content"]:
        targets = [
            _choose_target(first, end, spans[kind], link, tokens, outputs, owner) for link, kind in enumerate(LINKS)
        ]
        # Pieces of one cue are one content; a piece without a cue stands alone.
        key = (*targets, -1) if targets[1] >= 0 else (*targets, first)
        linked.setdefault(key, []).append((first, end))
    attributions = []
    for (source, cue, _), pieces in linked.items():
        between = [spans[kind][k] for kind, k in zip(LINKS, (source, cue), strict=True) if k >= 0]
        joined = join_pieces(pieces, between)
        attributions.append(
            Attribution(
                content=tuple(_to_span(piece, tokens) for piece in joined),
                source=(_to_span(spans["source"][source], tokens),) if source >= 0 else (),
                cue=(_to_span(spans["cue"][cue], tokens),) if cue >= 0 else (),
            )
        )
    return sorted(attributions, key=lambda a: a.content)


def find_inner_tokens(tokens: ArticleTokens) -> npt.NDArray[np.bool_]:
    """(count,) whether a token goes on with the word of the token before it."""
    starts = np.array([start for start, _ in tokens.offsets])
    ends = np.array([end for _, end in tokens.offsets])
    whole = np.array([token.isalnum() for token in (tokens.text[start:end] for start, end in tokens.offsets)])
    inner = np.zeros(len(starts), dtype=bool)
    inner[1:] = (starts[1:] == ends[:-1]) & whole[1:] & whole[:-1]
    return inner


def finish_words(tags: npt.NDArray[np.int64], inner: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Takes a word into a span if one of its tokens is in it, so that no span begins or ends within a word."""
    finished = tags.copy()
    first = 0
    for position in range(1, len(tags) + 1):
        if position < len(tags) and inner[position]:
            continue
        word = finished[first:position]
        if word.any():
            word[0] = _BEGIN if (word == _BEGIN).any() else _INSIDE
            word[1:] = _INSIDE
        first = position
    return finished


def join_pieces(pieces: Sequence[tuple[int, int]], between: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins pieces of one content over gaps of a few tokens, unless its source or cue stands in the gap."""
    joined: list[tuple[int, int]] = []
    for first, end in sorted(pieces):
        if joined and first - joined[-1][1] <= _MAX_GAP_TOKENS:
            gap = (joined[-1][1], first)
            if not any(a < gap[1] and gap[0] < b for a, b in between):
                joined[-1] = (joined[-1][0], end)
                continue
        joined.append((first, end))
    return joined


class Attributor:
    """Finds the attributions of an article with a network."""

    def __init__(
        self,
        tokenizer: "Tokenizer",
        run: Callable[[list[list[int]]], list[Outputs]],
        max_tokens: int,
        overlap_tokens: int,
    ) -> None:
        """Joins the parts.

        Args:
            tokenizer: The base model's tokenizer.
            run: The network: sequences of token ids to ``tags`` (seq, kinds, tags) and ``links`` (links, seq, seq).
            max_tokens: Longest window.
            overlap_tokens: Tokens that neighbouring windows share.
        """
        self._tokenizer = tokenizer
        self._run = run
        self._max_tokens = max_tokens
        self._overlap_tokens = overlap_tokens

    def attribute(self, text: str) -> list[Attribution]:
        """The attributions of an article, in the order of their content."""
        tokens = tokenise_article(
            text, self._tokenizer, max_tokens=self._max_tokens, overlap_tokens=self._overlap_tokens
        )
        sequences = tokens.sequences()
        outputs: list[WindowOutput] = []
        for first in range(0, len(sequences), _WINDOWS_AT_ONCE):
            part = sequences[first : first + _WINDOWS_AT_ONCE]
            outputs += [_to_window(found, len(ids)) for found, ids in zip(self._run(part), part, strict=True)]
        return decode(tokens, outputs)


def _to_window(found: Outputs, length: int) -> WindowOutput:
    """Logits of a padded sequence to probabilities of its own tokens."""
    tags = _softmax(found["tags"][1 : length - 1].astype(np.float64))
    links = _softmax(found["links"][:, 1 : length - 1, : length - 1].astype(np.float64))
    return WindowOutput(tags.transpose(1, 0, 2), links)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def read_spans(tags: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and one past the last token of each span; an "inside" that follows an "outside" begins one."""
    spans: list[tuple[int, int]] = []
    open_at: int | None = None
    for position, tag in enumerate([*tags.tolist(), 0]):
        if open_at is not None and tag != _INSIDE:
            spans.append((open_at, position))
            open_at = None
        if tag == _BEGIN or (tag == _INSIDE and open_at is None):
            open_at = position
    return spans


def _choose_windows(windows: Sequence[tuple[int, int]], count: int) -> npt.NDArray[np.int64]:
    """For each token the window in which it is farthest from an edge that is not the article's own."""
    best = np.full(count, -1.0)
    owner = np.zeros(count, dtype=np.int64)
    for w, (start, end) in enumerate(windows):
        position = np.arange(start, end)
        left = position - start if start > 0 else np.full(end - start, count)
        right = end - 1 - position if end < count else np.full(end - start, count)
        depth = np.minimum(left, right)
        better = depth > best[start:end]
        owner[start:end][better] = w
        best[start:end][better] = depth[better]
    return owner


def _choose_target(
    first: int,
    end: int,
    candidates: Sequence[tuple[int, int]],
    link: int,
    tokens: ArticleTokens,
    outputs: Sequence[WindowOutput],
    owner: npt.NDArray[np.int64],
) -> int:
    """The candidate span to which the content's tokens point most, or -1 if they point to none."""
    score = np.zeros(len(candidates) + 1)
    for w in np.unique(owner[first:end]):
        start, stop = tokens.windows[w]
        rows = np.flatnonzero(owner[first:end] == w) + first - start
        pointed = outputs[w].links[link, rows].sum(axis=0)
        score[-1] += pointed[0]
        for c, (a, b) in enumerate(candidates):
            a, b = max(a, start), min(b, stop)
            if a < b:
                score[c] += pointed[1 + a - start : 1 + b - start].sum()
    best = int(score.argmax())
    return -1 if best == len(candidates) else best


def _to_span(piece: tuple[int, int], tokens: ArticleTokens) -> Span:
    return Span(tokens.offsets[piece[0]][0], tokens.offsets[piece[1] - 1][1])
