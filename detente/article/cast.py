"""The cast of an article: which words name which party, and for whom a person speaks.

Places, governments and bodies come from the registry, from the caller's own list, or from the article, which
introduces people with their role ("Kremlin spokesman Dmitry Peskov") and names bodies and places that no registry
knows. Later short names, descriptions ("the ministry") and pronouns point back. What cannot be resolved stays as
written and says so.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, Literal

from detente.article.spans import Span
from detente.parties import find_namings

How = Literal["registry", "caller", "introduction", "name", "back-reference", "unresolved"]

_CAP: Final = r"(?:(?:(?:al|el|ad|as|ul)-)?[A-ZÀ-ÖØ-Þ][\w’'-]*\w|[A-Z]\.)"
_PARTICLE: Final = r"(?:al|bin|bint|da|de|del|den|der|di|dos|du|el|la|ibn|van|von|y)"
_NAME: Final = rf"{_CAP}(?:[ \t]+(?:{_PARTICLE}[ \t]+)*{_CAP}){{1,3}}"
_ROLE: Final = (
    r"(?:spokes(?:man|woman|person)|minister|president|premier|chancellor|ambassador|envoy|secretary|director|chief|CEO|"
    r"executive|chair(?:man|woman|person)?|leader|king|queen|prince|general|admiral|commander|commissioner|senator|"
    r"lawmaker|legislator|deputy|governor|mayor|captain|coach|manager|analyst|professor|economist|researcher|historian|"
    r"expert|fellow|lawyer|counsel|judge|negotiator|representative|delegate|diplomat|official|officer|head|founder|"
    r"activist|organi[sz]er|advis[eo]r|aide|editor|member|owner|steward|convenor|whip|speaker|resident|trader|farmer)"
)
_ROLE_ANY_CASE: Final = f"(?i:{_ROLE})"
_PRIVATE: Final = re.compile(
    r"\b(?:analyst|professor|economist|researcher|historian|expert|fellow|lawyer|resident|activist|scholar|scientist|"
    r"former|retired|opposition|trader|farmer)\b",
    re.IGNORECASE,
)
_TITLES: Final = frozenset({"Mr", "Mrs", "Ms", "Dr", "Sir", "Lady", "Lord", "Prof"})
_BEFORE_NAME = re.compile(
    rf"(?P<desc>(?:(?:{_CAP}|[a-z’'-]+|&)[ \t]+){{0,7}}?{_ROLE_ANY_CASE}"
    rf"(?:[ \t]+(?:of|for|to|at|in)[ \t]+(?:the[ \t]+)?[\w’'-]+(?:[ \t]+[\w’'-]+){{0,3}}?)?)"
    rf",?[ \t]+(?P<name>{_NAME})"
)
_AFTER_NAME = re.compile(
    rf"(?P<name>{_NAME}),[ \t]+(?P<desc>(?:[\w’'&.-]+[ \t]+){{0,8}}?{_ROLE_ANY_CASE}s?\b[^,.;:“”\"\n]{{0,80}}"
    r"|who[ \t]+(?:leads|led|chairs|heads|runs|represents|speaks[ \t]+for|commands|owns)\b[^,.;:“”\"\n]{3,80})"
)
_ANY_NAME = re.compile(_NAME)
_NO_NAMES: Final = (
    "The A An But And In On At For When While After Before As If It He She They We I You This That These Those His "
    "Her Its Our Their There Then Both Nobody Nothing Some Many Most Others Another One Two Three Four Under With "
    "Without From By Of To Not No Yes Yet So Still Also Even Only Such What Who Why How Where Which Asked According "
    "Last Next Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July "
    "August September October November December Q Mr Mrs Ms Dr Sir Minister President Prime Foreign Interior "
    "Defence Defense Finance Ambassador Ministers Presidents Good Thank Ladies Gentlemen Excellency God Parliament "
    "Government Europe Asia Africa America Pacific Atlantic North South East West Northern Southern Eastern Western "
    "Mediterranean English French Russian Christmas Easter Chief Secretary General Council Cabinet Treasury "
    "Congress Senate Today Yesterday Tomorrow Let Nor Or Our My Your Here Now Since Until Although Though Because "
    "Despite Instead Pressed Turning Relations Trade Talks Questions Courts Officials Reporters "
)
_FIRST_WORDS: Final = frozenset(_NO_NAMES.split())
"""Capitalised words that begin no name."""
_BODY: Final = (
    r"(?:FC|AC|SC|HC|United|City|Union|Federation|Association|League|Confederation|Committee|Council|Commission|Agency|"
    r"Corp(?:oration)?|Inc|Ltd|PLC|plc|AG|SA|Group|Holdings?|Bank|Airlines?|Airways|Motors?|Energy|Industries|Partners|"
    r"Party|Alliance|Front|Movement|Coalition|Institute|University|Foundation|Court|Company|Systems|Pharma|Foods|"
    r"Brotherhood|Workers|Works|Lines|Shipping|Steel|Logistics|Media|Club|Congress|Authority|Society|Network|Capital)"
)
_COMPANIES: Final = (
    "FC AC SC HC Corp Corporation Inc Ltd PLC plc AG SA Group Holding Holdings Bank Airline Airlines Airways Motor "
    "Motors Energy Industries Partners Systems Pharma Foods Lines Shipping Steel Logistics Media Capital Company"
)
_COMPANY_WORDS: Final = frozenset(_COMPANIES.split())
"""Last words of names whose first word often stands alone."""
_BODY_NAME = re.compile(
    rf"(?:{_CAP}[’']?[ \t]+(?:(?:of|for|and|the|&)[ \t]+){{0,2}}){{1,6}}{_BODY}\b"
    rf"(?:[ \t]+(?:of|for)[ \t]+(?:the[ \t]+)?{_CAP}(?:[ \t]+{_CAP})*)?"
)
_CAPITALISED = re.compile(rf"(?<![\w’'])(?:[A-Z]{{2}}[ \t]+)?{_CAP}(?:[ \t]+{_CAP})*")
_DATELINE = re.compile(
    r"^(?P<place>[A-Z][A-Z .’'-]{2,30}(?:,[^\n—–-]{1,40})?)\s*(?:\([^)\n]{2,20}\)\s*)?(?:[—–]|--|-\s)", re.MULTILINE
)
_BY_PLACE = re.compile(r"\b(?:in|at|near|from|to|off|of|across|around|over)[ \t]+(?:the[ \t]+)?$")
_OF_BODY = re.compile(
    rf"\b(?:of|for|at|union|club|company|firm|group|leads|led|chairs|heads|runs|represents|owns)[ \t]+(?:the[ \t]+)?"
    rf"(?P<body>{_CAP}(?:[ \t]+{_CAP})*)$"
)
_THING = re.compile(
    r"\b(?:ferry|ship|yacht|vessel|tanker|trawler|frigate|island|islands|strait|river|village|town|city|port|crossing|"
    r"valley|province|region|newspaper|the[ \t]+(?:Gulf|Sea|Strait|Bay|River)[ \t]+of)[ \t]+$"
)
_MILITANT = re.compile(r"[ \t]+(?:militia|militants|rebels?|fighters|group|movement|insurgents|army|guerrillas)\b")
_VERB = re.compile(
    r"\b(?:[a-z]+ed|said|says|told|met|meets|has|had|was|were|will|is|gave|held|spoke|saw|left|sent|made|took|wants)\b"
)
_TITLED = re.compile(rf"\b(?:Mr|Mrs|Ms|Dr|Sir)\.?[ \t]+(?:{_CAP}[ \t]+)?(?P<name>[A-Z][\w-]+)")
_ACTING = re.compile(
    r"(?:[’']s\b|[ \t]+(?:has|have|had|is|was|were|will|would|may|must|should|said|says|did|does|also|[a-z]{3,}ed|told|"
    r"gave|won|sold|went|took|made|kept|put|wants|hopes|thinks|seeks)\b)"
)
_THE_BODY = re.compile(
    r"\b[Tt]he[ \t]+(?P<noun>(?i:federation|club|union|commission|council|committee|league|alliance|bank|association|"
    r"airline|group|agency|community|bloc|authority))\b(?![ \t]+[A-Z])"
)
_CLUB_WORDS: Final = {"fc": "club", "hc": "club", "sc": "club", "ac": "club", "united": "club", "airlines": "airline"}
_NOUNS: Final = {
    "NATO": ("alliance",),
    "European Union": ("bloc",),
    "European Commission": ("commission",),
    "African Union": ("bloc",),
    "ASEAN": ("bloc",),
}
"""What a body is called when its name does not say it."""
_PERSON_PRONOUN: Final = frozenset({"he", "she", "him", "her", "his", "i", "the latter"})
_RELATIVE: Final = frozenset({"who", "which", "that", "whom"})
_GROUP_PRONOUN: Final = frozenset({"they", "it", "we", "them", "us"})
_DEFINITE = re.compile(r"^(?:the|its|his|her|their|our|a|an|that|this)\b", re.IGNORECASE)
_POSSESSIVE = re.compile(r"^(?:its|his|her|their)\b", re.IGNORECASE)
_BODIES: Final = frozenset({"name", "company", "organisation", "group", "party", "union"})
_KIND_WORDS: Final = (
    (
        r"ministry|government|president|premier|minister|ambassador|embassy|country|state|republic|kingdom|military|"
        r"army|navy|parliament|cabinet|delegation|diplomat|regime|capital|presidency|foreign office|chancellery",
        frozenset({"state"}),
    ),
    (
        r"company|firm|bidder|airline|bank|carmaker|automaker|board|manufacturer|chain|retailer|suitor|target|club|"
        r"union|federation|association|league|committee|organi[sz]ation|alliance|bloc|group|party|body|agency|council|"
        r"commission|court|coalition",
        _BODIES,
    ),
)
_SHORTLY_CHARS: Final = 300
_LONGEST_NAME: Final = 80
_DEMONYM_ENDINGS: Final = ("ians", "ian", "ans", "an", "ese", "ish", "is", "i", "n", "ns", "ers", "er")


@dataclass(frozen=True, slots=True)
class PartyMention:
    """``text[start:end]`` names a party.

    Attributes:
        start: First character.
        end: One past the last character.
        party: The resolved name, or the words as written.
        kind: The registry's kind, ``name`` for a party that only the article or the caller knows, or ``person``.
        how: What the resolution rests on.
        person: Full name, if a person is named who speaks for the party.
    """

    start: int
    end: int
    party: str
    kind: str
    how: How
    person: str | None = None


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    party: str
    kind: str
    how: How
    roles: frozenset[str]
    start: int


class Cast:
    """The mentions of an article, in order, and what a mention means at its place."""

    def __init__(
        self, text: str, sentences: Sequence[Span], parties: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Reads the article once.

        Args:
            text: The article.
            sentences: Its sentences.
            parties: The caller's own parties: name to aliases; they win over the registry.
        """
        self.text = text
        self._sentences = sentences
        self._sentence_starts = [s.start for s in sentences]
        self._people: dict[str, _Person] = {}
        given = list(self._find_given(parties or {}))
        known = _merge(given, _merge(self._find_registered(), self._find_bodies()))
        known = _merge(known, self._find_names(known, self._introduce(known)))
        self._people.clear()
        self._introduce(known)
        self._known = _merge(known, self._find_descriptions(known))
        self._place_mentions()

    def _place_mentions(self) -> None:
        self.mentions = _merge(self._find_people(), self._known)
        self._starts = [m.start for m in self.mentions]

    def _find_given(self, parties: Mapping[str, Sequence[str]]) -> Iterator[PartyMention]:
        for name, aliases in parties.items():
            for alias in (name, *aliases):
                for match in re.finditer(rf"(?<!\w){re.escape(alias)}(?!\w)", self.text):
                    yield PartyMention(match.start(), match.end(), name, "name", "caller")

    def _find_registered(self) -> list[PartyMention]:
        """Parties of the registry, but not the place of a dateline; a body of a state is the state."""
        places = [Span(*match.span("place")) for match in _DATELINE.finditer(self.text)]
        self._home: tuple[str, str] | None = None
        found = []
        for naming in find_namings(self.text):
            party = naming.parties[0]
            name, kind = (party.state, "state") if party.state else (party.name, party.kind)
            if any(Span(naming.start, naming.end).overlaps(place) for place in places):
                self._home = self._home or (name, kind)
                continue
            if party.kind == "region":
                continue
            if len(naming.parties) == 1:
                found.append(PartyMention(naming.start, naming.end, name, kind, "registry"))
            else:
                words = self.text[naming.start : naming.end]
                found.append(PartyMention(naming.start, naming.end, words, kind, "unresolved"))
        return found

    def _find_bodies(self) -> list[PartyMention]:
        """Bodies and companies by the last word of their name, their initials, and their first word alone."""
        found: list[PartyMention] = []
        short: dict[str, str] = {}
        for match in _BODY_NAME.finditer(self.text):
            words = match[0].split()
            while words and words[0] in _FIRST_WORDS:
                words.pop(0)
            if len(words) < 2 or words[0] in ("of", "for", "and", "the", "&"):
                continue
            name = " ".join(words)
            start = self.text.find(words[0], match.start(), match.end())
            found.append(PartyMention(start, match.end(), name, "name", "name"))
            initials = "".join(word[0] for word in words if word[0].isupper())
            if len(initials) > 2:
                short.setdefault(initials, name)
            if words[-1] in _COMPANY_WORDS and len(words[0]) > 3 and not find_namings(words[0]):
                short.setdefault(words[0], name)
        for word, name in short.items():
            found += [
                PartyMention(match.start(), match.end(), name, "name", "name")
                for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", self.text)
            ]
        return _merge([], found)

    def _find_names(self, taken: Sequence[PartyMention], people: Sequence[PartyMention]) -> list[PartyMention]:
        """Names that neither the registry nor the caller knows: they stand twice or more, and act at least once.

        Forms of one name, such as ``Tarskia`` and ``Tarskian``, are one party, and so are a name and its first or last
        word.
        """
        index = _Intervals(_merge(taken, people))
        own_names = {form for person in people for form in (person.party, person.party.split()[-1])}
        titled = {match["name"] for match in _TITLED.finditer(self.text)}
        spans: dict[str, list[Span]] = {}
        acts: Counter[str] = Counter()
        for match in _CAPITALISED.finditer(self.text):
            words = match[0].split()
            start = match.start()
            while words and words[0] in _FIRST_WORDS:
                start = self.text.find(words[1], start + 1) if len(words) > 1 else start
                words.pop(0)
            if not words or index.hits(start, match.end()):
                continue
            name = re.sub(r"[’']s?$", "", " ".join(words))
            if (
                len(name) < 3
                or name in own_names
                or name.split()[-1] in titled
                or (len(words) == 1 and name in _FIRST_WORDS)
            ):
                continue
            spans.setdefault(name, []).append(Span(start, start + len(name)))
            by_place = _BY_PLACE.search(self.text[max(0, start - 14) : start])
            acts[name] += by_place is None and _ACTING.match(self.text[start + len(name) :][:40]) is not None
        canonical = _group_forms(spans)
        groups: dict[str, list[str]] = {}
        for name, party in canonical.items():
            groups.setdefault(party, []).append(name)
        found: list[PartyMention] = []
        for party, names in groups.items():
            places = [span for name in names for span in spans[name]]
            is_people = any(_is_demonym(name, party) for name in names if name != party)
            if any(_THING.search(self.text[max(0, span.start - 20) : span.start]) for span in places):
                continue
            if any(_MILITANT.match(self.text, span.end) for span in places):
                pass
            elif len(places) < 2 or not (is_people or any(acts[name] for name in names)):
                continue
            found += [PartyMention(span.start, span.end, party, "name", "name") for span in places]
        return found

    def _find_descriptions(self, known: Sequence[PartyMention]) -> list[PartyMention]:
        """Where "the federation" or "the club" can only mean the body whose name says so."""
        bodies: dict[str, list[str]] = {}
        for party in dict.fromkeys(m.party for m in known if m.kind != "state"):
            for word in {*party.lower().split(), *_NOUNS.get(party, ())}:
                bodies.setdefault(_CLUB_WORDS.get(word, word), []).append(party)
        kinds = {m.party: m.kind for m in known}
        found = []
        for match in _THE_BODY.finditer(self.text):
            parties = bodies.get(match["noun"].lower(), [])
            if len(parties) == 1:
                (party,) = parties
                found.append(PartyMention(match.start(), match.end("noun"), party, kinds[party], "back-reference"))
        return found

    def _introduce(self, mentions: Sequence[PartyMention]) -> list[PartyMention]:
        """Whom the article introduces, and for which party each of them speaks; returns where their names stand."""
        index = _Intervals(mentions)
        names = []
        matches = [(m, p is _AFTER_NAME) for p in (_BEFORE_NAME, _AFTER_NAME) for m in p.finditer(self.text)]
        for match, follows in sorted(matches, key=lambda pair: pair[0].start("name")):
            start, end = match.span("name")
            words = match["name"].split()
            while words and (words[0].strip(".") in _TITLES or words[0] in _FIRST_WORDS or _is_role(words[0])):
                words.pop(0)
            if not words or (len(words) == 1 and len(match["name"].split()) == len(words)):
                continue
            owned = next((k for k, word in enumerate(words) if re.search(r"[’']s?$", word)), len(words) - 1)
            words = [*words[:owned], re.sub(r"[’']s?$", "", words[owned])]
            if len(words) == 1 and len(match["name"].split()) > 1 and owned == 0:
                continue
            name = " ".join(words)
            start = self.text.find(words[0], start, end)
            end = start + len(name)
            if index.hits(start, end) or any(word in _FIRST_WORDS for word in words):
                continue
            names.append(PartyMention(start, end, name, "person", "introduction"))
            if name in self._people:
                continue
            inside = index.within(match.start("desc"), match.end("desc") + 1)
            roles = frozenset(found.lower() for found in re.findall(rf"\b{_ROLE}\b", match["desc"], re.IGNORECASE))
            self._people[name] = self._place_person(name, match, inside, follows, mentions, roles, start)
        return names

    def _place_person(
        self,
        name: str,
        match: "re.Match[str]",
        inside: Sequence[PartyMention],
        follows: bool,
        mentions: Sequence[PartyMention],
        roles: frozenset[str],
        start: int,
    ) -> _Person:
        desc = match["desc"]
        if _PRIVATE.search(desc) and not any(m.kind == "party" for m in inside):
            return _Person(name, name, "person", "introduction", roles, start)
        if inside:
            best = inside[-1] if follows else inside[0]
            how: How = "unresolved" if best.how == "unresolved" else "introduction"
            return _Person(name, best.party, best.kind, how, roles, start)
        named = _OF_BODY.search(desc)
        if named and not all(_is_role(word) or word in _FIRST_WORDS for word in named["body"].split()):
            return _Person(name, named["body"], "name", "introduction", roles, start)
        possessor = _POSSESSIVE.match(desc) or re.search(r"\b(?:his|her|its|their)\b", desc, re.IGNORECASE)
        kinds: frozenset[str] = frozenset({"state", *_BODIES})
        for pattern, wanted in _KIND_WORDS:
            if re.search(rf"\b(?:{pattern})\b", desc, re.IGNORECASE) and not possessor:
                kinds = wanted | {"name"}
                break
        back = self._find_subject(mentions, match.start(), kinds)
        if back is None:
            return _Person(name, name, "person", "unresolved", roles, start)
        return _Person(name, back.party, back.kind, "back-reference", roles, start)

    def _find_subject(
        self, mentions: Sequence[PartyMention], position: int, kinds: Iterable[str]
    ) -> PartyMention | None:
        """The first fitting party of the sentence so far, else of the sentence before it, and so on back."""
        wanted = set(kinds)
        here = bisect_right(self._sentence_starts, position) - 1
        for number in range(here, -1, -1):
            start, end = self._sentence_starts[number], min(self._sentences[number].end, position)
            for mention in mentions[bisect_left(mentions, start, key=_start) : bisect_left(mentions, end, key=_start)]:
                if mention.kind in wanted and mention.end <= position:
                    return mention
        if (found := self._find_ahead(mentions, position, wanted)) is not None:
            return found
        if self._home is not None and self._home[1] in wanted:  # the place of the dateline, for want of better
            return PartyMention(0, 0, *self._home, "back-reference")
        return None

    def _find_ahead(self, mentions: Sequence[PartyMention], position: int, wanted: Set[str]) -> PartyMention | None:
        """The first fitting party of the rest of a headline or first sentence, if the words stand in it."""
        if not self._sentences or position >= self._sentences[0].end:
            return None
        first = self._sentences[0]
        return next((m for m in mentions if m.kind in wanted and position <= m.start < first.end), None)

    def _find_people(self) -> list[PartyMention]:
        """Where the introduced people are named, in full or by the last name."""
        by_last: dict[str, list[_Person]] = {}
        for person in self._people.values():
            by_last.setdefault(person.name.split()[-1], []).append(person)
        found: list[PartyMention] = []
        for last, people in by_last.items():
            full = "|".join(re.escape(p.name) for p in people)
            current = people[0]
            for match in re.finditer(rf"(?<!\w)(?:{full}|{re.escape(last)})(?!\w)", self.text):
                current = self._people.get(match[0], current)
                found.append(
                    PartyMention(match.start(), match.end(), current.party, current.kind, current.how, current.name)
                )
        return found

    def within(self, span: Span) -> list[PartyMention]:
        """The mentions that begin inside the span, in order."""
        return self.mentions[bisect_left(self._starts, span.start) : bisect_left(self._starts, span.end)]

    def resolve(self, span: Span, last_speaker: PartyMention | None = None) -> PartyMention:
        """What the words of a source mean at their place.

        Args:
            span: The words, such as "he", "the ministry" or "Kremlin spokesman Dmitry Peskov".
            last_speaker: Who spoke last, to whom a description without a name may point back.
        """
        words = self.text[span.start : span.end]
        if people := [m for m in self.within(span) if m.person]:
            return people[0]
        head = words.split(",")[0]
        if len(head) < len(words) and (_ANY_NAME.search(head) or self.within(Span(span.start, span.start + len(head)))):
            span = Span(span.start, span.start + len(head))  # what follows the name only describes it
            words = head
        inside = [m for m in self.within(Span(span.start - _LONGEST_NAME, span.end)) if m.end > span.start]
        if people := [m for m in inside if m.person]:
            return people[-1]
        if inside and not _PRIVATE.search(words):
            return inside[0]
        plain = words.strip(" ,.").lower()
        back: PartyMention | None = None
        if plain in _RELATIVE:
            back = next(reversed(self._before(span.start)), None)
        elif plain in _PERSON_PRONOUN:
            person = next((m for m in reversed(self._before(span.start)) if m.person and self._leads(m)), None)
            back = last_speaker if last_speaker and (person is None or last_speaker.start >= person.start) else person
        elif plain in _GROUP_PRONOUN:
            here = self._find_subject(self.mentions, span.start, {"state", *_BODIES})
            back = here or last_speaker
        elif _DEFINITE.match(plain) and not inside:
            back = self._describe(plain, span, last_speaker)
        elif (name := _ANY_NAME.search(words)) and not inside and _is_unnamed(last_speaker, span):
            # "The spokesman said ..." and then his name: the article tells it late.
            assert last_speaker is not None
            full_name = _shorten(name[0])
            self._people[full_name] = _Person(
                full_name, last_speaker.party, last_speaker.kind, "back-reference", frozenset(), span.start
            )
            self._place_mentions()
            return PartyMention(
                span.start, span.end, last_speaker.party, last_speaker.kind, "back-reference", full_name
            )
        if back is not None:
            return PartyMention(span.start, span.end, back.party, back.kind, "back-reference", back.person)
        return PartyMention(span.start, span.end, _shorten(words), "person", "unresolved")

    def _describe(self, plain: str, span: Span, last_speaker: PartyMention | None) -> PartyMention | None:
        """Whom a description without a name means: "the spokesman", "her ministry", "the company"."""
        roles = set(re.findall(rf"\b{_ROLE}\b", plain))
        for mention in reversed(self._before(span.start)):
            if mention.person and roles and roles & self._people[mention.person].roles:
                return mention
        if _PRIVATE.search(plain):
            return None
        if _POSSESSIVE.match(plain) and last_speaker is not None:
            return PartyMention(span.start, span.end, last_speaker.party, last_speaker.kind, "back-reference")
        for pattern, kinds in _KIND_WORDS:
            if re.search(rf"\b(?:{pattern})\b", plain):
                number = bisect_right(self._sentence_starts, span.start) - 1
                here = self.within(Span(self._sentence_starts[max(number, 0)], span.start))
                if near := next((m for m in here if m.kind in kinds | {"name"}), None):
                    return near
                if last_speaker is not None and last_speaker.kind in kinds:
                    return PartyMention(span.start, span.end, last_speaker.party, last_speaker.kind, "back-reference")
                if found := self._find_subject(self.mentions, span.start, kinds | {"name"}):
                    return PartyMention(span.start, span.end, found.party, found.kind, "back-reference")
        if roles and last_speaker is not None:
            return PartyMention(span.start, span.end, last_speaker.party, last_speaker.kind, "back-reference")
        return None

    def _leads(self, mention: PartyMention) -> bool:
        """Whether no verb stands before a mention in its sentence: a rough sign of the subject."""
        number = bisect_right(self._sentence_starts, mention.start) - 1
        return number < 0 or _VERB.search(self.text, self._sentence_starts[number], mention.start) is None

    def _before(self, position: int) -> list[PartyMention]:
        return self.mentions[: bisect_left(self._starts, position)]


