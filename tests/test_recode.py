"""Codes of our own: how they join the rows of a source, and the shipped files."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from data.recode import FOLDER, Code, read_codes, recode
from data.sources import SOURCES
from detente.corpus import SourceError, hash_text
from detente.records import LabelledStatement

TEXT = "Ruritania scolded Graustark."
HEADER = "id,text,stance,hostility,sentiment\n"


def make_row(source: str, **labels: object) -> LabelledStatement:
    return LabelledStatement(
        text=TEXT,
        speaker="Ruritania",
        counterpart="Graustark",
        source=source,
        id="7",
        split="train",
        group="g",
        **labels,  # type: ignore[arg-type]
    )


def apply(row: LabelledStatement, code: Code) -> tuple[list[LabelledStatement], Counter[tuple[str, str]]]:
    dropped: Counter[tuple[str, str]] = Counter()
    return recode([row], {row.source: {"7": code}}, dropped), dropped


SCOLDS = Code(hash_text(TEXT), "against", 1, "negative")


def test_a_code_adds_what_the_source_does_not_say() -> None:
    [row], dropped = apply(make_row("dse", stance="against", hostility_low=1, hostility_high=4), SCOLDS)
    assert (row.stance, row.hostility_low, row.hostility_high, row.sentiment) == ("against", 1, 1, "negative")
    assert not dropped
    [row], _ = apply(make_row("unscon", hostility_low=1, hostility_high=3, sentiment="neutral"), SCOLDS)
    assert (row.stance, row.hostility_high, row.sentiment) == ("against", 1, "neutral")


@pytest.mark.parametrize(
    "labels",
    [{"stance": "neutral"}, {"hostility_low": 0, "hostility_high": 0}, {"hostility_low": 2, "hostility_high": 4}],
)
def test_a_code_never_overrules_the_source(labels: dict[str, object]) -> None:
    row = make_row("unscon", **labels)
    assert apply(row, SCOLDS) == ([row], {("unscon", "code not used, as it contradicts the source"): 1})


def test_labels_of_whole_documents_are_replaced_or_left_out() -> None:
    row = make_row("rusentrel_en", stance="favour", hostility_low=0, hostility_high=2)
    [coded], _ = apply(row, SCOLDS)
    assert (coded.stance, coded.hostility_low, coded.sentiment) == ("against", 1, "negative")
    unclear = Code(SCOLDS.text, None, None, None)
    assert apply(row, unclear) == ([], {("rusentrel_en", "could not be coded"): 1})
    dropped: Counter[tuple[str, str]] = Counter()
    assert recode([row], {"rusentrel_en": {}}, dropped) == [] and dropped == {("rusentrel_en", "no code"): 1}


def test_the_other_direction_becomes_a_training_row() -> None:
    row = make_row("plv", stance="against")
    dropped: Counter[tuple[str, str]] = Counter()
    codes = {"plv": {"7~": Code(SCOLDS.text, "neutral", 0, "negative")}}
    turned, same = recode([row], codes, dropped)
    assert same == row and not dropped
    assert (turned.id, turned.speaker, turned.counterpart, turned.stance) == ("7~", "Graustark", "Ruritania", "neutral")
    held_out = replace(row, split="validation")
    assert recode([held_out], codes, dropped) == [held_out]


def test_other_rows_stay() -> None:
    row = make_row("rusentrel_en", stance="favour")
    dropped: Counter[tuple[str, str]] = Counter()
    assert recode([row], {}, dropped) == [row] and not dropped


def test_another_text_is_refused() -> None:
    with pytest.raises(SourceError, match=r"codes/dse\.csv: expected the text with hash 0123 as 7"):
        apply(make_row("dse"), Code("0123", "against", 1, "negative"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n", "line 1: expected the columns id, text, stance, hostility, sentiment"),
        (HEADER + "1,ab,against,5,negative\n", "line 2: expected a stance, a level and a sentiment, or none of them"),
        (HEADER + "1,ab,against,,\n", "or none of them"),
        (HEADER + "1,ab,,,\n1,cd,,,\n", "line 3: expected an id that no other line has, found '1'"),
    ],
)
def test_a_broken_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "dse.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        read_codes(path)


def test_shipped_codes_hold_labels_and_no_text() -> None:
    paths = sorted(FOLDER.rglob("*.csv"))
    assert len(paths) == 5 + 3, "labels of rows, and those of blind/, which join no corpus"
    for path in paths:
        assert path.stem in SOURCES
        for code in read_codes(path).values():
            assert re.fullmatch("[0-9a-f]{16}", code.text)
            assert code.stance != "against" or code.hostility
