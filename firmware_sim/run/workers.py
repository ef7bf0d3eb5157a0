"""Processes of their own that run TFLM, which may end them: functions and their arguments go in, results come out.

Not multiprocessing: that would run the program of the caller once more in each process, and takes a process that dies for
the end of all of them.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock, Timer
from types import TracebackType
from typing import Any, Final, TypeVar, cast

import firmware_sim
from firmware_sim.errors import ModelError, SapoolError

_MOST: Final = 8
_SERVE: Final = "from firmware_sim.run.workers import _serve; _serve()"

Result = TypeVar("Result")


def most_workers() -> int:
    """As many as there are processors for this process, and no more than eight."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(count or 1, _MOST)


class Workers:
    """At most `count` processes, each started when it is first needed; use it in a `with` block, which ends them.

    Args:
        count: how many.
        timeout_s: after which a call is given up.
    """

    def __init__(self, count: int, *, timeout_s: float = 600.0) -> None:
        self._pool = ThreadPoolExecutor(count)
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._is_closed = False

    def submit(self, function: Callable[..., Result], *arguments: object) -> Future[Result]:
        """Call a function of a module in one of the processes; arguments and result are pickled.

        The future raises the `SapoolError` that the function raises, or a `ModelError` that says how the process ended.
        """
        return self._pool.submit(self._call, function, arguments)

    def _call(self, function: Callable[..., Result], arguments: tuple[object, ...]) -> Result:
        worker = self._taken()
        result = worker.call(function, arguments, self._timeout_s)
        with self._lock:
            self._idle.append(worker)
        if isinstance(result, SapoolError):
            raise result
        return cast(Result, result)

    def _taken(self) -> _Worker:
        with self._lock:
            if self._is_closed:
                raise ModelError("TFLM was stopped")
            if self._idle:
                return self._idle.pop()
            worker = _Worker()
            self._all.append(worker)
            return worker

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_closed = True
        for worker in self._all:
            worker.process.kill()
        self._pool.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.end()


class _Worker:
    def __init__(self) -> None:
        root = str(Path(firmware_sim.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `end`
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "PYTHONPATH": path},
        )

    def call(self, function: Callable[..., object], arguments: tuple[object, ...], timeout_s: float) -> object:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        late: list[bool] = []

        def give_up() -> None:
            late.append(True)
            self.process.kill()

        watch = Timer(timeout_s, give_up)
        watch.daemon = True
        watch.start()
        try:
            pickle.dump((function, arguments), self.process.stdin)
            self.process.stdin.flush()
            return pickle.load(self.process.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            raise ModelError(f"no answer within {timeout_s:g} s" if late else self._words()) from None
        finally:
            watch.cancel()

    def _words(self) -> str:
        """How the process ended, with what it had to say."""
        code = self.process.wait()
        self.log.seek(0)
        said = self.log.read().decode("utf-8", errors="replace").strip()
        ended = f"TFLM ended the process with signal {-code}" if code < 0 else ""
        return "; ".join(filter(None, [ended, said]))

    def end(self) -> None:
        """Give back what the process leaves behind, once it was killed."""
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            if stream is not None:
                with suppress(BrokenPipeError):  # a call that was not taken
                    stream.close()


def _serve() -> None:
    """What the other process runs: call after call, until there is none. Results leave where TFLM cannot print to."""
    calls = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as results:
        os.dup2(2, 1)
        while True:
            try:
                function, arguments = pickle.load(calls)
            except EOFError:
                return
            try:
                result: Any = function(*arguments)
            except SapoolError as error:
                result = error
            pickle.dump(result, results)
            results.flush()
