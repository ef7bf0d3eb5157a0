"""Members of an archive, as entries: read as a stream in memory, never unpacked to disk."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from firmware_sim.errors import FileError
from sapool.data import layout
from sapool.data.decode import BrokenImage
from sapool.data.entry import MAX_IMAGE_BYTES, Entry, check_size

_BLOCK_BYTES: Final = 512
# Photographs do not compress; headers and padding do. What grows more than this is no archive of images.
_MAX_RATIO: Final = 200
_MAX_SMALL_BYTES: Final = 2**30
_DAMAGE: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    # Chains of extended headers are parsed by recursion.
    RecursionError,
    NotImplementedError,
)


def entries(path: Path) -> Iterator[Entry]:
    """All folders and regular files of an archive, in its order.

    Links, devices, and paths that are absolute or climb out are passed over.

    Raises:
        FileError: the archive is damaged, cut off, encrypted, or unpacks to far more than its size explains.
    """
    kind = next(suffix for suffix in OPENERS if path.name.lower().endswith(suffix))
    with _damage_is_an_error(path), open(path, "rb") as stream:
        yield from OPENERS[kind](stream, path)


@contextlib.contextmanager
def _damage_is_an_error(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise FileError(f"damaged or cut off: {_detail(error)}", where=path) from error


def _detail(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def is_archive(path: Path) -> bool:
    """Whether the name has the ending of a supported archive."""
    return path.name.lower().endswith(tuple(OPENERS))


def _tar(stream: IO[bytes], path: Path, unpack: Callable[[IO[bytes]], IO[bytes]] | None) -> Iterator[Entry]:
    size = max(path.stat().st_size, 1)
    with contextlib.ExitStack() as stack:
        unpacked = stream if unpack is None else stack.enter_context(unpack(stream))
        forward = _Forward(unpacked, max(_MAX_SMALL_BYTES, _MAX_RATIO * size), path)
        # mypy and typeshed ask for a full IO; tarfile uses read, seek and tell.
        archive = stack.enter_context(tarfile.TarFile(fileobj=forward, mode="r"))  # type: ignore[arg-type]
        for member in archive:
            # Kept members would be the largest thing in memory.
            archive.members = []  # type: ignore[attr-defined]
            pieces = layout.pieces(member.name)
            if pieces is None or not (member.isdir() or (member.isreg() and not member.issparse())):
                continue
            done = min(stream.tell() / size, 1.0)
            yield Entry(pieces, None if member.isdir() else _tar_reader(archive, member, path), done)
        # tarfile takes a damaged header in the middle for the end; the true end is a block of zeros.
        if any(forward.last):
            raise FileError("damaged or cut off: no end mark", where=path)


def _tar_reader(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        check_size(member.size)
        # What is damaged here is damaged to the end: the stream cannot be picked up again.
        with _damage_is_an_error(path):
            file = archive.extractfile(member)
            return b"" if file is None else file.read()

    return read


class _Forward:
    """The part of a file's interface that tarfile uses, forwards only, with a limit on what comes out."""

    def __init__(self, stream: IO[bytes], limit_bytes: int, path: Path) -> None:
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._path = path
        self._position = 0
        self.last = b""

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_IMAGE_BYTES:
            raise FileError(f"damaged: a header of {size} bytes", where=self._path)
        self._position += size
        if self._position > self._limit_bytes:
            raise FileError(
                f"unpacks to more than {self._limit_bytes} bytes, {_MAX_RATIO} times its size", where=self._path
            )
        data = self._stream.read(size)
        if len(data) < size:
            self._position += len(data) - size
        if size == _BLOCK_BYTES:
            self.last = data
        return data

    def seek(self, position: int) -> int:
        if position < self._position:
            raise FileError("damaged: a member of negative size", where=self._path)
        while self._position < position:
            if not self.read(min(position - self._position, 2**20)):
                raise EOFError("unexpected end of data")
        return self._position

    def close(self) -> None:
        """Nothing: the stream belongs to the caller."""


def _zip(stream: IO[bytes], path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
        total = sum(info.file_size for info in infos)
        if total > max(_MAX_SMALL_BYTES, _MAX_RATIO * path.stat().st_size):
            raise FileError(f"unpacks to {total} bytes, more than {_MAX_RATIO} times its size", where=path)
        for number, info in enumerate(infos, 1):
            pieces = layout.pieces(info.filename)
            mode = info.external_attr >> 16
            if pieces is None or (stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)):
                continue
            if info.flag_bits & 0x1:
                raise FileError("encrypted archives are not supported", where=path)
            yield Entry(pieces, None if info.is_dir() else _zip_reader(archive, info), number / len(infos))


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        check_size(info.file_size)
        # Members are compressed one by one, so a damaged one is that image's trouble alone.
        try:
            with archive.open(info) as file:
                return file.read()
        except _DAMAGE as error:
            raise BrokenImage(_detail(error)) from error

    return read


def _tar_opener(unpack: Callable[[Any], Any] | None) -> Callable[[IO[bytes], Path], Iterator[Entry]]:
    return lambda stream, path: _tar(stream, path, unpack)


OPENERS: Final[dict[str, Callable[[IO[bytes], Path], Iterator[Entry]]]] = {
    ".tar": _tar_opener(None),
    ".tar.gz": _tar_opener(gzip.open),
    ".tgz": _tar_opener(gzip.open),
    ".tar.xz": _tar_opener(lzma.open),
    ".txz": _tar_opener(lzma.open),
    ".zip": _zip,
}
"""Endings of the supported archives."""
