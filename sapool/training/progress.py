"""What is shown while something takes long: a bar on a terminal, plain lines elsewhere, nothing by default."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol

from sapool.training.history import EpochMetrics

if TYPE_CHECKING:
    from rich.console import Console


class FitProgress(Protocol):
    """Told how a training goes."""

    def begin(self, epochs: int, images: int) -> None:
        """Before the first epoch; `images` is their number in each."""

    def resume(self, epochs: int) -> None:
        """After `begin`, if that many epochs are done already."""

    def batch(self, images: int) -> None:
        """After each step."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """After each epoch's validation."""

    def end(self) -> None:
        """At the end, also that of a training that failed."""


class Silent:
    """Shows nothing."""

    def begin(self, epochs: int, images: int) -> None:
        """Nothing."""

    def resume(self, epochs: int) -> None:
        """Nothing."""

    def batch(self, images: int) -> None:
        """Nothing."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class Lines(Silent):
    """A line for each epoch."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._epochs = 0

    def begin(self, epochs: int, images: int) -> None:
        """Remembers the number of epochs."""
        self._epochs = epochs

    def resume(self, epochs: int) -> None:
        """Says where it goes on."""
        print(f"going on after epoch {epochs} of {self._epochs}", file=self._stream, flush=True)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Prints the line."""
        digits = len(str(self._epochs))
        print(
            f"epoch {metrics.epoch:{digits}}/{self._epochs}  loss {metrics.train_loss:.3f}"
            f"  val {metrics.val_accuracy:6.2%}  {metrics.images_per_second:,.0f} images/s",
            file=self._stream,
            flush=True,
        )


class Bar(Silent):
    """One bar over all epochs, with the time that is left."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._epochs = 0
        self._epoch_images = 0
        self._images = 0
        self._started = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}"),
            console=_console(stream),
        )

    def begin(self, epochs: int, images: int) -> None:
        """Shows the bar."""
        self._epochs = epochs
        self._epoch_images = images
        self._task = self._bar.add_task(f"epoch 1/{epochs}", total=epochs * images, rate="", best="")
        self._best = 0.0
        self._started = time.perf_counter()
        self._bar.start()

    def resume(self, epochs: int) -> None:
        """Moves the bar to where it was."""
        self._bar.update(
            self._task,
            completed=epochs * self._epoch_images,
            description=f"epoch {min(epochs + 1, self._epochs)}/{self._epochs}",
        )

    def batch(self, images: int) -> None:
        """Moves the bar."""
        self._images += images
        rate = self._images / max(time.perf_counter() - self._started, 1e-9)
        self._bar.update(self._task, advance=images, rate=f"{rate:,.0f} images/s")

    def epoch(self, metrics: EpochMetrics) -> None:
        """Shows the best accuracy so far."""
        self._best = max(self._best, metrics.val_accuracy)
        self._bar.update(
            self._task,
            description=f"epoch {min(metrics.epoch + 1, self._epochs)}/{self._epochs}",
            best=f"val {metrics.val_accuracy:.2%}, best {self._best:.2%}",
        )

    def end(self) -> None:
        """Leaves the finished bar where it is."""
        self._bar.stop()


def fit_progress(stream: IO[str] | None = None) -> FitProgress:
    """A bar if `stream` (standard error) is a terminal, lines if not."""
    stream = sys.stderr if stream is None else stream
    return Bar(stream) if stream.isatty() else Lines(stream)


@contextmanager
def share_bar(
    what: str, stream: IO[str] | None = None, *, unit: str = "images"
) -> Iterator[Callable[[int, float], None]]:
    """A bar for work whose end is known as a share: gives a function of (images or other units done, share done).

    Where `stream` (standard error) is no terminal, one line is printed at the end.
    """
    stream = sys.stderr if stream is None else stream
    started = time.perf_counter()
    last = 0

    if not stream.isatty():

        def note(images: int, share: float) -> None:
            nonlocal last
            last = images

        yield note
        print(f"{what}: {last:,} {unit} in {time.perf_counter() - started:.1f} s", file=stream, flush=True)
        return

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn(f"{{task.fields[images]:,}} {unit}"))
    with Progress(*columns, TimeRemainingColumn(), console=_console(stream)) as bar:
        task = bar.add_task(what, total=1.0, images=0)
        yield lambda images, share: bar.update(task, completed=share, images=images)


def _console(stream: IO[str]) -> Console:
    from rich.console import Console

    return Console(file=stream)
