"""Attributions by rule: quotation marks and reporting verbs. The baseline beside the attribution network."""

import re
from collections.abc import Iterator
from typing import Final

from detente.article.spans import Attribution, Span

_VERBS: Final = (
    "said|says|told|tells|added|adds|stated|states|argued|argues|claimed|claims|warned|warns|insisted|insists|noted|notes|"
    "announced|announces|declared|declares|asked|asks|replied|replies|responded|explained|explains|wrote|writes|tweeted|"
    "believes|believed|thinks|thought|suggested|suggests|accused|alleged|alleges|denied|denies|admitted|admits|"
    "acknowledged|acknowledges|reported|reports|stressed|emphasized|emphasised|urged|called for|complained|continued|"
    "concluded|confirmed|pledged|promised|vowed|demanded|hopes|hoped|fears|feared|expects|expected|recalled|remarked|"
    "commented|pointed out|maintains|maintained|contends|contended|predicted|testified|quipped|joked"
)
_NAME: Final = (
    r"(?:(?:[Tt]he|[Aa]n?|[Hh]is|[Hh]er|[Tt]heir)\s+(?:[\w’'.-]+\s+){0,4}?[\w’'.-]+"
    r"|(?:[A-Z][\w’'.-]*|of|the|and|for|de|van|von|al)(?:\s+(?:[A-Z][\w’'.-]*|of|the|and|for|de|van|von|al))*"
    r"|[Hh]e|[Ss]he|[Tt]hey|I|we|We|it)"
)
_OPENING: Final = {"“": "”", '"': '"', "„": "“", "«": "»"}
_AFTER = re.compile(
    rf"^\W{{0,3}}(?:(?P<a>{_NAME})\s+(?:\w+ly\s+)?(?P<va>{_VERBS})\b|(?P<vb>{_VERBS})\s+(?P<b>{_NAME}))"
)
_BEFORE = re.compile(rf"(?P<a>{_NAME})(?:,[^,“”\"]{{1,80}},)?\s+(?:\w+ly\s+)?(?P<va>{_VERBS})\b[^.!?“”\"]{{0,60}}$")
_THAT = re.compile(
    rf"(?P<a>{_NAME})(?:,[^,“”\"]{{1,80}},)?\s+(?:\w+ly\s+)?(?P<va>{_VERBS})\s+(?:that\s+)?(?P<c>\S.{{12,}})"
)
_ACCORDING = re.compile(rf"\b(?P<va>[Aa]ccording to)\s+(?P<a>{_NAME})")
_NEAR_CHARS: Final = 160


def attribute_by_rule(text: str, sentences: list[Span]) -> list[Attribution]:
    """Attributions of an article, found without a model.

    A quotation takes the reporting verb that follows it, else the one before it in the same paragraph, else the source
    of the quotation before it. A clause after a reporting verb, or beside "according to", is an indirect one.

    Args:
        text: The article.
        sentences: Its sentences.
    """
    quotations = list(find_quotations(text))
    found: list[Attribution] = []
    for quotation in quotations:
        after = _AFTER.match(text[quotation.end : quotation.end + _NEAR_CHARS])
        begin = max(text.rfind("\n", 0, quotation.start) + 1, quotation.start - _NEAR_CHARS)
        before = None if after else _BEFORE.search(text[begin : quotation.start])
        match, shift = (after, quotation.end) if after else (before, begin)
        if match:
            groups = match.re.groupindex
            who, verb = ("a", "va") if match["a"] else ("b", "vb")
            assert who in groups
            source = (Span(shift + match.start(who), shift + match.end(who)),)
            cue = (Span(shift + match.start(verb), shift + match.end(verb)),)
            found.append(Attribution((quotation,), source, cue))
        else:
            found.append(Attribution((quotation,), found[-1].source if found else (), ()))
    for sentence in sentences:
        if any(sentence.overlaps(span) for attribution in found for span in attribution.cue):
            continue  # its reporting verb belongs to a quotation
        words = text[sentence.start : sentence.end]
        if match := _ACCORDING.search(words):
            content = Span(sentence.start, sentence.start + match.start()) if match.start() > 20 else None
            content = content or Span(min(sentence.start + match.end() + 2, sentence.end - 1), sentence.end)
        elif match := _THAT.search(words):
            content = Span(sentence.start + match.start("c"), sentence.end)
        else:
            continue
        found.append(
            Attribution(
                (content,),
                (Span(sentence.start + match.start("a"), sentence.start + match.end("a")),),
                (Span(sentence.start + match.start("va"), sentence.start + match.end("va")),),
            )
        )
    return sorted(found, key=lambda a: a.content)


def find_quotations(text: str) -> Iterator[Span]:
    """Quotations with their marks, in order; one that is never closed ends with its paragraph."""
    position = 0
    while position < len(text):
        closing = _OPENING.get(text[position])
        if closing is None or (text[position] == '"' and position and text[position - 1].isalnum()):
            position += 1
            continue
        paragraph_end = text.find("\n", position)
        paragraph_end = len(text) if paragraph_end < 0 else paragraph_end
        end = text.find(closing, position + 1, paragraph_end)
        end = paragraph_end if end < 0 else end + 1
        yield Span(position, end)
        position = end
