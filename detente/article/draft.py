"""Statements of an article before they are scored: who, toward whom, in which words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from detente.article.attribution import Markup
from detente.article.cast import Cast, Member
from detente.article.reading import Named
from detente.article.rules import find_quotations
from detente.article.spans import Attribution, Span, Voice
from detente.records import Statement

_MIN_WORDS: Final = 2
_MIN_SPEAKER: Final = 0.3
"""Least probability of a speaker."""
_MIN_SECOND_SPEAKER: Final = 0.4
"""Least probability of a party that speaks or acts together with another; each has about a half."""
_MIN_COUNTERPART: Final = 0.4
"""Least probability of a counterpart."""
_MIN_ONLY_COUNTERPART: Final = 0.15
"""Least probability of the likeliest counterpart, if none is above the other threshold."""
_MAX_ALIASES: Final = 50
_NEWCOMER: Final = re.compile(
    r"(?!.*\b(?:spokes\w+|officials?|statement|minist\w+|government|embassy|envoy|diplomats?|lawyers?|source|"
    r"representative)\b)(?:(?:[Aa]n?|[Oo]ne|[Ss]ome|[Ss]everal|[Aa]nother|[Oo]thers|[Mm]any|[Mm]ost|[Tt]wo|[Tt]hree)\b|[a-z]+s$|"
    r"(?!the\b|its\b|his\b|her\b|their\b|our\b|my\b|both\b|this\b|that\b|who\b)[a-z]+ [a-z]+$)"
)
"""Words that bring in somebody new without a name: "one baker", "residents"."""
_NESTED: Final = re.compile(
    r"(?:that[ \t]+)?(?P<who>(?:[Tt]he[ \t]+)?[A-Z][\w’'-]*(?:[ \t]+[A-Z][\w’'-]*){0,3})[ \t]+"
    r"(?:(?:has|had|have|would|will|also|still|even|again|not|never|\w+ly)[ \t]+)*(?P<verb>(?:advocat|want|support|"
    r"back|oppos|condemn|reject|welcom|hop|accus|threaten|believ|seek|favour|favor|demand|prais|thank|criticis|"
    r"criticiz|blam|call|expel|regret|admir|promis|pledg|warn|trust|fear|betray|lie|insult|denounc|applaud)\w*)\b"
)
"""A reported clause in which somebody else has an attitude of his own."""
_CONCESSION: Final = re.compile(r",?[ \t]+(?:despite|although|though|even though|even if|while|whereas|in spite of)\b")


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


def draft_statements(cast: Cast, sentences: Sequence[Span], markup: Markup) -> list[Draft]:
    """The statements of an article, in its order.

    Args:
        cast: Whom the article names.
        sentences: Its sentences.
        markup: What the network found in it.
    """
    text = cast.text
    quotations = list(find_quotations(text))
    told: list[tuple[Voice, Attribution]] = [
        ("direct" if _is_quoted(found.content, quotations) else "indirect", found) for found in markup.attributions
    ]
    told += [("act", Attribution((part,))) for span in markup.spans["act"] for part in _split(span, sentences)]
    told += [("author", Attribution((part,))) for span in markup.spans["view"] for part in _split(span, sentences)]
    drafts: list[Draft] = []
    for voice, found in sorted(told, key=lambda each: each[1].content):
        if sum(len(text[p.start : p.end].split()) for p in found.content) < _MIN_WORDS:
            continue
        inner = _draft_nested(cast, found, sentences) if voice == "indirect" else []
        if inner and inner[0].pieces[0].end < found.content[-1].end:  # what follows is the outer voice's own
            words = text[inner[0].pieces[0].end : found.content[-1].end].lstrip(", \t\n")
            found = replace(found, content=(Span(found.content[-1].end - len(words), found.content[-1].end),))
        drafts += _draft(cast, found, voice, find_words(text, sentences, found, voice), drafts) + inner
    kept = _drop_doubles(sorted(drafts, key=lambda d: d.voice == "act"))
    return sorted(kept, key=lambda d: (d.pieces[0], d.counterpart.written if d.counterpart else ""))


def _split(span: Span, sentences: Sequence[Span]) -> list[Span]:
    """The parts of a span that stand in each sentence."""
    parts = [Span(max(span.start, s.start), min(span.end, s.end)) for s in sentences if s.overlaps(span)]
    return parts or [span]


def look_back(before: Sequence[Draft], speaker: str | None) -> dict[str, list[str]]:
    """Who is meant in the statement before and in the same speaker's last; see ``describe_counterparts``."""
    recent = [d for d in before if before and d.pieces == before[-1].pieces]
    own = next((d.pieces for d in reversed(before) if d.speaker and d.speaker.party == speaker), None)
    return {
        "speaker": [d.speaker.party for d in recent if d.speaker],
        "counterparts": [d.counterpart.party for d in recent if d.counterpart],
        "toward": [d.counterpart.party for d in before if d.pieces == own and d.counterpart],
    }


