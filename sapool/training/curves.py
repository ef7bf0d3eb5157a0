"""How a training went, as a picture: loss and accuracy over the epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sapool.training.drawing import BLUE, GRID, INK, ORANGE, Canvas, Colour
from sapool.training.history import EpochMetrics

_WIDTH: Final = 860
_HEIGHT: Final = 320
_ROOM: Final = (56, 44, 20, 36)
"""Left, above, right of and below each panel, for its numbers."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle of the picture, and the values at its sides."""

    left: int
    top: int
    right: int
    bottom: int
    epochs: int
    low: float
    high: float

    def place(self, epoch: int, value: float) -> tuple[float, float]:
        """Where a value of an epoch (from 1) is, in pixels."""
        across = (epoch - 1) / max(self.epochs - 1, 1)
        up = (value - self.low) / (self.high - self.low)
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


def panels(history: Sequence[EpochMetrics]) -> tuple[Panel, Panel]:
    """The panels of loss and accuracy."""
    left, above, right, below = _ROOM
    half = _WIDTH // 2
    losses = [value for row in history for value in (row.train_loss, row.val_loss) if math.isfinite(value)]
    shares = [value for row in history for value in (row.train_accuracy, row.val_accuracy)]
    sides = [
        (0.0, _ceiling(max(losses, default=1.0))),
        (math.floor(min(shares, default=0.0) * 10) / 10, 1.0),
    ]
    first, second = (
        Panel(
            number * half + left,
            above,
            (number + 1) * half - right,
            _HEIGHT - below,
            len(history),
            low,
            max(high, low + 0.1),
        )
        for number, (low, high) in enumerate(sides)
    )
    return first, second


def curves_png(history: Sequence[EpochMetrics]) -> bytes:
    """A PNG file: losses on the left, accuracies on the right, training in orange and validation in blue.

    Raises:
        UsageError: Pillow is not installed.
    """
    canvas = Canvas(_WIDTH, _HEIGHT)
    loss, accuracy = panels(history)
    _axes(canvas, loss, "loss", "{:.2f}")
    _axes(canvas, accuracy, "accuracy", "{:.0%}")
    _curve(canvas, loss, [row.train_loss for row in history], ORANGE)
    _curve(canvas, loss, [row.val_loss for row in history], BLUE)
    _curve(canvas, accuracy, [row.train_accuracy for row in history], ORANGE)
    _curve(canvas, accuracy, [row.val_accuracy for row in history], BLUE)
    canvas.text(_WIDTH - 150, 20, "train", anchor="lm", size=13, colour=ORANGE)
    canvas.text(_WIDTH - 100, 20, "val", anchor="lm", size=13, colour=BLUE)
    return canvas.png()


def _axes(canvas: Canvas, panel: Panel, title: str, form: str) -> None:
    canvas.text(panel.left, 20, title, anchor="lm", size=14)
    for part in range(6):
        value = panel.low + part / 5 * (panel.high - panel.low)
        _, y = panel.place(1, value)
        canvas.line([(panel.left, y), (panel.right, y)], GRID)
        canvas.text(panel.left - 6, y, form.format(value), anchor="rm", size=11)
    for epoch in sorted({1, (panel.epochs + 1) // 2, panel.epochs}):
        x, _ = panel.place(epoch, panel.low)
        canvas.text(x, panel.bottom + 14, f"{epoch}", anchor="mm", size=11)
    canvas.text((panel.left + panel.right) / 2, panel.bottom + 28, "epoch", anchor="mm", size=11, colour=INK)


def _curve(canvas: Canvas, panel: Panel, values: Sequence[float], colour: Colour) -> None:
    points = [panel.place(epoch, value) for epoch, value in enumerate(values, 1) if math.isfinite(value)]
    if points:
        canvas.line(points, colour, 2)


def _ceiling(value: float) -> float:
    """The next of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-3)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))
