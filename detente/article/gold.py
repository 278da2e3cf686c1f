"""Articles with gold statements: what we wrote ourselves, for training the reader and for measuring it."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, get_args

from detente.article.spans import Span, Voice
from detente.labels import MAX_LEVEL, STANCES
from detente.parties import Party, find_party, load_parties

_DATELINE: Final = re.compile(r"^(?P<place>[A-Z][A-Z’'-]+(?: [A-Z][A-Z’'-]+)*)(?=[,\s])", re.MULTILINE)
PERSON: Final = "person"
"""The kind of a party that is one person."""
_INITIALS: Final = 3
"""Capitals up to this many are initials, no name in capitals."""


@dataclass(frozen=True, slots=True)
class GoldStatement:
    """A statement as its author labelled it.

    Attributes:
        content: Where its words stand; several pieces if the article interrupts them.
        voice: See ``ReadStatement``.
        speaker: The words that name the speaker at this place; None for the outlet.
        speaker_party: The party that the speaker speaks for; None for the outlet.
        cue: The attributing words, or None.
        counterparts: Party to stance and hostility level.
    """

    content: tuple[Span, ...]
    voice: Voice
    speaker: Span | None
    speaker_party: str | None
    cue: Span | None
    counterparts: Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class GoldArticle:
    """An article that we wrote, with its statements.

    Attributes:
        id: Unique.
        genre: Such as ``wire report``.
        date: As ``YYYY-MM-DD``.
        text: The article.
        parties: Kind of each party.
        forms: Of each party the words that name it in the text.
        people: Full name of each person to the party that the person speaks for.
        statements: In the order of the text.
    """

    id: str
    genre: str
    date: str
    text: str
    parties: Mapping[str, str]
    statements: tuple[GoldStatement, ...]
    forms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)

    def find_names(self) -> list[tuple[Span, str, bool]]:
        """Where names stand: span, party, and whether the name is a person's; longer names win over shorter ones."""
        names: dict[str, tuple[str, bool]] = {}
        for party, forms in self.forms.items():
            names |= dict.fromkeys(forms, (party, self.parties[party] == PERSON))
        lasts: dict[str, set[str]] = {}
        for person, party in self.people.items():
            lasts.setdefault(person.split()[-1], set()).add(party)
        for person, party in self.people.items():
            names[person] = (party, True)
            last = person.split()[-1]
            if len(lasts[last]) == 1:
                names.setdefault(last, (party, True))
        if not names:
            return []
        for dateline in _DATELINE.finditer(self.text):
            named = [known for name, known in names.items() if name.upper() == dateline["place"]]
            names |= dict.fromkeys([dateline["place"]], named[0]) if named else {}
        pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        found = re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", self.text)
        return [(Span(*match.span()), *names[match[0]]) for match in found]


def read_gold(path: Path) -> list[GoldArticle]:
    """Reads articles that we wrote from a JSONL file.

    Raises:
        ValueError: A quoted piece does not stand in its article, a party is not listed, or a label or voice is none of
            the codebook's; the message names the article.
    """
    articles = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        try:
            articles.append(_read_article(row))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}: {row.get('id')}: {error}") from error
    return articles


def _read_article(row: Mapping[str, Any]) -> GoldArticle:
    text, parties = row["text"], row["parties"]
    statements = []
    after = 0
    for found in row["statements"]:
        counterparts = {c["party"]: (c["stance"], c["hostility"]) for c in found["counterparts"]}
        if wrong := [v for v in counterparts.values() if v[0] not in STANCES or not 0 <= v[1] <= MAX_LEVEL]:
            raise ValueError(f"a label that the codebook lacks: {wrong[0]}")
        if found["voice"] not in get_args(Voice):
            raise ValueError(f"voice {found['voice']!r}, expected one of {', '.join(get_args(Voice))}")
        if absent := [p for p in (found["speaker_party"], *counterparts) if p is not None and p not in parties]:
            raise ValueError(f"the party {absent[0]!r} is not listed in parties")
        content: list[Span] = []
        for words in found["content"]:
            content.append(_locate(text, words, content[-1].end if content else after))
        near = content[0]
        after = near.start
        statements.append(
            GoldStatement(
                content=tuple(content),
                voice=found["voice"],
                speaker=None if found["speaker"] is None else _locate_near(text, found["speaker"], near),
                speaker_party=found["speaker_party"],
                cue=None if found["cue"] is None else _locate_near(text, found["cue"], near),
                counterparts=counterparts,
            )
        )
    return GoldArticle(
        row["id"],
        row["genre"],
        row["date"],
        text,
        parties,
        tuple(statements),
        row.get("forms", {}),
        row.get("people", {}),
    )


