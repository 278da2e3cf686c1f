"""Parties and their aliases, and where a text mentions the two parties of a statement.

The registry, ``data/parties.yaml``, holds states, large organisations and well-known groups with their names,
demonyms, capitals and seats of government. A name that it does not know is matched as it is written; users add further
names with ``Statement.aliases``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, TypeVar

from detente.records import ROLES, Role, Statement

_WORD = re.compile(r"[^\W_]+")
_LEADING_THE = re.compile(r"^the\s+", re.IGNORECASE)
_Owner = TypeVar("_Owner")
_KEPT_PAIRS: Final = 4096
"""Pairs of parties whose names are kept ready: a file tends to speak of the same ones again and again."""
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
    given: dict[Role, tuple[str, ...]] = {}
    for role, name in zip(ROLES, (statement.speaker, statement.counterpart), strict=True):
        given[role] = (*([name] if name else []), *statement.aliases.get(role, ()))
    return dict(zip(ROLES, _collect_names(given["speaker"], given["counterpart"]), strict=True))


@lru_cache(maxsize=_KEPT_PAIRS)
def _collect_names(speaker: tuple[str, ...], counterpart: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of both, from those that were given."""
    given = [[_strip_the(n) for n in names] for names in (speaker, counterpart)]
    known = [[form for n in names if (party := find_party(n)) for form in party.forms] for names in given]
    taken = [{_fold(n) for n in names} for names in reversed(given)]
    shared = {_fold(n) for n in known[0]} & {_fold(n) for n in known[1]}
    mine, theirs = (
        tuple(dict.fromkeys([*given[i], *(n for n in known[i] if _fold(n) not in taken[i] | shared)])) for i in (0, 1)
    )
    return mine, theirs


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
    own = _index_names(tuple((role, tuple(found)) for role, found in names.items()))
    if not own:
        return []
    others = _first_word_index()
    mentions: list[Mention] = []
    position = 0
    for word in _WORD.finditer(folded):
        mine, theirs = own.get(word[0], ()), others.get(word[0], ())
        start = word.start()
        if start < position or not (mine or theirs):
            continue
        # Registry names of others keep their words from being taken for a shorter name of ours.
        best: tuple[int, bool, Role | None] = (start, False, None)
        for form, role in mine:
            if (end := form.match(text, folded, start)) > start:
                best = max(best, (end, True, role), key=lambda b: b[:2])
        for form, _ in theirs:
            best = max(best, (form.match(text, folded, start), False, None), key=lambda b: b[:2])
        end, _, found = best
        if end > start:
            position = end
        if found is not None:
            mentions.append(Mention(_include_article(folded, start), end, found))
    return mentions


@dataclass(frozen=True, slots=True)
class _Form:
    """A name as it is written, folded, and the characters before its first word."""

    name: str
    folded: str
    lead: int

    def match(self, text: str, folded: str, start: int) -> int:
        """Where the name ends in the text if its first word stands at ``start`` as whole words, else ``start``."""
        offset = start - self.lead
        if offset < 0 or not folded.startswith(self.folded, offset):
            return start
        end = offset + len(self.name)
        if end < len(text) and text[end].isalnum() and text[end - 1].isalnum():
            return start
        if len(self.name) <= 5 and self.name.isupper() and text[offset:end] != self.name:
            return start
        return end


def _index_forms(pairs: Iterable[tuple[str, _Owner]]) -> dict[str, tuple[tuple[_Form, _Owner], ...]]:
    """Names by their first word, folded; a name without a word has no entry."""
    index: dict[str, list[tuple[_Form, _Owner]]] = {}
    for name, owner in pairs:
        folded = _fold(name)
        if first := _WORD.search(folded):
            index.setdefault(first[0], []).append((_Form(name, folded, first.start()), owner))
    return {word: tuple(found) for word, found in index.items()}


@lru_cache(maxsize=_KEPT_PAIRS)
def _index_names(names: tuple[tuple[Role, tuple[str, ...]], ...]) -> dict[str, tuple[tuple[_Form, Role], ...]]:
    return _index_forms((name, role) for role, found in names for name in found)


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
            reach = form.match(text, folded, start)
            if reach > end:
                end, found = reach, [party]
            elif reach == end > start and party not in found:
                found.append(party)
        if found:
            namings.append(Naming(start, end, tuple(found)))
            position = end
    return namings


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


@cache
def _forms_index() -> dict[str, tuple[tuple[str, Party], ...]]:
    index: dict[str, list[tuple[str, Party]]] = {}
    for form, party in _all_forms():
        index.setdefault(_fold(form), []).append((form, party))
    return {folded: tuple(found) for folded, found in index.items()}


@cache
def _first_word_index() -> dict[str, tuple[tuple[_Form, Party], ...]]:
    return _index_forms(_all_forms())
