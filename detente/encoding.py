"""The only place where a statement becomes token ids.

The names of the two parties are replaced by role tokens, so that a score cannot depend on what the parties are called.
A sequence is

    [CLS] <speaker role> <counterpart role> words of the text, mentions replaced [SEP]

where the speaker role is ``[SPEAKER]``, or ``[AUTHOR]`` if there is no speaker, and the counterpart role
``[COUNTERPART]``, or ``[ANYONE]``. A text longer than ``max_tokens`` becomes several windows that overlap. Why names
are replaced: docs/decisions/0002-roles.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detente.parties import collect_names, find_mentions
from detente.records import Role, Statement

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ROLE_TOKENS: Final = ("[SPEAKER]", "[COUNTERPART]", "[AUTHOR]", "[ANYONE]")
"""Added behind the base vocabulary, in this order."""
_MENTIONED: Final[dict[Role, int]] = {"speaker": 0, "counterpart": 1}
_ABSENT: Final[dict[Role, int]] = {"speaker": 2, "counterpart": 3}


@dataclass(frozen=True, slots=True)
class Window:
    """One input sequence.

    Attributes:
        ids: Token ids, ``[CLS]`` and ``[SEP]`` included.
        start: First character of the text that the window covers.
        end: One past the last character of the text that the window covers.
    """

    ids: list[int]
    start: int
    end: int


class StatementEncoder:
    """Turns statements into windows of token ids."""

    def __init__(self, tokenizer: "Tokenizer", *, max_tokens: int, overlap_tokens: int) -> None:
        """Reads the ids of the special and role tokens.

        Args:
            tokenizer: The base model's tokenizer with the role tokens added; see ``load_tokenizer``.
            max_tokens: Longest sequence, special and role tokens included.
            overlap_tokens: Tokens that two neighbouring windows share.

        Raises:
            ValueError: A token is missing from the tokenizer, or the overlap leaves no room for new tokens.
        """
        if not 0 <= overlap_tokens < max_tokens - 4:
            raise ValueError(f"overlap_tokens must be 0 to {max_tokens - 5} (max_tokens - 5), found {overlap_tokens}")
        self._tokenizer = tokenizer
        self._content_tokens = max_tokens - 4
        self._stride_tokens = self._content_tokens - overlap_tokens
        self._first = find_token(tokenizer, "[CLS]", "<s>")
        self._last = find_token(tokenizer, "[SEP]", "</s>")
        self._role_ids = [find_token(tokenizer, token) for token in ROLE_TOKENS]

    def encode(self, statements: Sequence[Statement]) -> list[list[Window]]:
        """The windows of each statement, one or more, in the order of its text."""
        pieces: list[str] = []
        layouts: list[list[tuple[int, int | None]]] = []  # a statement's (start, role or None for words)
        for statement in statements:
            layout: list[tuple[int, int | None]] = []
            position = 0
            for mention in find_mentions(statement.text, collect_names(statement)):
                layout.append((position, None))
                pieces.append(statement.text[position : mention.start])
                layout.append((mention.start, _MENTIONED[mention.role]))
                position = mention.end
            layout.append((position, None))
            pieces.append(statement.text[position:])
            layouts.append(layout)
        encoded = iter(self._tokenizer.encode_batch(pieces, add_special_tokens=False))
        windows = []
        for statement, layout in zip(statements, layouts, strict=True):
            ids: list[int] = []
            spans: list[tuple[int, int]] = []
            for k, (start, role) in enumerate(layout):
                if role is None:
                    piece = next(encoded)
                    ids += piece.ids
                    spans += [(start + a, start + b) for a, b in piece.offsets]
                else:
                    ids.append(self._role_ids[role])
                    spans.append((start, layout[k + 1][0]))
            windows.append(self._cut(statement, ids, spans))
        return windows

    def _cut(self, statement: Statement, ids: list[int], spans: list[tuple[int, int]]) -> list[Window]:
        speaker = (_ABSENT if statement.speaker is None else _MENTIONED)["speaker"]
        counterpart = (_ABSENT if statement.counterpart is None else _MENTIONED)["counterpart"]
        head = [self._first, self._role_ids[speaker], self._role_ids[counterpart]]
        if len(ids) <= self._content_tokens:
            return [Window([*head, *ids, self._last], 0, len(statement.text))]
        starts = range(0, len(ids) - self._content_tokens + self._stride_tokens, self._stride_tokens)
        windows = []
        for begin in starts:
            part = slice(begin, begin + self._content_tokens)
            windows.append(Window([*head, *ids[part], self._last], spans[part][0][0], spans[part][-1][1]))
        return windows


def find_token(tokenizer: "Tokenizer", *names: str) -> int:
    """The id of the first of these tokens that the tokenizer has.

    Raises:
        ValueError: It has none of them.
    """
    for name in names:
        if (found := tokenizer.token_to_id(name)) is not None:
            return int(found)
    raise ValueError(f"the tokenizer has no token {' or '.join(names)}: expected one of a BERT-like base")


def load_tokenizer(path: str) -> "Tokenizer":
    """Reads a ``tokenizer.json``; adds the role tokens if they are missing.

    Words such as ``[SEP]`` or ``[SPEAKER]`` in a statement's own text are plain text, never special tokens.
    """
    from tokenizers import AddedToken, Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ROLE_TOKENS])
    tokenizer.encode_special_tokens = True
    return tokenizer


def pad(
    sequences: Sequence[Sequence[int]], *, pad_id: int = 0, multiple: int = 1
) -> tuple[list[list[int]], list[list[int]]]:
    """Pads to the longest sequence, rounded up to a multiple; returns ids and attention mask, both (batch, seq)."""
    longest = -(-max(len(s) for s in sequences) // multiple) * multiple
    ids = [[*s, *[pad_id] * (longest - len(s))] for s in sequences]
    mask = [[1] * len(s) + [0] * (longest - len(s)) for s in sequences]
    return ids, mask
