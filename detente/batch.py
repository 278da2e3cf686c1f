"""Tables in, scores out, of any size: resumable, every row exactly once.

The work is cut into parts. A part is written under a temporary name and renamed when it is whole, so that what carries
its name is done. A run that was killed at any moment goes on when the same command is given again, and ends with the
same bytes as a run that never was. Beside OUT stand ``OUT.manifest.json`` (what was scored by which model),
``OUT.errors.jsonl`` (rows without a score) and, while a run is not done, the folder ``OUT.parts``. See
docs/decisions/0010-files.md.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from detente import __version__
from detente.artifact import QUANTISED, WEIGHTS
from detente.classifier import Classifier
from detente.inputs import ARROW_SUFFIXES, Input, read_span, scan, take_fingerprint
from detente.outputs import Form, Place, check_output, make_form, write_safely
from detente.records import Score, StatementError
from detente.table import ERROR_COLUMN, Row, score_rows, to_json, to_values

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
class Job:
    """What a worker needs to know, also in another process.

    Attributes:
        input: The input and its spans.
        first_rows: Number of rows before each span.
        form: Of the parts.
        folder: Where the parts go.
    """

    input: Input
    first_rows: tuple[int, ...]
    form: Form
    folder: Path

    def run_span(self, index: int, classifier: Classifier) -> Iterator[tuple[int, int]]:
        """Scores a span, part by part; parts that are there already are left alone.

        Yields:
            Rows of a part, and how many of them have no score.
        """
        span = self.input.spans[index]
        is_text = self.input.files[span.file].suffix not in ARROW_SUFFIXES
        if is_text and self._name_part(index, 0).exists():  # one part, which need not be read again
            yield span.rows, self._count_failed(index, 0)
            return
        first = self.first_rows[index]
        for number, chunk in enumerate(read_span(self.input, span, tables=self.form.schema is not None)):
            part = self._name_part(index, number)
            if not part.exists():
                results = score_rows(chunk.rows, classifier.score_many)
                self._write_errors(index, number, first, results)
                rows = [to_values(row, result) for row, result in results]
                write_safely(part, self.form.encode(rows, chunk.table))
            yield len(chunk.rows), self._count_failed(index, number)
            first += len(chunk.rows)

    def _name_part(self, index: int, number: int) -> Path:
        return self.folder / f"part-{index:06d}-{number:05d}{self.form.suffix}"

    def _name_errors(self, index: int, number: int) -> Path:
        return self.folder / f"_errors-{index:06d}-{number:05d}.jsonl"

    def _write_errors(self, index: int, number: int, first: int, results: Sequence[tuple[Row, Score | str]]) -> None:
        path = self.input.files[self.input.spans[index].file].path
        lines = [
            to_json({"row": row, "file": path, ERROR_COLUMN: result})
            for row, (_, result) in enumerate(results, first + 1)
            if isinstance(result, str)
        ]
        if lines:
            write_safely(self._name_errors(index, number), ("\n".join(lines) + "\n").encode())

    def _count_failed(self, index: int, number: int) -> int:
        path = self._name_errors(index, number)
        return path.read_bytes().count(b"\n") if path.exists() else 0


def score_files(
    address: str | Path,
    out: Path,
    model: ModelChoice | None = None,
    *,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    run: "Callable[[Job, ModelChoice, Classifier], Iterator[tuple[int, int]]] | None" = None,
) -> Progress:
    """Scores every row of a table or of a folder of tables.

    Args:
        address: See ``inputs.scan``.
        out: A .csv, .tsv, .jsonl, .parquet or .arrow file, or a name without ending for a folder of Parquet files.
        model: None for the shipped weights.
        overwrite: Begin anew, whatever is there.
        on_progress: Told after each part.
        run: Runs the spans of a job; None for this process, see ``cluster.RayEngine`` for others.

    Returns:
        How it ended: all rows, and those without a score.

    Raises:
        StatementError: The input cannot be read, was changed, or the output belongs to another run or cannot be
            written. Nothing that is there was spoiled, and parts that are done are kept.
    """
    suffix = check_output(out, str(address))
    model = model or ModelChoice()
    classifier = model.open()
    found = scan(address, columns=suffix != ".jsonl")
    provenance = describe_model(classifier)
    form = make_form(suffix or ".parquet", found, provenance)
    description = {
        "made_by": provenance,
        "output": suffix or "folder",
        "rows": found.rows,
        "files": [asdict(file) for file in found.files],
        "ignored": list(found.ignored),
    }
    place = Place(out)
    with place.claim(description, overwrite=overwrite) as finished:
        if finished is not None:
            return Progress(found.rows, found.rows, int(finished))
        first_rows = tuple(accumulate((span.rows for span in found.spans), initial=0))
        job = Job(found, first_rows, form, place.parts)
        rows = failed = 0
        for done, bad in (run or _run_here)(job, model, classifier):
            rows, failed = rows + done, failed + bad
            on_progress(Progress(rows, found.rows, failed))
        assert rows == found.rows, f"{rows} of {found.rows} rows were scored"
        if changed := [file.path for file in found.files if take_fingerprint(file.path) != file.fingerprint]:
            raise StatementError(f"{changed[0]} was changed while it was scored: start again with --overwrite")
        place.finish(form, {**description, "complete": True, "failed": failed})
    return Progress(rows, found.rows, failed)


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
