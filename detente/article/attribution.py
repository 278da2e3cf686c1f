"""An article to its markup: windows of tokens in, spans out, whatever runs the network in between.

The network gives each token a tag for each kind of span (outside, begin, inside), and points from each token of a
content to the tokens of its source and of its cue, or to ``[CLS]`` if the article names none. It also points from
statements to the names of their speaker and counterparts, and from the name of a person to those of the party that
the person speaks for.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from detente.article.spans import ATTRIBUTION_KINDS, SPAN_KINDS, Attribution, Span, SpanKind
from detente.encoding import find_token

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = npt.NDArray[np.float64]
Outputs = dict[str, npt.NDArray[np.float32]]
TAGS: Final = ("outside", "begin", "inside")
SPAN_LINKS: Final[tuple[SpanKind, ...]] = ("source", "cue")
PARTY_LINKS: Final = ("speaker", "affiliation", "counterpart")
LINKS: Final = (*SPAN_LINKS, *PARTY_LINKS)
"""What a token points to: a content to the words of its source and of its cue; a statement to the names of its speaker
and of its counterparts; the name of a person to the names of the party that the person speaks for."""
_BEGIN, _INSIDE = 1, 2
_WINDOWS_AT_ONCE: Final = 16
_MAX_GAP_TOKENS: Final = 6
CAPITAL: Final = 1 << 20
"""Added to the id of a token whose word begins with a capital or a digit, as the base's tokens have no case."""
COUNTERPART_OFFSET: Final = 5.0
"""Taken off the log-sum-exp over pairs of tokens, so that an untrained network finds counterparts improbable."""
_UNSEEN: Final = -1e4
"""The logit of names that do not stand in the window."""


