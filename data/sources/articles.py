"""The statements of our own articles, as the model meets them when it reads an article; see data/articles/README.md.

A statement toward several counterparts makes several rows. The names by which the article calls the two parties become
their full names, so that both are masked as they are when an article is read. Tone is not labelled.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detente.article.draft import find_words, frame_words
from detente.article.gold import GoldArticle, GoldStatement, read_gold
from detente.article.sentences import split_sentences
from detente.article.spans import Attribution, Span
from detente.corpus import SourceError
from detente.records import LabelledStatement

NAME: Final = "articles"
FILES: Final = {"train.jsonl": "train", "evidence.jsonl": "train", "validation.jsonl": "validation"}
"""File to split."""

logger = logging.getLogger(__name__)


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[LabelledStatement]:
    """Read the statements.

    Args:
        folder: ``data/articles`` of the project.
        skipped: Counts the statements that are left out, by reason.

    Raises:
        SourceError: There is no file, or an article is unsound.
    """
    skipped = Counter() if skipped is None else skipped
    for name, split in FILES.items():
        if not (folder / name).is_file():
            raise SourceError(folder, None, f"a file {name} with articles", [])
        try:
            articles = read_gold(folder / name)
        except ValueError as error:
            raise SourceError(
                folder / name, None, "articles as data/articles/README.md has them", str(error)
            ) from error
        for article in articles:
            yield from _read_article(article, split, skipped)
    logger.info("%s: skipped %s", NAME, dict(skipped))


def _read_article(article: GoldArticle, split: str, skipped: Counter[str]) -> Iterator[LabelledStatement]:
    sentences = split_sentences(article.text)
    for number, statement in enumerate(article.statements):
        if not statement.counterparts:
            skipped["toward nobody"] += 1
        for party, (stance, level) in statement.counterparts.items():
            yield LabelledStatement(
                text=_write(article, sentences, statement, party),
                speaker=statement.speaker_party,
                counterpart=party,
                source=NAME,
                id=f"{article.id}-{number}-{party}",
                split=split,
                group=article.id,
                stance=stance,
                hostility_low=level,
                hostility_high=level,
                native=f"{article.genre}:{statement.voice}",
            )


def _write(article: GoldArticle, sentences: list[Span], statement: GoldStatement, counterpart: str) -> str:
    found = Attribution(
        statement.content,
        (statement.speaker,) if statement.speaker and statement.voice == "indirect" else (),
        (statement.cue,) if statement.cue and statement.voice == "indirect" else (),
    )
    words = find_words(article.text, sentences, found, statement.voice)
    speaker = statement.speaker_party
    full = {form: party for party in (speaker, counterpart) if party for form in article.forms.get(party, ())}
    full |= {
        form: party
        for person, party in article.people.items()
        if party in (speaker, counterpart)
        for form in (person, person.split()[-1])
    }
    if full:
        pattern = "|".join(re.escape(form) for form in sorted(full, key=len, reverse=True))
        words = re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", lambda match: full[match[0]], words)
    return frame_words(words, speaker, counterpart, statement.voice)
