"""What goes in and what comes out: Statement, Score, Explanation and, for training, LabelledStatement."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from detente.labels import HOSTILITY_LEVELS, MAX_LEVEL, SENTIMENTS, STANCES

Role = Literal["speaker", "counterpart"]
ROLES: Final[tuple[Role, Role]] = ("speaker", "counterpart")
MAX_TEXT_CHARS: Final = 100_000
"""Longest text of one statement. Anything longer is a document, which should be split first."""
MAX_NAME_CHARS: Final = 500


class StatementError(ValueError):
    """A statement that cannot be scored; the message says what was expected, what was found and what to do."""


def _check_characters(value: str, where: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise StatementError(
            f"{where} has half a surrogate pair at character {error.start}: decode it as UTF-8 first"
        ) from error


def _check_name(value: object, where: str, *, optional: bool) -> None:
    if value is None and optional:
        return
    if not isinstance(value, str):
        hint = " or None" if optional else ""
        raise StatementError(f"{where} must be a string{hint}, found {type(value).__name__}: pass the party's name")
    if not value.strip():
        hint = "pass None if nobody in particular is meant" if optional else "leave it out"
        raise StatementError(f"{where} is blank: {hint}")
    _check_characters(value, where)
    if len(value) > MAX_NAME_CHARS:
        raise StatementError(
            f"{where} has {len(value):,} characters, at most {MAX_NAME_CHARS} are allowed: pass a name, not a text"
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement to score.

    Attributes:
        text: A clause, a sentence or a short passage, 1 to 100,000 characters.
        speaker: The party whose attitude is scored; None means the author, or anyone in the text.
        counterpart: The party toward whom it is scored; None means whomever the statement is about.
        aliases: Further names by role, such as ``{"counterpart": ["Ottawa", "the Canadians"]}``.

    Raises:
        StatementError: The text is empty, blank or too long, a role is blank, or a type is wrong.
    """

    text: str
    speaker: str | None = None
    counterpart: str | None = None
    aliases: Mapping[Role, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise StatementError(f"text must be a string, found {type(self.text).__name__}: pass the statement's words")
        if not self.text.strip():
            raise StatementError("text is empty: pass at least one word")
        _check_characters(self.text, "text")
        if len(self.text) > MAX_TEXT_CHARS:
            raise StatementError(
                f"text has {len(self.text):,} characters, at most {MAX_TEXT_CHARS:,} are allowed: "
                "split the document into statements and score each"
            )
        _check_name(self.speaker, "speaker", optional=True)
        _check_name(self.counterpart, "counterpart", optional=True)
        if not isinstance(self.aliases, Mapping):
            raise StatementError(
                f"aliases must map 'speaker' or 'counterpart' to a list of names, found {type(self.aliases).__name__}"
            )
        for role, names in self.aliases.items():
            if role not in ROLES:
                raise StatementError(f"aliases has the key {role!r}: only 'speaker' and 'counterpart' are known")
            if isinstance(names, str) or not isinstance(names, Sequence):
                raise StatementError(f"aliases[{role!r}] must be a list of names, found {type(names).__name__}")
            for name in names:
                _check_name(name, f"an alias of the {role}", optional=False)
        if self.speaker is not None and self.speaker == self.counterpart:
            raise StatementError(
                f"speaker and counterpart are both {self.speaker!r}: name two parties, or None for the one unknown"
            )


@dataclass(frozen=True, slots=True)
class Score:
    """What detente says of one statement.

    Attributes:
        stance_probs: Calibrated probability of each stance; they sum to 1.
        hostility_probs: Calibrated probability of each hostility level, from ``none`` to ``threat``.
        sentiment_probs: Calibrated probability of each sentiment.
        confidence: Calibrated probability, in [0, 1], that ``stance_label`` is right.
        needs_review: True if the confidence is below the threshold stored with the model.
        windows: Character spans ``(start, end)`` of the text that were scored; more than one for a long text.
        model_version: Version of the model that scored; scores of two versions are not to be mixed in one series.
    """

    stance_probs: dict[str, float]
    hostility_probs: dict[str, float]
    sentiment_probs: dict[str, float]
    confidence: float
    needs_review: bool
    windows: tuple[tuple[int, int], ...]
    model_version: str = ""

    @property
    def stance(self) -> float:
        """Stance score in [-1, 1]: p(favour) - p(against)."""
        return self.stance_probs["favour"] - self.stance_probs["against"]

    @property
    def stance_label(self) -> str:
        """The most probable stance."""
        return max(STANCES, key=self.stance_probs.__getitem__)

    @property
    def hostility(self) -> float:
        """Hostility score in [0, 1]: the expected level divided by 4."""
        return sum(i * self.hostility_probs[name] for i, name in enumerate(HOSTILITY_LEVELS)) / MAX_LEVEL

    @property
    def hostility_level(self) -> str:
        """The most probable hostility level."""
        return max(HOSTILITY_LEVELS, key=self.hostility_probs.__getitem__)

    @property
    def sentiment_label(self) -> str:
        """The most probable sentiment."""
        return max(SENTIMENTS, key=self.sentiment_probs.__getitem__)

    def to_dict(self) -> dict[str, object]:
        """Every field and every derived score as plain values, for JSON."""
        return {
            "stance": self.stance,
            "stance_label": self.stance_label,
            "hostility": self.hostility,
            "hostility_level": self.hostility_level,
            "sentiment_label": self.sentiment_label,
            **asdict(self),
        }


@dataclass(frozen=True, slots=True)
class WordWeight:
    """How much one word moved a score: ``text[start:end]``, and the score with it less the score without it."""

    start: int
    end: int
    word: str
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The words that moved the stance and the hostility of one statement, in the order of the text.

    Attributes:
        score: The score that is explained.
        stance: A weight for each word, in [-2, 2]; positive moved the stance toward favour.
        hostility: A weight for each word, in [-1, 1]; positive moved the hostility up.
    """

    score: Score
    stance: tuple[WordWeight, ...]
    hostility: tuple[WordWeight, ...]


@dataclass(frozen=True, slots=True)
class LabelledStatement:
    """One row of a source, in the one schema that training and evaluation read.

    A label that the source does not have is None (hostility: both bounds). ``hostility_low`` and ``hostility_high``
    bound the levels, 0 to 4, that the source's label allows.

    Attributes:
        text: The statement; the parties' names stand in it as the source has them.
        speaker: Name of the speaker, or None for the author or anyone.
        counterpart: Name of the counterpart, or None for whomever it is about.
        source: Name of the source, such as ``dse``.
        id: Unique in the source.
        split: ``train``, ``validation`` or ``test``.
        group: Rows of one group (article, speech, debate) stay in one split.
        stance: One of ``labels.STANCES``.
        hostility_low: Lowest level that the label allows.
        hostility_high: Highest level that the label allows.
        sentiment: One of ``labels.SENTIMENTS``.
        native: The source's own label, kept for evaluation in the source's own terms.
    """

    text: str
    speaker: str | None
    counterpart: str | None
    source: str
    id: str
    split: str
    group: str
    stance: str | None = None
    hostility_low: int | None = None
    hostility_high: int | None = None
    sentiment: str | None = None
    native: str = ""

    def __post_init__(self) -> None:
        where = f"{self.source} {self.id}"
        if not self.text.strip():
            raise StatementError(f"{where}: the text is empty")
        if self.split not in ("train", "validation", "test"):
            raise StatementError(f"{where}: split {self.split!r} is not train, validation or test")
        if self.stance is not None and self.stance not in STANCES:
            raise StatementError(f"{where}: stance {self.stance!r} is not one of {STANCES}")
        if self.sentiment is not None and self.sentiment not in SENTIMENTS:
            raise StatementError(f"{where}: sentiment {self.sentiment!r} is not one of {SENTIMENTS}")
        low, high = self.hostility_low, self.hostility_high
        if (low is None) != (high is None):
            raise StatementError(f"{where}: a hostility interval needs both bounds, found {low} and {high}")
        if low is not None and high is not None and not 0 <= low <= high <= MAX_LEVEL:
            raise StatementError(f"{where}: hostility interval {low} to {high} is not within 0 to {MAX_LEVEL}")

    def to_statement(self) -> Statement:
        """The statement to score; a party that is both speaker and counterpart is kept as the counterpart."""
        speaker = None if self.speaker == self.counterpart else self.speaker
        return Statement(self.text, speaker, self.counterpart)
