"""Parties and their aliases, and where a text mentions the two parties of a statement.

The registry, ``data/parties.yaml``, holds states, large organisations and well-known groups with their names,
demonyms, capitals and seats of government. A name that it does not know is matched as it is written; users add further
names with ``Statement.aliases``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from detente.records import ROLES, Role, Statement

_WORD = re.compile(r"[^\W_]+")
_LEADING_THE = re.compile(r"^the\s+", re.IGNORECASE)
# One character for one, so that offsets in the folded text are offsets in the text.
_FOLD = str.maketrans({"’": "'", "‘": "'", "\n": " ", "\t": " ", "\u00a0": " "})


@dataclass(frozen=True, slots=True)
class Party:
    """A party that the registry knows.

    Attributes:
        name: The usual English name.
        kind: ``state``, ``organisation``, ``group``, ``party`` and so on.
        code: ISO 3166 alpha-3 code of a state, else empty.
        adjectives: Such as ``American``.
        people: Plural demonyms without article, such as ``Americans``.
        capital: Capital of a state, else empty.
        seats: Seats of government used as metonyms, such as ``White House``.
        aliases: Further names and abbreviations.
        state: The state whose body it is, else empty.
    """

    name: str
    kind: str
    code: str = ""
    adjectives: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    capital: str = ""
    seats: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    state: str = ""

    @property
    def forms(self) -> tuple[str, ...]:
        """Every way in which a text may name the party, without repeats; the name comes first."""
        capital = (self.capital,) if self.capital else ()
        return tuple(dict.fromkeys((self.name, *self.aliases, *self.adjectives, *self.people, *capital, *self.seats)))


@dataclass(frozen=True, slots=True)
class Mention:
    """``text[start:end]`` names the party that has this role."""

    start: int
    end: int
    role: Role


@cache
def load_parties() -> tuple[Party, ...]:
    """The registry, in the order of its file."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # both are safe; the first is ten times faster
    text = (files("detente") / "data" / "parties.yaml").read_text(encoding="utf-8")
    rows = yaml.load(text, Loader=loader)["parties"]  # noqa: S506  # a safe loader, see above
    return tuple(_to_party(row) for row in rows)


def _to_party(row: dict[str, Any]) -> Party:
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
    return Party(**values)


def find_party(name: str) -> Party | None:
    """The party of the registry that goes by this name, or None if there is none or there are several.

    Case is ignored for names longer than three characters, and a leading "the" always.
    """
    plain = _strip_the(name)
    found = _forms_index().get(_fold(plain), ())
    exact = {party.name: party for form, party in found if form == plain or len(plain) > 3}
    if len(exact) > 1:  # a party's own name beats another's alias
        exact = {own: party for own, party in exact.items() if _fold(own) == _fold(plain)}
    return next(iter(exact.values())) if len(exact) == 1 else None


def collect_names(statement: Statement) -> dict[Role, tuple[str, ...]]:
    """The names by which each role may stand in the text: as given, by alias, and by the registry.

    A registry name that both parties share (Brussels, for Belgium and the European Union) goes to neither of them.
    """
    given: dict[Role, list[str]] = {}
    for role, name in zip(ROLES, (statement.speaker, statement.counterpart), strict=True):
        names = [*([name] if name else []), *statement.aliases.get(role, ())]
        given[role] = [_strip_the(n) for n in names]
    known = {role: [form for n in given[role] if (party := find_party(n)) for form in party.forms] for role in ROLES}
    taken = {role: {_fold(n) for n in given[other]} for role, other in zip(ROLES, reversed(ROLES), strict=True)}
    shared = {_fold(n) for n in known["speaker"]} & {_fold(n) for n in known["counterpart"]}
    return {
        role: tuple(dict.fromkeys([*given[role], *(n for n in known[role] if _fold(n) not in taken[role] | shared)]))
        for role in ROLES
    }


