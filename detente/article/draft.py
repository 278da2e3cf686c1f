"""Statements of an article before they are scored: who, toward whom, in which words."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from detente.article.cast import Cast, PartyMention
from detente.article.reading import Named, Voice
from detente.article.rules import find_quotations, find_turns
from detente.article.spans import Attribution, Span
from detente.records import Statement

_POINTING: Final = re.compile(
    r"\b(?:they|them|their|theirs|you|your|yours|the other side|that (?:country|government|regime)|"
    r"(?:our|these|those|the) (?:partners?|friends?|neighbou?rs?|allies|ally|counterparts?|adversar(?:y|ies)|"
    r"enem(?:y|ies)|colleagues|rivals?)|he|she|him|his|her|its?)\b",
    re.IGNORECASE,
)
_PLACE: Final = re.compile(
    r"\b(?:in|at|near|inside|outside|around|across|into|via|through|visiting)(?:\s+(?:the|central|northern|southern|eastern|western))?\s+$"
)
_SEATED: Final = re.compile(
    r"\b(?:government|ministry|ministers?|officials?|authorities|administration|leaders?|rulers?|parliament|court)"
    r"[ \t]+in[ \t]+$"
)
_PASSIVE: Final = re.compile(
    r"\b(?:was|were|is|are|been|be|being)\s+(?:\w+ly\s+)?\w+(?:ed|en|wn|ld|de|id)\b[^.;]{0,60}?\bby\s+(?:the\s+)?$"
)
_SUBJECT: Final = re.compile(
    r"[ \t]*(?P<words>(?:The|Its|His|Her|Their)[ \t]+(?:[\w’'-]+[ \t]+){0,3}?(?i:minister|president|premier|chancellor|"
    r"spokes(?:man|woman|person)|ambassador|envoy|secretary|king|queen|ministry|government|company|firm|club|union|"
    r"federation|association|league|bank|airline|board|bloc|alliance|commission|council|leader|excellency)\b|"
    r"His Excellency|He\b|She\b|They\b|It\b)"
)
_OPINION: Final = re.compile(
    r"\b(?:should|ought|must|deserves?|surely|rightly|wrongly|foll(?:y|ies)|shameful|disgrace\w*|this newspaper|"
    r"we believe|we (?:do|have|are)|in our view|let us|it is time)\b",
    re.IGNORECASE,
)
_DESCRIBED: Final = re.compile(
    r"\b[Tt]he[ \t]+(?:government|ministry|company|firm|bidder|airline|bank|board|club|union|federation|association|"
    r"league|committee|alliance|bloc|agency|council|commission|court)\b"
)
_NESTED: Final = re.compile(
    r"(?:that[ \t]+)?(?P<who>(?:[Tt]he[ \t]+)?[A-Z][\w’'-]*(?:[ \t]+[A-Z][\w’'-]*){0,3})[ \t]+"
    r"(?:(?:has|had|have|would|will|also|still|even|again|not|never|\w+ly)[ \t]+)*(?P<verb>(?:advocat|want|support|"
    r"back|oppos|condemn|reject|welcom|hop|accus|threaten|believ|seek|favour|favor|demand|prais|thank|criticis|"
    r"criticiz|blam|call|expel|regret|admir|promis|pledg|warn|trust|fear|betray|lie|insult|denounc|applaud)\w*)\b"
)
_EACH: Final = re.compile(
    r"\b(?:both|the two)[ \t]+(?:\w+[ \t]+)?(?:neighbou?rs|sides|governments|countries|nations|leaders|capitals|"
    r"parties|companies|clubs)\b",
    re.IGNORECASE,
)
_CONCESSION: Final = re.compile(r",?[ \t]+(?:despite|although|though|even though|even if|while|whereas|in spite of)\b")
_MIN_WORDS: Final = 2
_BOTH: Final = re.compile(
    r"^(?:both|the two)[ \t]+(?:leaders|sides|governments|countries|ministers|presidents|parties|capitals|companies|"
    r"clubs)\b",
    re.IGNORECASE,
)
_TOPIC_SENTENCES: Final = 5
_MIN_OPINIONS: Final = 2
_FIRST_PERSON: Final = frozenset({"i", "we"})
_SPEAKS: Final = re.compile(r"\b(?:I|we|We|our|Our|my|My|us)\b")
_MIN_SPEECH_SENTENCES: Final = 4
_MIN_SPEECH_SHARE: Final = 0.35
_LEAD_IN: Final = re.compile(r"^(?:In|At|After|Before|Near|During|Since|From|For|Following|Outside|Inside|On|As)\b")


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement toward one counterpart, and what the model is given for it.

    Attributes:
        pieces: Where it stands in the article.
        speaker: Who; None for the outlet.
        counterpart: Toward whom, or None.
        cue: The attributing word, or None.
        voice: See ``ReadStatement``.
        statement: The words that are scored: for indirect speech with source and cue, for direct speech after
            "speaker said of counterpart".
    """

    pieces: tuple[Span, ...]
    speaker: Named | None
    counterpart: Named | None
    cue: str | None
    voice: Voice
    statement: Statement


