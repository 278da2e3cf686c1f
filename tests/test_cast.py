"""The cast of an article: names, their forms, and for whom people speak."""

import pytest
from told import span, told

from detente.article.cast import Cast
from detente.article.sentences import split_sentences

STORY = """Kremlin spokesman Dmitry Peskov said on Monday that talks with Velmora had failed.

Peskov added that Moscow was ready to wait. The Velmoran foreign minister, Aino Rauta, answered within the hour.

Ms Rauta said the Brown Bear Xylophone had heard nothing. The BBX was told. So was Jean-Claude Brun, a baker.
"""


@pytest.fixture(scope="module")
def cast() -> Cast:
    markup = told(
        STORY,
        parties=["Velmora", "Velmoran", "the Brown Bear Xylophone", "BBX"],
        people=["Dmitry Peskov", "Aino Rauta", "Ms Rauta", "Claude Brun"],
        affiliation={
            "Dmitry Peskov": ["Kremlin"],
            "Peskov": ["Kremlin"],
            "Aino Rauta": ["Velmora"],
            "Rauta": ["Velmora"],
        },
        speaker={"talks with Velmora had failed": ["Dmitry Peskov"], "had heard nothing": ["Rauta"]},
        counterpart={"talks with Velmora had failed": ["Velmora"], "had heard nothing": ["Dmitry Peskov"]},
    )
    return Cast(STORY, split_sentences(STORY), markup)


def test_forms_of_a_name_are_one_party(cast: Cast) -> None:
    assert {m.name: (m.kind, m.how, m.party) for m in cast.members} == {
        "Russia": ("state", "registry", "Russia"),
        "Velmora": ("name", "name", "Velmora"),
        "Brown Bear Xylophone": ("name", "name", "Brown Bear Xylophone"),
        "Dmitry Peskov": ("person", "introduction", "Russia"),
        "Aino Rauta": ("person", "introduction", "Velmora"),
        "Jean-Claude Brun": ("person", "name", "Jean-Claude Brun"),
    }
    assert cast.find_forms("Velmora") == ["Velmora", "Velmoran", "Aino Rauta", "Rauta"]
    assert {m.name for m in cast.within(span(STORY, "Peskov added that Moscow"))} == {"Dmitry Peskov", "Russia"}


def test_what_a_person_says_tells_for_whom_he_speaks() -> None:
    text = "Ivan Orlov met Norway and Chile. He blamed Chile for it. She left."
    markup = told(
        text,
        said=[("He", "blamed", "Chile for it")],
        people=["Ivan Orlov"],
        speaker={"Chile for it": ["Ivan Orlov"]},
        affiliation={"Ivan Orlov": ["Norway", "Chile"], "Chile for it": ["Norway"]},
    )
    assert {m.name: m.party for m in Cast(text, split_sentences(text), markup).members}["Ivan Orlov"] == "Norway"


def test_speakers_are_parties_with_the_person_who_speaks(cast: Cast) -> None:
    nobody, ranked = cast.find_speakers([span(STORY, "talks with Velmora had failed")])
    share, party, person = ranked[0]
    assert (nobody, share, party.name) == (0, 1, "Russia")
    assert person is not None and person.name == "Dmitry Peskov"


def test_a_person_counts_for_the_party(cast: Cast) -> None:
    rating, party = cast.find_counterparts([span(STORY, "had heard nothing")], [], "indirect", "Velmora", {})[0]
    assert (rating > 0.5, party.name) == (True, "Russia")


def test_initials_stand_for_a_body() -> None:
    text = "The General Workers Union struck. The GWU won."
    assert [
        m.name
        for m in Cast(text, split_sentences(text), told(text, parties=["The General Workers Union", "GWU"])).members
    ] == ["General Workers Union"]


def test_the_caller_wins_over_the_registry() -> None:
    text = "Putin met reporters in Moscow."
    found = Cast(text, split_sentences(text), told(text), {"Kremlin watchers": ["Putin", "Moscow"]}).members
    assert [(m.name, m.how) for m in found] == [("Kremlin watchers", "caller")]


def test_a_name_of_two_parties_is_the_one_that_is_named_otherwise() -> None:
    text = "Brussels waited."
    assert [(m.name, m.how) for m in Cast(text, split_sentences(text), told(text)).members] == [
        ("Brussels", "unresolved")
    ]
    text = "The European Union met. Brussels waited."
    assert [(m.name, m.how) for m in Cast(text, split_sentences(text), told(text)).members] == [
        ("European Union", "registry")
    ]


def test_a_country_stands_for_its_demonym_whichever_comes_first() -> None:
    text = "Tarskian boats fled. Tarskian guns fired. Tarskia denied it."
    assert {m.name for m in Cast(text, split_sentences(text), told(text, parties=["Tarskian", "Tarskia"])).members} == {
        "Tarskia"
    }


def test_marks_around_a_name_do_not_belong_to_it() -> None:
    text = "“Velorex’s offer” was refused, Mr. Holt said."
    found = Cast(text, split_sentences(text), told(text, parties=["“Velorex’s"], people=["Mr. Holt"])).members
    assert [m.name for m in found] == ["Velorex", "Holt"]


def test_an_office_of_a_state_is_the_state() -> None:
    text = "The Russian Foreign Ministry met the Kyrgyz Border Service and the Chile Wine League."
    offices = ["Russian Foreign", "Kyrgyz Border Service", "Chile Wine League"]
    cast = Cast(text, split_sentences(text), told(text, parties=offices))
    assert [m.name for m in cast.members] == ["Russia", "Kyrgyzstan", "Chile Wine League"]


def test_one_word_stands_for_a_body_when_it_is_nobody_elses() -> None:
    text = "Kestrel Airways sued the Harbour Workers Front. Kestrel lost. The Front won, and so did Harbour Lines."
    parties = ["Kestrel Airways", "Harbour Workers Front", "Harbour Lines"]
    cast = Cast(text, split_sentences(text), told(text, parties=parties))
    assert {text[m.start : m.end]: m.name for m in cast.mentions} == {
        **{party: party for party in parties},
        "Kestrel": "Kestrel Airways",
        "The Front": "Harbour Workers Front",
    }


def test_a_list_joins_parties() -> None:
    text = "Romania and Poland thanked Chile, Peru and Brazil."
    cast = Cast(text, split_sentences(text), told(text))
    whole = [span(text, "Romania and Poland thanked Chile, Peru and Brazil")]
    assert [m.name for m in cast.find_joined(["Poland"], whole)] == ["Romania"]
    assert [m.name for m in cast.find_joined(["Peru"], whole)] == ["Chile", "Brazil"]
    rows = {m.name: row for m, row in cast.describe_counterparts([span(text, "Chile, Peru")], [], "act", None, {})}
    assert rows["Brazil"]["named"] == 1 and rows["Poland"]["named"] == 0