def find_mentions(text: str, names: Mapping[Role, Sequence[str]]) -> list[Mention]:
    """Where the text names the two parties, as whole words, in order and without overlap.

    The longest name wins, also against other parties of the registry: ``Sudan`` is not found in ``South Sudan``. An
    article before the name belongs to the mention. Upper and lower case are the same, except that a name of up to five
    capitals (``US``) must stand in capitals.

    Args:
        text: Any text.
        names: The names of each role, for example from ``collect_names``.
    """
    folded = _fold(text)
    own: dict[str, list[tuple[str, Role]]] = {}
    for role, role_names in names.items():
        for name in role_names:
            if first := _WORD.search(_fold(name)):
                own.setdefault(first[0], []).append((name, role))
    if not own:
        return []
    mentions: list[Mention] = []
    position = 0
    for word in _WORD.finditer(folded):
        start = word.start()
        if start < position:
            continue
        # Registry names of others keep their words from being taken for a shorter name of ours.
        best: tuple[int, bool, Role | None] = (start, False, None)
        for name, role in own.get(word[0], ()):
            if (end := _match_end(text, folded, name, start)) > start:
                best = max(best, (end, True, role), key=lambda b: b[:2])
        for name, _ in _first_word_index().get(word[0], ()):
            best = max(best, (_match_end(text, folded, name, start), False, None), key=lambda b: b[:2])
        end, _, found = best
        if end > start:
            position = end
        if found is not None:
            mentions.append(Mention(_include_article(folded, start), end, found))
    return mentions


@dataclass(frozen=True, slots=True)
class Naming:
    """``text[start:end]`` names one party of the registry, or may name any of several."""

    start: int
    end: int
    parties: tuple[Party, ...]


def find_namings(text: str) -> list[Naming]:
    """Where the text names parties of the registry, as whole words, in order and without overlap; the longest wins.

    A word that begins in lower case names nobody: ``turkey`` is a bird.

    Args:
        text: Any text.
    """
    folded = _fold(text)
    namings: list[Naming] = []
    position = 0
    for word in _WORD.finditer(folded):
        start = word.start()
        if start < position or not (text[start].isupper() or text[start].isdigit()):
            continue
        end, found = start, list[Party]()
        for form, party in _first_word_index().get(word[0], ()):
            reach = _match_end(text, folded, form, start)
            if reach > end:
                end, found = reach, [party]
            elif reach == end > start and party not in found:
                found.append(party)
        if found:
            namings.append(Naming(start, end, tuple(found)))
            position = end
    return namings


def _match_end(text: str, folded: str, name: str, start: int) -> int:
    """Where ``name`` ends in the text if it stands at ``start`` as whole words, else ``start``."""
    offset = start - (first.start() if (first := _WORD.search(name)) else 0)
    end = offset + len(name)
    if offset < 0 or end > len(text) or folded[offset:end] != _fold(name):
        return start
    if end < len(text) and (text[end].isalnum() and text[end - 1].isalnum()):
        return start
    if len(name) <= 5 and name.isupper() and text[offset:end] != name:
        return start
    return end


def _include_article(folded: str, start: int) -> int:
    begins_article = (
        start >= 4 and folded[start - 4 : start] == "the " and (start == 4 or not folded[start - 5].isalnum())
    )
    return start - 4 if begins_article else start


def _strip_the(name: str) -> str:
    return _LEADING_THE.sub("", name.strip()) or name.strip()


def _fold(text: str) -> str:
    lowered = text.lower()
    if len(lowered) != len(text):  # İ becomes two characters
        lowered = "".join(low if len(low := c.lower()) == 1 else c for c in text)
    return lowered.translate(_FOLD)


def _all_forms() -> Iterator[tuple[str, Party]]:
    for party in load_parties():
        for form in party.forms:
            yield form, party


def _group(pairs: Iterable[tuple[str, tuple[str, Party]]]) -> dict[str, tuple[tuple[str, Party], ...]]:
    index: dict[str, list[tuple[str, Party]]] = {}
    for key, pair in pairs:
        index.setdefault(key, []).append(pair)
    return {key: tuple(found) for key, found in index.items()}


@cache
def _forms_index() -> dict[str, tuple[tuple[str, Party], ...]]:
    return _group((_fold(form), (form, party)) for form, party in _all_forms())


@cache
def _first_word_index() -> dict[str, tuple[tuple[str, Party], ...]]:
    return _group((m[0], (form, party)) for form, party in _all_forms() if (m := _WORD.search(_fold(form))))
