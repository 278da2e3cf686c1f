"""Stops runs over a file and starts them again; prints what it did as JSON.

``python tests/killing.py score SOURCE OUT MODEL random KILLS`` kills at random moments with SIGKILL until so many runs
were cut short; ``... points 0`` stops a run before and after each of its changes to the disk, one after another.
``read`` in place of ``score`` reads articles. After each start that ends, every file called OUT... must have the bytes
of a run that was never stopped.
"""

import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from detente import collection, inputs
from detente.batch import ModelChoice, Run, score_files
from detente.collection import read_files

CHANGES = ("replace", "unlink", "rmdir", "mkdir", "fsync")
SPAN_ROWS = 20
ARTICLES_AT_ONCE = 2


def main() -> None:
    """Reads the command line and prints the counts."""
    what, source, out, model, mode, times = sys.argv[1:]
    inputs.SPAN_ROWS = SPAN_ROWS  # type: ignore[misc]  # short spans, so that there is much to interrupt
    collection._ARTICLES_AT_ONCE = ARTICLES_AT_ONCE  # type: ignore[misc]  # likewise
    run = Run(ModelChoice(model or None, threads=1))
    work = read_files if what == "read" else score_files
    warm = run.model.open()  # what is imported here need not be in each process
    if what == "read":
        warm.read("Norway thanked Chile.")
    killer = Killer(Path(out), lambda: work(source, Path(out), run))
    print(json.dumps(killer.kill_at_random(int(times)) if mode == "random" else killer.stop_at_points()))


class Killer:
    """Runs to one output, each in a process of its own."""

    def __init__(self, out: Path, work: Callable[[], object]) -> None:
        """Runs once without a stop, to know what it should be like and how long it takes."""
        self._out, self._work = out, work
        began = time.monotonic()
        assert self._wait(self._start()) == 0
        self._whole_s = time.monotonic() - began
        self._expected = self._take()

    def kill_at_random(self, kills: int) -> dict[str, int]:
        """Kills so many runs before they end."""
        moments = random.Random(5)  # noqa: S311  # moments, not secrets
        counts = {"killed": 0, "finished": 0}
        while counts["killed"] < kills:
            child = self._start()
            time.sleep(moments.uniform(0, 0.8 * self._whole_s))
            os.kill(child, signal.SIGKILL)
            if self._wait(child) == 0:
                self._check()
                counts["finished"] += 1
            else:
                counts["killed"] += 1
        assert self._wait(self._start()) == 0
        self._check()
        return counts

    def stop_at_points(self) -> dict[str, int]:
        """Stops before and after each change to the disk; a run after it must end as if nothing had been."""
        for point in range(10_000):
            code = self._wait(self._start(lambda point=point: stop_at(point)))
            if code == 0:
                self._check()
                return {"points": point}
            assert code == 9, code
            assert self._wait(self._start()) == 0
            self._check()
        raise AssertionError("the run has no end")

    def _start(self, prepare: Callable[[], None] = lambda: None) -> int:
        child = os.fork()
        if child:
            return child
        try:
            prepare()
            self._work()
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(3)
        os._exit(0)

    def _wait(self, child: int) -> int:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)

    def _take(self) -> dict[str, bytes]:
        """The bytes of all files of the run, which are removed."""
        files = {}
        for path in sorted(self._out.parent.glob(f"{self._out.name}*")):
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                files[file.relative_to(self._out.parent).as_posix()] = file.read_bytes()
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return files

    def _check(self) -> None:
        found = self._take()
        assert sorted(found) == sorted(self._expected), (sorted(found), sorted(self._expected))
        for name, content in self._expected.items():
            assert found[name] == content, name


def stop_at(point: int) -> None:
    """Ends this process at the change with this number; even numbers stop before it, odd ones after it."""
    numbers = itertools.count(0, 2)

    def wrap(change: Callable[..., object]) -> Callable[..., object]:
        def changed(*arguments: object, **options: object) -> object:
            number = next(numbers)
            if number == point:
                os._exit(9)
            result = change(*arguments, **options)
            if number + 1 == point:
                os._exit(9)
            return result

        return changed

    for name in CHANGES:
        setattr(os, name, wrap(getattr(os, name)))


if __name__ == "__main__":
    main()
