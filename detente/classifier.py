"""Classifier: statements in, scores out. One road from text to score; one statement is a list of one."""

import datetime
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from detente.article.attribution import LINKS, Attributor
from detente.article.cast import Cast
from detente.article.draft import draft_statements
from detente.article.reading import Reading, check_article, finish_reading, parse_date
from detente.article.sentences import split_sentences
from detente.article.spans import SPAN_KINDS, Attribution
from detente.artifact import TOKENIZER, ArtifactError, Manifest, check_files, read_manifest, resolve_folder
from detente.calibration import compute_probabilities
from detente.encoding import StatementEncoder, Window, load_tokenizer
from detente.labels import HEADS, MAX_LEVEL
from detente.parties import collect_names, find_mentions
from detente.records import Explanation, Score, Statement, StatementError, WordWeight
from detente.runtime import Backend, Runtime, open_attribution, open_runtime, stack_logits

_BATCH_SIZE: Final = 512
_MAX_EXPLAINED_WORDS: Final = 1_000
_WORD = re.compile(r"[^\W_](?:[\w'’-]*[^\W_])?")


class Classifier:
    """Scores statements with one model.

    Make one with ``Classifier.from_pretrained()``. Safe to call from several threads.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        encoder: StatementEncoder,
        runtime: Runtime,
        threads: int | None = None,
    ) -> None:
        """Joins the parts; ``from_pretrained`` is the usual way."""
        self.folder = folder
        self.manifest = manifest
        self._encoder = encoder
        self._runtime = runtime
        self._threads = threads
        self._attributor: Attributor | None = None
        self._lock = Lock()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path | None = None,
        *,
        backend: Backend | None = None,
        device: str | None = None,
        revision: str | None = None,
        threads: int | None = None,
    ) -> "Classifier":
        """Loads a model.

        Args:
            name: None for the weights shipped in the package, a folder made by ``train.finetune``, or a hub id.
            backend: ``onnx`` (CPU, needs no torch) or ``torch``; None picks ONNX where the folder has a graph.
            device: ``cpu``, ``cuda``, ...; None is the CPU.
            revision: Hub revision.
            threads: Cores that ONNX takes, 1 or more; None takes those this process may use.

        Raises:
            ArtifactError: The folder is incomplete, changed, of another format, or cannot be had.
            ValueError: Unknown backend, a device that it cannot use, or no thread.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, found {threads}")
        folder = resolve_folder(name, revision)
        manifest = read_manifest(folder)
        check_files(folder, manifest)
        encoder = StatementEncoder(
            load_tokenizer(str(folder / TOKENIZER)),
            max_tokens=manifest.max_tokens,
            overlap_tokens=manifest.overlap_tokens,
        )
        runtime = open_runtime(folder, backend=backend, device=device, threads=threads)
        return cls(folder, manifest, encoder, runtime, threads)

    @property
    def backend(self) -> Backend:
        """``onnx`` or ``torch``."""
        return self._runtime.backend

    @property
    def device(self) -> str:
        """Where the network runs."""
        return self._runtime.device

    def save_pretrained(self, folder: str | Path) -> None:
        """Copies the whole artifact into a folder, from which ``from_pretrained`` loads it again.

        Raises:
            FileExistsError: The folder exists and is not empty.
        """
        target = Path(folder)
        if target.exists() and any(target.iterdir()):
            raise FileExistsError(f"{target} is not empty: choose another folder, or empty it first")
        shutil.copytree(self.folder, target, dirs_exist_ok=True)

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Uploads the whole artifact to a model repository on the hub, which is made if need be.

        Args:
            repo_id: Such as ``your-name/detente-tuned``.
            private: Make a new repository private.
            token: Hub token; None takes the one that ``hf auth login`` stored.

        Returns:
            The address of the commit.

        Raises:
            ArtifactError: huggingface_hub is not installed.
        """
        try:
            from huggingface_hub import HfApi
        except ModuleNotFoundError as error:
            raise ArtifactError("push_to_hub needs huggingface_hub: pip install 'detente[torch]'") from error
        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repo_id, folder_path=self.folder, commit_message=self.manifest.model_version)
        return str(commit)

    def score(self, text: str | Statement, speaker: str | None = None, counterpart: str | None = None) -> Score:
        """Scores one statement.

        Args:
            text: The statement's words, or a whole ``Statement`` (then leave the names out).
            speaker: Whose attitude is scored; None means the author, or anyone in the text.
            counterpart: Toward whom; None means whomever the statement is about.

        Raises:
            StatementError: The statement cannot be scored; the message says why.
        """
        return self.score_many([_to_statement(text, speaker, counterpart)])[0]

    def score_many(self, statements: Iterable[Statement], batch_size: int = _BATCH_SIZE) -> list[Score]:
        """Scores many statements: one score for each, in their order.

        A text that does not fit the encoder is scored in overlapping windows. Its stance and sentiment probabilities
        are the mean over the windows, weighted by the characters that each adds; its hostility is that of the most
        hostile window, since the codebook asks for the strongest antagonism shown. ``Score.windows`` lists the windows.

        Args:
            statements: Any number of statements.
            batch_size: Statements taken at once, of which those of one length run together; it changes memory and
                speed, not the scores.

        Raises:
            StatementError: An item is not a Statement; the message gives its position.
            ValueError: ``batch_size`` is below 1.
        """
        batches = list(_cut_batches(statements, batch_size))
        if len(batches) < 2:
            return [score for batch in batches for score in self._score_batch(batch)]
        with ThreadPoolExecutor(2) as pool:  # one batch becomes tokens while the other runs
            return [score for scores in pool.map(self._score_batch, batches) for score in scores]

    def iter_scores(self, statements: Iterable[Statement], batch_size: int = _BATCH_SIZE) -> Iterator[Score]:
        """Like ``score_many``, one batch at a time, for inputs larger than memory."""
        for batch in _cut_batches(statements, batch_size):
            yield from self._score_batch(batch)

    def compute_logits(self, statements: Sequence[Statement]) -> dict[str, npt.NDArray[np.float64]]:
        """Uncalibrated logits of each statement's first window, for calibration and evaluation.

        Returns:
            ``stance`` (n, 3), ``hostility`` (n, 5) and ``sentiment`` (n, 3).
        """
        return stack_logits(self._runtime.run([found[0].ids for found in self._encoder.encode(statements)]))

    def explain(
        self, statement: str | Statement, speaker: str | None = None, counterpart: str | None = None
    ) -> Explanation:
        """The words that moved the score, by leaving out each in turn.

        A word's weight is the score of the whole text less the score without the word (occlusion, Zeiler and Fergus
        2014). Mentions of the two parties are roles, not words, and are left in.

        Args:
            statement: The statement's words, or a whole ``Statement``.
            speaker: See ``score``.
            counterpart: See ``score``.

        Raises:
            StatementError: The statement cannot be scored, or has more than 1,000 words.
        """
        whole = _to_statement(statement, speaker, counterpart)
        mentions = find_mentions(whole.text, collect_names(whole))
        words = [
            match
            for match in _WORD.finditer(whole.text)
            if not any(m.start < match.end() and match.start() < m.end for m in mentions)
        ]
        if len(words) > _MAX_EXPLAINED_WORDS:
            raise StatementError(
                f"text has {len(words):,} words, at most {_MAX_EXPLAINED_WORDS:,} can be explained, as each is left out"
                " in turn: explain a passage of it"
            )
        without = [f"{whole.text[: w.start()]}{whole.text[w.end() :]}" for w in words]
        kept = [(w, text) for w, text in zip(words, without, strict=True) if text.strip()]
        score, *others = self.score_many(
            [whole, *(Statement(text, whole.speaker, whole.counterpart, whole.aliases) for _, text in kept)]
        )

        def weigh(dimension: str) -> tuple[WordWeight, ...]:
            full = getattr(score, dimension)
            return tuple(
                WordWeight(w.start(), w.end(), w[0], full - getattr(other, dimension))
                for (w, _), other in zip(kept, others, strict=True)
            )

        return Explanation(score, stance=weigh("stance"), hostility=weigh("hostility"))

    def read(
        self, article: str, date: str | datetime.date | None = None, parties: Mapping[str, Sequence[str]] | None = None
    ) -> Reading:
        """Finds who says what about whom in an article, and scores it.

        Args:
            article: A news story, a briefing transcript or a speech, as plain text; paragraphs end with a line break.
            date: Its date, as ``YYYY-MM-DD``.
            parties: Parties that the registry does not know or names otherwise: name to aliases, such as
                ``{"Russia": ["Putin", "Peskov"]}``.

        Raises:
            ArtifactError: The model has no attribution network.
            StatementError: The article is empty or no string, or the date is none.
        """
        check_article(article)
        when = parse_date(date)
        markup = self.open_attributor().mark(article)
        sentences = split_sentences(article)
        cast = Cast(article, sentences, markup, parties, self.manifest.attribution.get("evidence"))
        drafts = draft_statements(cast, sentences, markup)
        scores = self.score_many([draft.statement for draft in drafts])
        return finish_reading(article, drafts, scores, when, self.manifest.model_version)

    def attribute(self, article: str) -> list[Attribution]:
        """Who says what in an article, as spans of its characters; ``read`` goes on from here.

        Raises:
            ArtifactError: The model has no attribution network.
        """
        return self.open_attributor().mark(article).attributions

    def open_attributor(self) -> Attributor:
        """What finds statements, names and who is meant in an article; ``read`` goes on from here.

        Raises:
            ArtifactError: The model has no attribution network, or another one than this package reads.
        """
        with self._lock:
            if self._attributor is None:
                runtime = open_attribution(self.folder, backend=self.backend, device=self.device, threads=self._threads)
                settings = self.manifest.attribution
                found, expected = (settings.get("spans"), settings.get("links")), ([*SPAN_KINDS], [*LINKS])
                if found != expected:
                    raise ArtifactError(
                        f"the attribution network of {self.folder} finds {found}, this package expects {expected}: "
                        "train it again with `python -m train.attribution` and add it with `python -m train.export`"
                    )
                tokenizer = load_tokenizer(str(self.folder / TOKENIZER))
                self._attributor = Attributor(
                    tokenizer, runtime.run, settings["max_tokens"], settings["overlap_tokens"]
                )
            return self._attributor

    def _score_batch(self, statements: list[Statement]) -> list[Score]:
        encoded = self._encoder.encode(statements)
        logits = stack_logits(self._runtime.run([window.ids for windows in encoded for window in windows]))
        heads = self.manifest.calibration.heads
        probabilities = {head: compute_probabilities(logits[head], heads[head]) for head in HEADS}
        scores = []
        row = 0
        for windows in encoded:
            rows = slice(row, row + len(windows))
            scores.append(self._combine(windows, {head: p[rows] for head, p in probabilities.items()}))
            row += len(windows)
        return scores

    def _combine(self, windows: list[Window], probabilities: dict[str, npt.NDArray[np.float64]]) -> Score:
        ends = np.array([0, *(window.end for window in windows)])
        share = np.diff(ends) / ends[-1]
        levels = probabilities["hostility"]
        worst = int(np.argmax(levels @ np.arange(MAX_LEVEL + 1)))
        combined = {
            "stance": share @ probabilities["stance"],
            "hostility": levels[worst],
            "sentiment": share @ probabilities["sentiment"],
        }
        named = {
            head: {label: float(p) for label, p in zip(HEADS[head], combined[head], strict=True)} for head in HEADS
        }
        confidence = max(named["stance"].values())
        return Score(
            stance_probs=named["stance"],
            hostility_probs=named["hostility"],
            sentiment_probs=named["sentiment"],
            confidence=confidence,
            needs_review=confidence < self.manifest.calibration.review_below,
            windows=tuple((window.start, window.end) for window in windows),
            model_version=self.manifest.model_version,
        )


def _to_statement(text: str | Statement, speaker: str | None, counterpart: str | None) -> Statement:
    if not isinstance(text, Statement):
        return Statement(text, speaker, counterpart)
    if speaker is not None or counterpart is not None:
        raise StatementError("a Statement already names its speaker and counterpart: leave the two arguments out")
    return text


def _cut_batches(statements: Iterable[Statement], batch_size: int) -> Iterator[list[Statement]]:
    """Batches of statements; raises StatementError at an item that is none."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, found {batch_size}")
    batch: list[Statement] = []
    for position, statement in enumerate(statements):
        if not isinstance(statement, Statement):
            raise StatementError(
                f"item {position} is a {type(statement).__name__}, expected a Statement: "
                "write Statement(text=..., speaker=..., counterpart=...)"
            )
        batch.append(statement)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch
