"""Files scored on a Ray cluster, with the same parts as in one process."""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detente.batch import Job, ModelChoice
from detente.classifier import Classifier
from detente.records import StatementError


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Runs the spans of a job by Ray Data, on a pool of actors that each hold a model.

    Every worker must see the input and the output under the paths given, as on a shared file system. A worker that
    dies is replaced and its spans run again; parts that it finished are left alone.

    Attributes:
        address: Of a running cluster, such as ``auto`` or ``ray://head:10001``; None starts one on this machine.
        workers: Actors; None for as many as the cluster has room for.
    """

    address: str | None = None
    workers: int | None = None

    def __call__(self, job: Job, model: ModelChoice, classifier: Classifier) -> Iterator[tuple[int, int]]:
        """See ``Job.run_span``; the order is that in which the spans end."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
        try:
            import ray
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("the ray engine needs Ray Data: pip install 'detente[ray]'") from error
        on_gpu = classifier.device != "cpu"
        cores = 1 if on_gpu else model.threads or 1
        started = not ray.is_initialized()
        if started:
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
            except ConnectionError as error:
                raise StatementError(f"no Ray cluster answers at {self.address}: {error}") from error
        try:
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            logging.getLogger("ray.data").setLevel(logging.ERROR)  # ours is shown
            room = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1) // (1 if on_gpu else cores))
            spans = len(job.input.spans)
            most = max(1, min(self.workers or room, spans))
            pool = ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most)
            counted = ray.data.from_items(
                [{"span": i} for i in range(spans)], override_num_blocks=max(1, spans)
            ).map_batches(
                _Worker,
                fn_constructor_args=(job, ModelChoice(model.name, model.device, cores), os.getcwd()),
                batch_size=1,
                compute=pool,
                num_cpus=cores,
                num_gpus=1 if on_gpu else 0,
            )
            for row in counted.iter_rows():
                yield int(row["rows"]), int(row["failed"])
        except ray.exceptions.RayError as error:
            raise StatementError(f"the Ray workers stopped: {error.__cause__ or error}") from error
        finally:
            if started:
                ray.shutdown()


class _Worker:
    """An actor: one model, one span after another."""

    def __init__(self, job: Job, model: ModelChoice, folder: str) -> None:
        os.chdir(folder)  # paths mean here what they mean where the command was given
        self._job = job
        self._classifier = model.open()

    def __call__(self, batch: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        found = [counted for index in batch["span"] for counted in self._job.run_span(int(index), self._classifier)]
        return {"rows": np.array([rows for rows, _ in found]), "failed": np.array([failed for _, failed in found])}
