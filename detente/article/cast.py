"""The cast of an article: which names it has, which party each stands for, and for which party a person speaks.

Names come from the registry, from the caller's own list, and from the network, which also knows names that no registry
has. Forms of one name are one party. For whom a person speaks, the network says from how the article introduces him.
What cannot be resolved stays as written and says so.
"""

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from detente.article.attribution import Markup
from detente.article.evidence import (
    NETWORK_ALONE,
    Features,
    Place,
    Scene,
    Weights,
    describe_affiliation,
    describe_counterparts,
    is_private,
    says_noun,
    weigh,
)
from detente.article.spans import Attribution, Span, Voice
from detente.parties import find_namings

How = Literal["registry", "caller", "introduction", "name", "back-reference", "unresolved"]

_TITLES: Final = re.compile(r"^(?:(?:Mr|Mrs|Ms|Dr|Sir|Dame|Lord|Lady|Prof|Miss|MR|MRS|MS|DR)\.?[ \t]+)+")
_LEADING_THE: Final = re.compile(r"^the\s+", re.IGNORECASE)
_POSSESSIVE: Final = re.compile(r"(?:[’']s|[’'])$")
_DEMONYM_ENDINGS: Final = ("ians", "ian", "ans", "an", "ese", "ish", "is", "i", "n", "ns", "ers", "er")
_HYPHENED: Final = re.compile(r"(?<!\w)[A-Z]\w+-$")
"""The first half of a name such as ``Jean-Claude``."""
_LOOSE: Final = "(?:of|for|and|the|to|in|by)"
_LOOSE_ENDS: Final = re.compile(rf"^(?:{_LOOSE}\s+)+|(?:\s+{_LOOSE})+$|^{_LOOSE}$")
_MORE: Final = re.compile(
    r"[ ](?:(?:of|for)[ ](?:the[ ])?)?(?P<word>(?!(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|"
    r"January|February|March|April|May|June|July|August|September|October|November|December|President|Prime|Minister|Chief|CEO|Chair|Director|"
    r"Secretary|Ambassador|Spokes|General|Captain|Coach|Mr|Mrs|Ms|Dr)[A-ZÀ-Þ][\w-]+)(?![\w])"
)
"""Further capitalised words that belong to the name of a body."""
_OFFICE: Final = re.compile(
    r"(?:[ ](?:foreign|minist\w+|department|service|border|guard|coast|army|navy|air|forces?|armed|defen[cs]e|interior|"
    r"trade|commerce|finance|economy|justice|health|agriculture|transport|energy|environment|fisheries|education|labou?r|culture|"
    r"government|parliament|cabinet|treasury|embassy|consulate|state|prime|presiden\w+|office|home|external|affairs|security|"
    r"police|customs|intelligence|chancell\w+|secretary|ambassador|attorney|general|senate|congress|of|and|for))+",
    re.IGNORECASE,
)
"""What makes the name of a state the name of one of its offices."""
_COMMON: Final = re.compile(
    r"(?:national|european|global|general|world|united|first|new|(?:north|south|east|west)(?:ern)?|royal|federal|"
    r"international|central|democratic|american|african|asian|people[’']s|popular|free|great|grand|old|the)$",
    re.IGNORECASE,
)
"""First words of names that do not stand for the whole name."""
_MIN_SHORT: Final = 4
_LONGEST_WORD: Final = 30
_LONGEST_NAME: Final = 60
_THE_BODY: Final = re.compile(r"[Tt]he[ ][a-z]+(?=$|[’']s\b)")
_NAME_WORDS: Final = frozenset(
    {"of", "for", "and", "the", "de", "del", "la", "le", "du", "des", "von", "van", "al", "bin"}
)
"""Words in lower case that stand in names."""
_MIN_INITIALS: Final = 2
_MAX_MENTIONS: Final = 20
"""Mentions of a person that are asked for whom the person speaks, and as many statements."""


