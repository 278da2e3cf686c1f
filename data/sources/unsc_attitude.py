"""Attitude in UN Security Council speeches: clauses with appraisal labels (Tretti, 2024).

``Data/Experiments Data/Edus+Annotations_Data.xlsx`` lists clauses ("Edu Speech") of speeches ("Anno_name_y") with the
annotated words and their label: attitude type and polarity. A clause stands there once for each annotation, so its
rows are joined.

Only the polarity is used, as sentiment: one polarity is the tone, "no appraisal" is neutral, both polarities in one
clause are skipped. An annotation joined from another speech ("Anno_name_x" differs) belongs to an equal clause there
and is left out.

These are the speeches of ``unscon``. The same debate is validation here as there, so that no clause trains one head
while its sentence measures another; a debate that is not known there is test.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from data.sources.unscon import split_of
from detente.corpus import SourceError
from detente.records import LabelledStatement

NAME: Final = "unsc_attitude"
FILE: Final = "Data/Experiments Data/Edus+Annotations_Data.xlsx"
LABEL: Final = re.compile(r"(affect|appreciation|judgement)-(positive|negative)")
_COLUMNS: Final = ("Label", "Anno_name_x", "Edu Speech", "Anno_name_y", "Appraisal?")

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Clause:
    line: int
    appraisal: str
    labels: set[str] = field(default_factory=set)


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read the clauses.

    Args:
        folder: The repository.
        skipped: Counts the rows and clauses that are left out, by reason.

    Raises:
        SourceError: A column is missing or a value is unknown.
    """
    skipped = Counter() if skipped is None else skipped
    path = folder / FILE
    for (speech, text), clause in _read_clauses(path, skipped).items():
        polarities = {label.rsplit("-", 1)[1] for label in clause.labels}
        if not any(character.isalnum() for character in text):
            skipped["no letter or digit in the text"] += 1
        elif len(polarities) == 2:
            skipped["positive and negative in one clause"] += 1
        elif not polarities and clause.appraisal == "yes":
            skipped["appraisal without a label"] += 1
        else:
            debate = re.search(r"SPV\.\w+?(?=_spch)", speech)
            if debate is None:
                raise SourceError(path, clause.line, "a speech such as UNSC_2014_SPV.7154_spch002_ann_UN", speech)
            yield LabelledStatement(
                text=text,
                speaker=None,
                counterpart=None,
                source=NAME,
                id=f"{clause.line}-{speech}",
                split=split_of(debate[0]),
                group=debate[0],
                sentiment=polarities.pop() if polarities else "neutral",
                native="|".join(sorted(clause.labels)) or "none",
            )
    logger.info("%s: skipped %s", NAME, dict(skipped))


def _read_clauses(path: Path, skipped: Counter[str]) -> dict[tuple[str, str], _Clause]:
    """The clauses by speech and text, in the order of the sheet."""
    from openpyxl import load_workbook  # slow to import

    workbook = load_workbook(path, read_only=True, data_only=True)
    table = workbook.worksheets[0].iter_rows(values_only=True)
    header = [str(cell) for cell in next(table)]
    missing = [column for column in _COLUMNS if column not in header]
    if missing:
        raise SourceError(path, 1, f"the columns {', '.join(missing)}", header)
    indices = [header.index(column) for column in _COLUMNS]
    clauses: dict[tuple[str, str], _Clause] = {}
    for line, cells in enumerate(table, start=2):
        label, origin, text, speech, appraisal = (str(cells[i]).strip() if cells[i] else "" for i in indices)
        if not text and not speech:
            skipped["empty row"] += 1
            continue
        if appraisal not in ("yes", "no") or (label and not LABEL.fullmatch(label)):
            raise SourceError(path, line, "appraisal yes or no and a label such as affect-positive", (appraisal, label))
        clause = clauses.setdefault((speech, text), _Clause(line, appraisal))
        if label and origin != speech:
            skipped["annotation of an equal clause in another speech"] += 1
        elif label:
            clause.labels.add(label)
    workbook.close()
    return clauses
