"""Corpus: clean text, stable splits, de-duplication, parquet there and back."""

from dataclasses import replace
from pathlib import Path

import pytest

from detente.corpus import (
    clean_rows,
    drop_duplicates,
    drop_leaks,
    from_dataset,
    is_held_out,
    labels_disagree,
    normalise_text,
    read_parquet,
    split_groups,
    stable_fraction,
    tidy_spacing,
    to_dataset,
    write_parquet,
)
from detente.records import LabelledStatement

STABLE_A1 = 0.514130690165825

ROW = LabelledStatement(
    text="Norland rejects the plan.",
    speaker="Norland",
    counterpart="Sudania",
    source="invented",
    id="1",
    split="train",
    group="g1",
    stance="against",
    hostility_low=1,
    hostility_high=2,
)


def test_normalise_text_ignores_case_spacing_punctuation_and_width() -> None:
    assert normalise_text("The  “Plan”, (ＡＢ) №1!") == normalise_text("the plan ab no1") == "theplanabno1"
    assert normalise_text("... !") == ""


@pytest.mark.parametrize(
    ("raw", "tidy"),
    [
        ("Norland 's offer , they said ( today ) .", "Norland's offer, they said (today)."),
        ('He called it " a farce " .', 'He called it "a farce".'),
        ("They do n't agree ; we ca n't wait .", "They don't agree; we can't wait."),
        ("Nothing   to do", "Nothing to do"),
    ],
)
def test_tidy_spacing(raw: str, tidy: str) -> None:
    assert tidy_spacing(raw) == tidy


def test_stable_fraction_is_pinned() -> None:
    """A change here changes every split: it would move validation rows into train."""
    assert stable_fraction("a", 1) == pytest.approx(STABLE_A1, abs=1e-12)
    assert stable_fraction("a", 1) == stable_fraction("a", "1") != stable_fraction("a1")


def test_split_groups_keeps_groups_together_and_ignores_order() -> None:
    rows = [replace(ROW, id=str(i), group=f"g{i % 50}") for i in range(200)]
    split = split_groups(rows, 0.3)
    by_group: dict[str, set[str]] = {}
    for row in split:
        by_group.setdefault(row.group, set()).add(row.split)
    assert all(len(splits) == 1 for splits in by_group.values())
    assert {row.id: row.split for row in split_groups(rows[::-1], 0.3)} == {row.id: row.split for row in split}
    assert 5 <= sum(splits == {"validation"} for splits in by_group.values()) <= 25
    assert [row.id for row in split] == [row.id for row in rows]


def test_split_groups_leaves_official_splits_alone_and_uses_the_seed() -> None:
    assert split_groups([replace(ROW, split="test")], 1.0)[0].split == "test"
    assert split_groups([ROW], 1.0)[0].split == "validation"
    assert split_groups([ROW], 0.0)[0].split == "train"
    names = [f"g{i}" for i in range(64)]
    assert [is_held_out("s", n, 0.5, 1) for n in names] != [is_held_out("s", n, 0.5, 2) for n in names]
    with pytest.raises(ValueError, match=r"\[0, 1\], found 20"):
        split_groups([ROW], 20)


def test_drop_leaks_drops_train_rows_of_any_source() -> None:
    held = replace(ROW, source="other", split="validation", group="g2", text="NORLAND rejects the plan")
    empty = replace(ROW, id="2", text="...")
    other = replace(ROW, id="3", text="Norland likes the plan.")
    kept, dropped = drop_leaks([ROW, held, empty, other])
    assert kept == [held, other]
    assert dropped == {
        ("invented", "train text stands in a validation or test row"): 1,
        ("invented", "no letter or digit in the text"): 1,
    }


def test_drop_leaks_drops_train_rows_of_a_held_out_group() -> None:
    held = replace(ROW, id="2", split="test", text="Another sentence of the article.")
    namesake = replace(ROW, id="3", source="other", text="Another source, where the group has the same name.")
    kept, dropped = drop_leaks([ROW, held, namesake])
    assert kept == [held, namesake]
    assert dropped == {("invented", "train row of a group with validation or test rows"): 1}


def test_drop_duplicates_keeps_the_row_with_the_most_labels() -> None:
    poor = replace(ROW, id="0", stance=None)
    same = replace(ROW, id="2", text="norland rejects the plan")
    other = replace(ROW, id="3", counterpart=None)
    kept, dropped = drop_duplicates([poor, ROW, same, other])
    assert kept == [ROW, other]
    assert dropped == {("invented", "exact duplicate"): 2}


def test_drop_duplicates_drops_all_rows_that_disagree() -> None:
    kept, dropped = drop_duplicates([ROW, replace(ROW, id="2", stance="favour")])
    assert kept == []
    assert dropped == {("invented", "duplicates whose labels disagree"): 2}


@pytest.mark.parametrize(
    ("change", "disagree"),
    [
        ({"hostility_low": 0, "hostility_high": 1}, False),
        ({"hostility_low": 3, "hostility_high": 4}, True),
        ({"hostility_low": None, "hostility_high": None}, False),
        ({"sentiment": "negative"}, False),
        ({"stance": None}, False),
        ({"stance": "neutral"}, True),
    ],
)
def test_labels_disagree(change: dict[str, object], disagree: bool) -> None:
    assert labels_disagree([ROW, replace(ROW, **change)]) is disagree  # type: ignore[arg-type]


def test_clean_rows_counts_every_row() -> None:
    rows = [ROW, replace(ROW, id="2"), replace(ROW, id="3", split="validation", group="g2", text="Other words.")]
    kept, dropped = clean_rows(rows)
    assert len(kept) + sum(dropped.values()) == len(rows)


def test_parquet_there_and_back(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, id="2", speaker=None, hostility_low=None, hostility_high=None, stance=None)]
    path = tmp_path / "deep" / "train.parquet"
    write_parquet(rows, path)
    assert read_parquet(path) == rows


def test_types_do_not_depend_on_the_rows() -> None:
    bare = replace(ROW, speaker=None, stance=None, hostility_low=None, hostility_high=None)
    assert to_dataset([bare]).features == to_dataset([ROW]).features == to_dataset([]).features


def test_reading_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"python -m data\.build"):
        read_parquet(tmp_path / "none.parquet")
    with pytest.raises(ValueError, match="columns"):
        from_dataset(to_dataset([ROW]).remove_columns("native"))
