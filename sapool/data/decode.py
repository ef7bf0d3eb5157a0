"""One encoded image becomes pixels of the wanted size."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
"""Files with these endings are images; all others are passed over."""

RESIZE: Final = "largest centred square, then bilinear with antialiasing (Pillow)"

# Without this list Pillow tries every format it knows; one of them (EPS) starts another program.
_FORMATS: Final = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")


class BrokenImage(Exception):
    """An image that does not decode; the message says why."""


def require_pillow() -> None:
    """Raises UsageError where Pillow is missing."""
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise UsageError("reading images needs Pillow", hint="pip install 'sapool[train]'") from error


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Within, an image with more pixels than Pillow's limit is an error; other warnings about odd files are silent."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(data: bytes, resolution: int | None, channels: int) -> NDArray[np.uint8]:
    """Decode one image; call it within `strict_pillow`.

    Args:
        data: the encoded image.
        resolution: height and width of the result; None keeps the size of the image.
        channels: 3 for RGB, 1 for grey.

    Returns:
        uint8 [H, W, channels].

    Raises:
        BrokenImage: it does not decode, is of a kind that is not supported, or is larger than Pillow's limit.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            opened.load()
            # Cameras store the sensor's rows and a note on how the camera was held.
            image = _convert(ImageOps.exif_transpose(opened), "RGB" if channels == 3 else "L")
            if resolution is not None and image.size != (resolution, resolution):
                image = ImageOps.fit(image, (resolution, resolution), Image.Resampling.BILINEAR)
            pixels = np.array(image, dtype=np.uint8)
    except BrokenImage:
        raise
    except UnidentifiedImageError:
        raise BrokenImage("not an image of a known format") from None
    except Exception as error:
        # Decoders fail on damaged files with whatever their parser trips over (OSError, SyntaxError, struct.error ...).
        raise BrokenImage(str(error) or type(error).__name__) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def resize(image: NDArray[np.uint8], resolution: int | None) -> NDArray[np.uint8]:
    """Pixels [H, W, C] brought to a square, as `RESIZE` says; unchanged if they are one already, or for None."""
    from PIL import Image, ImageOps

    if resolution is None or image.shape[:2] == (resolution, resolution):
        return image
    grey = image.shape[2] == 1
    picture = Image.fromarray(image[..., 0] if grey else image)
    pixels = np.asarray(ImageOps.fit(picture, (resolution, resolution), Image.Resampling.BILINEAR), dtype=np.uint8)
    return pixels[..., np.newaxis] if grey else pixels


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode.startswith("I;16"):
        # Pillow would clip 16-bit grey at 255 instead of scaling it.
        from PIL import Image as module

        image = module.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise BrokenImage(f"pixels of type {image.mode!r} are not supported")
    elif "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)
