"""Statements of an article before they are scored: who, toward whom, in which words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from detente.article.cast import Cast, PartyMention
from detente.article.reading import Named, Voice
from detente.article.rules import find_quotations
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
_PASSIVE: Final = re.compile(
    r"\b(?:was|were|is|are|been|be|being)\s+(?:\w+ly\s+)?\w+(?:ed|en|wn|ld|de|id)\b[^.;]{0,60}?\bby\s+(?:the\s+)?$"
)
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
        statement: The words that are scored, which for indirect speech include source and cue.
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
    cast = Cast(text, parties)
    quotations = list(find_quotations(text))
    drafts: list[Draft] = []
    last: PartyMention | None = None
    for attribution in attributions:
        voice: Voice = "direct" if _is_quoted(attribution.content, quotations) else "indirect"
        speaker = None
        if attribution.source:
            source = attribution.source[0]
            last = speaker = cast.resolve(source, last)
        elif voice == "direct":
            speaker = last
        drafts += _draft_attribution(cast, sentences, attribution, voice, speaker)
    covered = [span for a in attributions for span in a.content] + quotations
    for sentence in sentences:
        if not any(sentence.overlaps(span) for span in covered):
            drafts += _draft_own_words(cast, sentence)
    return sorted(drafts, key=lambda d: (d.pieces[0], d.counterpart.written if d.counterpart else ""))


def _is_quoted(content: Sequence[Span], quotations: Sequence[Span]) -> bool:
    quoted = sum(max(0, min(c.end, q.end) - max(c.start, q.start)) for c in content for q in quotations)
    return 2 * quoted > sum(c.end - c.start for c in content)


def _draft_attribution(
    cast: Cast,
    sentences: Sequence[Span],
    attribution: Attribution,
    voice: Voice,
    speaker: PartyMention | None,
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
    own = speaker.party if speaker else None
    targets = [m for piece in pieces for m in cast.within(piece) if m.party != own and not _is_place(text, m)]
    if not targets and _POINTING.search(" ".join(text[p.start : p.end] for p in pieces)):
        targets = _find_topic(cast, sentences, pieces[0], own)
    cue = text[attribution.cue[0].start : attribution.cue[0].end] if attribution.cue else None
    return _draft_each(cast, pieces, speaker, targets, cue, voice, words, attribution.source)


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
        statement = Statement(
            words,
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
    return mention.kind == "state" and _PLACE.search(text[max(0, mention.start - 30) : mention.start]) is not None


def _find_topic(cast: Cast, sentences: Sequence[Span], piece: Span, own: str | None) -> list[PartyMention]:
    """The party that was last spoken of in this sentence or the two before it, or later in this sentence."""
    here = next((k for k, s in enumerate(sentences) if s.start <= piece.start < s.end), 0)
    begin = sentences[max(0, here - 2)].start if sentences else 0
    before = [m for m in cast.within(Span(begin, piece.start)) if m.party != own and not _is_place(cast.text, m)]
    if before:
        return before[-1:]
    after = Span(piece.end, sentences[here].end) if sentences and piece.end < sentences[here].end else None
    return [m for m in cast.within(after) if m.party != own][:1] if after else []


def _draft_own_words(cast: Cast, sentence: Span) -> list[Draft]:
    """A sentence in the outlet's own words: an act of one party toward another, else a view of the outlet's."""
    text = cast.text[sentence.start : sentence.end]
    mentions = cast.within(sentence)
    acting = [m for m in mentions if not _is_place(cast.text, m)]
    if _LEAD_IN.match(text) and "," in text:
        comma = sentence.start + text.index(",")
        acting = [m for m in acting if m.start > comma] + [m for m in acting if m.start <= comma]
    if not acting:
        return []
    actor = acting[0]
    for mention in acting[1:]:
        if _PASSIVE.search(cast.text[sentence.start : mention.start]):
            actor = mention
            break
    others = [m for m in acting if m.party != actor.party]
    if not others:
        return _draft_each(cast, [sentence], None, [actor], None, "author", text)
    drafts = _draft_each(cast, [sentence], actor, others, None, "act", text, [Span(actor.start, actor.end)])
    first = others[0]
    if cast.text[actor.end : first.start].strip() in ("and", "and the"):
        drafts += _draft_each(cast, [sentence], first, [actor], None, "act", text, [Span(first.start, first.end)])
    return drafts