class _Intervals:
    """Mentions by place, for quick questions; they do not overlap one another."""

    def __init__(self, mentions: Sequence[PartyMention]) -> None:
        self._mentions = sorted(mentions, key=_start)
        self._starts = [m.start for m in self._mentions]

    def within(self, start: int, end: int) -> list[PartyMention]:
        return [
            m for m in self._mentions[bisect_left(self._starts, start) : bisect_left(self._starts, end)] if m.end <= end
        ]

    def hits(self, start: int, end: int) -> bool:
        last = bisect_left(self._starts, end) - 1
        return last >= 0 and self._mentions[last].end > start


def _start(mention: PartyMention) -> int:
    return mention.start


def _is_unnamed(speaker: PartyMention | None, span: Span) -> bool:
    """Whether the last speaker was described without a name, shortly before."""
    return (
        speaker is not None
        and speaker.person is None
        and speaker.how == "back-reference"
        and 0 < span.start - speaker.start < _SHORTLY_CHARS
    )


def _is_role(word: str) -> bool:
    return re.fullmatch(_ROLE, word, re.IGNORECASE) is not None


def _group_forms(spans: Mapping[str, Sequence[Span]]) -> dict[str, str]:
    """Each name to the form that stands for it: the longest name that it begins or ends, or that its stem makes."""
    names = sorted(spans, key=lambda n: (-len(n.split()), -len(spans[n]), len(n)))
    canonical: dict[str, str] = {}
    for name in names:
        match = next(
            (
                other
                for other in canonical
                if canonical[other] == other
                and (
                    other.startswith(f"{name} ")
                    or other.endswith(f" {name}")
                    or (" " not in name + other and _share_stem(name, other))
                )
            ),
            None,
        )
        canonical[name] = match or name
    for name, other in list(canonical.items()):  # a country stands for its demonym, not the reverse
        if name != other and _is_demonym(other, name):
            canonical = {n: (name if c == other else c) for n, c in canonical.items()}
    return canonical


