"""What speaks for a party: named features of what the network says and of where names stand, and how they are weighed.

The network is small. It points well to whom a sentence names and less well to whom "they" or a bare "Foreign Minister"
mean, so its word is one feature beside others that can be read off the text. The weights are fitted on articles that
the network has not seen (``train.evidence``) and stored with it.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from detente.article.spans import Span

Features = dict[str, float]
Weights = Mapping[str, float]
"""A weight for each feature; a feature without one counts nothing."""

NETWORK_ALONE: Final[Mapping[str, Weights]] = {
    "affiliation": {"network, mentions": 1.0, "network, statements": 1.0},
    "counterpart": {"network": 1.0},
}
"""What is weighed before weights are fitted."""
_ROLE: Final = re.compile(
    r"\b(?:spokes(?:man|woman|person)|minister|president|premier|chancellor|ambassador|envoy|secretary|director|chief|"
    r"CEO|executive|chair(?:man|woman|person)?|leader|king|queen|prince|general|admiral|colonel|commander|commissioner|"
    r"governor|mayor|captain|coach|manager|negotiator|representative|delegate|official|officer|head|founder|convenor|"
    r"boss|lawyer|counsel|secretary-general|treasurer|owner|editor|publisher|speaker|whip|deputy|adviser|aide)s?\b",
    re.IGNORECASE,
)
_STATE_ROLE: Final = re.compile(
    r"\b(?:minister|president|premier|chancellor|ambassador|envoy|ministry|king|queen|government|army|general|consul)\b",
    re.IGNORECASE,
)
_BODY_ROLE: Final = re.compile(
    r"\b(?:executive|CEO|chair(?:man|woman|person)?|director|founder|coach|captain|manager|owner|convenor|club|company|firm|"
    r"union|league|federation|association|charity|party|commissioner|editor|publisher)\b",
    re.IGNORECASE,
)
_PRIVATE: Final = re.compile(
    r"\b(?:analysts?|professor|economist|researcher|historian|expert|fellow|resident|activist|scholar|scientist|former|"
    r"retired|opposition|trader|farmer|teaches|taught|student|shopkeeper|driver|nurse|teacher|fisherman|mother|father|"
    r"widow|follows|studies|ex-\w+|independent|columnist|author|lecturer|consultant)\b",
    re.IGNORECASE,
)
_VERB: Final = re.compile(
    r"\b(?:[a-z]{3,}ed|said|says|told|met|meets|has|had|was|were|will|is|gave|held|spoke|saw|left|sent|made|took|wants)\b"
)
_SAYS: Final = re.compile(r",? (?:said|says|told|tells|announced|answered|replied|called|accused)\b|[.;:“”\"\n]")
_BREAK: Final = re.compile(r"[.;:“”\"\n]")
_POSSESSIVE: Final = re.compile(r"\b(?:its|his|her|their|whose)\b", re.IGNORECASE)
_POINTING: Final = re.compile(
    r"\b(?:they|them|their|theirs|you|your|yours|he|she|him|his|her|it|its|this|that|these|those|such|both|neither|"
    r"neighbou?rs?|partners?|friends?|allies|ally|rivals?|enem(?:y|ies)|side)\b",
    re.IGNORECASE,
)
_PLACE: Final = re.compile(
    r"\b(?:in|at|near|inside|outside|around|across|into|via|through|visiting|to|from)\s+(?:the\s+|\w+ern\s+)?$"
)
_JOINED: Final = re.compile(r"(?:, (?:and |or )?| and | or | & |/)(?:the )?$")
_BOTH: Final = re.compile(
    r"\b(?:both|neither|either|each other|one another|(?:the )?two (?:sides|countries|governments|companies|leaders|"
    r"parties|capitals|neighbou?rs|clubs|bodies|unions|firms|states))\b",
    re.IGNORECASE,
)
_DATELINE: Final = re.compile(r"^[A-Z][A-Z’'.-]+(?:[ ,][^\n—–-]{1,40})?\s*(?:[—–]|--|-\s)", re.MULTILINE)
_THE_NOUN: Final = re.compile(r"\b[Tt]he[ ](?:\w+[ ])?(?P<noun>[a-z]{4,})\b")
_SAME_NOUN: Final = {
    "fc": "club",
    "company": "group",
    "airlines": "airline",
    "airways": "airline",
    "union": "union",
    "unions": "union",
    "bloc": "union",
    "lines": "line",
}
_BODY_NOUN: Final = (
    r"(?:group|club|company|firm|union|league|federation|association|charity|party|bloc|agency|airline|carrier|bank|movement|"
    r"rebels|militia|wholesaler|retailer|maker|builder|operator|newspaper|broadcaster|station|insurer|team|side|board|council|"
    r"court|commission|institute|organisation|organization|foundation|hospital|university|yard|shipyard|refinery|port|brewery|"
    r"brewer|mine|miner|front|alliance|coalition|cooperative|society|authority|regulator|trust|fund|supplier|publisher)"
)
_NOUN_BEFORE: Final = re.compile(rf"\b(?P<noun>{_BODY_NOUN})[ ,]+(?:the )?$")
_NOUN_AFTER: Final = re.compile(rf",? (?:an?|the|one of the) (?:[\w’'-]+ ){{0,4}}?(?P<noun>{_BODY_NOUN})\b")
_LEADS: Final = re.compile(
    r", who (?:\w+ )?(?:leads|led|heads|headed|runs|chairs|founded|speaks for|manages|coaches|owns)\b"
)
_NEAR_CHARS: Final = 90
_FLOOR: Final = 1e-4


def says_noun(name: str, noun: str) -> bool:
    """Whether a common noun stands in a name: "federation" in "Nordic Handball Federation"."""
    noun = _SAME_NOUN.get(noun, noun)
    return " " in name and noun in (_SAME_NOUN.get(word, word) for word in name.lower().split())


def is_private(words: str) -> bool:
    """Whether words describe somebody who speaks for himself: an analyst, a resident, a former minister."""
    return _PRIVATE.search(words) is not None


@dataclass(frozen=True, slots=True)
class Place:
    """A name at its place: who is named, by number."""

    start: int
    end: int
    member: int


class Scene:
    """An article's sentences and names, for questions about where they stand to one another."""

    def __init__(
        self,
        text: str,
        sentences: Sequence[Span],
        places: Sequence[Place],
        parties: Sequence[int],
        kinds: Sequence[str],
        names: Sequence[str],
    ) -> None:
        """Sorts what is asked often.

        Args:
            text: The article.
            sentences: Its sentences.
            places: Every name, in order.
            parties: Of each member the number of the member that is its party; its own for a party.
            kinds: Of each member its kind; see ``cast.PartyMention``.
            names: Of each member its full name.
        """
        self.text = text
        self.sentences = sentences
        self.places = places
        self.parties = parties
        self.kinds = kinds
        self.names = names
        self._nouns: dict[int, set[str]] = {}
        for place in places:
            if kinds[place.member] == "person":
                continue
            before = _NOUN_BEFORE.search(text[max(0, place.start - _NEAR_CHARS) : place.start])
            after = _NOUN_AFTER.match(text, place.end)
            self._nouns.setdefault(place.member, set()).update(m["noun"] for m in (before, after) if m)
        self._sentence_starts = [s.start for s in sentences]
        self._starts = [p.start for p in places]
        counts: dict[int, int] = {}
        for place in places:
            counts[parties[place.member]] = counts.get(parties[place.member], 0) + 1
        self._counts = counts
        dateline = _DATELINE.search(text)
        self._dateline = {p.member for p in self.within(*dateline.span())} if dateline else set[int]()

    def sentence_of(self, position: int) -> int:
        """Number of the sentence at a position."""
        return max(bisect_right(self._sentence_starts, position) - 1, 0)

    def within(self, start: int, end: int) -> list[Place]:
        """Names that begin in a stretch."""
        return list(self.places[bisect_right(self._starts, start - 1) : bisect_right(self._starts, end - 1)])

    def share(self, party: int) -> float:
        """Share of all names that are this party's."""
        return self._counts.get(party, 0) / max(len(self.places), 1)

    def count(self, party: int) -> int:
        """How many names are this party's."""
        return self._counts.get(party, 0)

    def is_home(self, party: int) -> bool:
        """Whether the dateline names this party."""
        return party in self._dateline

    def is_described(self, party: int, words: str) -> bool:
        """Whether words such as "the federation" fit a party's name, or what the article calls it beside the name."""
        nouns = [match["noun"] for match in _THE_NOUN.finditer(words)]
        return any(says_noun(self.names[party], noun) or noun in self._nouns.get(party, ()) for noun in nouns)

    def join(self, members: set[int], span: Span) -> set[int]:
        """The members that a list in a span joins to some of these: "Uganda, Burundi and Ethiopia"."""
        places = self.within(span.start, span.end)
        chains: list[list[int]] = []
        for before, place in zip([None, *places], places, strict=False):
            if before and _JOINED.fullmatch(self.text, before.end, place.start):
                chains[-1].append(place.member)
            else:
                chains.append([place.member])
        return {member for chain in chains if members & set(chain) for member in chain}

    def is_place(self, place: Place) -> bool:
        """Whether the words before a name make it a place."""
        return _PLACE.search(self.text[max(0, place.start - 25) : place.start]) is not None

    def subject_before(self, sentence: int, bodies: set[int]) -> int | None:
        """The first party that an earlier sentence names, from the nearest back."""
        for number in range(sentence - 1, max(sentence - 4, -1), -1):
            found = self.within(self.sentences[number].start, self.sentences[number].end)
            if first := next((p.member for p in found if p.member in bodies), None):
                return first
        return None


