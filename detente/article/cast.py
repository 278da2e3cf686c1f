"""The cast of an article: which words name which party, and for whom a person speaks.

Places, governments and bodies come from the registry, from the caller's own list, or from the article, which
introduces people with their role ("Kremlin spokesman Dmitry Peskov") and organisations by name. Later short names,
descriptions ("the ministry") and pronouns point back. What cannot be resolved stays as written and says so.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from detente.article.spans import Span
from detente.parties import find_namings

How = Literal["registry", "caller", "introduction", "name", "back-reference", "unresolved"]

_CAP: Final = r"(?:[A-ZÀ-ÖØ-Þ][\w’'-]*[\w]|[A-Z]\.)"
_NAME: Final = rf"{_CAP}(?:\s+(?:(?:al|bin|da|de|del|den|der|di|dos|du|el|la|ibn|van|von|y)\s+)*{_CAP}){{1,3}}"
_ROLE: Final = (
    r"(?:spokes(?:man|woman|person)|minister|president|premier|chancellor|ambassador|envoy|secretary|director|chief|CEO|"
    r"executive|chair(?:man|woman|person)?|leader|king|queen|prince|general|admiral|commander|commissioner|senator|"
    r"lawmaker|legislator|deputy|governor|mayor|captain|coach|manager|analyst|professor|economist|researcher|historian|"
    r"expert|fellow|lawyer|counsel|judge|negotiator|representative|delegate|diplomat|official|officer|head|founder|"
    r"activist|organiser|organizer|adviser|advisor|aide|editor|member|owner|steward)"
)
_ROLE_ANY_CASE: Final = f"(?i:{_ROLE})"
_PRIVATE: Final = re.compile(
    r"\b(?:analyst|professor|economist|researcher|historian|expert|fellow|lawyer|resident|activist|scholar|scientist|"
    r"former|retired|opposition)\b",
    re.IGNORECASE,
)
_TITLES: Final = frozenset({"Mr", "Mrs", "Ms", "Dr", "Sir", "Lady", "Lord"})
_BEFORE_NAME = re.compile(
    rf"(?P<desc>(?:(?:{_CAP}|[a-z’'-]+|of|the|for|and|&)\s+){{0,7}}?{_ROLE_ANY_CASE})\s+(?P<name>{_NAME})"
)
_AFTER_NAME = re.compile(
    rf"(?P<name>{_NAME}),\s+(?P<desc>(?:[\w’'&.-]+\s+){{0,8}}?{_ROLE_ANY_CASE}s?\b[^,.;:“”\"\n]{{0,80}})"
)
_ANY_NAME = re.compile(_NAME)
_ORGANISATION = re.compile(
    rf"(?:{_CAP}\s+(?:(?:of|for|and|the|&)\s+){{0,2}}){{0,6}}"
    r"(?:FC|AC|SC|United|City|Union|Federation|Association|League|Confederation|Committee|Council|Commission|Agency|"
    r"Corp(?:oration)?|Inc|Ltd|PLC|plc|AG|SA|Group|Holdings?|Bank|Airlines?|Airways|Motors?|Energy|Industries|Partners|"
    r"Party|Alliance|Front|Movement|Coalition|Institute|University|Foundation|Court|Company|Systems|Pharma|Foods|"
    r"Brotherhood|Workers|Works|Lines|Shipping|Steel|Logistics|Media|Club)\b"
    rf"(?:\s+(?:of|for)\s+(?:the\s+)?{_CAP}(?:\s+{_CAP})*)?"
)
_PERSON_PRONOUN: Final = frozenset({"he", "she", "him", "her", "his", "i"})
_DEFINITE = re.compile(r"^(?:the|its|his|her|their|a|an|that|this)\b", re.IGNORECASE)
_KIND_WORDS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    (
        r"ministry|government|president|premier|prime minister|foreign minister|ambassador|embassy|country|state|"
        r"republic|kingdom|military|army|parliament|cabinet|delegation|diplomat|regime",
        frozenset({"state"}),
    ),
    (
        r"company|firm|bidder|airline|bank|carmaker|automaker|board|manufacturer|chain|retailer|suitor|target",
        frozenset({"name", "company"}),
    ),
    (
        r"union|federation|association|club|league|committee|organisation|organization|alliance|bloc|group|party|"
        r"body|agency|council|commission|court|coalition",
        frozenset({"name", "organisation", "group", "party", "union"}),
    ),
)


@dataclass(frozen=True, slots=True)
class Member:
    """A party of the article.

    Attributes:
        name: The resolved name, or the words of the article.
        kind: The registry's kind, ``name`` for a body or company that only the article knows, or ``person``.
        aliases: How the article names it.
    """

    name: str
    kind: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PartyMention:
    """``text[start:end]`` names a party.

    Attributes:
        start: First character.
        end: One past the last character.
        party: The resolved name, or the words as written.
        kind: See ``Member``.
        how: What the resolution rests on.
        person: Full name, if a person is named who speaks for the party.
    """

    start: int
    end: int
    party: str
    kind: str
    how: How
    person: str | None = None


class Cast:
    """The mentions of an article, in order, and what a mention means at its place."""

    def __init__(self, text: str, parties: Mapping[str, Sequence[str]] | None = None) -> None:
        """Reads the article once.

        Args:
            text: The article.
            parties: The caller's own parties: name to aliases; they win over the registry.
        """
        self.text = text
        self._people: dict[str, tuple[str, str, How]] = {}
        namings = [
            PartyMention(n.start, n.end, n.parties[0].name, n.parties[0].kind, "registry")
            if len(n.parties) == 1
            else PartyMention(n.start, n.end, text[n.start : n.end], n.parties[0].kind, "unresolved")
            for n in find_namings(text)
        ]
        mentions = _merge(list(self._find_given(parties or {})), namings)
        mentions = _merge(mentions, self._find_organisations(mentions))
        self._introduce(mentions)
        self.mentions = _settle(_merge(self._find_people(), mentions))
        self._starts = [m.start for m in self.mentions]

    def _find_given(self, parties: Mapping[str, Sequence[str]]) -> Iterable[PartyMention]:
        names = sorted(
            ((alias, name) for name, aliases in parties.items() for alias in (name, *aliases)), key=lambda p: -len(p[0])
        )
        taken: list[Span] = []
        for alias, name in names:
            for match in re.finditer(rf"(?<!\w){re.escape(alias)}(?!\w)", self.text):
                span = Span(*match.span())
                if not any(span.overlaps(t) for t in taken):
                    taken.append(span)
                    yield PartyMention(span.start, span.end, name, "name", "caller")

    def _find_organisations(self, known: Sequence[PartyMention]) -> list[PartyMention]:
        """Bodies and companies by their last word, and where their first word stands alone later."""
        found: list[PartyMention] = []
        short: dict[str, str] = {}
        for match in _ORGANISATION.finditer(self.text):
            name = re.sub(r"^(?:The|A|An|But|And|In|On|At|For|When|While|After)\s+", "", match[0])
            if " " not in name or "\n" in name:
                continue
            start = match.end() - len(name)
            found.append(PartyMention(start, match.end(), name, "name", "name"))
            words = name.split()
            if len(words[0]) > 3 and not any(m.start <= start < m.end for m in known):
                short.setdefault(words[0], name)
            initials = "".join(w[0] for w in words if w[0].isupper())
            if len(initials) > 2:
                short.setdefault(initials, name)
        for word, name in short.items():
            found += [
                PartyMention(match.start(), match.end(), name, "name", "name")
                for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", self.text)
            ]
        return _merge([], found)

    def _introduce(self, mentions: Sequence[PartyMention]) -> None:
        """Whom the article introduces, and for which party each of them speaks."""
        for pattern in (_BEFORE_NAME, _AFTER_NAME):
            for match in pattern.finditer(self.text):
                name = " ".join(w for w in match["name"].split() if w.strip(".") not in _TITLES)
                if not name or not name[0].isupper() or name.lower() == name or name in self._people:
                    continue
                if any(m.start <= match.start("name") < m.end for m in mentions):
                    continue
                inside = [m for m in mentions if match.start("desc") <= m.start and m.end <= match.end("desc") + 1]
                if _PRIVATE.search(match["desc"]) and not any(m.kind == "party" for m in inside):
                    self._people[name] = (name, "person", "introduction")
                elif inside:
                    best = inside[-1] if pattern is _AFTER_NAME else inside[0]
                    self._people[name] = (
                        best.party,
                        best.kind,
                        best.how if best.how == "unresolved" else "introduction",
                    )
                elif back := self._last_before(mentions, match.start(), {"state", "name", "organisation", "company"}):
                    self._people[name] = (back.party, back.kind, "back-reference")

    def _find_people(self) -> list[PartyMention]:
        found: list[PartyMention] = []
        last_names: dict[str, list[str]] = {}
        for name in self._people:
            last_names.setdefault(name.split()[-1], []).append(name)
        for last, names in last_names.items():
            person = names[0]
            party, kind, how = self._people[person]
            for match in re.finditer(
                rf"(?:(?:{'|'.join(map(re.escape, names))})|(?<!\w){re.escape(last)})(?!\w)", self.text
            ):
                if len(names) > 1 and match[0] in self._people:
                    person = match[0]
                    party, kind, how = self._people[person]
                found.append(PartyMention(match.start(), match.end(), party, kind, how, person))
        return found

    @staticmethod
    def _last_before(mentions: Sequence[PartyMention], position: int, kinds: Iterable[str]) -> PartyMention | None:
        wanted = set(kinds)
        return next((m for m in reversed(mentions) if m.end <= position and m.kind in wanted), None)

    def within(self, span: Span) -> list[PartyMention]:
        """The mentions that begin inside the span, in order."""
        return self.mentions[bisect_right(self._starts, span.start - 1) : bisect_right(self._starts, span.end - 1)]

    def resolve(self, span: Span, last_speaker: PartyMention | None = None) -> PartyMention:
        """What the words of a source mean at their place.

        Args:
            span: The words, such as "he", "the ministry" or "Kremlin spokesman Dmitry Peskov".
            last_speaker: Who spoke last, to whom a description without a name may point back.
        """
        words = self.text[span.start : span.end]
        inside = self.within(span)
        people = [m for m in inside if m.person]
        if people:
            return people[-1]
        if inside and not (_PRIVATE.search(words) and _ANY_NAME.search(words)):
            return inside[0]
        plain = words.strip(" ,.").lower()
        if plain in _PERSON_PRONOUN:
            person = next((m for m in reversed(self.mentions) if m.end <= span.start and m.person), None)
            if (
                last_speaker is not None
                and last_speaker.person
                and (person is None or last_speaker.start >= person.start)
            ):
                person = last_speaker
            if person is not None:
                return PartyMention(span.start, span.end, person.party, person.kind, "back-reference", person.person)
        elif plain in {"they", "it", "we", "them", "us"} and last_speaker is not None:
            return PartyMention(span.start, span.end, last_speaker.party, last_speaker.kind, "back-reference")
        elif _DEFINITE.match(plain) and not inside:
            for pattern, kinds in _KIND_WORDS:
                if re.search(rf"\b(?:{pattern})\b", plain):
                    back = last_speaker if last_speaker is not None and last_speaker.kind in kinds else None
                    back = back or self._last_before(self.mentions, span.start, kinds)
                    if back is not None:
                        return PartyMention(span.start, span.end, back.party, back.kind, "back-reference")
            if last_speaker is not None and re.search(rf"\b{_ROLE}\b", plain):
                return PartyMention(span.start, span.end, last_speaker.party, last_speaker.kind, "back-reference")
        return PartyMention(span.start, span.end, _shorten(words), "person", "unresolved")


def _shorten(words: str) -> str:
    name = _ANY_NAME.search(words)
    return name[0] if name else " ".join(words.split()).strip(" ,")


def _merge(first: Sequence[PartyMention], second: Sequence[PartyMention]) -> list[PartyMention]:
    """Both in order; where two overlap the longer wins, the first of equals."""
    kept: list[PartyMention] = []
    for mention in sorted([*first, *second], key=lambda m: (m.start - m.end, m.start)):
        if not any(mention.start < k.end and k.start < mention.end for k in kept):
            kept.append(mention)
    return sorted(kept, key=lambda m: m.start)


def _settle(mentions: Sequence[PartyMention]) -> list[PartyMention]:
    return sorted(mentions, key=lambda m: m.start)
