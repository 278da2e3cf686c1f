"""Records: what is refused and how the message teaches, and the values derived from a score."""

import dataclasses
import json
from typing import Any

import pytest

from detente.labels import HOSTILITY_LEVELS, SENTIMENTS, STANCES
from detente.records import MAX_NAME_CHARS, MAX_TEXT_CHARS, LabelledStatement, Score, Statement, StatementError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": None}, "text must be a string, found NoneType: pass the statement's words"),
        ({"text": b"no"}, "text must be a string, found bytes"),
        ({"text": ""}, "text is empty: pass at least one word"),
        ({"text": " \n\t\u00a0"}, "text is empty: pass at least one word"),
        ({"text": "x" * (MAX_TEXT_CHARS + 1)}, "text has 100,001 characters, at most 100,000 are allowed: split"),
        ({"speaker": ""}, "speaker is blank: pass None if nobody in particular is meant"),
        ({"counterpart": "  "}, "counterpart is blank: pass None"),
        ({"speaker": 3}, "speaker must be a string or None, found int: pass the party's name"),
        ({"counterpart": ["Norland"]}, "counterpart must be a string or None, found list"),
        ({"counterpart": "x" * (MAX_NAME_CHARS + 1)}, "counterpart has 501 characters, at most 500 are allowed"),
        ({"aliases": ["Norland"]}, "aliases must map 'speaker' or 'counterpart' to a list of names, found list"),
        ({"aliases": None}, "aliases must map 'speaker' or 'counterpart' to a list of names, found NoneType"),
        ({"aliases": {"target": ["N"]}}, "aliases has the key 'target': only 'speaker' and 'counterpart' are known"),
        ({"aliases": {"speaker": "Norland"}}, r"aliases\['speaker'\] must be a list of names, found str"),
        ({"aliases": {"speaker": {"Norland"}}}, r"aliases\['speaker'\] must be a list of names, found set"),
        ({"aliases": {"speaker": [7]}}, "an alias of the speaker must be a string, found int"),
        ({"aliases": {"counterpart": [None]}}, "an alias of the counterpart must be a string, found NoneType"),
        ({"aliases": {"counterpart": [" "]}}, "an alias of the counterpart is blank: leave it out"),
        ({"aliases": {"speaker": ["x" * 501]}}, "an alias of the speaker has 501 characters, at most 500 are allowed"),
        ({"speaker": "Norland", "counterpart": "Norland"}, "speaker and counterpart are both 'Norland': name two"),
    ],
)
def test_statement_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(StatementError, match=message):
        Statement(**{"text": "Norland objects.", **values})


def test_statement_refuses_text_that_is_not_unicode() -> None:
    """JSON may hold half a surrogate pair, of which no tokenizer can make anything."""
    with pytest.raises(StatementError, match="text"):
        Statement("Norland objects \ud83d.")


def test_statement_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        Statement("")


def test_statement_accepts_the_limits() -> None:
    assert len(Statement("x" * MAX_TEXT_CHARS, "s" * MAX_NAME_CHARS).text) == MAX_TEXT_CHARS
    assert Statement("No.", aliases={"speaker": (), "counterpart": ["N"]}).speaker is None


def test_statement_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Statement("No.").text = "Yes."  # type: ignore[misc]


@pytest.fixture
def score() -> Score:
    return Score(
        stance_probs=dict(zip(STANCES, (0.2, 0.3, 0.5), strict=True)),
        hostility_probs=dict(zip(HOSTILITY_LEVELS, (0.1, 0.2, 0.4, 0.2, 0.1), strict=True)),
        sentiment_probs=dict(zip(SENTIMENTS, (0.7, 0.2, 0.1), strict=True)),
        confidence=0.5,
        needs_review=True,
        windows=((0, 5), (3, 9)),
    )


def test_score_derives(score: Score) -> None:
    assert score.stance == pytest.approx(-0.3)
    assert score.hostility == pytest.approx((0.2 + 0.8 + 0.6 + 0.4) / 4)
    assert (score.stance_label, score.hostility_level, score.sentiment_label) == ("against", "accusation", "negative")


@pytest.mark.parametrize(("level", "expected"), list(enumerate((0.0, 0.25, 0.5, 0.75, 1.0))))
def test_hostility_of_a_certain_level(score: Score, level: int, expected: float) -> None:
    certain = {name: float(i == level) for i, name in enumerate(HOSTILITY_LEVELS)}
    found = dataclasses.replace(score, hostility_probs=certain)
    assert found.hostility == expected and found.hostility_level == HOSTILITY_LEVELS[level]


@pytest.mark.parametrize(("probabilities", "expected"), [((1.0, 0.0, 0.0), 1.0), ((0, 1, 0), 0.0), ((0, 0, 1), -1.0)])
def test_stance_of_a_certain_label(score: Score, probabilities: tuple[float, ...], expected: float) -> None:
    found = dataclasses.replace(score, stance_probs=dict(zip(STANCES, probabilities, strict=True)))
    assert found.stance == expected


def test_score_as_json_holds_everything(score: Score) -> None:
    found = json.loads(json.dumps(score.to_dict()))
    assert list(found) == [
        "stance",
        "stance_label",
        "hostility",
        "hostility_level",
        "sentiment_label",
        "stance_probs",
        "hostility_probs",
        "sentiment_probs",
        "confidence",
        "needs_review",
        "windows",
        "model_version",
    ]
    assert found["stance"] == score.stance and found["hostility"] == score.hostility
    assert found["hostility_probs"] == score.hostility_probs
    assert found["windows"] == [[0, 5], [3, 9]] and found["needs_review"] is True


def make_row(**values: Any) -> LabelledStatement:
    base = {
        "text": "Norland objects.",
        "speaker": "Norland",
        "counterpart": "Sudania",
        "source": "invented",
        "id": "7",
        "split": "train",
        "group": "g",
    }
    return LabelledStatement(**{**base, **values})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": " "}, "the text is empty"),
        ({"split": "dev"}, "split 'dev' is not train, validation or test"),
        ({"stance": "pro"}, "stance 'pro' is not one of .*'favour'"),
        ({"sentiment": "sad"}, "sentiment 'sad' is not one of .*'negative'"),
        ({"hostility_low": 1}, "needs both bounds, found 1 and None"),
        ({"hostility_high": 1}, "needs both bounds, found None and 1"),
        ({"hostility_low": -1, "hostility_high": 1}, "hostility interval -1 to 1 is not within 0 to 4"),
        ({"hostility_low": 0, "hostility_high": 5}, "hostility interval 0 to 5 is not within 0 to 4"),
        ({"hostility_low": 3, "hostility_high": 2}, "hostility interval 3 to 2 is not within 0 to 4"),
    ],
)
def test_row_refuses_and_names_itself(values: dict[str, Any], message: str) -> None:
    with pytest.raises(StatementError, match=f"invented 7: .*{message}"):
        make_row(**values)


def test_row_may_lack_every_label() -> None:
    row = make_row()
    assert (row.stance, row.hostility_low, row.hostility_high, row.sentiment) == (None, None, None, None)


def test_row_becomes_a_statement() -> None:
    assert make_row().to_statement() == Statement("Norland objects.", "Norland", "Sudania")
    assert make_row(counterpart="Norland").to_statement() == Statement("Norland objects.", None, "Norland")
    assert make_row(speaker=None, counterpart=None).to_statement() == Statement("Norland objects.")