def describe_affiliation(
    scene: Scene, person: int, bodies: Sequence[int], shares: Sequence[Sequence[float]], said: Sequence[Sequence[Span]]
) -> list[Features]:
    """Features of each party for which a person may speak, first those of speaking for nobody.

    Args:
        scene: The article.
        person: Number of the person.
        bodies: Numbers of the parties.
        shares: What the network says: of the person's mentions, and of the person's statements, a share for nobody and
            for each party.
        said: What the person says.
    """
    known = set(bodies)
    mentions = [p for p in scene.places if p.member == person]
    first = mentions[0]
    sentence = scene.sentence_of(first.start)
    span = scene.sentences[sentence] if scene.sentences else Span(first.start, first.end)
    before = scene.text[max(span.start, first.start - _NEAR_CHARS) : first.start]
    after = scene.text[first.end : min(span.end, first.end + _NEAR_CHARS)]
    around = before + _SAYS.split(after)[0]
    private = float(is_private(around))
    has_role = float(_ROLE.search(around) is not None)
    of_state, of_body = (float(role.search(around) is not None) for role in (_STATE_ROLE, _BODY_ROLE))
    possessive = float(_POSSESSIVE.search(before) is not None)
    subject = scene.subject_before(sentence, known)
    named_before = [p.member for p in scene.within(0, first.start) if p.member in known]
    same_sentence = [p.member for p in scene.within(span.start, first.start) if p.member in known]
    paragraph = scene.text.rfind("\n\n", 0, first.start) + 1
    same_paragraph = [p.member for p in scene.within(paragraph, first.start) if p.member in known]
    leads = _LEADS.match(scene.text, first.end)
    adjacent: dict[int, str] = {}
    for mention in mentions[:3]:
        start = scene.sentences[scene.sentence_of(mention.start)].start if scene.sentences else 0
        for place in scene.within(max(start, mention.start - _NEAR_CHARS), mention.end + _NEAR_CHARS):
            if place.member not in known:
                continue
            if place.end <= mention.start:
                between = scene.text[place.end : mention.start]
                if not _BREAK.search(between) and not _VERB.search(between) and len(between.split()) <= 7:
                    adjacent.setdefault(place.member, "named before")
            elif place.start >= mention.end:
                between = scene.text[mention.end : place.start]
                is_apposition = between.startswith((",", " of ", " from ", " (")) and between.count(",") <= 1
                if leads and place.start >= leads.end() and not _BREAK.search(between) and between.count(",") == 1:
                    adjacent.setdefault(place.member, "led")
                elif is_apposition and not _BREAK.search(between) and len(between.split()) <= 9:
                    adjacent.setdefault(place.member, "named after")
    rows: list[Features] = []
    for k, body in enumerate([None, *bodies]):
        net = {
            "network, mentions": math.log(max(shares[0][k], _FLOOR)),
            "network, statements": math.log(max(shares[1][k], _FLOOR)) if len(shares[1]) else 0.0,
        }
        if body is None:
            rows.append(
                {
                    **net,
                    "nobody": 1.0,
                    "nobody, private": private,
                    "nobody, role": has_role,
                    "nobody, party beside the name": float(bool(adjacent)),
                }
            )
            continue
        beside = adjacent.get(body)
        targeted = sum(any(p.member == body for s in words for p in scene.within(s.start, s.end)) for words in said)
        rows.append(
            {
                **net,
                "named before": float(beside == "named before"),
                "named after": float(beside == "named after"),
                "led": float(beside == "led"),
                "named before, private": float(beside == "named before") * private,
                "named after, private": float(beside == "named after") * private,
                "first of the sentence": float(same_sentence[:1] == [body]),
                "first of the sentence, possessive": float(same_sentence[:1] == [body]) * possessive,
                "first of the sentence, bare role": float(same_sentence[:1] == [body]) * float(not adjacent) * has_role,
                "first of the paragraph": float(same_paragraph[:1] == [body]),
                "first of the paragraph, bare role": float(same_paragraph[:1] == [body])
                * float(not adjacent)
                * has_role,
                "last of the sentence before": float(not same_sentence and named_before[-1:] == [body]) * possessive,
                "subject before": float(body == subject),
                "subject before, possessive": float(body == subject) * possessive,
                "subject before, bare role": float(body == subject) * float(not adjacent) * has_role,
                "first of the article": float(bool(named_before) and body == named_before[0]),
                "first of the article, bare role": float(bool(named_before) and body == named_before[0])
                * float(not adjacent)
                * has_role,
                "dateline": float(scene.is_home(body)),
                "dateline, nobody beside": float(scene.is_home(body)) * float(not adjacent),
                "nearest before": float(bool(named_before) and body == named_before[-1]),
                "described": float(scene.is_described(body, before)),
                "spoken of": targeted / max(len(said), 1),
                "share of names": scene.share(body),
                "named once": float(scene.count(body) == 1),
                "state, role of a state": of_state * float(scene.kinds[body] == "state"),
                "state, role of a body": of_body * float(scene.kinds[body] == "state"),
                "unregistered": float(scene.kinds[body] == "name"),
                "unregistered, role of a state": of_state * float(scene.kinds[body] == "name"),
                "unregistered, role of a body": of_body * float(scene.kinds[body] == "name"),
            }
        )
    return rows


