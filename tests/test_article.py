"""From an article to its statements: attribution by rule, windows, drafts, repeats, dyads."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from detente.article.attribution import ArticleTokens, WindowOutput, decode, finish_words, join_pieces, read_spans
from detente.article.draft import Draft, draft_statements
from detente.article.measures import Counts, expect_dyads, measure_attributions, read_gold
from detente.article.reading import check_article, describe_language, estimate_interval, parse_date
from detente.article.rules import attribute_by_rule, find_quotations, find_turns
from detente.article.sentences import split_sentences
from detente.article.spans import AttributedArticle, Attribution, Span, read_articles, write_articles
from detente.records import StatementError


def span(text: str, words: str) -> Span:
    start = text.index(words)
    return Span(start, start + len(words))


def draft(text: str, *attributions: tuple[str, str, str]) -> list[Draft]:
    """Drafts of a text whose attributions are given as (source, cue, content)."""
    found = [
        Attribution((span(text, content),), (span(text, source),) if source else (), (span(text, cue),) if cue else ())
        for source, cue, content in attributions
    ]
    return draft_statements(text, split_sentences(text), found)


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


def test_turns_of_a_transcript() -> None:
    text = "Briefing\n\nMs Berg: We met.\n\nQ: Why?\n\nMs Berg: No comment.\n\nIt is late.\n"
    said = [
        (text[t.source[0].start : t.source[0].end], text[t.content[0].start : t.content[0].end])
        for t in find_turns(text)
    ]
    assert said == [("Ms Berg", "We met."), ("Ms Berg", "No comment.\n\nIt is late.")]
    assert find_turns("Note: one colon makes no transcript.") == []


def test_rules_find_who_is_quoted() -> None:
    text = '"We will wait," Norway said. Canada said that the delay was wrong.'
    found = attribute_by_rule(text, split_sentences(text))
    assert [text[a.source[0].start : a.source[0].end] for a in found] == ["Norway", "Canada"]


# Decoding what the network says


def output(tags: dict[str, str], count: int, links: dict[tuple[str, int], int]) -> WindowOutput:
    """Certain probabilities: tags as strings of O, B and I; links from (kind, token) to token, -1 for none."""
    letters = "OBI"
    probabilities = np.zeros((3, count, 3))
    for k, kind in enumerate(("source", "cue", "content")):
        for t, letter in enumerate(tags[kind]):
            probabilities[k, t, letters.index(letter)] = 1
    pointed = np.zeros((2, count, count + 1))
    for (kind, token), target in links.items():
        pointed[("source", "cue").index(kind), token, target + 1] = 1
    return WindowOutput(probabilities, pointed)


def test_decode_links_content_to_source_and_cue() -> None:
    text = "a b c d e f g h i j k l"
    tokens = ArticleTokens(text, list(range(12)), [(i * 2, i * 2 + 1) for i in range(12)], [(0, 12)], 1, 2)
    links = {(kind, t): target for t in (2, 3, 11) for kind, target in (("source", 0), ("cue", 1))}
    tags = {"source": "BOOOOOOOOOOO", "cue": "OBOOOOOOOOOO", "content": "OOBIOOOOOOOB"}
    found = decode(tokens, [output(tags, 12, links)])
    assert found == [Attribution((Span(4, 7), Span(22, 23)), (Span(0, 1),), (Span(2, 3),))]


def test_decode_may_find_no_source() -> None:
    tokens = ArticleTokens("a b", [1, 2], [(0, 1), (2, 3)], [(0, 2)], 1, 2)
    links = {(kind, t): -1 for t in (0, 1) for kind in ("source", "cue")}
    assert decode(tokens, [output({"source": "OO", "cue": "OO", "content": "BI"}, 2, links)]) == [
        Attribution((Span(0, 3),))
    ]
    assert decode(ArticleTokens("", [], [], [(0, 0)], 1, 2), []) == []


@pytest.mark.parametrize(
    ("tags", "spans"), [([0, 1, 2, 0], [(1, 3)]), ([1, 1], [(0, 1), (1, 2)]), ([0, 2, 2], [(1, 3)]), ([], [])]
)
def test_spans(tags: list[int], spans: list[tuple[int, int]]) -> None:
    assert read_spans(np.array(tags, dtype=np.int64)) == spans


# Drafts


def test_several_voices_in_one_sentence() -> None:
    text = "Kremlin spokesman Dmitry Peskov said Norway had lied. Norway said it would not answer."
    found = draft(
        text,
        ("Kremlin spokesman Dmitry Peskov", "said", "Norway had lied"),
        ("Norway said"[:6], "said", "it would not answer"),
    )
    assert pairs(found)[0] == ("Russia", "Norway", "indirect")
    assert not [d for d in found if d.speaker is None]


def test_quoted_they_means_the_party_last_spoken_of() -> None:
    text = 'Chile closed its border with Peru. "They have lied to us for years," the president of Chile said.'
    found = draft(text, ("the president of Chile", "said", '"They have lied to us for years,"'))
    assert ("Chile", "Peru", "direct") in pairs(found)


def test_acts_go_from_subject_to_object() -> None:
    assert pairs(draft("Norway expelled two Canadian diplomats.")) == [("Norway", "Canada", "act")]
    assert pairs(draft("Two Canadian diplomats were expelled by Norway.")) == [("Norway", "Canada", "act")]


def test_a_content_of_one_word_is_an_act() -> None:
    assert pairs(draft("Kenya thanked Chile.", ("Kenya", "thanked", "Chile"))) == [("Kenya", "Chile", "act")]


def test_one_statement_has_several_counterparts() -> None:
    text = "Ghana said Togo and Benin had broken the pact."
    found = draft(text, ("Ghana", "said", "Togo and Benin had broken the pact"))
    assert pairs(found) == [("Ghana", "Benin", "indirect"), ("Ghana", "Togo", "indirect")]


def test_a_speech_belongs_to_who_gives_it() -> None:
    text = (
        "Address by President Ana Ruiz of Chile\n\nWe thank our friends in Peru. I came here to say so. We have not "
        "forgotten the floods.\n\nWe expect Bolivia to keep its word. Our patience is long."
    )
    assert {("Chile", "Bolivia", "direct")} <= set(pairs(draft(text)))


@pytest.mark.parametrize("text", ["Headline only", "?!", "“", "— No, he said.\n— Yes.", "* one\n* two", "x" * 5_000])
def test_odd_articles_are_drafted(text: str) -> None:
    draft_statements(text, split_sentences(text), attribute_by_rule(text, split_sentences(text)))


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
    row = {"id": "a", "genre": "x", "date": "2026-01-01", "text": "No.", "statements": []}
    wrong = {
        "content": ["Yes"],
        "voice": "direct",
        "speaker": None,
        "speaker_party": None,
        "cue": None,
        "counterparts": [],
    }
    (tmp_path / "gold.jsonl").write_text(json.dumps({**row, "statements": [wrong]}))
    with pytest.raises(ValueError, match="does not contain 'Yes'"):
        read_gold(tmp_path / "gold.jsonl")


def test_no_span_ends_within_a_word() -> None:
    inner = np.array([False, True, True, False])
    assert finish_words(np.array([0, 1, 2, 0]), inner).tolist() == [1, 2, 2, 0]
    assert finish_words(np.array([0, 2, 0, 1]), inner).tolist() == [2, 2, 2, 1]


def test_pieces_join_over_a_small_gap_without_source_or_cue() -> None:
    assert join_pieces([(0, 4), (6, 9)], []) == [(0, 9)]
    assert join_pieces([(0, 4), (6, 9)], [(4, 5)]) == [(0, 4), (6, 9)]
    assert join_pieces([(0, 4), (14, 19)], []) == [(0, 4), (14, 19)]
