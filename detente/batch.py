"""Tables in, scores out, of any size: resumable, every row exactly once.

The work is cut into parts. A part is written under a temporary name and renamed when it is whole, so that what carries
its name is done. A run that was killed at any moment goes on when the same command is given again, and ends with the
same bytes as a run that never was. Beside OUT stand ``OUT.manifest.json`` (what was scored by which model),
``OUT.errors.jsonl`` (rows without a score) and, while a run is not done, the folder ``OUT.parts``. See
docs/decisions/0010-files.md.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Protocol

from detente import __version__
from detente.artifact import QUANTISED, WEIGHTS
from detente.classifier import Classifier
from detente.inputs import ARROW_SUFFIXES, Chunk, Input, InputFile, has_changed, read_span, scan
from detente.outputs import (
    Form,
    Place,
    check_output,
    find_output_suffix,
    join_parts,
    make_form,
    write_safely,
    writing,
)
from detente.records import StatementError
from detente.table import ERROR_COLUMN, encode_rows, score_rows, to_values

_WORKERS: Final = 2  # while one part is read or written, the other runs


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model scores, and where; see ``Classifier.from_pretrained``.

    Attributes:
        name: None for the shipped weights, a folder or a hub id.
        device: ``cpu``, ``cuda``, ...
        threads: Cores of each worker on the CPU; None for all.
    """

    name: str | None = None
    device: str | None = None
    threads: int | None = None

    def open(self) -> Classifier:
        """Loads the model."""
        return Classifier.from_pretrained(self.name, device=self.device, threads=self.threads)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: rows done of all rows, and how many of them have no score."""

    rows: int
    all_rows: int
    failed: int


@dataclass(frozen=True, slots=True)
class Made:
    """What is made of some rows.

    Attributes:
        content: A part, as bytes.
        problems: What the errors file says of the rows without a result: number of the row, file, reason.
    """

    content: bytes
    problems: list[dict[str, Any]]


class Work(Protocol):
    """What is made of rows; it travels to other processes."""

    @property
    def part_name(self) -> str:
        """Name of a part, with places for the number of its span and its own within that."""

    @property
    def with_tables(self) -> bool:
        """Whether Arrow tables are wanted beside the rows."""

    def run(self, chunk: Chunk, file: InputFile, first_row: int, classifier: Classifier) -> Made:
        """Makes a part.

        Args:
            chunk: The rows.
            file: Where they come from.
            first_row: Number of the first among all rows, from 1.
            classifier: The model.
        """


@dataclass(frozen=True, slots=True)
class Scoring:
    """Rows become scored rows.

    Attributes:
        form: Of the parts.
    """

    form: Form

    @property
    def part_name(self) -> str:
        """See ``Work``."""
        return "part-{:06d}-{:05d}" + self.form.suffix

    @property
    def with_tables(self) -> bool:
        """See ``Work``."""
        return self.form.schema is not None

    def run(self, chunk: Chunk, file: InputFile, first_row: int, classifier: Classifier) -> Made:
        """See ``Work``."""
        results = score_rows(chunk.rows, classifier.score_many)
        problems = [
            {"row": row, "file": file.path, ERROR_COLUMN: result}
            for row, (_, result) in enumerate(results, first_row)
            if isinstance(result, str)
        ]
        return Made(self.form.encode([to_values(row, result) for row, result in results], chunk.table), problems)


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know, also in another process.

    Attributes:
        input: The input and its spans.
        first_rows: Number of rows before each span.
        work: What is made of them.
        folder: Where the parts go.
    """

    input: Input
    first_rows: tuple[int, ...]
    work: Work
    folder: Path

    def run_span(self, index: int, classifier: Classifier) -> Iterator[tuple[int, int]]:
        """Works through a span, part by part; parts that are there already are left alone.

        Yields:
            Rows of a part, and how many of them have no result.
        """
        span = self.input.spans[index]
        file = self.input.files[span.file]
        if file.suffix not in ARROW_SUFFIXES and self._name_part(index, 0).exists():
            yield span.rows, self._count_failed(index, 0)  # one part, which need not be read again
            return
        first_row = self.first_rows[index] + 1
        for number, chunk in enumerate(read_span(self.input, span, tables=self.work.with_tables)):
            part = self._name_part(index, number)
            if not part.exists():
                made = self.work.run(chunk, file, first_row, classifier)
                if made.problems:
                    write_safely(self._name_errors(index, number), encode_rows(".jsonl", (), made.problems))
                write_safely(part, made.content)
            yield len(chunk.rows), self._count_failed(index, number)
            first_row += len(chunk.rows)

    def _name_part(self, index: int, number: int) -> Path:
        return self.folder / self.work.part_name.format(index, number)

    def _name_errors(self, index: int, number: int) -> Path:
        return self.folder / f"_errors-{index:06d}-{number:05d}.jsonl"

    def _count_failed(self, index: int, number: int) -> int:
        path = self._name_errors(index, number)
        return path.read_bytes().count(b"\n") if path.exists() else 0