def _locate(text: str, words: str, after: int) -> Span:
    """The words at their first place at or behind a position, else anywhere."""
    start = text.find(words, after)
    start = text.find(words) if start < 0 else start
    if start < 0:
        raise ValueError(f"the text does not contain {words!r}")
    return Span(start, start + len(words))


def _locate_near(text: str, words: str, content: Span) -> Span:
    """The words at their place nearest to a statement."""
    places = [Span(*m.span()) for m in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text)]
    places = places or [_locate(text, words, 0)]
    return min(places, key=lambda s: max(content.start - s.end, s.start - content.end, 0))


def rename(article: GoldArticle, seed: int, people: Sequence[str]) -> GoldArticle:
    """The same article about other states and people, so that a network learns the ways of naming and not the names.

    A state becomes another one of the registry in the same form (name, demonym, capital) if the registry knows every
    form that the article uses; a person gets the first and last name of two others. Everything else stays.

    Args:
        article: An article with ``forms`` and ``people``.
        seed: Another seed gives other names.
        people: Full names to draw from.
    """
    draw = random.Random(f"{article.id} {seed}")  # noqa: S311  # no secret
    new: dict[str, str] = {}
    parties: dict[str, str] = {}
    states = [p for p in load_parties() if p.kind == "state" and p.code and p.adjectives and p.people and p.capital]
    taken = {form for forms in article.forms.values() for form in forms}
    for party, kind in article.parties.items():
        own = find_party(party)
        if kind != "state" or own is None or not own.code:
            continue
        ways = {form: _find_way(own, form) for form in article.forms.get(party, ())}
        other = draw.choice(states)
        if None in ways.values() or taken & set(other.forms):
            continue
        taken |= set(other.forms)
        new |= {form: _name_like(other, way) for form, way in ways.items() if way is not None}
        parties[party] = other.name
    for person in article.people:
        first, last = draw.choice(people).split()[0], draw.choice(people).split()[-1]
        new |= {person.split()[-1]: last, person: f"{first} {last}"}
        parties |= {person: new[person]} if article.parties.get(person) == PERSON else {}
    return _replace_names(article, new, parties)


def _find_way(party: Party, form: str) -> str | None:
    """How a form names a state; None if the registry does not know it."""
    if form in (party.name, *party.aliases):
        return "name"
    if form in (party.capital, *party.seats):
        return "capital"
    return "adjectives" if form in party.adjectives else "people" if form in party.people else None


def _name_like(party: Party, way: str) -> str:
    found = getattr(party, way)
    return str(found if isinstance(found, str) else found[0])


def _replace_names(article: GoldArticle, new: Mapping[str, str], parties: Mapping[str, str]) -> GoldArticle:
    """An article with other names; every span moves along."""
    text, moved, position = "", [], 0
    for span, _, _ in article.find_names():
        old = article.text[span.start : span.end]
        name = new.get(old) or (new.get(old.title(), old).upper() if old.isupper() and len(old) > _INITIALS else old)
        text += article.text[position : span.start] + name
        position = span.end
        moved.append((span, Span(len(text) - len(name), len(text))))
    text += article.text[position:]

    def move(span: Span) -> Span:
        ends = []
        for place in (span.start, span.end):
            shift = 0
            for before, after in moved:
                if before.start < place < before.end:
                    place = before.end
                if before.end <= place:
                    shift = after.end - before.end
            ends.append(place + shift)
        return Span(*ends)

    def called(party: str) -> str:
        return parties.get(party, party)

    statements = tuple(
        replace(
            s,
            content=tuple(move(span) for span in s.content),
            speaker=move(s.speaker) if s.speaker else None,
            cue=move(s.cue) if s.cue else None,
            speaker_party=called(s.speaker_party) if s.speaker_party else None,
            counterparts={called(party): label for party, label in s.counterparts.items()},
        )
        for s in article.statements
    )
    return replace(
        article,
        text=text,
        parties={called(party): kind for party, kind in article.parties.items()},
        statements=statements,
        forms={called(party): [new.get(form, form) for form in forms] for party, forms in article.forms.items()},
        people={new.get(person, person): called(party) for person, party in article.people.items()},
    )
