"""What comes out of an article: statements with their speakers and counterparts, and dyads."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detente.article.cast import How
from detente.article.spans import Voice
from detente.records import Score, StatementError

if TYPE_CHECKING:
    from pandas import DataFrame

    from detente.article.draft import Draft

MAX_ARTICLE_CHARS: Final = 1_000_000
"""Longest article."""
_WORD: Final = re.compile(r"\w+")
_CONTACT: Final = re.compile(
    r"\b(?:meets?|met|meeting|talks?|talked|spoke|calls?|called|telephoned|phoned|received|receives|visit\w*|hosts?|hosted|"
    r"signs?|signed|discuss\w*|welcomed|negotiat\w*|consult\w*|summit)\b"
)
_REPEATED_SHARE: Final = 0.7
"""Share of the shorter statement's words that the other one must hold to be the same statement told again."""
_MIN_WORDS: Final = 4
_LANGUAGE_CHARS: Final = 5_000
_MIN_LANGUAGE_CHARS: Final = 60
_RESAMPLES: Final = 1_000
_RESAMPLED_AT_ONCE: Final = 1_000_000
_SEED: Final = 1
STATEMENT_COLUMNS: Final = {
    "date": "string",
    "start": "int64",
    "end": "int64",
    "voice": "string",
    "speaker": "string",
    "speaker_written": "string",
    "speaker_how": "string",
    "person": "string",
    "counterpart": "string",
    "counterpart_written": "string",
    "counterpart_how": "string",
    "cue": "string",
    "text": "string",
    "stance": "double",
    "stance_label": "string",
    "hostility": "double",
    "hostility_level": "string",
    "sentiment_label": "string",
    "confidence": "double",
    "needs_review": "bool",
    "repeats": "int64",
    "counts": "bool",
    "model_version": "string",
}
"""The columns of ``Reading.to_rows`` and their Arrow types."""


@dataclass(frozen=True, slots=True)
class Named:
    """A party as an article names it.

    Attributes:
        written: The words of the article, or "(author)".
        party: Whom they stand for; the words themselves where ``how`` is ``unresolved``.
        how: What the resolution rests on.
        person: Full name, if a person speaks for the party.
    """

    written: str
    party: str
    how: How
    person: str | None = None

    @property
    def is_party(self) -> bool:
        """False for words that name nobody, such as "reporters" or "a woman in the queue": they count in no dyad."""
        return self.how != "unresolved" or any(word[0].isupper() for word in self.party.split()[1:] or [self.party])