Engine = Callable[[Job, ModelChoice, Classifier], Iterator[tuple[int, int]]]
"""Runs the spans of a job, and gives for each part its rows and how many of them have no result."""


@dataclass(frozen=True, slots=True)
class Run:
    """How files are worked through.

    Attributes:
        model: Which model, and where.
        overwrite: Begin anew, whatever is there.
        on_progress: Told after each part.
        engine: Runs the spans; None for this process, see ``cluster.RayEngine`` for others.
    """

    model: ModelChoice = field(default_factory=ModelChoice)
    overwrite: bool = False
    on_progress: Callable[[Progress], None] = lambda _: None
    engine: Engine | None = None

    def finish(
        self,
        found: Input,
        work: Work,
        place: Place,
        made_by: Mapping[str, Any],
        classifier: Classifier,
        join: Callable[[], Mapping[str, int]],
    ) -> Mapping[str, int]:
        """Does what is left to do, which is nothing if it is complete.

        Args:
            found: The input.
            work: What is made of it.
            place: Where it goes.
            made_by: Package, model and settings.
            classifier: The model, opened.
            join: See ``Place.finish``.

        Returns:
            See ``Place.finish``.

        Raises:
            StatementError: See ``score_files``.
        """
        description = {
            "made_by": made_by,
            "output": "folder" if place.is_folder else place.out.suffix.lower(),
            "rows": found.rows,
            "files": [asdict(file) for file in found.files],
            "ignored": list(found.ignored),
        }
        with place.claim(description, overwrite=self.overwrite) as finished:
            if finished is not None:
                return finished
            first_rows = tuple(accumulate((span.rows for span in found.spans), initial=0))
            job = Job(found, first_rows, work, place.parts)
            rows = failed = 0
            for done, bad in (self.engine or _run_here)(job, self.model, classifier):
                rows, failed = rows + done, failed + bad
                self.on_progress(Progress(rows, found.rows, failed))
            assert rows == found.rows, f"{rows} of {found.rows} rows were worked through"
            if changed := [file.path for file in found.files if has_changed(file)]:
                raise StatementError(f"{changed[0]} was changed while it was read: start again with --overwrite")
            return place.finish(description, failed, join)


def score_files(address: str | Path, out: Path, run: Run | None = None) -> Progress:
    """Scores every row of a table or of a folder of tables.

    Args:
        address: See ``inputs.scan``.
        out: A .csv, .tsv, .jsonl, .parquet or .arrow file, or a name without ending for a folder of Parquet files.
        run: None for the shipped weights, in this process.

    Returns:
        How it ended: all rows, and those without a score.

    Raises:
        StatementError: The input cannot be read, was changed, or the output belongs to another run or cannot be
            written. Nothing that is there was spoiled, and parts that are done are kept.
    """
    suffix = find_output_suffix(out)
    check_output(out, str(address))
    run = run or Run()
    classifier = run.model.open()
    found = scan(address, columns=suffix != ".jsonl")
    made_by = describe_model(classifier)
    form = make_form(suffix or ".parquet", found, made_by)
    place = Place(out, is_folder=not suffix)

    def join() -> dict[str, int]:
        if suffix:
            with writing(out) as stream:
                join_parts(stream, sorted(place.parts.glob(f"part-*{suffix}")), form)
        return {}

    end = run.finish(found, Scoring(form), place, made_by, classifier, join)
    return Progress(found.rows, found.rows, end["failed"])


def describe_model(classifier: Classifier) -> dict[str, Any]:
    """What made a score: package, model, hash of its weights, where it ran, and the settings that matter."""
    manifest = classifier.manifest
    weights = next((manifest.files[name] for name in (QUANTISED, WEIGHTS) if name in manifest.files), "")
    return {
        "detente": __version__,
        "model_version": manifest.model_version,
        "weights_sha256": weights,
        "backend": classifier.backend,
        "device": classifier.device,
        "max_tokens": manifest.max_tokens,
        "overlap_tokens": manifest.overlap_tokens,
        "calibration": asdict(manifest.calibration),
    }


def _run_here(job: Job, model: ModelChoice, classifier: Classifier) -> Iterator[tuple[int, int]]:
    """Two spans at a time: while one is read or written, the other runs on all cores."""
    del model
    waiting = iter(range(len(job.input.spans)))
    lock = threading.Lock()
    done: queue.SimpleQueue[tuple[int, int] | BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                with lock:
                    index = next(waiting, None)
                if index is None:
                    break
                for counted in job.run_span(index, classifier):
                    done.put(counted)
                    if stop.is_set():
                        break
            done.put(None)
        except BaseException as error:  # handed on
            done.put(error)

    with ThreadPoolExecutor(_WORKERS) as pool:
        for _ in range(_WORKERS):
            pool.submit(work)
        running = _WORKERS
        try:
            while running:
                counted = done.get()
                if isinstance(counted, BaseException):
                    raise counted
                if counted is None:
                    running -= 1
                else:
                    yield counted
        finally:
            stop.set()
