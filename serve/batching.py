"""One queue for everybody: statements of many requests run together, one batch at a time."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from detente.records import Score, Statement

T = TypeVar("T")
_CHARS_PER_TOKEN: Final = 4
_EXTRA_TOKENS: Final = 8


class QueueFullError(Exception):
    """Too much waits.

    Attributes:
        retry_after_s: When to try again.
    """

    def __init__(self, retry_after_s: int) -> None:
        """Says when to try again."""
        super().__init__(f"the queue is full: try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class StoppedError(Exception):
    """The service shuts down and takes nothing new."""


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: English has four characters a token."""
    return len(text) // _CHARS_PER_TOKEN + _EXTRA_TOKENS


@dataclass(slots=True)
class _Job:
    """What one request waits for: statements, of which several jobs run together, or a call that runs alone."""

    future: "asyncio.Future[Any]"
    tokens: int
    statements: Sequence[Statement] = ()
    call: Callable[[], Any] | None = None


class Batcher:
    """A bounded queue before one thread that runs the model.

    What a cancelled request asked for is not run, if it still waits. ``stop`` finishes what was accepted.
    """

    def __init__(
        self,
        score_many: Callable[[list[Statement]], list[Score]],
        max_batch_tokens: int,
        max_queue_tokens: int,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        """Makes an empty queue; ``start`` opens it.

        Args:
            score_many: Scores statements, in their order.
            max_batch_tokens: About how many tokens are run at once; a single longer statement still runs.
            max_queue_tokens: About how many tokens may wait.
            on_batch: Told the number of statements of each batch.
        """
        self._score_many = score_many
        self._max_batch_tokens = max_batch_tokens
        self._max_queue_tokens = max_queue_tokens
        self._on_batch = on_batch or (lambda _: None)
        self._jobs: deque[_Job] = deque()
        self._waiting = asyncio.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._worker: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._rate = 10_000.0  # tokens a second, measured as batches run

    @property
    def queued_tokens(self) -> int:
        """About how many tokens wait."""
        return sum(job.tokens for job in self._jobs if not job.future.done())

    def start(self) -> None:
        """Starts to run what comes."""
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Takes nothing new, finishes what was accepted, and ends."""
        self._is_stopping = True
        self._waiting.set()
        if self._worker is not None:
            await self._worker
        self._executor.shutdown()

    async def score(self, statements: Sequence[Statement]) -> list[Score]:
        """A score for each statement, in their order.

        Raises:
            QueueFullError: Too much waits.
            StoppedError: The service shuts down.
        """
        if not statements:
            return []
        tokens = sum(estimate_tokens(s.text) for s in statements)
        scores: list[Score] = await self._put(
            _Job(asyncio.get_running_loop().create_future(), tokens, statements=statements)
        )
        return scores

    async def run(self, call: Callable[[], T], tokens: int) -> T:
        """What a call returns that runs the model itself: alone, in its turn.

        Args:
            call: What to run.
            tokens: About how many tokens it takes.

        Raises:
            QueueFullError: Too much waits.
            StoppedError: The service shuts down.
        """
        result: T = await self._put(_Job(asyncio.get_running_loop().create_future(), tokens, call=call))
        return result

    async def _put(self, job: _Job) -> Any:
        if self._is_stopping:
            raise StoppedError("the service shuts down")
        waiting = self.queued_tokens
        if waiting and waiting + job.tokens > self._max_queue_tokens:
            raise QueueFullError(max(1, round(waiting / self._rate)))
        self._jobs.append(job)
        self._waiting.set()
        return await job.future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._jobs:
                if self._is_stopping:
                    return
                self._waiting.clear()
                await self._waiting.wait()
                continue
            jobs = self._take()
            if not jobs:
                continue
            began = loop.time()
            await (self._run_call(jobs[0]) if jobs[0].call else self._run_batch(jobs))
            took = max(loop.time() - began, 1e-4)
            self._rate += 0.2 * (sum(job.tokens for job in jobs) / took - self._rate)

    def _take(self) -> list[_Job]:
        """The next jobs that run together: a call alone, or statements up to the size of a batch."""
        taken: list[_Job] = []
        tokens = 0
        while self._jobs:
            job = self._jobs[0]
            if job.future.done():  # cancelled
                self._jobs.popleft()
                continue
            if taken and (job.call or tokens + job.tokens > self._max_batch_tokens):
                break
            taken.append(self._jobs.popleft())
            tokens += job.tokens
            if job.call:
                break
        return taken

    async def _run_call(self, job: _Job) -> None:
        assert job.call is not None
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._executor, job.call)
        except Exception as error:
            _fail(job, error)
        else:
            _finish(job, result)

    async def _run_batch(self, jobs: Sequence[_Job]) -> None:
        statements = [statement for job in jobs for statement in job.statements]
        self._on_batch(len(statements))
        try:
            scores = await asyncio.get_running_loop().run_in_executor(self._executor, self._score_many, statements)
        except Exception as error:
            for job in jobs:
                _fail(job, error)
            return
        start = 0
        for job in jobs:
            _finish(job, scores[start : start + len(job.statements)])
            start += len(job.statements)


def _finish(job: _Job, result: object) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):  # cancelled meanwhile
        job.future.set_result(result)


def _fail(job: _Job, error: Exception) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):
        job.future.set_exception(error)