def draft_statements(
    text: str,
    sentences: Sequence[Span],
    attributions: Sequence[Attribution],
    parties: Mapping[str, Sequence[str]] | None = None,
) -> list[Draft]:
    """The statements of an article, in its order.

    Args:
        text: The article.
        sentences: Its sentences.
        attributions: Who says what, from the network or by rule.
        parties: The caller's own parties, name to aliases.
    """
    cast = Cast(text, sentences, parties)
    quotations = list(find_quotations(text))
    turns = find_turns(text)
    spoken = [turn.content[0] for turn in turns]
    reported = [
        a
        for a in attributions
        if (a.source or _is_quoted(a.content, quotations))
        and sum(len(text[p.start : p.end].split()) for p in a.content) >= _MIN_WORDS
        and not any(_covers(turn, a) for turn in turns)
    ]
    unquoted = [s for s in sentences if not any(s.overlaps(span) for span in [*quotations, *spoken])]
    orator = None if turns else _find_orator(cast, sentences, unquoted)
    if orator:  # "we ask ..." in a speech is the sentence itself
        reported = [a for a in reported if not any(text[s.start : s.end].lower() in _FIRST_PERSON for s in a.source)]
    covered = [span for a in reported for span in a.content]
    own = [s for s in unquoted if not any(s.overlaps(span) for span in covered)]
    drafts: list[Draft] = []
    last = orator
    for attribution in sorted([*reported, *turns], key=lambda a: a.content):
        is_turn = attribution in turns
        voice: Voice = "direct" if is_turn or _is_quoted(attribution.content, quotations) else "indirect"
        speaker = None
        if attribution.source:
            source = attribution.source[0]
            if _BOTH.match(text[source.start : source.end]):
                for each in _find_both(cast, source):
                    drafts += _draft_attribution(
                        cast, sentences, attribution, voice, each, also=_find_both(cast, source)
                    )
                continue
            speaker = cast.resolve(source, last)
            last = speaker
        elif voice == "direct":
            speaker = last
        drafts += _draft_attribution(cast, sentences, attribution, voice, speaker)
    opinion = sum(_OPINION.search(text, s.start, s.end) is not None for s in unquoted) >= _MIN_OPINIONS
    subject = None
    for sentence in own:
        if orator:
            drafts += _draft_spoken(cast, sentences, sentence, orator)
        else:
            drafts += _draft_own_words(cast, sentence, subject, opinion)
        subject = next(iter(cast.within(sentence)), subject)
    return sorted(drafts, key=lambda d: (d.pieces[0], d.counterpart.written if d.counterpart else ""))


def _find_both(cast: Cast, source: Span) -> list[PartyMention]:
    """The two parties that an article names most before "both leaders"."""
    before = [m for m in cast.mentions if m.end <= source.start and m.kind != "person"]
    most = Counter(m.party for m in before).most_common(2)
    return [next(m for m in before if m.party == party) for party, _ in most] if len(most) > 1 else []


def _covers(turn: Attribution, attribution: Attribution) -> bool:
    """Whether an attribution only says again that this turn is its speaker's."""
    if any(source.overlaps(turn.source[0]) for source in attribution.source):
        return True
    return not attribution.source and all(turn.content[0].overlaps(piece) for piece in attribution.content)


def _find_orator(cast: Cast, sentences: Sequence[Span], own: Sequence[Span]) -> PartyMention | None:
    """Who gives the speech, if the article is one: first persons outside quotations, a party named at the top."""
    first_person = [s for s in own if _SPEAKS.search(cast.text, s.start, s.end)]
    if len(first_person) < _MIN_SPEECH_SENTENCES or len(first_person) < _MIN_SPEECH_SHARE * len(own):
        return None
    top = cast.within(Span(0, max(first_person[0].start, sentences[min(1, len(sentences) - 1)].end)))
    return next((m for m in top if m.person), next(iter(top), None))


