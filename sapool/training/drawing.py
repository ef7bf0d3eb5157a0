"""Pictures of a training and an evaluation, drawn with Pillow: a canvas, and text on it."""

from __future__ import annotations

import io
from typing import Any, Final

from firmware_sim.errors import UsageError

Colour = tuple[int, int, int]

BACKGROUND: Final[Colour] = (255, 255, 255)
INK: Final[Colour] = (31, 35, 40)
GRID: Final[Colour] = (209, 217, 224)
BLUE: Final[Colour] = (9, 105, 218)
ORANGE: Final[Colour] = (188, 76, 0)


class Canvas:
    """A picture of `width` x `height` pixels.

    Raises:
        UsageError: Pillow is not installed.
    """

    def __init__(self, width: int, height: int) -> None:
        try:
            from PIL import Image, ImageDraw
        except ImportError as error:
            raise UsageError("pictures need Pillow", hint="pip install 'sapool[train]'") from error
        self.image = Image.new("RGB", (width, height), BACKGROUND)
        self._draw = ImageDraw.Draw(self.image)

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """Fill what lies between the sides; those on the right and at the bottom belong to it."""
        self._draw.rectangle((left, top, right, bottom), fill=fill)

    def line(self, points: list[tuple[float, float]], colour: Colour, width: int = 1) -> None:
        """A line from point to point; a dot for a single one."""
        if len(points) == 1:
            ((x, y),) = points
            self._draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
        else:
            self._draw.line(points, fill=colour, width=width, joint="curve")

    def text(self, x: float, y: float, text: str, *, anchor: str, size: int = 12, colour: Colour = INK) -> None:
        """Text at a place; `anchor` says which point of it lies there, in Pillow's letters ("lm": left, middle)."""
        self._draw.text((x, y), text, fill=colour, font=_font(size), anchor=anchor)

    def text_upwards(self, x: int, bottom: int, text: str, size: int = 12) -> None:
        """Text from bottom to top, centred on the column `x`."""
        from PIL import Image, ImageDraw

        length = int(_font(size).getlength(text)) + 2
        strip = Image.new("RGB", (length, size + 4), BACKGROUND)
        ImageDraw.Draw(strip).text((0, (size + 4) / 2), text, fill=INK, font=_font(size), anchor="lm")
        self.image.paste(strip.rotate(90, expand=True), (x - (size + 4) // 2, bottom - length))

    def png(self) -> bytes:
        """The picture as a PNG file."""
        stream = io.BytesIO()
        self.image.save(stream, format="PNG", optimize=True)
        return stream.getvalue()


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def blend(share: float, colour: Colour = BLUE) -> Colour:
    """From the background (0) to `colour` (1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(BACKGROUND, colour, strict=True))
    return red, green, blue
