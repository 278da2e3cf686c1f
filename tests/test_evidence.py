"""What speaks for a party: features that are read off the text, and weights that are fitted to choices."""

import math

import pytest
from told import span, told

from detente.article.cast import Cast
from detente.article.evidence import Features, weigh
from detente.article.sentences import split_sentences
from detente.article.spans import Span
from detente.evidence_training import fit_evidence

STORY = """DODOMA, June 11 - Trucks from Uganda wait, Agriculture Minister Neema Kisanga said.

Uganda's envoy, Patrick Owori, was angry. Brian Ssemakula, a grain trader from Uganda, blamed both. Kampala has
complained to Tanzania before.
"""


@pytest.fixture(scope="module")
def cast() -> Cast:
    people = ["Neema Kisanga", "Patrick Owori", "Brian Ssemakula"]
    return Cast(STORY, split_sentences(STORY), told(STORY, people=people))


def rows_of(cast: Cast, person: str) -> dict[str, Features]:
    names = [m.name for m in cast.members]
    rows = cast.describe_people(cast.scene, [])[names.index(person)]
    return dict(zip(["nobody", *(names[k] for k in cast.bodies)], rows, strict=True))


def test_a_party_beside_the_name_is_told_from_one_in_the_dateline(cast: Cast) -> None:
    minister, envoy = rows_of(cast, "Neema Kisanga"), rows_of(cast, "Patrick Owori")
    assert envoy["Uganda"]["named before"] == 1 and envoy["Tanzania"]["named before"] == 0
    assert minister["Tanzania"]["dateline"] == 1 and minister["Uganda"]["dateline"] == 0
    assert minister["Tanzania"]["state, role of a state"] == 1


def test_private_voices_are_known_by_their_description(cast: Cast) -> None:
    trader = rows_of(cast, "Brian Ssemakula")
    assert trader["nobody"]["nobody, private"] == 1 and trader["Uganda"]["named after, private"] == 1
    assert rows_of(cast, "Patrick Owori")["nobody"]["nobody, private"] == 0


def statement_rows(cast: Cast, words: str, own: str | None, **last: list[str]) -> dict[str, Features]:
    rows = cast.describe_counterparts([span(STORY, words)], [], "indirect", own, last)
    return {member.name: row for member, row in rows}


def test_a_named_party_is_told_from_one_that_was_meant_before(cast: Cast) -> None:
    named = statement_rows(cast, "complained to Tanzania before", "Uganda", toward=["Tanzania"])
    assert "Uganda" not in named, "the speaker is no candidate"
    assert named["Tanzania"]["named as a place"] == 1 and named["Tanzania"]["last toward"] == 1
    silent = statement_rows(cast, "was angry", None, speaker=["Tanzania"], counterparts=["Uganda"])
    assert silent["Uganda"]["last counterpart, nobody named"] == 1 and silent["Uganda"]["named"] == 0
    assert silent["Tanzania"]["last speaker, nobody named"] == 1


def test_without_weights_the_network_alone_decides(cast: Cast) -> None:
    found = cast.find_counterparts([span(STORY, "was angry")], [], "indirect", "Uganda", {})
    assert all(rating == pytest.approx(0.01, abs=1e-3) for rating, _ in found)
    assert weigh({"a": 2.0, "b": 3.0}, {"a": 0.5}) == 1.0


def test_weights_are_fitted_to_what_was_right() -> None:
    people = [([{"noise": float(k % 3)}, {"beside": 1.0}, {"beside": 0.0}], [False, True, False]) for k in range(6_000)]
    toward = [([{"one": 1.0, "named": 1.0}, {"one": 1.0, "named": 0.0}], [True, False]) for _ in range(6_000)]
    weights = fit_evidence({"affiliation": people, "counterpart": toward})
    assert weights["affiliation"]["beside"] > 1
    assert (
        weigh({"one": 1.0, "named": 1.0}, weights["counterpart"]) > 1 > -1 > weigh({"one": 1.0}, weights["counterpart"])
    )
    assert all(math.isfinite(w) for each in weights.values() for w in each.values())


def test_odd_texts_have_evidence_too() -> None:
    for text in ("?!", "Headline only", "Norway"):
        cast = Cast(text, split_sentences(text), told(text))
        cast.find_counterparts([Span(0, len(text))], [], "act", None, {})
