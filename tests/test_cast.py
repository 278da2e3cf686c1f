"""The cast of an article: who speaks for whom, and what short names, descriptions and pronouns mean."""

import pytest

from detente.article.cast import Cast, PartyMention
from detente.article.sentences import split_sentences
from detente.article.spans import Span

STORY = """Kremlin spokesman Dmitry Peskov said on Monday that talks with Finland had failed.

Peskov added that Moscow was ready to wait. "They know where to find us," he said.

The Finnish foreign minister, Aino Rauta, answered within the hour. Rauta said the ministry had heard nothing new.
"""


def cast_of(text: str, **parties: list[str]) -> Cast:
    return Cast(text, split_sentences(text), parties)


def resolve(cast: Cast, words: str, nth: int = 0, last: PartyMention | None = None) -> PartyMention:
    start = -1
    for _ in range(nth + 1):
        start = cast.text.index(words, start + 1)
    return cast.resolve(Span(start, start + len(words)), last)


@pytest.mark.parametrize(
    ("words", "party", "person"),
    [
        ("Kremlin spokesman Dmitry Peskov", "Russia", "Dmitry Peskov"),
        ("Peskov added", "Russia", "Dmitry Peskov"),
        ("Moscow", "Russia", None),
        ("The Finnish foreign minister, Aino Rauta", "Finland", "Aino Rauta"),
        ("Rauta said", "Finland", "Aino Rauta"),
    ],
)
def test_introduced_people_speak_for_their_state(words: str, party: str, person: str | None) -> None:
    found = resolve(cast_of(STORY), words)
    assert (found.party, found.person) == (party, person)


def test_pronouns_and_descriptions_point_back() -> None:
    cast = cast_of(STORY)
    start = cast.text.index('us," he') + 5
    he = cast.resolve(Span(start, start + 2))
    assert (he.party, he.person, he.how) == ("Russia", "Dmitry Peskov", "back-reference")
    ministry = resolve(cast, "the ministry", last=resolve(cast, "Rauta said"))
    assert (ministry.party, ministry.how) == ("Finland", "back-reference")


def test_what_cannot_be_resolved_stays_as_written() -> None:
    found = resolve(cast_of("A woman in the queue said she was tired of it."), "A woman in the queue")
    assert (found.party, found.how) == ("A woman in the queue", "unresolved")


def test_experts_speak_for_themselves() -> None:
    text = "Jonas Vik, an analyst at the Norwegian Institute of Affairs, called Sweden's plan naive."
    assert resolve(cast_of(text), "Jonas Vik").party == "Jonas Vik"


def test_invented_states_and_their_demonyms_are_one_party() -> None:
    text = "Tarskia has closed its ports. The Tarskian navy seized two boats. Velmora will protest to Tarskia, it said."
    cast = cast_of(text)
    assert {m.party for m in cast.mentions if m.party.startswith("Tarsk")} == {"Tarskia"}


def test_bodies_are_known_by_short_names() -> None:
    text = "The Nordic Handball Federation (NHF) fined the club. The NHF said it had no choice."
    assert [m.party for m in cast_of(text).mentions] == ["Nordic Handball Federation"] * 3


def test_the_callers_parties_win() -> None:
    cast = cast_of("Putin met Orban in Moscow.", Russia=["Putin"], Hungary=["Orban"])
    assert [(m.party, m.how) for m in cast.mentions] == [
        ("Russia", "caller"),
        ("Hungary", "caller"),
        ("Russia", "registry"),
    ]


def test_a_dateline_is_no_actor() -> None:
    cast = cast_of("OSLO, May 3 - Denmark thanked Canada.")
    assert [m.party for m in cast.mentions] == ["Denmark", "Canada"]


def test_bodies_of_a_state_are_the_state() -> None:
    assert [m.party for m in cast_of("The Pentagon and the Treasury Department declined to comment.").mentions] == [
        "United States",
        "United States",
    ]
