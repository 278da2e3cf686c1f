"""The authored statements and their adapter: schema, filling, duplicates, leaks into the behaviour set, counts."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from data.sources import authored
from detente.corpus import SourceError, normalise_text

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "data" / "authored"


@pytest.fixture(scope="module")
def records() -> list[dict]:
    """Every record, validated."""
    found = []
    for path in sorted(FOLDER.glob("*.csv")):
        for line, record in authored.read_records(path):
            assert record["id"].startswith(f"{path.stem}-"), f"{path.name}, line {line}: id {record['id']}"
            found.append(record)
    return found


def test_ids_are_unique(records: list[dict]) -> None:
    assert [i for i, n in Counter(record["id"] for record in records).items() if n > 1] == []


def test_no_text_comes_twice(records: list[dict]) -> None:
    """Two records of one contrast set may share words, but not the whole text with its placeholders."""
    seen = defaultdict(list)
    for record in records:
        seen[normalise_text(record["text"]), record["roles"]["speaker"] is None].append(record["id"])
    assert [ids for ids in seen.values() if len(ids) > 1] == []


def test_contrast_sets_contrast(records: list[dict]) -> None:
    sets = defaultdict(list)
    for record in records:
        if record["contrast"] is not None:
            sets[record["contrast"]].append(record)
    for name, rows in sets.items():
        assert 2 <= len(rows) <= 4, f"{name} has {len(rows)} rows, expected 2 to 4"
        assert len({(row["stance"], row["hostility"]) for row in rows}) > 1, f"{name} has one label only"


def test_behaviour_set_is_not_in_the_training_data(records: list[dict]) -> None:
    pairs = [
        json.loads(line) for line in (ROOT / "tests/behaviour/pairs.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    plain = [
        json.loads(line) for line in (ROOT / "tests/behaviour/plain.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    held_out = {normalise_text(pair[side]["text"]) for pair in pairs for side in ("higher", "lower")}
    held_out |= {normalise_text(row["text"]) for row in plain}
    templates = {normalise_text(record["text"]): record["id"] for record in records}
    filled = {normalise_text(row.text): row.id for row in authored.read(FOLDER)}
    assert {**templates, **filled}.keys() & held_out == set()


def test_counts(records: list[dict]) -> None:
    levels = Counter(record["hostility"] for record in records)
    assert len(records) >= 1200
    assert levels[3] >= 200, "vilification"
    assert levels[4] >= 200, "threat"
    assert sum(record["contrast"] is not None for record in records) >= 300


# The adapter

CELLS = {
    "id": "note-001",
    "speaker": "state",
    "counterpart": "state",
    "third": "ministry",
    "genre": "reported",
    "stance": "neutral",
    "hostility": "0",
    "sentiment": "neutral",
    "phenomenon": "",
    "contrast": "",
    "text": "{speaker} and the {counterpart.people} met in {counterpart.capital}; {third} looked on.",
}


def put_authored(folder: Path, lines: Sequence[dict[str, str]]) -> Path:
    with (folder / "note.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, authored.COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
    return folder


def test_authored_fills_placeholders(tmp_path: Path) -> None:
    first, second = authored.read(put_authored(tmp_path, [CELLS]))
    assert (first.id, second.id) == ("note-001#0", "note-001#1")
    assert first.split == second.split and first.group == "note-001"
    for row in (first, second):
        assert "{" not in row.text and "; the " in row.text
        assert row.speaker and row.speaker in row.text and row.speaker != row.counterpart
        assert (row.stance, row.hostility_low, row.hostility_high) == ("neutral", 0, 0)
    assert {first.speaker, first.counterpart} != {second.speaker, second.counterpart}
    assert list(authored.read(tmp_path)) == [first, second]


def test_authored_author_speaks(tmp_path: Path) -> None:
    cells = {
        **CELLS,
        "text": "{counterpart} won.",
        "speaker": "",
        "counterpart": "club",
        "third": "",
        "contrast": "set",
    }
    rows = list(authored.read(put_authored(tmp_path, [cells])))
    assert [(row.id, row.speaker, row.group) for row in rows] == [("note-001#0", None, "set")], "no third: one row"


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{speaker} paid.", "The United States paid."),
        ("Yes. {speaker} paid, as {speaker} had to.", "Yes. The United States paid, as the United States had to."),
        ("The {speaker} envoy and {speaker.adj} aid", "The United States envoy and American aid"),
    ],
)
def test_authored_articles(text: str, filled: str) -> None:
    party = {"name": "United States", "adj": "American"}
    assert authored.fill_text(text, {"speaker": "state"}, {"speaker": party}) == filled


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({None: ["more"]}, "write 11, id,speaker,counterpart"),
        ({"text": None}, "write 11, id,speaker,counterpart"),
        ({"id": "note"}, "a dash and a number"),
        ({"text": " "}, "1 to 4 sentences"),
        ({"stance": "pro"}, "write one of favour, neutral, against"),
        ({"hostility": "5"}, "whole number from 0 to 4"),
        ({"hostility": ""}, "whole number from 0 to 4"),
        ({"phenomenon": "rhyme"}, "write nothing or one of direction"),
        ({"counterpart": ""}, "counterpart None: write one of state"),
        ({"third": "planet"}, "third 'planet': write one of state"),
        ({"text": "{third} {counterpart.flag}"}, "only states have forms"),
        ({"text": "{third.adj}"}, "only states have forms"),
        ({"text": "{speaker} sat"}, r"the text has no \{third\}"),
        ({"text": "{third} {stranger}"}, "no kind for 'stranger'"),
        ({"text": "{third} {speaker"}, "a brace without its pair"),
    ],
)
def test_authored_parse_teaches(change: dict[str | None, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        authored.parse({**CELLS, **change})


def test_authored_errors_name_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"note\.csv, line 3: expected an id that no other record has"):
        list(authored.read(put_authored(tmp_path, [CELLS, CELLS])))
    (tmp_path / "note.csv").write_text("id,text\nnote-001,They met.\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"note\.csv, line 1: expected the columns id,speaker"):
        list(authored.read(tmp_path))
    with pytest.raises(SourceError, match=r"expected \*\.csv files"):
        list(authored.read(tmp_path / "none"))


def test_all_fills_use_different_parties() -> None:
    roles = {"speaker": "state", "counterpart": "state", "third": "state"}
    for number in range(300):
        chosen = authored.choose_parties(f"note-{number}", number % 2, roles, {"counterpart": {"capital", "people"}})
        assert len({party["name"] for party in chosen.values()}) == 3
        assert {"capital", "people"} <= set(chosen["counterpart"])