def _draft_spoken(cast: Cast, sentences: Sequence[Span], sentence: Span, orator: PartyMention) -> list[Draft]:
    """A sentence of a speech: toward whom it names, or whom it addresses."""
    targets = [m for m in cast.within(sentence) if m.party != orator.party and not _is_place(cast.text, m)]
    if not targets and _POINTING.search(cast.text, sentence.start, sentence.end):
        targets = _find_topic(cast, sentences, sentence, {orator.party})
    if not targets or sentence.start <= orator.start < sentence.end:
        return []
    words = cast.text[sentence.start : sentence.end]
    return _draft_each(cast, [sentence], orator, targets, None, "direct", words, [Span(orator.start, orator.end)])


def _is_quoted(content: Sequence[Span], quotations: Sequence[Span]) -> bool:
    quoted = sum(max(0, min(c.end, q.end) - max(c.start, q.start)) for c in content for q in quotations)
    return 2 * quoted > sum(c.end - c.start for c in content)


def _draft_attribution(
    cast: Cast,
    sentences: Sequence[Span],
    attribution: Attribution,
    voice: Voice,
    speaker: PartyMention | None,
    also: Sequence[PartyMention] = (),
) -> list[Draft]:
    text = cast.text
    pieces = attribution.content
    if voice == "direct":
        words = " ".join(_unquote(text[p.start : p.end]) for p in pieces)
    else:
        parts = [*pieces, *attribution.source, *attribution.cue]
        whole = Span(min(p.start for p in parts), max(p.end for p in parts))
        together = any(s.start <= whole.start and whole.end <= s.end for s in sentences)
        words = text[whole.start : whole.end] if together else " ".join(text[p.start : p.end] for p in pieces)
    if not words.strip():
        return []
    own = {m.party for m in (speaker, *also) if m}
    targets = [m for piece in pieces for m in cast.within(piece) if m.party not in own and not _is_place(text, m)]
    if not targets:
        targets = _find_topic(cast, sentences, pieces[0], own)
    cue = text[attribution.cue[0].start : attribution.cue[0].end] if attribution.cue else None
    drafts = _draft_each(cast, pieces, speaker, targets, cue, voice, words, attribution.source)
    return drafts + (_draft_nested(cast, pieces[0], speaker) if voice == "indirect" else [])


def _draft_nested(cast: Cast, piece: Span, speaker: PartyMention | None) -> list[Draft]:
    """Whom a reported clause gives an attitude or act of its own: "Putin advocates ..., Peskov said" has two voices."""
    match = _NESTED.match(cast.text, piece.start, piece.end)
    if match is None:
        return []
    inner = cast.resolve(Span(*match.span("who")))
    if speaker is not None and inner.party == speaker.party and inner.how in ("registry", "back-reference"):
        return []
    turn = _CONCESSION.search(cast.text, match.end(), piece.end)
    clause = Span(match.start("who"), turn.start() if turn else piece.end)
    targets = [
        m
        for m in cast.within(clause)
        if m.party != inner.party and m.start >= match.end() and not _is_place(cast.text, m)
    ]
    if not targets:
        return []
    words = cast.text[clause.start : clause.end]
    source = [Span(*match.span("who"))]
    return _draft_each(cast, [clause], inner, targets, match["verb"], "indirect", words, source)


def _draft_each(
    cast: Cast,
    pieces: Sequence[Span],
    speaker: PartyMention | None,
    targets: Sequence[PartyMention],
    cue: str | None,
    voice: Voice,
    words: str,
    source: Sequence[Span] = (),
) -> list[Draft]:
    """One draft for each party among the targets; one without a counterpart if there is none."""
    unique = {m.party: m for m in reversed(targets)}
    written = " ".join(cast.text[s.start : s.end] for s in source)
    named = _name(cast, speaker, written) if speaker else None
    drafts = []
    each: list[PartyMention | None] = [unique[p] for p in dict.fromkeys(m.party for m in targets)]
    for target in each or [None]:
        aliases = {
            role: [*dict.fromkeys(cast.text[m.start : m.end] for m in cast.mentions if m.party == party.party)][:50]
            for role, party in (("speaker", speaker), ("counterpart", target))
            if party is not None
        }
        # A quotation seldom names its counterpart: the frame puts both roles before it.
        framed = (
            f"{speaker.party} said of {target.party}: {words}" if voice == "direct" and speaker and target else words
        )
        statement = Statement(
            framed,
            speaker.party if speaker else None,
            target.party if target else None,
            aliases=aliases,  # type: ignore[arg-type]  # the keys are roles
        )
        counterpart = _name(cast, target) if target else None
        drafts.append(Draft(tuple(pieces), named, counterpart, cue, voice, statement))
    return drafts