@dataclass(frozen=True, slots=True)
class ArticleTokens:
    """An article as tokens, and the windows that cover it.

    Attributes:
        text: The article.
        ids: Token ids, without special tokens; see ``CAPITAL``.
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
        links: (span links, seq, 1 + seq) probabilities that a token's content has its source, or cue, at each token;
            the first column stands for none.
        party_links: (party links, seq, 1 + columns) logits, in the order of ``PARTY_LINKS``; the first column stands
            for the outlet, or nobody.
        columns: (columns,) the tokens of the window that may name somebody.
    """

    tags: Floats
    links: Floats
    party_links: npt.NDArray[np.float32]
    columns: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which columns of each window stand for which group of names.

    Attributes:
        columns: For each window (columns,) the number of the group, or -1.
        count: How many groups there are.
    """

    columns: list[npt.NDArray[np.int64]]
    count: int


class Pointing:
    """Answers to which names a stretch of an article points."""

    def __init__(self, tokens: ArticleTokens, outputs: Sequence[WindowOutput]) -> None:
        """Keeps what the network said of each window."""
        self._tokens = tokens
        self._outputs = outputs
        self._starts = [start for start, _ in tokens.offsets]
        self._begins = [start for start, _ in tokens.windows]
        self._ends = [end for _, end in tokens.windows]

    def assign(self, groups: Sequence[Sequence[Span]]) -> "Grouping":
        """Finds the tokens of each group of names.

        Args:
            groups: The places of each group's names; no two overlap.
        """
        group_of = np.full(len(self._tokens.ids), -1)
        for g, names in enumerate(groups):
            for name in names:
                group_of[self._cover([name])] = g
        return Grouping(
            [
                group_of[start + output.columns]
                for output, (start, _) in zip(self._outputs, self._tokens.windows, strict=True)
            ],
            len(groups),
        )

    def share(self, link: str, pieces: Sequence[Span], source: Sequence[Span], groups: "Grouping") -> Floats:
        """(1 + groups,) probabilities that these words belong to nobody and to each group of names; they sum to 1.

        Args:
            link: ``speaker`` or ``affiliation``.
            pieces: The words.
            source: The words that name the speaker, if any do.
            groups: The names.
        """
        logits = self._add_up(link, pieces, source, groups)
        powers = np.exp(logits - logits.max())
        return np.asarray(powers / powers.sum())

    def rate(self, pieces: Sequence[Span], source: Sequence[Span], groups: "Grouping") -> Floats:
        """(groups,) probabilities that these words are about, or address, each group; any number may be high."""
        logits = self._add_up("counterpart", pieces, source, groups)[1:] - COUNTERPART_OFFSET
        return np.asarray(1 / (1 + np.exp(-np.maximum(logits, -50))))

    def _add_up(self, link: str, pieces: Sequence[Span], source: Sequence[Span], groups: "Grouping") -> Floats:
        """(1 + groups,) logits in the window that holds most of the pieces: what ``measure_party_loss`` trains."""
        logits = np.full(1 + groups.count, _UNSEEN)
        tokens = self._cover(pieces)
        if not tokens:
            return logits
        near = range(bisect_left(self._ends, tokens[0] + 1), bisect_right(self._begins, tokens[0]))
        w = max(near, key=lambda w: self._depth(w, tokens))
        start, end = self._tokens.windows[w]
        output = self._outputs[w]
        rows = output.party_links[PARTY_LINKS.index(link)].astype(np.float64)
        inside, named = ([t - start for t in places if start <= t < end] for places in (tokens, self._cover(source)))
        if link == "counterpart":
            pointed = np.logaddexp.reduce(rows[inside + named], axis=0)
        else:
            pointed = sum(rows[places].mean(axis=0) for places in (inside, named) if places)
        logits[0] = pointed[0]
        group_of = groups.columns[w]
        for g in np.unique(group_of[group_of >= 0]):
            logits[1 + g] = np.logaddexp.reduce(pointed[1:][group_of == g])
        return logits

    def _depth(self, w: int, tokens: Sequence[int]) -> tuple[int, int]:
        start, end = self._tokens.windows[w]
        inside = [t for t in tokens if start <= t < end]
        return len(inside), min(inside[0] - start, end - inside[-1]) if inside else 0

    def _cover(self, spans: Sequence[Span]) -> list[int]:
        found = []
        for span in spans:
            first = max(bisect_right(self._starts, span.start) - 1, 0)
            for t in range(first, len(self._starts)):
                if self._starts[t] >= span.end:
                    break
                if self._tokens.offsets[t][1] > span.start:
                    found.append(t)
        return found


@dataclass(frozen=True, slots=True)
class Markup:
    """What the network finds in an article.

    Attributes:
        attributions: Who says what, in the order of their content.
        spans: The other spans by kind, in order: acts, views of the outlet, names of parties and of people.
        pointing: To which names a statement points.
    """

    attributions: list[Attribution]
    spans: dict[SpanKind, list[Span]]
    pointing: Pointing


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
    capitals = find_capitalised(text, encoded.offsets)
    ids = [token + CAPITAL * int(capital) for token, capital in zip(encoded.ids, capitals, strict=True)]
    return ArticleTokens(text, ids, encoded.offsets, windows, first, last)


def decode(tokens: ArticleTokens, outputs: Sequence[WindowOutput]) -> Markup:
    """Joins the windows and reads off what they say.

    Each token is judged by the window in which it stands farthest from an edge.

    Args:
        tokens: The article.
        outputs: One for each window.
    """
    count = len(tokens.ids)
    owner = _choose_windows(tokens.windows, count)
    tags = np.zeros((len(SPAN_KINDS), count, len(TAGS)))
    for w, (start, end) in enumerate(tokens.windows):
        mine = np.flatnonzero(owner[start:end] == w)
        tags[:, start + mine] = outputs[w].tags[:, mine]
    inside_word = find_inner_tokens(tokens.text, tokens.offsets)
    spans = {kind: read_spans(finish_words(tags[k].argmax(axis=1), inside_word)) for k, kind in enumerate(SPAN_KINDS)}
    others = {kind: [_to_span(s, tokens) for s in spans[kind]] for kind in SPAN_KINDS if kind not in ATTRIBUTION_KINDS}
    return Markup(_join_attributions(spans, tokens, outputs, owner), others, Pointing(tokens, outputs))


def _join_attributions(
    spans: Mapping[SpanKind, list[tuple[int, int]]],
    tokens: ArticleTokens,
    outputs: Sequence[WindowOutput],
    owner: npt.NDArray[np.int64],
) -> list[Attribution]:
    linked: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for first, end in spans["content"]:
        targets = [
            _choose_target(first, end, spans[kind], link, tokens, outputs, owner)
            for link, kind in enumerate(SPAN_LINKS)
        ]
        # Pieces of one cue are one content; a piece without a cue stands alone.
        key = (*targets, -1) if targets[1] >= 0 else (*targets, first)
        linked.setdefault(key, []).append((first, end))
    attributions = []
    for (source, cue, _), pieces in linked.items():
        between = [spans[kind][k] for kind, k in zip(SPAN_LINKS, (source, cue), strict=True) if k >= 0]
        joined = join_pieces(pieces, between)
        attributions.append(
            Attribution(
                content=tuple(_to_span(piece, tokens) for piece in joined),
                source=(_to_span(spans["source"][source], tokens),) if source >= 0 else (),
                cue=(_to_span(spans["cue"][cue], tokens),) if cue >= 0 else (),
            )
        )
    return sorted(attributions, key=lambda a: a.content)


def find_inner_tokens(text: str, offsets: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """(count,) whether a token goes on with the word of the token before it."""
    starts = np.array([start for start, _ in offsets])
    ends = np.array([end for _, end in offsets])
    whole = np.array([text[start:end].isalnum() for start, end in offsets], dtype=bool)
    inner = np.zeros(len(starts), dtype=bool)
    inner[1:] = (starts[1:] == ends[:-1]) & whole[1:] & whole[:-1]
    return inner


def find_capitalised(text: str, offsets: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """(count,) whether a token belongs to a word that begins with a capital or a digit."""
    inner = find_inner_tokens(text, offsets)
    capitalised = np.zeros(len(offsets), dtype=bool)
    for t, (start, _) in enumerate(offsets):
        first = text[start : start + 1]
        capitalised[t] = capitalised[t - 1] if inner[t] else first.isupper() or first.isdigit()
    return capitalised


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
    """Marks up an article with a network."""

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

    def mark(self, text: str) -> Markup:
        """What the network finds in an article."""
        tokens = tokenise_article(
            text, self._tokenizer, max_tokens=self._max_tokens, overlap_tokens=self._overlap_tokens
        )
        sequences = tokens.sequences()
        capitals = np.array(tokens.ids) >= CAPITAL
        outputs: list[WindowOutput] = []
        for first in range(0, len(sequences), _WINDOWS_AT_ONCE):
            part = slice(first, first + _WINDOWS_AT_ONCE)
            found = self._run(sequences[part])
            outputs += [
                to_window(logits, capitals[start:end])
                for logits, (start, end) in zip(found, tokens.windows[part], strict=True)
            ]
        return decode(tokens, outputs)


def to_window(found: Outputs, capitals: npt.NDArray[np.bool_]) -> WindowOutput:
    """Logits of a padded sequence to what is kept of its own tokens.

    Args:
        found: ``tags`` (seq, kinds, tags) and ``links`` (links, seq, seq).
        capitals: (tokens,) whether a token belongs to a word with a capital.
    """
    inner = slice(1, 1 + len(capitals))
    tags = _softmax(found["tags"][inner].astype(np.float64)).transpose(1, 0, 2)
    spans = len(SPAN_LINKS)
    links = _softmax(found["links"][:spans, inner, : 1 + len(capitals)].astype(np.float64))
    names = tags[[SPAN_KINDS.index("party"), SPAN_KINDS.index("person")]].argmax(axis=2).any(axis=0)
    columns = np.flatnonzero(capitals | names)
    kept = found["links"][spans:, inner][:, :, [0, *(1 + columns)]]
    return WindowOutput(tags, links, kept.astype(np.float32), columns)


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
