"""Which rows an operator reads to compute rows of its output, and which rows it computes from a band of its input.

An operator keeps its own padding on a band, as if the band were the image. So a band has to begin where the windows of the
band fall on those of the image, and the rows at a cut, whose windows reach over it, come out wrong. They are computed and
not used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

from firmware_sim.overlap.windows import same_padding


class Rows(NamedTuple):
    """Rows `start` up to (not including) `end` of a tensor of the whole image."""

    start: int
    end: int

    @property
    def height(self) -> int:
        """How many."""
        return self.end - self.start

    def holds(self, other: Rows) -> bool:
        """`other` lies inside."""
        return self.start <= other.start and other.end <= self.end

    def hull(self, other: Rows | None) -> Rows:
        """The fewest rows in a row that hold both."""
        return self if other is None else Rows(min(self.start, other.start), max(self.end, other.end))

    def within(self, other: Rows) -> Rows:
        """The rows in both."""
        return Rows(max(self.start, other.start), max(min(self.end, other.end), max(self.start, other.start)))


class Reach(Protocol):
    """How rows of an operator's input and output belong together."""

    def band(self, wanted: Rows) -> Rows:
        """The smallest band of the input from which `wanted` rows of the output are right."""

    def computed(self, band: Rows) -> Rows | None:
        """The rows of the output that the operator makes of a band; None where its windows do not fall on the image's."""

    def right(self, band: Rows) -> Rows:
        """Those of `computed(band)` that are as in the whole image, if all rows of the band are."""

    def reached(self, rows: Rows) -> Rows:
        """The rows of the output that nothing but these rows of the input, and what is outside of the image, reaches."""


class Same(NamedTuple):
    """Row for row."""

    size: int

    def band(self, wanted: Rows) -> Rows:
        """See `Reach`."""
        return wanted

    def computed(self, band: Rows) -> Rows | None:
        """See `Reach`."""
        return band

    def right(self, band: Rows) -> Rows:
        """See `Reach`."""
        return band

    def reached(self, rows: Rows) -> Rows:
        """See `Reach`."""
        return rows


class Padded(NamedTuple):
    """PAD: `top` rows in front; `size` rows come in, `out` rows leave. A band that ends inside gets no rows there."""

    size: int
    out: int
    top: int

    def band(self, wanted: Rows) -> Rows:
        """See `Reach`; at least one row, since there are no empty tensors."""
        start = min(max(wanted.start - self.top, 0), self.size - 1)
        return Rows(start, max(min(wanted.end - self.top, self.size), start + 1))

    def computed(self, band: Rows) -> Rows | None:
        """See `Reach`."""
        return self.reached(band)

    def right(self, band: Rows) -> Rows:
        """See `Reach`."""
        return self.reached(band)

    def reached(self, rows: Rows) -> Rows:
        """See `Reach`: rows at the border of the image get all of its padding."""
        start = 0 if rows.start == 0 else rows.start + self.top
        return Rows(start, self.out if rows.end == self.size else rows.end + self.top)


class Window(NamedTuple):
    """Convolutions and pools, along the height: `size` rows come in, `out` rows leave, `pad` rows in front of the image."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    pad: int
    is_same: bool

    @property
    def span(self) -> int:
        """Rows from the first to the last tap."""
        return (self.kernel - 1) * self.dilation + 1

    def reads(self, wanted: Rows) -> Rows:
        """Rows of the image that the windows of some rows of the output touch; at least one."""
        start = min(max(wanted.start * self.stride - self.pad, 0), self.size - 1)
        end = min((wanted.end - 1) * self.stride - self.pad + self.span, self.size)
        return Rows(start, max(end, start + 1))

    @lru_cache(maxsize=1 << 14)  # noqa: B019  # a value, of which a search asks the same time and again
    def band(self, wanted: Rows) -> Rows:
        """See `Reach`."""
        least = self.reads(wanted)
        if not self.is_same:
            return Rows(wanted.start * self.stride, (wanted.end - 1) * self.stride + self.span)
        for count in range(least.height, self.size):
            for start in range(max(least.end - count, 0), min(least.start, self.size - count) + 1):
                band = Rows(start, start + count)
                rows = self.computed(band)
                if rows is not None and rows.holds(wanted):
                    return band
        return Rows(0, self.size)

    @lru_cache(maxsize=1 << 14)  # noqa: B019
    def computed(self, band: Rows) -> Rows | None:
        """See `Reach`."""
        if self.is_same:
            count = -(-band.height // self.stride)
            pad = same_padding(band.height, count, self.kernel, self.stride, self.dilation)
        else:
            count, pad = (band.height - self.span) // self.stride + 1, 0
        first = band.start + self.pad - pad
        if first % self.stride or count < 1 or first < 0 or first // self.stride + count > self.out:
            return None
        return Rows(first // self.stride, first // self.stride + count)

    def right(self, band: Rows) -> Rows:
        """See `Reach`."""
        rows = self.computed(band)
        assert rows is not None
        return rows.within(self.reached(band))

    def reached(self, rows: Rows) -> Rows:
        """See `Reach`."""
        start = 0 if rows.start == 0 else -(-(rows.start + self.pad) // self.stride)
        end = self.out if rows.end == self.size else (rows.end - self.span + self.pad) // self.stride + 1
        return Rows(start, end)
