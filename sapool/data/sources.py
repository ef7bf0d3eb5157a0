"""Opens a data set by its name or path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

from firmware_sim.errors import FileError, UsageError
from sapool.data import archives, cache, digits, folders, idx, splits
from sapool.data.collect import Progress, collect
from sapool.data.dataset import PARTS, Collection, DataSet
from sapool.data.entry import Entry

_MAX_RESOLUTION: Final = 1024
# The digits are few: a larger test part makes their accuracy finer than a third of a point.
_DIGITS_TEST_SHARE: Final = 0.3

EMBEDDED: Final[dict[str, tuple[Callable[[int | None, int], Collection], float]]] = {
    "digits": (digits.load, _DIGITS_TEST_SHARE),
}
"""Data sets that are opened by name: their loader, and the share of their images that is `test`."""


def open_data_set(
    source: str | Path,
    *,
    resolution: int | None = None,
    channels: int = 3,
    seed: int = 0,
    on_broken: Literal["error", "skip"] = "error",
    cache_folder: Path | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Read labelled images into memory.

    Args:
        source: the name of an embedded data set ("digits"), a folder of class folders, an archive of the same (.tar,
            .tar.gz, .tar.xz, .zip), or a folder of idx files (see `sapool.data.idx`). Class folders may lie below `train`,
            `val` and `test`; parts that are missing are split off `train`, class by class.
        resolution: height and width of the images in pixels; others are cut to their centred square and resized.
            None takes the size of the images, which must be squares (the digits: 32).
        channels: 3 for RGB, 1 for grey.
        seed: of the split, for parts that are missing.
        on_broken: "error" refuses a source with an image that does not decode; "skip" leaves such images out and
            names them in the result.
        cache_folder: where decoded data sets are kept (see `sapool.data.cache`): what lies there is mapped into memory, what
            does not is put there. None decodes each time.
        progress: called with the number of images read and the share of the source read.

    Raises:
        FileError: no such source, a layout that is not known, an empty class, an image that does not decode.
        UsageError: arguments that make no sense, images that do not fit into memory, or a missing package.
    """
    if resolution is not None and not 1 <= resolution <= _MAX_RESOLUTION:
        raise UsageError(f"a resolution of {resolution} is not between 1 and {_MAX_RESOLUTION}")
    if channels not in (1, 3):
        raise UsageError(f"images have 1 or 3 channels, not {channels}")
    if seed < 0:
        raise UsageError(f"a seed of {seed} is negative")
    if on_broken not in ("error", "skip"):
        raise UsageError(f"on_broken is 'error' or 'skip', not {on_broken!r}")
    if str(source) in EMBEDDED:
        load, test_share = EMBEDDED[str(source)]
        embedded = load(resolution, channels)
        if progress is not None:
            progress(sum(len(part) for part in embedded.parts.values()), 1.0)
        return splits.complete(embedded, seed=seed, test_share=test_share)
    path = Path(source)
    decode = _decoder(path)
    key = ""
    if cache_folder is not None:
        settings = [str(source), resolution, channels, seed, on_broken]
        key = cache.key(path, {"settings": settings})
        known = cache.load(cache_folder, key)
        if known is not None:
            if progress is not None:
                progress(sum(len(known.split(part)) for part in PARTS), 1.0)
            return known
    collection = decode(str(source), resolution, channels, on_broken == "skip", progress)
    dataset = splits.complete(collection, seed=seed)
    if cache_folder is not None and cache.store(cache_folder, key, dataset):
        # Mapped pages are shared between processes and given back when memory is short.
        return cache.load(cache_folder, key) or dataset
    return dataset


def _decoder(path: Path) -> Callable[[str, int | None, int, bool, Progress | None], Collection]:
    if path.is_dir() and idx.is_idx(path):
        return lambda name, resolution, channels, _, progress: idx.load(
            path, name=name, resolution=resolution, channels=channels, progress=progress
        )
    read = _entries(path)
    return lambda name, resolution, channels, skip_broken, progress: collect(
        read(path), name=name, resolution=resolution, channels=channels, skip_broken=skip_broken, progress=progress
    )


def _entries(path: Path) -> Callable[[Path], Iterator[Entry]]:
    known = f"a folder, an archive ({', '.join(archives.OPENERS)}), or one of: {', '.join(EMBEDDED)}"
    try:
        if path.is_dir():
            return folders.entries
        if path.is_file() and archives.is_archive(path):
            return archives.entries
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise FileError(f"cannot be opened: {error}", where=path) from error
    if exists:
        raise FileError("not a data set of a supported kind", where=path, hint=f"supported are {known}")
    raise FileError("no such data set", where=path, hint=f"give {known}")
