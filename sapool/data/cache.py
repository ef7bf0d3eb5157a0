"""Decoded data sets on disk, found by what they were decoded from, and mapped into memory instead of read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from sapool.data import folders
from sapool.data.dataset import PARTS, DataSet, Split
from sapool.data.decode import RESIZE, BrokenImage

VERSION: Final = 1
"""Of the files, and of the code that decodes: another one finds nothing of this one."""

_BLOCK_BYTES: Final = 2**20
_STALE_SECONDS: Final = 3600
_IMAGES, _LABELS, _INDEX = "images.npy", "labels.npy", "index.json"


def default_folder() -> Path:
    """SAPOOL_CACHE, else `sapool` in the user's folder for caches (XDG_CACHE_HOME, ~/.cache)."""
    own = os.environ.get("SAPOOL_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sapool"


def key(path: Path, settings: Mapping[str, Any]) -> str:
    """The name of the entry for a source: a digest of its bytes, of `settings` and of what decodes it.

    Args:
        path: a folder or a file.
        settings: everything else that the pixels and their division depend on, JSON values.

    Raises:
        FileError: a folder cannot be read.
    """
    import PIL

    content = _folder_digest(path) if path.is_dir() else _file_digest(path)
    parts = {**settings, "content": content, "version": VERSION, "resize": RESIZE, "pillow": PIL.__version__}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _folder_digest(path: Path) -> str:
    digest = hashlib.sha256()
    for entry in folders.entries(path):
        digest.update(json.dumps([entry.path, entry.read is None]).encode())
        try:
            if entry.read is not None:
                digest.update(hashlib.sha256(entry.read()).digest())
        except BrokenImage as error:
            digest.update(str(error).encode())
    return digest.hexdigest()


def load(folder: Path, key: str) -> DataSet | None:
    """The data set stored under `key`, its pixels mapped; None if there is none, or if it is damaged."""
    entry = folder / key
    try:
        index = json.loads((entry / _INDEX).read_text("utf-8"))
        # Copy on write: a reader that changes pixels changes its own, and torch takes arrays that can be written.
        images, labels = (np.load(entry / name, mmap_mode="c", allow_pickle=False) for name in (_IMAGES, _LABELS))
        if index["checksums"] != [zlib.crc32(images), zlib.crc32(labels)]:
            return None
        splits, start = {}, 0
        for part in PARTS:
            stored = index["parts"][part]
            end = start + stored["images"]
            splits[part] = Split(images[start:end], labels[start:end], stored["origin"], tuple(stored["names"]))
            start = end
        return DataSet(
            name=index["name"],
            classes=tuple(index["classes"]),
            resize=index["resize"],
            flip_keeps_label=bool(index["flip_keeps_label"]),
            skipped=tuple(index["skipped"]),
            **splits,
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def store(folder: Path, key: str, dataset: DataSet) -> bool:
    """Put a data set under `key`, whole or not at all, in place of a damaged one.

    Returns:
        Whether it is stored; a full disk or a folder that cannot be written is no error, for nothing is lost.
    """
    temporary = folder / f".{key}.{secrets.token_hex(4)}.tmp"
    try:
        temporary.mkdir(parents=True)
        _sweep(folder)
        splits = [dataset.split(part) for part in PARTS]
        checksums = [
            _write(temporary / _IMAGES, [split.images for split in splits]),
            _write(temporary / _LABELS, [split.labels for split in splits]),
        ]
        index = {
            "name": dataset.name,
            "classes": dataset.classes,
            "resize": dataset.resize,
            "flip_keeps_label": dataset.flip_keeps_label,
            "skipped": dataset.skipped,
            "parts": {
                part: {"images": len(split), "origin": split.origin, "names": split.names}
                for part, split in zip(PARTS, splits, strict=True)
            },
            "checksums": checksums,
        }
        (temporary / _INDEX).write_text(json.dumps(index), "utf-8")
        if load(folder, key) is None:
            shutil.rmtree(folder / key, ignore_errors=True)
            os.rename(temporary, folder / key)
    except OSError:
        return False
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def _write(path: Path, arrays: list[Any]) -> int:
    """All arrays, one behind the other, in one .npy file; its checksum."""
    filled = next((array for array in arrays if len(array)), arrays[0])
    shape = (sum(len(array) for array in arrays), *filled.shape[1:])
    whole = np.lib.format.open_memmap(path, mode="w+", dtype=filled.dtype, shape=shape)
    start = 0
    for array in arrays:
        whole[start : start + len(array)] = array
        start += len(array)
    whole.flush()
    return zlib.crc32(whole.data)


def _sweep(folder: Path) -> None:
    """Remove what was being written when its process was killed."""
    for leftover in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(leftover)