@dataclass(frozen=True, slots=True)
class PartyMention:
    """``text[start:end]`` is a name.

    Attributes:
        start: First character.
        end: One past the last character.
        name: The full name that stands for it: of a party, or of a person.
        kind: The registry's kind, ``name`` for a party that only the article or the caller knows, or ``person``.
        how: What the resolution rests on.
    """

    start: int
    end: int
    name: str
    kind: str
    how: How

    @property
    def span(self) -> Span:
        """Its place."""
        return Span(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody whom the article names.

    Attributes:
        name: The full name.
        kind: See ``PartyMention``.
        how: What the resolution rests on; ``introduction`` for a person who speaks for a party.
        places: Where the names stand.
        party: The party: its own name, or for a person who speaks for a party, that party's.
    """

    name: str
    kind: str
    how: How
    places: tuple[Span, ...]
    party: str


class Cast:
    """Everybody whom an article names, and who a statement's speaker and counterparts are."""

    def __init__(
        self,
        text: str,
        sentences: Sequence[Span],
        markup: Markup,
        parties: Mapping[str, Sequence[str]] | None = None,
        evidence: Mapping[str, Weights] | None = None,
    ) -> None:
        """Reads the names.

        Args:
            text: The article.
            sentences: Its sentences.
            markup: What the network found.
            parties: The caller's own parties: name to aliases; they win over the registry.
            evidence: Weights of the features of ``affiliation`` and ``counterpart``; without them the network's word
                counts alone.
        """
        self.text = text
        self._pointing = markup.pointing
        self._evidence = evidence or NETWORK_ALONE
        known = _merge(list(self._find_given(parties or {})), self._find_registered())
        people = [m for span in markup.spans["person"] if (m := self._trim(span, "person"))]
        starts = {m.start for m in people}
        trimmed = [m for span in markup.spans["party"] if (m := self._trim(span, "name", starts))]
        bodies = [m for m in trimmed if not _describes(m, known) and not _is_office(m, known)]
        self.mentions = self._unite(_merge(known, self._find_again(_merge(bodies, people))))
        self._starts = [m.start for m in self.mentions]
        groups: dict[tuple[str, bool], list[PartyMention]] = {}
        for m in self.mentions:
            groups.setdefault((m.name, m.kind == "person"), []).append(m)
        self.members = [
            Member(name, found[0].kind, found[0].how, tuple(m.span for m in found), name)
            for (name, _), found in groups.items()
        ]
        self._groups = markup.pointing.assign([member.places for member in self.members])
        self.bodies = [k for k, member in enumerate(self.members) if member.kind != "person"]
        places = sorted(
            (Place(span.start, span.end, k) for k, member in enumerate(self.members) for span in member.places),
            key=lambda place: place.start,
        )
        kinds = [member.kind for member in self.members]
        names = [member.name for member in self.members]
        self.scene = Scene(text, sentences, places, range(len(self.members)), kinds, names)
        for k, candidates in self.describe_people(self.scene, markup.attributions).items():
            best = max(range(len(candidates)), key=lambda c: weigh(candidates[c], self._evidence["affiliation"]))
            if best > 0:
                body, member = self.members[self.bodies[best - 1]], self.members[k]
                how: How = "unresolved" if body.how == "unresolved" else "introduction"
                self.members[k] = replace(member, party=body.name, how=how)
        numbers = {member.name: k for k, member in enumerate(self.members) if member.kind != "person"}
        self._parties = [numbers.get(member.party, k) for k, member in enumerate(self.members)]
        self.scene = Scene(text, sentences, places, self._parties, kinds, names)

    def describe_people(self, scene: Scene, attributions: Sequence[Attribution]) -> dict[int, list[Features]]:
        """Of each person by number the features of speaking for nobody, and for each party that the article names.

        Every mention of a person is asked for it, and every statement of which the person is the likeliest speaker.
        """
        if not self.bodies:
            return {}
        bodies = self._pointing.assign([self.members[k].places for k in self.bodies])
        people = {k: m for k, m in enumerate(self.members) if m.kind == "person"}
        said: dict[int, list[Attribution]] = {k: [] for k in people}
        for a in attributions if people else []:
            likeliest = int(self._pointing.share("speaker", a.content, a.source, self._groups)[1:].argmax())
            if likeliest in said and len(said[likeliest]) < _MAX_MENTIONS:
                said[likeliest].append(a)
        described = {}
        for k, member in people.items():
            mentioned = [self._pointing.share("affiliation", [p], [], bodies) for p in member.places[:_MAX_MENTIONS]]
            stated = [self._pointing.share("affiliation", a.content, a.source, bodies) for a in said[k]]
            shares = [np.mean(each, axis=0).tolist() if each else [] for each in (mentioned, stated)]
            described[k] = describe_affiliation(scene, k, self.bodies, shares, [a.content for a in said[k]])
        return described

    def _find_given(self, parties: Mapping[str, Sequence[str]]) -> Iterator[PartyMention]:
        for name, aliases in parties.items():
            for alias in (name, *aliases):
                for match in re.finditer(rf"(?<!\w){re.escape(alias)}(?!\w)", self.text):
                    yield PartyMention(match.start(), match.end(), name, "name", "caller")

    def _find_registered(self) -> list[PartyMention]:
        """Parties of the registry; a body of a state is the state.

        A name that several parties share is the one that the article names otherwise, if there is just one.
        """
        namings = [n for n in find_namings(self.text) if n.parties[0].kind != "region"]
        named = {n.parties[0].name for n in namings if len(n.parties) == 1}
        found = []
        for naming in namings:
            likely = [p for p in naming.parties if p.name in named] if len(naming.parties) > 1 else naming.parties
            party = likely[0] if len(likely) == 1 else naming.parties[0]
            name, kind = (party.state, "state") if party.state else (party.name, party.kind)
            if len(likely) == 1:
                found.append(PartyMention(naming.start, naming.end, name, kind, "registry"))
            else:
                words = self.text[naming.start : naming.end]
                found.append(PartyMention(naming.start, naming.end, words, kind, "unresolved"))
        return found

    def _trim(self, span: Span, kind: str, people: Set[int] = frozenset()) -> PartyMention | None:
        """A name that the network found, without article, title and possessive ending; None if nothing is left.

        The name of a body goes on over capitalised words, up to where the name of one of the ``people`` begins.
        """
        words = self.text[span.start : span.end]
        for pattern in (_LEADING_THE, _TITLES):
            words = pattern.sub("", words)
        start = span.end - len(words)
        words = _POSSESSIVE.sub("", words.strip(" \t\n-,.;:\"“”'‘’()"))
        words = _LOOSE_ENDS.sub("", words)
        if not any(c.isalnum() for c in words):
            return None
        start = self.text.index(words, start)
        end = start + len(words)
        while kind != "person" and (more := _MORE.match(self.text, end)) and more.start("word") not in people:
            end = more.end()
        if hyphened := _HYPHENED.search(self.text, max(0, start - _LONGEST_WORD), start):
            start = hyphened.start()
        return PartyMention(start, end, self.text[start:end], kind, "name")

    def _find_again(self, names: Sequence[PartyMention]) -> list[PartyMention]:
        """Every place of the names that the network found in one; a name is what it was most often taken for."""
        votes: dict[str, Counter[str]] = {}
        for m in names:
            votes.setdefault(m.name, Counter())[m.kind] += 1
            if m.kind == "person":  # later the last name is enough
                votes.setdefault(m.name.split()[-1], Counter())[m.kind] += 1
        if not votes:
            return []
        short = Counter(form for name, count in votes.items() if not count["person"] for form in _shorten(name))
        votes |= {form: Counter(name=1) for form, n in short.items() if n == 1 and form not in votes}
        pattern = "|".join(re.escape(name) for name in sorted(votes, key=len, reverse=True))
        kinds = {name: count.most_common(1)[0][0] for name, count in votes.items()}
        return [
            PartyMention(*match.span(), _LEADING_THE.sub("", match[0]), kinds[match[0]], "name")
            for match in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", self.text)
        ]

    def _unite(self, mentions: Sequence[PartyMention]) -> list[PartyMention]:
        """Forms of one name under its full form: last names under full names, short forms and initials of bodies."""
        full: dict[tuple[bool, str], str] = {}
        for is_person in (True, False):
            names = [m.name for m in mentions if m.how == "name" and (m.kind == "person") == is_person]
            known = [m.name for m in mentions if m.how != "name" and m.kind != "state"] if not is_person else []
            for name, other in _group_forms(names, known, is_person=is_person).items():
                full[is_person, name] = other
        kinds = {m.name: m for m in mentions if m.how != "name"}
        united = []
        for m in mentions:
            name = full.get((m.kind == "person", m.name), m.name) if m.how == "name" else m.name
            same = kinds.get(name) if m.kind != "person" else None
            united.append(
                PartyMention(m.start, m.end, name, same.kind if same else m.kind, same.how if same else m.how)
            )
        return united

    def within(self, span: Span) -> list[PartyMention]:
        """The mentions that begin inside the span, in order."""
        return self.mentions[bisect_left(self._starts, span.start) : bisect_left(self._starts, span.end)]

    def find_speakers(
        self, pieces: Sequence[Span], source: Sequence[Span] = ()
    ) -> tuple[float, list[tuple[float, Member, Member | None]]]:
        """Whose statement this is.

        Args:
            pieces: The statement.
            source: The words that name its speaker.

        Returns:
            The probability that it is nobody of the cast, and for each party its probability, the party, and the person
            who speaks for it, if a person is the likelier part; the most probable first.
        """
        shares = self._pointing.share("speaker", pieces, source, self._groups)
        named = {k for span in source for k in self._find_named(span)}
        if len(named) == 1:  # the source is a name
            shares = np.zeros_like(shares)
            shares[1 + named.pop()] = 1.0
        parties: dict[str, list[tuple[float, Member]]] = {}
        for share, member in zip(shares[1:], self.members, strict=True):
            parties.setdefault(member.party, []).append((float(share), member))
        found = []
        for party, each in parties.items():
            share, likeliest = max(each, key=lambda pair: pair[0])
            own = next((m for _, m in each if m.name == party and m.kind != "person"), likeliest)
            person = likeliest if likeliest.kind == "person" else None
            found.append((sum(share for share, _ in each), own, person))
        return float(shares[0]), sorted(found, key=lambda entry: -entry[0])

    def describe_counterparts(
        self,
        pieces: Sequence[Span],
        source: Sequence[Span],
        voice: Voice,
        speaker: str | None,
        last: Mapping[str, Sequence[str]],
    ) -> list[tuple[Member, Features]]:
        """Each party but the speaker's, with what speaks for the statement being toward it.

        Args:
            pieces: The statement.
            source: The words that name its speaker.
            voice: See ``ReadStatement``.
            speaker: The speaker's party, or None.
            last: Parties by name; see ``evidence.describe_counterparts``.
        """
        best: dict[int, float] = {}
        for party, rating in zip(self._parties, self._pointing.rate(pieces, source, self._groups), strict=True):
            best[party] = max(best.get(party, 0.0), float(rating))
        numbers = {self.members[party].name: party for party in best}
        own = numbers.get(speaker) if speaker is not None else None
        candidates = [party for party in best if party != own]
        before = {role: [numbers[name] for name in names if name in numbers] for role, names in last.items()}
        ratings = [best[party] for party in candidates]
        rows = describe_counterparts(self.scene, pieces, source, voice, own, ratings, candidates, before)
        return [(self.members[party], row) for party, row in zip(candidates, rows, strict=True)]

    def _find_named(self, source: Span) -> list[int]:
        """Numbers of the people, else of the parties, that a source names or describes before its first comma."""
        words = self.text[source.start : source.end]
        head = Span(source.start, source.start + len(words.split(",")[0]))
        here = [m for m in self.within(Span(head.start - _LONGEST_NAME, head.end)) if m.end >= head.start]
        numbers = {(member.name, member.kind == "person"): k for k, member in enumerate(self.members)}
        people = [m for m in here if m.kind == "person"]
        people = people or [m for m in self.within(source) if m.kind == "person"]
        if not people and not here and _THE_BODY.match(words):
            described = [k for k in self.bodies if self.scene.is_described(k, words)]
            return described if len(described) == 1 else []
        meant = people or ([] if is_private(words) else here)
        return [numbers[m.name, m.kind == "person"] for m in meant]

    def find_counterparts(
        self,
        pieces: Sequence[Span],
        source: Sequence[Span],
        voice: Voice,
        speaker: str | None,
        last: Mapping[str, Sequence[str]],
    ) -> list[tuple[float, Member]]:
        """Each party but the speaker's with the probability that the statement is toward it, the highest first."""
        found = self.describe_counterparts(pieces, source, voice, speaker, last)
        weighed = [(weigh(row, self._evidence["counterpart"]), member) for member, row in found]
        return sorted(((1 / (1 + math.exp(-w)), member) for w, member in weighed), key=lambda entry: -entry[0])

    def find_joined(self, parties: Sequence[str], spans: Sequence[Span]) -> list[Member]:
        """The further parties that a list in one of the spans joins to these: "Romania and Poland"."""
        known = {k for k, member in enumerate(self.members) if member.party in parties}
        joined = {k for span in spans for k in self.scene.join(known, span)}
        others = [self.members[self._parties[k]] for k in sorted(joined)]
        return [member for member in dict.fromkeys(others) if member.party not in parties]

    def find_forms(self, party: str) -> list[str]:
        """The words by which the article names a party or a person who speaks for it."""
        places = [place for member in self.members if member.party == party for place in member.places]
        return list(dict.fromkeys(self.text[p.start : p.end] for p in sorted(places)))


def _group_forms(names: Sequence[str], known: Sequence[str], *, is_person: bool) -> dict[str, str]:
    """Each name to the full name that it is a form of, itself if there is none.

    Args:
        names: Names, with repeats.
        known: Names of other parties, of which a name may be a form.
        is_person: Names of persons, of which the last name is a form; else of parties, of which the first and last
            words, the initials and the demonym are forms.
    """
    by_length = sorted(dict.fromkeys(names), key=lambda n: (-len(n.split()), -names.count(n), len(n)))
    full: dict[str, str] = {name: name for name in known}
    for name in by_length:
        if name in full:
            continue
        others = [other for other in dict.fromkeys(full.values()) if _is_form(name, other, is_person=is_person)]
        full[name] = others[0] if others else name
    if not is_person:  # a country stands for its demonym, not the reverse
        for name, other in list(full.items()):
            if name != other and name in names and _is_demonym(other, name):
                full = {n: (name if o == other else o) for n, o in full.items()}
    return full


def _is_form(name: str, other: str, *, is_person: bool) -> bool:
    if name.casefold() == other.casefold() or name.casefold() + "s" == other.casefold():
        return True
    if is_person:
        return other.endswith(f" {name}") or other.startswith(f"{name} ")
    if other.startswith(f"{name} ") or other.endswith(f" {name}"):
        return name[0].isupper()
    if name.islower() and says_noun(other, name):
        return True
    initials = "".join(word[0] for word in re.split(r"[ -]", other) if word[:1].isupper())
    if len(name) >= _MIN_INITIALS and name == initials:
        return True
    return " " not in name + other and (_is_demonym(name, other) or _is_demonym(other, name))


def _is_demonym(word: str, name: str) -> bool:
    """Whether ``word`` is ``name`` with an ending of demonyms, the last letters of the name perhaps dropped."""
    stems = (word.removesuffix(ending) for ending in _DEMONYM_ENDINGS if word.endswith(ending))
    return any(len(stem) >= 3 and name.startswith(stem) and len(name) - len(stem) <= 3 for stem in stems)


def _describes(mention: PartyMention, known: Sequence[PartyMention]) -> bool:
    """Whether a name that the network found is a known one with words of description: "the Slovak parliament"."""
    return any(m.start < mention.end and mention.start < m.end for m in known) and any(
        word[0].islower() and word not in _NAME_WORDS for word in mention.name.split()
    )


def _is_office(mention: PartyMention, known: Sequence[PartyMention]) -> bool:
    """Whether a name that the network found is an office of a known state: "Russian Foreign Ministry"."""
    state = next((m for m in known if m.kind == "state" and m.start == mention.start and m.end < mention.end), None)
    return state is not None and _OFFICE.fullmatch(mention.name, state.end - state.start) is not None


def _shorten(name: str) -> Iterator[str]:
    """Short forms of the name of a body: "Kestrel" of "Kestrel Airways", "the Front" of "Ennedi Salvation Front"."""
    words = name.split()
    if len(words) > 1 and words[0][0].isupper() and len(words[0]) >= _MIN_SHORT and not _COMMON.match(words[0]):
        yield words[0]
    if len(words) > 1 and words[-1][0].isupper() and len(words[-1]) >= _MIN_SHORT:
        yield f"the {words[-1]}"
        yield f"The {words[-1]}"


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
