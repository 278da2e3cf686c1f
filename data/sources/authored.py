"""Authored statements: written for detente and labelled by its codebook; see data/authored/README.md.

Each record becomes a row whose parties are chosen by a hash of the record's id, so that no name goes with a label; one
with a third party becomes ``FILLS`` rows, as the network reads that party's name (those of speaker and counterpart are
masked). All states are equally likely. Names that are common nouns get an article in the
text. A contrast set stays in one split; 12 % of the groups are validation.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from detente.corpus import SourceError, split_groups, stable_fraction
from detente.labels import MAX_LEVEL, SENTIMENTS, STANCES
from detente.parties import load_parties
from detente.records import LabelledStatement

NAME: Final = "authored"
FILLS: Final = 2
VALIDATION_FRACTION: Final = 0.12
GENRES: Final = ("briefing", "communique", "interview", "speech", "headline", "post", "reported", "letter")
KINDS: Final = (
    *("state", "ministry", "organisation", "company", "union", "club"),
    *("person", "group", "party", "newspaper", "university", "city"),
)
PHENOMENA: Final = (
    *("direction", "negation", "third_party", "reported", "concession", "conditional_threat", "denial", "irony"),
    *("understatement", "quoted_hostility", "sanctions_act", "praise_with_sting"),
)
ROLES: Final = ("speaker", "counterpart", "third")
COLUMNS: Final = ("id", *ROLES, "genre", "stance", "hostility", "sentiment", "phenomenon", "contrast", "text")
FORMS: Final = ("adj", "people", "capital")
"""Forms of a state's name that a placeholder may ask for."""

_STATE_WITH_ARTICLE: Final = re.compile(
    r"United |.*Republic$|Republic of|DR Congo|.*Islands|"
    r"Bahamas|Comoros|Gambia|Maldives|Netherlands|Philippines|Seychelles|Vatican"
)
_INSTITUTION: Final = re.compile(
    r".*\b(?:"
    r"Alliance|Army|Association|Authority|Bank|Bloc|Board|Brigade|Brotherhood|Bureau|Coalition|"
    r"Column|Command|Commission|Compact|Conference|Corps|Council|Court|Federation|Forum|Front|"
    r"Fund|Group|Guard|Guild|League|List|Militia|Ministry|Mission|Movement|Network|Office|"
    r"Organisation|Pact|Panel|Party|Police|Regulator|Service|Society|Staff|Trust|Union"
    r")(?: (?:of|for) .*)?$"
)
"""Names that are common nouns and so take an article: the Coast Guard, the Alliance of Island Nations."""
_NEEDS_ARTICLE: Final = {
    "state": _STATE_WITH_ARTICLE,
    **dict.fromkeys(("ministry", "organisation", "union", "group", "party"), _INSTITUTION),
}
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_DETERMINER: Final = re.compile(r"(?:\b(?:the|a|an|our|your|their|this|that|its)|\.adj\}|['’]s)\s+$", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"[.!?][”\"’]?\s+$")

logger = logging.getLogger(__name__)


def parse(cells: Mapping[str | None, Any]) -> dict[str, Any]:
    """The record of a line, from its cells by column as ``csv.DictReader`` gives them, checked against the README.

    Returns:
        The value of each column, None where the cell is empty; ``roles`` maps each role to its kind, ``third`` only
        where there is one, in place of their columns.

    Raises:
        ValueError: What is wrong, what was found and what would be right.
    """
    if set(cells) != set(COLUMNS) or None in cells.values():
        raise ValueError(f"cells {list(cells.values())}: write {len(COLUMNS)}, {','.join(COLUMNS)}")
    row: dict[str, Any] = {column: cells[column] or None for column in COLUMNS}
    roles = {role: row.pop(role) for role in ROLES if row[role] or role != "third"}
    if not re.fullmatch(r"[\w-]+-\d+", row["id"] or ""):
        raise ValueError(f"id {row['id']!r}: write the file's stem, a dash and a number, such as briefing-017")
    if not (row["text"] or "").strip():
        raise ValueError(f"text {row['text']!r}: write 1 to 4 sentences")
    for key, allowed in (("stance", STANCES), ("sentiment", SENTIMENTS), ("genre", GENRES)):
        if row[key] not in allowed:
            raise ValueError(f"{key} {row[key]!r}: write one of {', '.join(allowed)}")
    if row["hostility"] not in map(str, range(MAX_LEVEL + 1)):
        raise ValueError(f"hostility {row['hostility']!r}: write a whole number from 0 to {MAX_LEVEL}")
    if row["phenomenon"] is not None and row["phenomenon"] not in PHENOMENA:
        raise ValueError(f"phenomenon {row['phenomenon']!r}: write nothing or one of {', '.join(PHENOMENA)}")
    for role, kind in roles.items():
        if kind not in KINDS and not (role == "speaker" and kind is None):
            raise ValueError(f"{role} {kind!r}: write one of {', '.join(KINDS)} (nothing: speaker only)")
    _validate_placeholders(row["text"], roles)
    return {**row, "hostility": int(row["hostility"]), "roles": roles}


def _validate_placeholders(text: str, roles: Mapping[str, str | None]) -> None:
    if "{" in _PLACEHOLDER.sub("", text) or "}" in _PLACEHOLDER.sub("", text):
        raise ValueError(f"text {text!r}: a brace without its pair; placeholders look like {{speaker}}")
    used = set()
    for placeholder in _PLACEHOLDER.findall(text):
        role, dot, form = placeholder.partition(".")
        if roles.get(role) is None:
            raise ValueError(f"placeholder {{{placeholder}}}: the line has no kind for {role!r}; write it there")
        if dot and (form not in FORMS or roles[role] != "state"):
            raise ValueError(f"placeholder {{{placeholder}}}: only states have forms, and only {', '.join(FORMS)}")
        used.add(role)
    if "third" in roles and "third" not in used:
        raise ValueError("third has a kind but the text has no {third}: take the kind out or put it in the text")


