"""A confusion matrix as a picture: a row for each class, shaded by what its images were taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sapool.training.drawing import BACKGROUND, GRID, INK, Canvas, blend
from sapool.training.evaluation import Evaluation

_EDGE: Final = 16
_HEADING: Final = 44
_LABEL_LETTERS: Final = 18
_LETTER: Final = 7
_SIZE: Final = 480
_MOST_LABELLED: Final = 40


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the cells are, in pixels: the first one's corner, and their size with the line between them."""

    left: int
    top: int
    cell: int
    classes: int

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom pixel of a cell; the last two belong to it."""
        left, top = self.left + column * self.cell, self.top + row * self.cell
        inner = self.cell - (2 if self.cell > 4 else 1)
        return left, top, left + inner, top + inner


def layout(names: Sequence[str]) -> Layout:
    """The layout of a matrix of classes of these names; beyond 40 there is no room for names and numbers."""
    cell = max(3, min(48, _SIZE // len(names)))
    letters = max(len(_short(name, _LABEL_LETTERS)) for name in names)
    room = (letters + 1) * _LETTER if len(names) <= _MOST_LABELLED else 0
    return Layout(_EDGE + room, _HEADING + room, cell, len(names))


def confusion_png(evaluation: Evaluation) -> bytes:
    """A PNG file of the confusion matrix. The same numbers are in the JSON report.

    Raises:
        UsageError: Pillow is not installed.
    """
    matrix = evaluation.confusion
    place = layout(evaluation.classes)
    extent = place.cell * place.classes
    canvas = Canvas(max(place.left + extent + _EDGE, 420), place.top + extent + _EDGE)
    canvas.text(_EDGE, 16, f"accuracy {evaluation.accuracy:.2%} of {evaluation.images} images", anchor="lm", size=14)
    canvas.text(_EDGE, 33, f"rows: class; columns: taken for. {_short(evaluation.origin, 60)}", anchor="lm", size=11)
    canvas.rectangle(place.left - 1, place.top - 1, place.left + extent - 1, place.top + extent - 1, GRID)
    for row, counts in enumerate(matrix):
        images = max(int(counts.sum()), 1)
        for column, count in enumerate(counts):
            share = int(count) / images
            box = place.box(row, column)
            canvas.rectangle(*box, fill=blend(share))
            if count and place.cell >= 20:
                ink = BACKGROUND if share > 0.5 else INK
                middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
                canvas.text(*middle, f"{count}", anchor="mm", size=11 if place.cell >= 30 else 9, colour=ink)
    if place.classes <= _MOST_LABELLED:
        size = min(12, place.cell - 2)
        for number, name in enumerate(evaluation.classes):
            centre = number * place.cell + place.cell // 2
            label = _short(name, _LABEL_LETTERS)
            canvas.text(place.left - 6, place.top + centre, label, anchor="rm", size=size)
            canvas.text_upwards(place.left + centre, place.top - 6, label, size)
    return canvas.png()


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