def describe_counterparts(
    scene: Scene,
    pieces: Sequence[Span],
    source: Sequence[Span],
    voice: str,
    speaker: int | None,
    ratings: Sequence[float],
    candidates: Sequence[int],
    last: Mapping[str, Sequence[int]],
) -> list[Features]:
    """Features of each party toward which a statement may be.

    Args:
        scene: The article.
        pieces: The statement.
        source: The words that name its speaker.
        voice: See ``ReadStatement``.
        speaker: Number of the speaker's party, or None.
        ratings: What the network says of each candidate, in (0, 1).
        candidates: Numbers of the parties, the speaker's left out.
        last: ``speaker`` and ``counterparts`` of the statement before, and ``toward``, the counterparts of the last
            statement of the same speaker.
    """
    begin, end = pieces[0].start, pieces[-1].end
    sentence = scene.sentence_of(begin)
    whole = scene.sentences[sentence] if scene.sentences else Span(begin, end)
    inside: dict[int, bool] = {}
    for piece in pieces:
        for place in scene.within(piece.start, piece.end):
            party = scene.parties[place.member]
            if party != speaker:
                inside[party] = inside.get(party, True) and scene.is_place(place)
    joined = {
        scene.parties[m] for m in scene.join({p.member for s in pieces for p in scene.within(s.start, s.end)}, whole)
    }
    for party in joined - set(inside) - {speaker}:
        inside[party] = False
    named = {party for party, is_place in inside.items() if not is_place}
    words = " ".join(scene.text[p.start : p.end] for p in pieces)
    points = float(_POINTING.search(words) is not None)
    beside = {scene.parties[p.member] for p in scene.within(whole.start, max(whole.end, end))} - set(inside)
    in_source = {scene.parties[p.member] for s in source for p in scene.within(s.start, s.end)}
    earlier = [scene.parties[p.member] for p in scene.within(0, begin)]
    recent = [party for party in reversed(earlier) if party != speaker]
    top = max(ratings, default=0.0)
    both = float(_BOTH.search(words) is not None)
    second = sorted((scene.count(c) for c in candidates), reverse=True)[:2]
    most = max((scene.count(c) for c in candidates), default=0)
    rows = []
    for candidate, rating in zip(candidates, ratings, strict=True):
        rating = min(max(rating, _FLOOR), 1 - _FLOOR)
        is_named, alone = float(candidate in named), float(not named)
        distance = recent.index(candidate) if candidate in recent else 9
        rows.append(
            {
                "one": 1.0,
                f"voice {voice}": 1.0,
                "network": math.log(rating / (1 - rating)),
                "network, highest": float(rating >= top),
                "network, nobody named": math.log(rating / (1 - rating)) * alone,
                "named": is_named,
                f"named, {voice}": is_named,
                "named alone": is_named * float(len(named) == 1),
                "named as a place": float(inside.get(candidate, False)),
                "others named": float(bool(named)) * (1 - is_named),
                "beside, nobody named": float(candidate in beside) * alone,
                "beside, others named": float(candidate in beside) * (1 - alone),
                "in the source": float(candidate in in_source),
                "last toward, nobody named": float(candidate in last.get("toward", ())) * alone,
                "last toward": float(candidate in last.get("toward", ())),
                "last counterpart, nobody named": float(candidate in last.get("counterparts", ())) * alone,
                "last speaker, nobody named": float(candidate in last.get("speaker", ())) * alone,
                "last speaker": float(candidate in last.get("speaker", ())),
                "nearest before, nobody named": float(distance == 0) * alone,
                "second before, nobody named": float(distance == 1) * alone,
                "points, nobody named, nearest": points * alone * float(distance == 0),
                "both": both,
                "both, named most": both * float(scene.count(candidate) >= second[-1]),
                "both, nearest two": both * float(distance <= 1),
                "both, last": both * float(any(candidate in each for each in last.values())),
                "described": float(scene.is_described(candidate, words)),
                "described, nobody named": float(scene.is_described(candidate, words)) * alone,
                "person": float(scene.kinds[candidate] == "person"),
                "unregistered": float(scene.kinds[candidate] == "name"),
                "kind of the speaker": float(speaker is not None and scene.kinds[candidate] == scene.kinds[speaker]),
                "dateline, nobody named": float(scene.is_home(candidate)) * alone,
                "named once, not here": float(scene.count(candidate) == 1) * (1 - is_named),
                "most named": float(scene.count(candidate) == most),
                "most named, nobody named": float(scene.count(candidate) == most) * alone,
                "person, nobody named": float(scene.kinds[candidate] == "person") * alone,
                "share of names": scene.share(candidate),
                "share of names, nobody named": scene.share(candidate) * alone,
            }
        )
    return rows


def weigh(features: Features, weights: Weights) -> float:
    """The weighted sum of the features."""
    return sum(value * weights.get(name, 0.0) for name, value in features.items())