@dataclass(frozen=True, slots=True)
class ReadStatement:
    """One statement of an article toward one counterpart.

    Attributes:
        text: The words, as they stand in the article.
        start: First character in the article.
        end: One past the last character in the article.
        pieces: ``(start, end)`` of each piece, if the article interrupts the statement; else one.
        speaker: Who says or does it; None for the outlet itself.
        counterpart: Toward whom; None if no party is found.
        cue: The word that attributes it, or None.
        voice: ``direct`` (in quotation marks), ``indirect``, ``act``, or ``author`` (the outlet's own words).
        score: What the model says of it.
        repeats: Position in ``Reading.statements`` of the statement that this one repeats.
    """

    text: str
    start: int
    end: int
    pieces: tuple[tuple[int, int], ...]
    speaker: Named | None
    counterpart: Named | None
    cue: str | None
    voice: Voice
    score: Score
    repeats: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it counts in a dyad: both are parties, and it repeats no other statement."""
        named = self.speaker is not None and self.speaker.is_party and self.counterpart and self.counterpart.is_party
        return bool(named) and self.repeats is None


@dataclass(frozen=True, slots=True)
class Dyad:
    """All statements of one party toward another.

    Attributes:
        speaker: The speaking party.
        counterpart: The party spoken of.
        n: Statements, without repeats.
        stance: Mean stance, in [-1, 1].
        stance_interval: 95 % bootstrap interval of the mean over the statements; of one statement, the value twice.
        hostility: Mean hostility, in [0, 1].
        hostility_interval: The same for the hostility.
        hostility_max: Highest hostility of one statement.
        statements: Positions in ``Reading.statements``.
    """

    speaker: str
    counterpart: str
    n: int
    stance: float
    stance_interval: tuple[float, float]
    hostility: float
    hostility_interval: tuple[float, float]
    hostility_max: float
    statements: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What ``Classifier.read`` returns.

    Attributes:
        text: The article.
        statements: In the order of the article.
        dyads: Most hostile first.
        notices: What a reader must know: another language, nothing found.
        date: The article's date, if it was given.
        model_version: Version of the model that scored.
    """

    text: str
    statements: tuple[ReadStatement, ...]
    dyads: tuple[Dyad, ...]
    notices: tuple[str, ...] = ()
    date: datetime.date | None = None
    model_version: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the article's text is left out."""
        return {
            "date": self.date.isoformat() if self.date else None,
            "model_version": self.model_version,
            "notices": list(self.notices),
            "statements": [{**asdict(s), "score": s.score.to_dict()} for s in self.statements],
            "dyads": [asdict(d) for d in self.dyads],
        }

    def to_rows(self) -> list[dict[str, object]]:
        """One flat row for each statement: the table of ``to_frame``."""
        return [
            {
                "date": self.date.isoformat() if self.date else None,
                "start": s.start,
                "end": s.end,
                "voice": s.voice,
                "speaker": s.speaker.party if s.speaker else None,
                "speaker_written": s.speaker.written if s.speaker else None,
                "speaker_how": s.speaker.how if s.speaker else None,
                "person": s.speaker.person if s.speaker else None,
                "counterpart": s.counterpart.party if s.counterpart else None,
                "counterpart_written": s.counterpart.written if s.counterpart else None,
                "counterpart_how": s.counterpart.how if s.counterpart else None,
                "cue": s.cue,
                "text": s.text,
                "stance": s.score.stance,
                "stance_label": s.score.stance_label,
                "hostility": s.score.hostility,
                "hostility_level": s.score.hostility_level,
                "sentiment_label": s.score.sentiment_label,
                "confidence": s.score.confidence,
                "needs_review": s.score.needs_review,
                "repeats": s.repeats,
                "counts": s.counts,
                "model_version": self.model_version,
            }
            for s in self.statements
        ]

    def to_frame(self) -> "DataFrame":
        """The statements as a pandas table, one row each.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("to_frame needs pandas: pip install 'detente[articles]'") from error
        return DataFrame(self.to_rows())


def sum_up(statements: Sequence[ReadStatement]) -> tuple[Dyad, ...]:
    """The dyads of the statements that have both parties and repeat no other one; most hostile first."""
    groups: dict[tuple[str, str], list[int]] = {}
    for index, statement in enumerate(statements):
        if statement.counts:
            assert statement.speaker is not None
            assert statement.counterpart is not None
            groups.setdefault((statement.speaker.party, statement.counterpart.party), []).append(index)
    dyads = []
    for (speaker, counterpart), indices in groups.items():
        stances = np.array([statements[i].score.stance for i in indices])
        hostilities = np.array([statements[i].score.hostility for i in indices])
        dyads.append(
            Dyad(
                speaker=speaker,
                counterpart=counterpart,
                n=len(indices),
                stance=float(stances.mean()),
                stance_interval=estimate_interval(stances),
                hostility=float(hostilities.mean()),
                hostility_interval=estimate_interval(hostilities),
                hostility_max=float(hostilities.max()),
                statements=tuple(indices),
            )
        )
    return tuple(sorted(dyads, key=lambda d: (-d.hostility, d.speaker, d.counterpart)))


def estimate_interval(values: "np.ndarray[Any, np.dtype[np.float64]]") -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean (Efron 1979); the same values give the same interval."""
    generator = np.random.default_rng(_SEED)
    at_once = max(1, _RESAMPLED_AT_ONCE // len(values))
    means = [
        values[generator.integers(0, len(values), (min(at_once, _RESAMPLES - first), len(values)))].mean(axis=1)
        for first in range(0, _RESAMPLES, at_once)
    ]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return float(low), float(high)


def check_article(article: object) -> None:
    """Refuses what is no article.

    Raises:
        StatementError: It is no string, blank, too long, or has half a surrogate pair.
    """
    if not isinstance(article, str):
        raise StatementError(f"article must be a string, found {type(article).__name__}: pass its text")
    if not article.strip():
        raise StatementError("the article is empty: pass at least one sentence")
    if len(article) > MAX_ARTICLE_CHARS:
        raise StatementError(
            f"the article has {len(article):,} characters, at most {MAX_ARTICLE_CHARS:,} are allowed: split it"
        )
    try:
        article.encode()
    except UnicodeEncodeError as error:
        raise StatementError(
            f"the article has half a surrogate pair at character {error.start}: decode it as UTF-8 first"
        ) from error


def parse_date(date: str | datetime.date | None) -> datetime.date | None:
    """The date, from ``YYYY-MM-DD`` if it is a string.

    Raises:
        StatementError: It is no date.
    """
    if date is None or isinstance(date, datetime.date):
        return date
    try:
        return datetime.date.fromisoformat(date)
    except (TypeError, ValueError) as error:
        raise StatementError(f"date must be YYYY-MM-DD, found {date!r}") from error


def finish_reading(
    article: str, drafts: "Sequence[Draft]", scores: Sequence[Score], date: datetime.date | None, model_version: str
) -> Reading:
    """Joins drafts and scores; repeats are marked and left out of the dyads.

    The outlet's own sentences are kept where the model is sure that they take a side, acts where they take one or are
    a meeting or a call: the rest is plain narration.
    """
    statements = []
    for draft, score in zip(drafts, scores, strict=True):
        if draft.voice == "author" and (score.stance_label == "neutral" or score.needs_review):
            continue
        if draft.voice == "act" and score.stance_label == "neutral" and not _CONTACT.search(draft.statement.text):
            continue
        first, last = min(p.start for p in draft.pieces), max(p.end for p in draft.pieces)
        statements.append(
            ReadStatement(
                text=" ".join(article[p.start : p.end] for p in draft.pieces),
                start=first,
                end=last,
                pieces=tuple((p.start, p.end) for p in draft.pieces),
                speaker=draft.speaker,
                counterpart=draft.counterpart,
                cue=draft.cue,
                voice=draft.voice,
                score=score,
            )
        )
    marked = mark_repeats(statements)
    notices = describe_language(article)
    if not marked:
        notices = (*notices, "no statement was found")
    return Reading(article, tuple(marked), sum_up(marked), notices, date, model_version)


def mark_repeats(statements: Sequence[ReadStatement]) -> list[ReadStatement]:
    """Marks a statement that says again what another of the same dyad said: a headline and its lead, a quotation twice.

    Two statements are the same if most of the shorter one's words stand in the other. The quotation wins over its
    paraphrase, the earlier one over the later.
    """
    marked = list(statements)
    by_dyad: dict[tuple[str | None, str | None], list[int]] = {}
    for index, statement in enumerate(statements):
        key = (
            statement.speaker.party if statement.speaker else None,
            statement.counterpart.party if statement.counterpart else None,
        )
        words = set(_WORD.findall(statement.text.lower()))
        kept = by_dyad.setdefault(key, [])
        for k, other in enumerate(kept):
            others = set(_WORD.findall(statements[other].text.lower()))
            smaller = min(len(words), len(others))
            if statement.start < statements[other].end:
                continue  # one passage with two voices says nothing twice
            if smaller < _MIN_WORDS or len(words & others) < _REPEATED_SHARE * smaller:
                continue
            if statement.voice == "direct" != statements[other].voice:
                marked[other] = replace(statements[other], repeats=index)
                kept[k] = index
            else:
                marked[index] = replace(statement, repeats=other)
            break
        else:
            kept.append(index)
    return marked


def describe_language(article: str) -> tuple[str, ...]:
    """A notice if the article is not in English, which is all that the shipped model reads."""
    try:
        from py3langid import classify
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reading articles needs py3langid: pip install 'detente[articles]'") from error
    language, _ = classify(article[:_LANGUAGE_CHARS])
    if language == "en" or len(article) < _MIN_LANGUAGE_CHARS:
        return ()
    return (f"the article seems to be in another language than English ({language}): do not rely on these scores",)