def _share_stem(a: str, b: str) -> bool:
    return _is_demonym(a, b) or _is_demonym(b, a)


def _is_demonym(word: str, name: str) -> bool:
    """Whether ``word`` is ``name`` with an ending of demonyms, the last letters of the name perhaps dropped."""
    stems = (word.removesuffix(ending) for ending in _DEMONYM_ENDINGS if word.endswith(ending))
    return any(len(stem) >= 3 and name.startswith(stem) and len(name) - len(stem) <= 3 for stem in stems)


def _shorten(words: str) -> str:
    name = _ANY_NAME.search(words)
    return re.sub(r"^(?:The|A|An)\s+", "", name[0]) if name else " ".join(words.split()).strip(" ,")


def _merge(first: Sequence[PartyMention], second: Sequence[PartyMention]) -> list[PartyMention]:
    """Both in order; where two overlap the caller's wins, then the longer, then the first of equals."""
    kept: list[PartyMention] = []
    ordered = sorted([*first, *second], key=lambda m: (m.start, m.how != "caller", m.start - m.end))
    for mention in ordered:
        if kept and mention.start < kept[-1].end:
            longer = mention.end - mention.start > kept[-1].end - kept[-1].start
            if (mention.how == "caller") > (kept[-1].how == "caller") or (longer and kept[-1].how != "caller"):
                kept[-1] = mention
            continue
        kept.append(mention)
    return kept
