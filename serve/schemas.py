"""What requests and answers look like. Fields have the names and ranges of ``detente.records``."""

import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from detente.article.reading import MAX_ARTICLE_CHARS
from detente.labels import HEADS
from detente.records import MAX_TEXT_CHARS
from serve.database import MAX_NOTE_CHARS


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class AliasesIn(_Strict):
    """Further names of the two parties."""

    speaker: list[str] = Field(default_factory=list)
    counterpart: list[str] = Field(default_factory=list)


class StatementIn(_Strict):
    """A statement to score."""

    text: str = Field(max_length=MAX_TEXT_CHARS, examples=["They have lied to us for years."])
    speaker: str | None = Field(default=None, description="Whose attitude is scored", examples=["Chile"])
    counterpart: str | None = Field(default=None, description="Toward whom", examples=["Peru"])
    aliases: AliasesIn = Field(default_factory=AliasesIn)


class ScoreRequest(_Strict):
    """Statements to score."""

    statements: Annotated[list[StatementIn], Field(min_length=1)]


class ReadRequest(_Strict):
    """An article to read."""

    text: str = Field(max_length=MAX_ARTICLE_CHARS, examples=["Chile thanked Peru for its help on Monday."])
    date: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-03-04"])
    parties: dict[str, list[str]] = Field(default_factory=dict, description="Further parties: name to aliases")


class FeedbackRequest(_Strict):
    """A correction: what a statement's labels should be."""

    text: str = Field(max_length=MAX_TEXT_CHARS, examples=["They have lied to us for years."])
    speaker: str | None = Field(default=None, examples=["Chile"])
    counterpart: str | None = Field(default=None, examples=["Peru"])
    stance: str | None = Field(default=None, json_schema_extra={"enum": [*HEADS["stance"], None]})
    hostility: str | None = Field(default=None, json_schema_extra={"enum": [*HEADS["hostility"], None]})
    sentiment: str | None = Field(default=None, json_schema_extra={"enum": [*HEADS["sentiment"], None]})
    note: str | None = Field(default=None, max_length=MAX_NOTE_CHARS)


class FeedbackAnswer(BaseModel):
    """The correction is stored under this id."""

    id: str
    created: datetime.datetime


class ScoreOut(BaseModel):
    """See ``detente.Score``."""

    model_config = ConfigDict(protected_namespaces=())

    stance: float = Field(ge=-1, le=1)
    stance_label: str
    hostility: float = Field(ge=0, le=1)
    hostility_level: str
    sentiment_label: str
    stance_probs: dict[str, float]
    hostility_probs: dict[str, float]
    sentiment_probs: dict[str, float]
    confidence: float = Field(ge=0, le=1)
    needs_review: bool
    windows: list[tuple[int, int]]
    model_version: str


class ScoredStatement(BaseModel):
    """The score of one statement, or why it has none."""

    score: ScoreOut | None = None
    error: str | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    model_version: str


class ScoreAnswer(_Answer):
    """One entry for each statement, in their order."""

    results: list[ScoredStatement]


class WordWeightOut(BaseModel):
    """See ``detente.WordWeight``."""

    start: int
    end: int
    word: str
    weight: float


class ExplainAnswer(_Answer):
    """The words that moved the stance and the hostility."""

    score: ScoreOut
    stance: list[WordWeightOut]
    hostility: list[WordWeightOut]


class NamedOut(BaseModel):
    """A party as the article names it."""

    written: str
    party: str
    how: str
    person: str | None = None


class ReadStatementOut(BaseModel):
    """See ``detente.ReadStatement``."""

    text: str
    start: int
    end: int
    pieces: list[tuple[int, int]]
    speaker: NamedOut | None
    counterpart: NamedOut | None
    cue: str | None
    voice: str
    score: ScoreOut
    repeats: int | None


class DyadOut(BaseModel):
    """See ``detente.Dyad``."""

    speaker: str
    counterpart: str
    n: int
    stance: float
    stance_interval: tuple[float, float]
    hostility: float
    hostility_interval: tuple[float, float]
    hostility_max: float
    statements: list[int]


class ReadAnswer(_Answer):
    """Statements in the order of the article, dyads with the most hostile first."""

    date: str | None
    notices: list[str]
    statements: list[ReadStatementOut]
    dyads: list[DyadOut]


class ModelAnswer(_Answer):
    """The model that answers."""

    package_version: str
    backend: str
    device: str
    base: dict[str, Any]
    labels: dict[str, list[str]]
    review_below: float


class Problem(BaseModel):
    """What is wrong with a request, and what to do."""

    error: str
    details: list[str] = Field(default_factory=list)
