"""Encoding: token sequences held by a golden file, roles that hide names, special words as plain text, windows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import build_tiny_tokenizer, list_tiny_vocabulary
from tokenizers import Tokenizer

from detente.encoding import ROLE_TOKENS, StatementEncoder, load_tokenizer, pad
from detente.records import Statement

US, RUSSIA = "United States", "Russia"
LONG = " ".join(f"They said Norland will never agree {i}, and we want good talks;" for i in range(12))

AWKWARD = [
    Statement("Russia will pay a price, the US said.", US, RUSSIA),
    Statement("Despite all their hostile outbursts, we want good relations with the US.", RUSSIA, US),
    Statement("US-led, anti-Russian talks: America’s threat to Moscow's allies", US, RUSSIA),
    Statement("UNITED STATES WARNS RUSSIA; THE KREMLIN SAYS NO TO US", RUSSIA, US),
    Statement("They told us, and the U.S. told them.", "the United States", None),
    Statement("South Sudan is not Sudan.", "South Sudan", "Sudan"),
    Statement("Brussels praised the Belgians, the EU did not.", "European Union", "Belgium"),
    Statement(
        "The Norlanders and Nord City attack Acme Corp.!",
        "Norland",
        "Acme Corp.",
        {"speaker": ["Norlanders", "Nord City"]},
    ),
    Statement("A killer!"),
    Statement("Who is the enemy of the people?", None, "the people"),
    Statement("[CLS] [SPEAKER] said [SEP] [COUNTERPART] [PAD] [MASK] [UNK] ##s", "[SEP]", "[COUNTERPART]"),
    Statement("RussiaUSA russian Russiagate, Russia/US, “Russia”—(US)…", US, RUSSIA),
    Statement("  The\nUnited\tStates\r\n welcomes   peace\u00a0with\u200b Russia  ", US, RUSSIA),
    Statement("Zürich’s naïve 北京 🇺🇸 İstanbul e\u0301 ß Ω: Russia", "北京", RUSSIA),
    Statement("\u200b", US, RUSSIA),
    Statement("Russia", RUSSIA, None),
    Statement(LONG, None, "Norland"),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    build_tiny_tokenizer(path)
    return load_tokenizer(str(path))


@pytest.fixture(scope="module")
def encoder(tokenizer: Tokenizer) -> StatementEncoder:
    return StatementEncoder(tokenizer, max_tokens=48, overlap_tokens=12)


def encode_one(encoder: StatementEncoder, *values: Any) -> list[int]:
    (window,) = encoder.encode([Statement(*values)])[0]
    return window.ids


def test_golden_encoding(encoder: StatementEncoder, tokenizer: Tokenizer, golden: Callable[[str, Any], Any]) -> None:
    found = [
        {
            "text": statement.text,
            "speaker": statement.speaker,
            "counterpart": statement.counterpart,
            "windows": [
                {
                    "tokens": " ".join(tokenizer.id_to_token(i) for i in window.ids),
                    "ids": " ".join(map(str, window.ids)),
                    "span": f"{window.start} to {window.end}",
                }
                for window in windows
            ],
        }
        for statement, windows in zip(AWKWARD, encoder.encode(AWKWARD), strict=True)
    ]
    for row, expected in zip(found, golden("encoding", found), strict=True):
        assert row == expected


def test_role_tokens_follow_the_vocabulary(tokenizer: Tokenizer) -> None:
    size = len(list_tiny_vocabulary())
    assert [tokenizer.token_to_id(token) for token in ROLE_TOKENS] == list(range(size, size + 4))


def test_loading_again_adds_no_tokens(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = load_tokenizer(str(tmp_path / "tokenizer.json"))
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.encode("[SEP]", add_special_tokens=False).tokens == ["[", "s", "##e", "##p", "]"]


@pytest.mark.parametrize(
    ("speaker", "counterpart", "roles"),
    [
        ("Norland", "Sudania", ["[SPEAKER]", "[COUNTERPART]"]),
        (None, "Sudania", ["[AUTHOR]", "[COUNTERPART]"]),
        ("Norland", None, ["[SPEAKER]", "[ANYONE]"]),
        (None, None, ["[AUTHOR]", "[ANYONE]"]),
    ],
)
def test_roles_head_the_sequence(
    encoder: StatementEncoder, tokenizer: Tokenizer, speaker: str | None, counterpart: str | None, roles: list[str]
) -> None:
    ids = encode_one(encoder, "A threat.", speaker, counterpart)
    assert [tokenizer.id_to_token(i) for i in ids] == ["[CLS]", *roles, "a", "threat", ".", "[SEP]"]


@pytest.mark.parametrize(
    ("speaker", "counterpart"),
    [
        ("Norland", "Sudania"),
        (US, RUSSIA),
        (RUSSIA, US),
        ("the Kremlin", "White House"),
        ("World Health Organization", "Trinidad and Tobago"),
        ("threat", "war"),
        ("Acme Corp.", "3M"),
        ("SEP", "SPEAKER"),
        ("北京", "Østre Ås"),
        ("x" * 500, "O’Neill"),
    ],
)
@pytest.mark.parametrize(
    "text", ["{s} will never agree with {c}; {c}'s army is bad for {s}.", "({c}) and {s}-led talks"]
)
def test_same_ids_whatever_the_parties_are_called(
    encoder: StatementEncoder, text: str, speaker: str, counterpart: str
) -> None:
    found = encode_one(encoder, text.format(s=speaker, c=counterpart), speaker, counterpart)
    assert found == encode_one(encoder, text.format(s="Aland", c="Beland"), "Aland", "Beland")


@pytest.mark.parametrize("token", ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "[UNK]", *ROLE_TOKENS])
def test_special_words_in_a_text_are_plain_text(encoder: StatementEncoder, tokenizer: Tokenizer, token: str) -> None:
    ids = encode_one(encoder, f"We said {token} and {token.lower()}.", "Norland", "Sudania")
    words = [tokenizer.id_to_token(i) for i in ids][3:-1]
    assert token not in words and words.count("[") == words.count("]") == 2


def test_order_and_company_do_not_matter(encoder: StatementEncoder) -> None:
    together = encoder.encode(AWKWARD)
    assert [encoder.encode([statement])[0] for statement in AWKWARD] == together
    assert encoder.encode(AWKWARD[::-1]) == together[::-1]
    assert encoder.encode([]) == []


def test_short_text_is_one_whole_window(encoder: StatementEncoder) -> None:
    (window,) = encoder.encode([Statement("  A threat. ")])[0]
    assert (window.start, window.end) == (0, len("  A threat. "))


@pytest.mark.parametrize(("max_tokens", "overlap_tokens"), [(8, 0), (8, 3), (12, 4), (48, 12), (33, 28)])
@pytest.mark.parametrize("words", [1, 3, 4, 5, 8, 9, 29, 30, 44, 45, 46, 90])
def test_windows_cover_the_text_with_overlap(
    tokenizer: Tokenizer, max_tokens: int, overlap_tokens: int, words: int
) -> None:
    encoder = StatementEncoder(tokenizer, max_tokens=max_tokens, overlap_tokens=overlap_tokens)
    text = " ".join(["a", "threat", "they", "said", "war"][i % 5] for i in range(words))
    all_ids = [tokenizer.token_to_id(word) for word in text.split()]
    windows = encoder.encode([Statement(text)])[0]
    assert (windows[0].start, windows[-1].end) == (0, len(text))
    contents = [window.ids[3:-1] for window in windows]
    joined = contents[0] + [i for content in contents[1:] for i in content[overlap_tokens:]]
    assert joined == all_ids
    for window, content in zip(windows, contents, strict=True):
        assert len(window.ids) <= max_tokens
        assert [tokenizer.token_to_id(word) for word in text[window.start : window.end].split()] == content
    assert all(len(window.ids) == max_tokens for window in windows[:-1])
    assert len(windows) == 1 or all(len(content) > overlap_tokens for content in contents), "no window only repeats"


def test_mention_at_the_edge_of_a_window_stays_whole(tokenizer: Tokenizer) -> None:
    encoder = StatementEncoder(tokenizer, max_tokens=8, overlap_tokens=0)
    text = "we and the Norland Union and they"
    first, second = encoder.encode([Statement(text, "Norland Union")])[0]
    assert text[first.start : first.end] == "we and the Norland Union and"
    assert text[second.start : second.end] == "they"


@pytest.mark.parametrize(("max_tokens", "overlap_tokens"), [(32, 28), (32, 40), (32, -1), (4, 0)])
def test_impossible_overlap_is_refused(tokenizer: Tokenizer, max_tokens: int, overlap_tokens: int) -> None:
    with pytest.raises(ValueError, match=rf"must be 0 to {max_tokens - 5} .*found {overlap_tokens}"):
        StatementEncoder(tokenizer, max_tokens=max_tokens, overlap_tokens=overlap_tokens)


def test_tokenizer_without_bert_tokens_is_refused() -> None:
    from tokenizers.models import WordPiece

    bare = Tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106  # a token of text
    with pytest.raises(ValueError, match=r"no token \[CLS\] or <s>: expected one of a BERT-like base"):
        StatementEncoder(bare, max_tokens=32, overlap_tokens=8)


def test_pad() -> None:
    assert pad([[1, 2, 3], [4]]) == ([[1, 2, 3], [4, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    ids, mask = pad([[1, 2, 3], [4]], pad_id=9, multiple=4)
    assert ids == [[1, 2, 3, 9], [4, 9, 9, 9]] and mask == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert len(pad([[1] * 8], multiple=8)[0][0]) == 8
