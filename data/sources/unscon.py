"""UNSCon: verbal conflict in speeches of the UN Security Council (Zaczynska et al., 2024).

The folder holds two repositories: ``unscon_ui`` with sentences (``dataset/conflict_annotations4UI.csv``) and
``unscon_rst`` with clauses (``data/main_conflicts.csv``). The file ``conflict_annotations_sentences.csv`` of the main
repository is not used: its country column contradicts the speeches. One of the four known debates,
``VALIDATION_DEBATE``, is validation in both files; every debate that is not known here is test.

Negative evaluation, direct or indirect, and a challenge are against, 1-3: the scheme has no threats. A correction is
against, 1-2. In the sentence file "Challenge and Correction" is what the clause file calls a correction. "No
conflict" says hostility 0 and nothing of stance, for the scheme has no positive class.

Only conflict rows have a target, so that the counterpart alone would give the label away. Half of the rows without
conflict therefore get a country, drawn by a hash of the row's id from the targets of the conflict rows of the same
debate, each as often as it is a target there; and a third of the conflict rows lose theirs. ``unsc_attitude`` labels
the same speeches.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detente.corpus import SourceError, stable_fraction
from detente.records import LabelledStatement

NAME: Final = "unscon"
UI_FILE: Final = "unscon_ui/dataset/conflict_annotations4UI.csv"
RST_FILE: Final = "unscon_rst/data/main_conflicts.csv"
VALIDATION_DEBATE: Final = "SPV.7154"
"""13 April 2014, on Ukraine. SPV.7658 is smaller, but only 4 % of its rows have a conflict."""
TRAIN_DEBATES: Final = ("SPV.7165", "SPV.7219", "SPV.7658")
UI_LABELS: Final[dict[str, tuple[str | None, int, int]]] = {
    "": (None, 0, 0),
    "Direct Conflict": ("against", 1, 3),
    "Indirect Conflict": ("against", 1, 3),
    "Challenge": ("against", 1, 3),
    "Challenge and Correction": ("against", 1, 2),
}
RST_LABELS: Final[dict[str, tuple[str | None, int, int]]] = {
    "_": (None, 0, 0),
    "Direct_NegEval": ("against", 1, 3),
    "Indirect_NegEval": ("against", 1, 3),
    "Challenge": ("against", 1, 3),
    "Correction": ("against", 1, 2),
}
NO_COUNTRY: Final = frozenset({"", "_", "underspecified", "underdefined"})
UI_COLUMNS: Final = (
    "Text (Sentence-split)", "Conflict Type", "Target Country", "Country Speaker", "Speech-ID filename", "Sentence-ID"
)  # fmt: skip
RST_COLUMNS: Final = ("text_edu", "Conflict_Type", "Target_Country_Name", "filename", "fileid", "speech_edu_id")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence or clause as the file has it; ``target`` is None if no country is named."""

    id: str
    text: str
    speaker: str
    target: str | None
    debate: str
    native: str
    label: tuple[str | None, int, int]


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read the sentences and the clauses of UNSCon.

    Args:
        folder: Holds the repositories as ``unscon_ui`` and ``unscon_rst``.
        skipped: Counts the rows that are left out, by reason.

    Raises:
        SourceError: A column is missing or a value is unknown.
    """
    skipped = Counter() if skipped is None else skipped
    for units in (_read_ui(folder / UI_FILE), _read_rst(folder / RST_FILE)):
        yield from _make_rows(list(units), skipped)
    logger.info("%s: skipped %s", NAME, dict(skipped))


def split_of(debate: str) -> str:
    """The split of a debate: validation, train if it is known, else test."""
    return "validation" if debate == VALIDATION_DEBATE else "train" if debate in TRAIN_DEBATES else "test"


def name_country(code: str) -> str:
    """A country as people write it: ``united_states_of_america`` is United States of America."""
    name = code.replace("_", " ").strip().title()
    name = re.sub(r"\b(Of|And|The)\b", lambda match: match[0].lower(), name)
    name = name.replace("United Kingdom of Great Britain and Northern Ireland", "United Kingdom")
    return "UN" if name == "Un" else name


def _read_table(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise SourceError(path, 1, f"the columns {', '.join(missing)}", reader.fieldnames)
        for record in reader:
            yield reader.line_num, [(record[column] or "").strip() for column in columns]


def _find_debate(path: Path, line: int, speech: str) -> str:
    match = re.search(r"SPV\.\w+?(?=_spch)", speech)
    if match is None:
        raise SourceError(path, line, "a speech such as UNSC_2014_SPV.7154_spch002", speech)
    return match[0]


def _find_label(
    path: Path, line: int, labels: dict[str, tuple[str | None, int, int]], native: str
) -> tuple[str | None, int, int]:
    if native not in labels:
        raise SourceError(path, line, f"a conflict type of {', '.join(map(repr, labels))}", native)
    return labels[native]


def _find_target(country: str) -> str | None:
    return None if country.lower() in NO_COUNTRY else name_country(country)


def _read_ui(path: Path) -> Iterator[_Unit]:
    for line, (text, native, target, speaker, speech, sentence) in _read_table(path, UI_COLUMNS):
        yield _Unit(
            id=f"ui-{speech.removesuffix('.txt')}-{sentence}",
            text=text,
            speaker=name_country(speaker),
            target=_find_target(target),
            debate=_find_debate(path, line, speech),
            native=native or "none",
            label=_find_label(path, line, UI_LABELS, native),
        )


def _read_rst(path: Path) -> Iterator[_Unit]:
    for line, (text, native, target, filename, speech, clause) in _read_table(path, RST_COLUMNS):
        match = re.fullmatch(r".*_edu_(.+)\.txt", filename)
        if match is None:
            raise SourceError(path, line, "a file name that ends in _edu_<country>.txt", filename)
        yield _Unit(
            id=f"rst-{speech}-{clause}",
            text=text,
            speaker=name_country(match[1]),
            target=_find_target(target),
            debate=_find_debate(path, line, speech),
            native="none" if native == "_" else native,
            label=_find_label(path, line, RST_LABELS, native),
        )


def _make_rows(units: list[_Unit], skipped: Counter[str]) -> Iterator[LabelledStatement]:
    targets: dict[str, list[str]] = {}
    for unit in units:
        if unit.target is not None and unit.label[0] is not None:
            targets.setdefault(unit.debate, []).append(unit.target)
    for unit in units:
        if not any(character.isalnum() for character in unit.text):
            skipped["no letter or digit in the text"] += 1
            continue
        stance, low, high = unit.label
        counterpart = unit.target if stance is not None else _draw_country(unit, targets.get(unit.debate, []))
        if stance is not None and stable_fraction("drop target", unit.id) < 1 / 3:
            counterpart = None
        yield LabelledStatement(
            text=unit.text,
            speaker=unit.speaker,
            counterpart=None if counterpart == unit.speaker else counterpart,
            source=NAME,
            id=unit.id,
            split=split_of(unit.debate),
            group=unit.debate,
            stance=stance,
            hostility_low=low,
            hostility_high=high,
            native=unit.native,
        )


def _draw_country(unit: _Unit, targets: list[str]) -> str | None:
    others = sorted(target for target in targets if target != unit.speaker)
    if not others or stable_fraction("give target", unit.id) < 0.5:
        return None
    return others[int(stable_fraction("which target", unit.id) * len(others))]