def _drop_doubles(drafts: Sequence[Draft]) -> list[Draft]:
    """Leaves out a draft whose words one before it has for the same two parties: an act that is told as a saying."""
    taken: dict[tuple[str | None, str | None], list[Span]] = {}
    kept = []
    for draft in drafts:
        key = (draft.speaker.party if draft.speaker else None, draft.counterpart.party if draft.counterpart else None)
        spans = taken.setdefault(key, [])
        if any(piece.overlaps(span) for piece in draft.pieces for span in spans):
            continue
        spans += draft.pieces
        kept.append(draft)
    return kept


def _is_quoted(content: Sequence[Span], quotations: Sequence[Span]) -> bool:
    quoted = sum(max(0, min(c.end, q.end) - max(c.start, q.start)) for c in content for q in quotations)
    return 2 * quoted > sum(c.end - c.start for c in content)


def find_words(text: str, sentences: Sequence[Span], found: Attribution, voice: Voice) -> str:
    """What is scored: of a quotation the words said, of indirect speech also who says it and how, in one sentence."""
    if voice == "direct":
        return " ".join(_unquote(text[p.start : p.end]) for p in found.content)
    parts = [*found.content, *found.source, *found.cue]
    whole = Span(min(p.start for p in parts), max(p.end for p in parts))
    if any(s.start <= whole.start and whole.end <= s.end for s in sentences):
        return text[whole.start : whole.end]
    return " ".join(text[p.start : p.end] for p in found.content)


def _unquote(words: str) -> str:
    return words.strip().strip('“”"„«»').strip().rstrip(",")


def _draft(cast: Cast, found: Attribution, voice: Voice, words: str, before: Sequence[Draft]) -> list[Draft]:
    """One draft for each speaker and counterpart; one without a counterpart if there is none."""
    if not words.strip():
        return []
    pieces, source = found.content, found.source
    speakers = [None] if voice == "author" else _find_speakers(cast, found)
    cue = cast.text[found.cue[0].start : found.cue[0].end] if found.cue else None
    drafts = []
    for speaker in speakers:
        own = speaker.party if speaker else None
        others = cast.find_counterparts(pieces, source, voice, own, look_back(before, own))
        chosen = [member for rating, member in others if rating >= _MIN_COUNTERPART]
        if not chosen and others and others[0][0] >= _MIN_ONLY_COUNTERPART:
            chosen = [others[0][1]]
        counterparts: list[Named | None] = [_name(cast, member, pieces) for member in chosen]
        for counterpart in counterparts or [None]:
            if voice in ("act", "author") and counterpart is None:
                continue
            statement = _state(cast, words, speaker, counterpart, voice)
            drafts.append(Draft(tuple(pieces), speaker, counterpart, cue, voice, statement))
    return drafts


