"""What comes out of an article: statements with their speakers and counterparts, and dyads."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date as Date
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from detente.article.cast import How
from detente.records import Score

if TYPE_CHECKING:
    from pandas import DataFrame

Voice = Literal["direct", "indirect", "act", "author"]
_RESAMPLES: Final = 1_000
_SEED: Final = 1


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
        repeats: Position in ``Reading.statements`` of the statement that this one repeats; it then counts in no dyad.
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
    date: Date | None = None
    model_version: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the article's text is left out."""
        return {
            "date": self.date.isoformat() if self.date else None,
            "model_version": self.model_version,
            "notices": list(self.notices),
            "statements": [
                {**asdict(s), "score": s.score.to_dict()} for s in self.statements
            ],
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
        if statement.speaker and statement.counterpart and statement.repeats is None:
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
    draws = np.random.default_rng(_SEED).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)
