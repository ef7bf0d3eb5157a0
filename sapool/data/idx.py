"""Images and labels in idx files, as MNIST and its relatives come: train-images-idx3-ubyte.gz and so on.

Source: the format is described at the end of LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import FileError, UsageError
from sapool.data.collect import Progress
from sapool.data.dataset import Collection, Split
from sapool.data.decode import RESIZE, require_pillow, resize

_NAME: Final = re.compile(r"(?P<part>[a-z0-9]+)-(?P<what>images|labels)[-.]idx\d-ubyte(\.gz)?")
_PARTS: Final = {"train": "train", "val": "val", "valid": "val", "t10k": "test", "test": "test"}
_BYTES: Final = 0x08
_MOST_BYTES: Final = 2**33


def is_idx(folder: Path) -> bool:
    """Whether a folder holds idx files of images."""
    return bool(_files(folder))


def load(
    folder: Path, *, name: str, resolution: int | None, channels: int, progress: Progress | None = None
) -> Collection:
    """The parts that a folder holds as pairs of files; t10k is `test`.

    Images may be grey [N, H, W] or have channels [N, H, W, C]. Classes are called by their numbers. Nothing says whether
    a mirrored image keeps its label; most such sets are of characters, which do not.

    Args:
        folder: with the files, gzipped or not.
        name: of the source, for messages and reports.
        resolution: height and width of the images; None takes them as they are.
        channels: 3 or 1; grey is repeated.
        progress: told how far reading has come.

    Raises:
        FileError: a file is missing, damaged, or does not belong to the other.
        UsageError: images that are not squares, without a resolution; colour images as grey ones.
    """
    require_pillow()
    found = _files(folder)
    parts: dict[str, Split] = {}
    numbers: set[int] = set()
    for part in (part for part in ("train", "val", "test") if any(one == part for one, _ in found)):
        images, labels = (_array(_file(found, part, what, folder)) for what in ("images", "labels"))
        if labels.ndim != 1 or images.ndim not in (3, 4) or len(images) != len(labels) or not len(images):
            raise FileError(
                f"{part}: images {list(images.shape)} and labels {list(labels.shape)} do not belong together",
                where=folder,
            )
        pixels = _pixels(images, channels, name)
        if resolution is None and pixels.shape[1] != pixels.shape[2]:
            raise UsageError(
                f"the images are not square ({pixels.shape[2]}x{pixels.shape[1]})", where=name, hint="give a resolution"
            )
        pixels = np.stack([resize(image, resolution) for image in pixels])
        numbers.update(np.unique(labels).tolist())
        names = tuple(f"{part}/{number}" for number in range(len(labels)))
        parts[part] = Split(pixels, labels.astype(np.int64), f"the {part} part of {name}", names)
        if progress is not None:
            progress(sum(len(one) for one in parts.values()), len(parts) / max(len(found) // 2, 1))
    classes = sorted(numbers)
    if len(classes) < 2:
        raise FileError("has one class only", where=folder)
    order = np.full(classes[-1] + 1, -1)
    order[classes] = np.arange(len(classes))
    return Collection(
        name=name,
        classes=tuple(str(number) for number in classes),
        parts={part: Split(one.images, order[one.labels], one.origin, one.names) for part, one in parts.items()},
        resize=RESIZE,
        flip_keeps_label=False,
    )


def _files(folder: Path) -> dict[tuple[str, str], Path]:
    """The files by part and by what they hold."""
    result = {}
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name.lower())
        if match and match["part"] in _PARTS and path.is_file():
            result[_PARTS[match["part"]], match["what"]] = path
    return result


def _file(found: dict[tuple[str, str], Path], part: str, what: str, folder: Path) -> Path:
    if (part, what) not in found:
        raise FileError(f"has no {what} of the {part} part", where=folder)
    return found[part, what]


def _array(path: Path) -> NDArray[np.uint8]:
    try:
        opener: Callable[[Path], Any] = gzip.open if path.suffix.lower() == ".gz" else _plain
        with opener(path) as stream:
            return _read(stream, path)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"damaged or cut off: {getattr(error, 'strerror', None) or error}", where=path) from error


def _plain(path: Path) -> IO[bytes]:
    return open(path, "rb")


def _read(stream: IO[bytes], path: Path) -> NDArray[np.uint8]:
    """Two zeros, kind of element, number of dimensions, extents (32 bits, the high byte first), elements."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != _BYTES or not 1 <= start[3] <= 4:
        raise FileError("not an idx file of bytes", where=path)
    header = stream.read(4 * start[3])
    if len(header) < 4 * start[3]:
        raise FileError("damaged or cut off: no extents", where=path)
    shape = tuple(int(extent) for extent in np.frombuffer(header, ">u4"))
    size = math.prod(shape)
    if size > _MOST_BYTES:
        raise FileError(f"damaged: {size} bytes of elements", where=path)
    # What the header promises is read and no more: a small file may unpack to anything.
    content = stream.read(size + 1)
    if len(content) != size:
        raise FileError(f"damaged or cut off: not the {size} bytes that its header states", where=path)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _pixels(images: NDArray[np.uint8], channels: int, name: str) -> NDArray[np.uint8]:
    """[N, H, W, channels]."""
    with_channels = images[..., np.newaxis] if images.ndim == 3 else images
    given = with_channels.shape[3]
    if given not in (1, channels):
        raise UsageError(f"the images have {given} channels, the network takes {channels}", where=name)
    return np.repeat(with_channels, channels // given, axis=3)