def _draft_nested(cast: Cast, found: Attribution, sentences: Sequence[Span]) -> list[Draft]:
    """Whom a reported clause gives an attitude of its own: "Putin advocates ..., Peskov said" has two voices."""
    piece = found.content[0]
    opening = next((s.start for s in sentences if s.start <= piece.start < s.end), piece.start)
    for start in (piece.start, opening):
        match = _NESTED.match(cast.text, start, piece.end)
        if (
            match
            and match.end() >= piece.start - 1
            and not any(s.start < match.end("who") <= s.end for s in found.source)
        ):
            break
    else:
        return []
    inner = next((m for m in cast.within(Span(*match.span("who")))), None)
    if inner is None:
        return []
    members = {(m.name, m.kind == "person"): m for m in cast.members}
    own = members[inner.name, inner.kind == "person"]
    outer = next((s for s in _find_speakers(cast, found) if s is not None), None)
    turn = _CONCESSION.search(cast.text, match.end(), piece.end)
    is_leader = own.how == "name" and outer is not None and outer.person is not None and turn is not None
    if outer is not None and own.party == outer.party and own.how in ("registry", "name") and not is_leader:
        return []  # "Norway wants ..., Norway said" is one voice; "Putin wants ..., although ..., Peskov said" is not
    clause = Span(match.start("who"), turn.start() if turn else piece.end)
    targets = [members[m.name, m.kind == "person"] for m in cast.within(Span(match.end(), clause.end))]
    words = cast.text[clause.start : clause.end]
    speaker = _name(cast, own, [inner.span], cast.text[inner.start : inner.end])
    return [
        Draft((clause,), speaker, _name(cast, target, [clause]), match["verb"], "indirect", statement)
        for target in {t.party: t for t in targets if t.party != own.party}.values()
        for statement in [_state(cast, words, speaker, _name(cast, target, [clause]), "indirect")]
    ]


def _find_speakers(cast: Cast, found: Attribution) -> list[Named | None]:
    """The parties that speak or act: more than one where several do it together."""
    written = " ".join(cast.text[s.start : s.end] for s in found.source)
    if _NEWCOMER.match(written) and not any(cast.within(s) for s in found.source):
        return [Named(written, " ".join(written.split()), "unresolved")]
    nobody, ranked = cast.find_speakers(found.content, found.source)
    likely = [e for k, e in enumerate(ranked) if e[0] >= (_MIN_SECOND_SPEAKER if k else _MIN_SPEAKER)]
    if not likely or nobody > likely[0][0]:
        return [Named(written, " ".join(written.split()), "unresolved")] if written else []
    names: list[Named | None] = [
        _name(cast, person or party, found.source, written, party) for _, party, person in likely
    ]
    together = cast.find_joined([party.name for _, party, _ in likely], found.source or found.content)
    return names + [_name(cast, member, found.source, member.name) for member in together]


def _name(cast: Cast, member: Member, spans: Sequence[Span], written: str = "", party: Member | None = None) -> Named:
    """A member as these words name it; a back-reference if they do not."""
    party = party or next((m for m in cast.members if m.name == member.party and m.kind != "person"), member)
    here = [m for span in spans for m in cast.within(span) if m.name == member.name or m.name == party.name]
    person = member.name if member.kind == "person" else None
    if here:
        words = written or cast.text[here[0].start : here[0].end]
        return Named(words, party.name, member.how, person)
    how = "unresolved" if member.how == "unresolved" else "back-reference"
    return Named(written or party.name, party.name, how, person)  # type: ignore[arg-type]  # both are a How


def frame_words(words: str, speaker: str | None, counterpart: str | None, voice: Voice) -> str:
    """The words as the model reads them: a quotation seldom names its counterpart, so a frame puts both before it."""
    return f"{speaker} said of {counterpart}: {words}" if voice == "direct" and speaker and counterpart else words


def _state(cast: Cast, words: str, speaker: Named | None, counterpart: Named | None, voice: Voice) -> Statement:
    aliases = {
        role: cast.find_forms(named.party)[:_MAX_ALIASES]
        for role, named in (("speaker", speaker), ("counterpart", counterpart))
        if named is not None
    }
    said_by, said_of = (named.party if named else None for named in (speaker, counterpart))
    return Statement(
        frame_words(words, said_by, said_of, voice),
        said_by,
        said_of,
        aliases=aliases,  # type: ignore[arg-type]  # the keys are roles
    )