def _name(cast: Cast, mention: PartyMention, written: str = "") -> Named:
    return Named(written or cast.text[mention.start : mention.end], mention.party, mention.how, mention.person)


def _unquote(words: str) -> str:
    return words.strip().strip('“”"„«»').strip().rstrip(",")


def _is_place(text: str, mention: PartyMention) -> bool:
    before = text[max(0, mention.start - 40) : mention.start]
    return mention.kind == "state" and _PLACE.search(before) is not None and _SEATED.search(before) is None


def _find_topic(cast: Cast, sentences: Sequence[Span], piece: Span, own: Set[str]) -> list[PartyMention]:
    """Whom the words mean without a name: a body described ("the federation"), or the party last spoken of.

    The last is looked for in this sentence and some before it, then in the rest of this one.
    """
    described = [
        found
        for match in _DESCRIBED.finditer(cast.text, piece.start, piece.end)
        if (found := cast.resolve(Span(*match.span()))).how != "unresolved" and found.party not in own
    ]
    if described:
        return described
    here = next((k for k, s in enumerate(sentences) if s.start <= piece.start < s.end), 0)
    begin = sentences[max(0, here - _TOPIC_SENTENCES)].start if sentences else 0
    if _EACH.search(cast.text, piece.start, piece.end):
        seen = [m for m in cast.within(Span(0, piece.start)) if m.party not in own and m.kind != "person"]
        two = list(dict.fromkeys(m.party for m in reversed(seen)))[:2]
        return [next(m for m in reversed(seen) if m.party == party) for party in two]
    kinds = {m.kind for m in cast.mentions if m.party in own}
    before = [m for m in cast.within(Span(begin, piece.start)) if m.party not in own and not _is_place(cast.text, m)]
    if before:
        alike = [m for m in before if m.kind in kinds] or before
        return alike[-1:]
    after = Span(piece.end, sentences[here].end) if sentences and piece.end < sentences[here].end else None
    return [m for m in cast.within(after) if m.party not in own][:1] if after else []


def _draft_own_words(cast: Cast, sentence: Span, last: PartyMention | None, opinion: bool) -> list[Draft]:
    """A sentence in the outlet's own words: an act of one party toward another, or in an opinion piece a view.

    The actor is the subject: the first party of the main clause, or whom "the minister" or "she" at its beginning
    means; after "by" in a passive clause it is the agent.
    """
    text = cast.text[sentence.start : sentence.end]
    acting = [m for m in cast.within(sentence) if not _is_place(cast.text, m)]
    begin = sentence.start
    if _LEAD_IN.match(text) and "," in text:
        begin += text.index(",") + 1
        acting = [m for m in acting if m.start >= begin] + [m for m in acting if m.start < begin]
    actor: PartyMention | None = None
    subject = _SUBJECT.match(cast.text, begin, sentence.end)
    if subject and cast.text.startswith(" of ", subject.end()):
        subject = None
    if subject and not any(m.start < subject.end() and subject.start("words") <= m.start for m in acting):
        found = cast.resolve(Span(*subject.span("words")), last)
        actor = found if found.how != "unresolved" else None
    elif acting:
        actor = acting[0]
    for mention in acting[1:]:
        if _PASSIVE.search(cast.text[sentence.start : mention.start]):
            actor = mention
            break
    others = [m for m in acting if actor is None or m.party != actor.party]
    if actor is not None and not others:
        described = [cast.resolve(Span(*m.span())) for m in _DESCRIBED.finditer(cast.text, begin, sentence.end)]
        others = [m for m in described if m.how != "unresolved" and m.party != actor.party]
    if opinion:
        return _draft_each(cast, [sentence], None, acting, None, "author", text) if acting else []
    if actor is None or not others:
        return []
    drafts = _draft_each(cast, [sentence], actor, others, None, "act", text, [Span(actor.start, actor.end)])
    first = others[0]
    if cast.text[actor.end : first.start].strip() in ("and", "and the"):
        drafts += _draft_each(cast, [sentence], first, [actor], None, "act", text, [Span(first.start, first.end)])
    return drafts