@cache
def load_pools() -> dict[str, list[dict[str, str]]]:
    """The parties that may fill a placeholder, by kind; each maps ``name`` and, for a state, its forms to words.

    States are those of the registry that have a code, which leaves out regions and states of the past; a state lacks a
    form that is the same as another one (China has no people: "Chinese" is its adjective). Other kinds come from
    ``fillers``.
    """
    path = files("detente") / "data" / "parties.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    pools = {kind: [{"name": name} for name in names] for kind, names in content["fillers"].items()}
    pools["state"] = []
    for party in load_parties():
        if party.kind == "state" and party.code:
            forms = {"adj": party.adjectives[:1], "people": party.people[:1], "capital": (party.capital,)}
            pools["state"].append({"name": party.name, **{form: word[0] for form, word in forms.items() if any(word)}})
    missing = [kind for kind in KINDS if not pools.get(kind)]
    if missing:
        raise SourceError(Path(str(path)), None, f"fillers for the kinds {', '.join(missing)}", sorted(pools))
    return pools


def choose_parties(
    record_id: str, fill: int, roles: Mapping[str, str | None], forms: Mapping[str, set[str]]
) -> dict[str, dict[str, str]]:
    """A different party for each role, by a hash of the record's id and the number of the fill.

    Args:
        record_id: The record's id.
        fill: The number of the fill, from 0.
        roles: Kind of each role; None has no party.
        forms: Forms of each role that the text uses; only parties that have them are chosen.
    """
    chosen: dict[str, dict[str, str]] = {}
    for role in ROLES:
        kind = roles.get(role)
        if kind is None:
            continue
        taken = {word for party in chosen.values() for word in party.values()}
        pool = [
            party
            for party in load_pools()[kind]
            if forms.get(role, set()) <= set(party) and not taken & set(party.values())
        ]
        start = int(stable_fraction(record_id, role) * len(pool))
        step = fill * (len(pool) // FILLS)  # fills of a record never meet
        chosen[role] = pool[(start + step) % len(pool)]
    return chosen


def fill_text(text: str, roles: Mapping[str, str | None], parties: Mapping[str, Mapping[str, str]]) -> str:
    """The text with names in place of its placeholders; "the" is added where a name needs it and has no determiner."""

    def fill(match: re.Match[str]) -> str:
        role, _, form = match[1].partition(".")
        name = parties[role][form or "name"]
        pattern = _NEEDS_ARTICLE.get(roles[role] or "")
        if form or pattern is None or not pattern.match(name):
            return name
        before = text[: match.start()].rstrip("“\"'‘(")
        if _DETERMINER.search(before):
            return name
        starts_sentence = not before.strip() or _SENTENCE_END.search(before)
        return f"{'The' if starts_sentence else 'the'} {name}"

    return _PLACEHOLDER.sub(fill, text)


def read_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a file and the lines that they end on.

    Raises:
        SourceError: The columns are not ``COLUMNS``, or a line is not a valid record.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise SourceError(path, 1, f"the columns {','.join(COLUMNS)}", reader.fieldnames)
        for cells in reader:
            try:
                record = parse(cells)
            except ValueError as error:
                raise SourceError(
                    path, reader.line_num, "a record as data/authored/README.md has it", str(error)
                ) from error
            yield reader.line_num, record


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read the authored statements.

    Args:
        folder: ``data/authored`` of the project.
        skipped: Counts the records that are left out, by reason; none are.

    Raises:
        SourceError: A line is not a valid record, an id comes twice, or there is no file.
    """
    skipped = Counter() if skipped is None else skipped
    rows: list[LabelledStatement] = []
    seen: set[str] = set()
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise SourceError(folder, None, "*.csv files with authored statements", [])
    for path in paths:
        for line, record in read_records(path):
            if record["id"] in seen:
                raise SourceError(path, line, "an id that no other record has", record["id"])
            seen.add(record["id"])
            fills = FILLS if "third" in record["roles"] else 1
            rows.extend(_fill_record(record, fill) for fill in range(fills))
    logger.info("%s: skipped %s", NAME, dict(skipped))
    yield from split_groups(rows, VALIDATION_FRACTION)


def _fill_record(record: Mapping[str, Any], fill: int) -> LabelledStatement:
    forms: dict[str, set[str]] = {}
    for placeholder in _PLACEHOLDER.findall(record["text"]):
        role, dot, form = placeholder.partition(".")
        forms.setdefault(role, set()).update({form} if dot else ())
    parties = choose_parties(record["id"], fill, record["roles"], forms)
    return LabelledStatement(
        text=fill_text(record["text"], record["roles"], parties),
        speaker=parties["speaker"]["name"] if "speaker" in parties else None,
        counterpart=parties["counterpart"]["name"],
        source=NAME,
        id=f"{record['id']}#{fill}",
        split="train",
        group=record["contrast"] or record["id"],
        stance=record["stance"],
        hostility_low=record["hostility"],
        hostility_high=record["hostility"],
        sentiment=record["sentiment"],
        native=f"{record['genre']}:{record['phenomenon'] or 'none'}",
    )
