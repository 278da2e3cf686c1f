"""From an article to its statements: attribution by rule, windows, drafts, repeats, dyads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from told import span, told

from detente.article.attribution import (
    LINKS,
    ArticleTokens,
    WindowOutput,
    decode,
    finish_words,
    join_pieces,
    read_spans,
)
from detente.article.cast import Cast
from detente.article.draft import Draft, draft_statements
from detente.article.gold import read_gold
from detente.article.measures import Counts, expect_dyads, measure_attributions
from detente.article.reading import check_article, describe_language, estimate_interval, parse_date
from detente.article.rules import attribute_by_rule, find_quotations
from detente.article.sentences import split_sentences
from detente.article.spans import SPAN_KINDS, AttributedArticle, Attribution, Span, read_articles, write_articles
from detente.records import StatementError


def draft(text: str, **found: Any) -> list[Draft]:
    """Drafts of a text of which the network is said to find this; see ``told``."""
    markup = told(text, **found)
    return draft_statements(Cast(text, split_sentences(text), markup), split_sentences(text), markup)


def pairs(drafts: list[Draft]) -> list[tuple[str | None, str | None, str]]:
    return [
        (d.speaker.party if d.speaker else None, d.counterpart.party if d.counterpart else None, d.voice)
        for d in drafts
    ]


# Sentences and quotations


@pytest.mark.parametrize(
    ("text", "quotations"),
    [
        ("“One.” Then “two.”", ["“One.”", "“two.”"]),
        ('"Straight," he said.', ['"Straight,"']),
        ("“Never closed in this paragraph\n\nNext.", ["“Never closed in this paragraph"]),
        ("“He said ‘no’ to us,” she said.", ["“He said ‘no’ to us,”"]),
        ("«Jamais», he said.", ["«Jamais»"]),
        ("5'9\" tall", []),
        ("No quotation.", []),
        ("", []),
    ],
)
def test_quotations(text: str, quotations: list[str]) -> None:
    assert [text[q.start : q.end] for q in find_quotations(text)] == quotations


def test_sentences_cover_the_words_and_respect_lines() -> None:
    text = "Headline without a stop\n\nMr. Smith left. “Why? Nobody knows,” he said.\n* a list\n* of things\n"
    found = [text[s.start : s.end] for s in split_sentences(text)]
    assert found[0] == "Headline without a stop"
    assert "".join("".join(found).split()) == "".join(text.split())


def test_sentences_count_characters_not_bytes() -> None:
    text = "Zürich 🙂 said “non”. Genève agreed."
    assert [text[s.start : s.end] for s in split_sentences(text)] == ["Zürich 🙂 said “non”.", "Genève agreed."]


def test_rules_find_who_is_quoted() -> None:
    text = '"We will wait," Norway said. Canada said that the delay was wrong.'
    found = attribute_by_rule(text, split_sentences(text))
    assert [text[a.source[0].start : a.source[0].end] for a in found] == ["Norway", "Canada"]


# Decoding what the network says


def output(tags: dict[str, str], count: int, links: dict[tuple[str, int], int]) -> WindowOutput:
    """Certain probabilities: tags as strings of O, B and I; links from (kind, token) to token, -1 for none."""
    letters = "OBI"
    probabilities = np.zeros((len(SPAN_KINDS), count, 3))
    for k, kind in enumerate(SPAN_KINDS):
        for t, letter in enumerate(tags.get(kind, "O" * count)):
            probabilities[k, t, letters.index(letter)] = 1
    pointed = np.zeros((2, count, count + 1))
    parties = np.full((3, count, count + 1), -9.0, dtype=np.float32)
    for (kind, token), target in links.items():
        link = LINKS.index(kind)
        if link < len(pointed):
            pointed[link, token, target + 1] = 1
        else:
            parties[link - len(pointed), token, target + 1] = 9
    return WindowOutput(probabilities, pointed, parties, np.arange(count))


def letters(count: int) -> ArticleTokens:
    """The first letters of the alphabet, each a token."""
    text = " ".join("abcdefghijkl"[:count])
    return ArticleTokens(text, list(range(count)), [(i * 2, i * 2 + 1) for i in range(count)], [(0, count)], 1, 2)


def test_decode_links_content_to_source_and_cue() -> None:
    links = {(kind, t): target for t in (2, 3, 11) for kind, target in (("source", 0), ("cue", 1))}
    tags = {"source": "BOOOOOOOOOOO", "cue": "OBOOOOOOOOOO", "content": "OOBIOOOOOOOB", "act": "OOOOOBIOOOOO"}
    found = decode(letters(12), [output(tags, 12, links)])
    assert found.attributions == [Attribution((Span(4, 7), Span(22, 23)), (Span(0, 1),), (Span(2, 3),))]
    assert found.spans == {"act": [Span(10, 13)], "view": [], "party": [], "person": []}


def test_decode_may_find_no_source() -> None:
    links = {(kind, t): -1 for t in (0, 1) for kind in ("source", "cue")}
    assert decode(letters(2), [output({"content": "BI"}, 2, links)]).attributions == [Attribution((Span(0, 3),))]
    assert decode(letters(0), [output({}, 0, {})]).attributions == []


def test_statements_point_to_groups_of_names() -> None:
    pointing = decode(letters(6), [output({}, 6, {("speaker", 2): 0, ("counterpart", 2): 4, ("affiliation", 0): -1})])
    groups = pointing.pointing.assign([[Span(0, 1), Span(2, 3)], [Span(8, 9)], []])
    shares = pointing.pointing.share("speaker", [Span(4, 5)], [], groups)
    assert shares.round(3).tolist() == [0, 1, 0, 0]
    assert pointing.pointing.share("affiliation", [Span(0, 1)], [], groups).round(3)[0] == 1
    assert pointing.pointing.rate([Span(4, 5)], [], groups).round(1).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("tags", "spans"), [([0, 1, 2, 0], [(1, 3)]), ([1, 1], [(0, 1), (1, 2)]), ([0, 2, 2], [(1, 3)]), ([], [])]
)
def test_spans(tags: list[int], spans: list[tuple[int, int]]) -> None:
    assert read_spans(np.array(tags, dtype=np.int64)) == spans


# Drafts


def test_several_voices_in_one_sentence() -> None:
    text = "Norway wants peace with Chile, despite Chile's outbursts, Kremlin aide Ivan Orlov said."
    found = draft(
        text,
        said=[("Kremlin aide Ivan Orlov", "said", "Norway wants peace with Chile, despite Chile's outbursts")],
        acts=["Norway wants peace with Chile"],
        people=["Ivan Orlov"],
        affiliation={
            "Ivan Orlov": ["Kremlin"],
            "Norway wants peace with Chile, despite Chile's outbursts": ["Kremlin"],
        },
        speaker={
            "Norway wants peace with Chile, despite Chile's outbursts": ["Ivan Orlov"],
            "despite Chile's outbursts": ["Ivan Orlov"],
            "Norway wants peace with Chile": ["Norway"],
        },
        counterpart={
            "despite Chile's outbursts": ["Chile"],
            "Norway wants peace with Chile": ["Chile"],
        },
    )
    assert pairs(found) == [("Norway", "Chile", "indirect"), ("Russia", "Chile", "indirect")], "the act is told once"
    said, inner = sorted(found, key=lambda d: d.cue or "")
    assert inner.statement.text == "Norway wants peace with Chile"
    assert said.statement.text == "despite Chile's outbursts, Kremlin aide Ivan Orlov said"
    assert (said.speaker.written, said.speaker.how, said.speaker.person) == (  # type: ignore[union-attr]
        "Kremlin aide Ivan Orlov",
        "introduction",
        "Ivan Orlov",
    )


def test_a_quotation_is_framed_and_points_back() -> None:
    text = 'Chile closed its border with Peru. "They have lied to us for years," he said.'
    quotation = '"They have lied to us for years,"'
    (found,) = draft(
        text, said=[("he", "said", quotation)], speaker={quotation: ["Chile"]}, counterpart={quotation: ["Peru"]}
    )
    assert found.statement.text == "Chile said of Peru: They have lied to us for years"
    assert found.speaker is not None and (found.speaker.written, found.speaker.how) == ("he", "back-reference")
    assert found.counterpart is not None and found.counterpart.how == "back-reference"


def test_two_who_act_together_each_act() -> None:
    text = "Kenya and Chile signed a treaty."
    both = {"Kenya and Chile signed a treaty": ["Kenya", "Chile"]}
    found = draft(text, acts=["Kenya and Chile signed a treaty"], speaker=both, counterpart=both)
    assert set(pairs(found)) == {("Kenya", "Chile", "act"), ("Chile", "Kenya", "act")}


def test_a_speaker_who_is_nobody_of_the_cast_stays_as_written() -> None:
    text = "A shopkeeper said that Kenya had failed. Kenya waited."
    (found,) = draft(
        text,
        said=[("A shopkeeper", "said", "that Kenya had failed")],
        acts=["Kenya waited"],
        counterpart={"that Kenya had failed": ["Kenya"]},
    )
    assert found.speaker is not None and (found.speaker.party, found.speaker.how) == ("A shopkeeper", "unresolved")


def test_the_view_of_the_outlet_has_no_speaker() -> None:
    text = "Kenya should be ashamed."
    found = draft(text, views=["Kenya should be ashamed"], counterpart={"Kenya should be ashamed": ["Kenya"]})
    assert pairs(found) == [(None, "Kenya", "author")]


def test_one_statement_has_several_counterparts() -> None:
    text = "Ghana said Togo and Benin had broken the pact."
    said = "Togo and Benin had broken the pact"
    found = draft(
        text, said=[("Ghana", "said", said)], speaker={said: ["Ghana"]}, counterpart={said: ["Togo", "Benin", "Ghana"]}
    )
    assert pairs(found) == [("Ghana", "Benin", "indirect"), ("Ghana", "Togo", "indirect")]


def test_a_statement_toward_nobody_is_kept() -> None:
    text = "Ghana said rain was likely."
    found = draft(text, said=[("Ghana", "said", "rain was likely")], speaker={"rain was likely": ["Ghana"]})
    assert pairs(found) == [("Ghana", None, "indirect")]


# Reading


@pytest.mark.parametrize(
    ("article", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (None, "must be a string, found NoneType"),
        ("a" * 1_000_001, "1,000,001 characters"),
    ],
)
def test_what_is_no_article_is_refused(article: object, message: str) -> None:
    with pytest.raises(StatementError, match=message):
        check_article(article)


def test_dates() -> None:
    assert str(parse_date("2026-11-24")) == "2026-11-24"
    assert parse_date(None) is None
    with pytest.raises(StatementError, match=r"YYYY-MM-DD, found '24\.11\.'"):
        parse_date("24.11.")


def test_another_language_is_noticed() -> None:
    german = "Der Minister hat am Montag erklärt, dass die Gespräche mit den Nachbarn gescheitert sind."
    assert "another language than English (de)" in describe_language(german)[0]
    assert describe_language("The minister said on Monday that the talks with the neighbours had failed.") == ()


def test_interval_holds_the_mean() -> None:
    values = np.array([0.1, 0.5, 0.9, 0.4])
    low, high = estimate_interval(values)
    assert low < values.mean() < high
    assert estimate_interval(np.array([0.3])) == (pytest.approx(0.3), pytest.approx(0.3))


# Measures and files


def test_counts() -> None:
    counts = Counts(2, 4, 8)
    assert (counts.precision, counts.recall, counts.f1) == (0.5, 0.25, pytest.approx(1 / 3))
    assert (Counts(0, 0, 0).precision, Counts(0, 0, 0).recall, Counts(0, 0, 0).f1) == (0, 0, 0)


def test_attributions_are_measured_by_overlap() -> None:
    text = "“Yes,” Ann said. Bob said no."
    gold = (
        Attribution((span(text, "“Yes,”"),), (span(text, "Ann"),), (span(text, "said"),)),
        Attribution((span(text, "no"),), (span(text, "Bob"),), ()),
    )
    article = AttributedArticle("a", text, gold, "validation")
    perfect = measure_attributions([article], [gold])
    assert (perfect.sources, perfect.direct_sources) == (Counts(2, 2, 2), Counts(1, 1, 1))
    assert {c.f1 for c in (*perfect.tokens.values(), *perfect.spans.values())} == {1.0}
    swapped = [Attribution(a.content, gold[1 - i].source) for i, a in enumerate(gold)]
    assert measure_attributions([article], [swapped]).sources == Counts(0, 2, 2)
    assert measure_attributions([article], [[]]).sources == Counts(0, 0, 2)


def test_articles_survive_parquet(tmp_path: Path) -> None:
    rows = [
        AttributedArticle("a", "He said no.", (Attribution((Span(8, 10),), (Span(0, 2),), (Span(3, 7),)),), "train")
    ]
    write_articles(rows, tmp_path / "articles.parquet")
    assert read_articles(tmp_path / "articles.parquet") == rows


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "articles").glob("*.jsonl")), ids=lambda p: p.stem)
def test_gold_articles_are_sound(path: Path) -> None:
    articles = read_gold(path)
    assert len({a.id for a in articles}) == len(articles) >= 9
    for article in articles:
        assert 80 <= len(article.text.split()) <= 420
        assert expect_dyads(article)
        assert not [s for s in article.statements if s.speaker_party in s.counterparts]


def test_a_wrong_gold_file_is_refused(tmp_path: Path) -> None:
    row = {"id": "a", "genre": "x", "date": "2026-01-01", "text": "No.", "parties": {"Kenya": "state"}}
    wrong = {
        "content": ["Yes"],
        "voice": "direct",
        "speaker": None,
        "speaker_party": None,
        "cue": None,
        "counterparts": [],
    }
    for change, message in (
        ({}, "a: the text does not contain 'Yes'"),
        ({"content": ["No"], "voice": "loud"}, "voice 'loud', expected one of direct"),
        ({"content": ["No"], "speaker_party": "Chile"}, "the party 'Chile' is not listed"),
        ({"content": ["No"], "counterparts": [{"party": "Kenya", "stance": "bad", "hostility": 1}]}, "codebook lacks"),
    ):
        (tmp_path / "gold.jsonl").write_text(json.dumps({**row, "statements": [{**wrong, **change}]}))
        with pytest.raises(ValueError, match=message):
            read_gold(tmp_path / "gold.jsonl")


def test_no_span_ends_within_a_word() -> None:
    inner = np.array([False, True, True, False])
    assert finish_words(np.array([0, 1, 2, 0]), inner).tolist() == [1, 2, 2, 0]
    assert finish_words(np.array([0, 2, 0, 1]), inner).tolist() == [2, 2, 2, 1]


def test_pieces_join_over_a_small_gap_without_source_or_cue() -> None:
    assert join_pieces([(0, 4), (6, 9)], []) == [(0, 9)]
    assert join_pieces([(0, 4), (6, 9)], [(4, 5)]) == [(0, 4), (6, 9)]
    assert join_pieces([(0, 4), (14, 19)], []) == [(0, 4), (14, 19)]
