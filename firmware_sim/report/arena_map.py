"""The arena map: time to the right, offset in the head upwards, each planned buffer a rectangle."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from firmware_sim.accounting import BufferUse, LayerUse, MemoryReport
from firmware_sim.report.labels import position, shorten
from firmware_sim.report.picture import legend, line, picture, rectangle, text
from firmware_sim.sizes import describe

_WIDTH = 960
_LEFT, _RIGHT, _TOP = 84, 16, 102
_PLOT_HEIGHT = 400
_LABELS = 180  # below, where there is room for the names of operators
_NUMBERS = 44  # below, where there is room for numbers only
_CHARACTER = 6.3
_PEAK_ROOM = 34


@dataclass(frozen=True, slots=True)
class _Scale:
    first: int
    times: int
    top_bytes: int

    @property
    def column(self) -> float:
        return (_WIDTH - _LEFT - _RIGHT) / self.times

    def x(self, time: int) -> float:
        """Left edge of a point in time."""
        return _LEFT + (time - self.first) * self.column

    def y(self, offset: int) -> float:
        """Height of an offset; the arena begins at the bottom."""
        return _TOP + _PLOT_HEIGHT * (1 - offset / self.top_bytes)


def arena_map(report: MemoryReport, *, style: bool = True, id: str = "arena-map", least_top_bytes: int = 1) -> str:
    """The map as one SVG element.

    A rectangle per buffer carries its name and figures as title and as data attributes (offset, bytes, first, last).
    The columns of the peak layers are marked, what is alive there is coloured, and a line shows the lower bound.

    Args:
        report: what to draw.
        style: put the colours inside, for a file of its own.
        id: unique in the document.
        least_top_bytes: the axis reaches at least that far, so that two maps can be compared.
    """
    buffers = report.buffers
    first = min([0, *(buffer.first for buffer in buffers)])
    last = max([0, *(buffer.last for buffer in buffers), *(layer.time for layer in report.layers)])
    arena = report.arena
    scale = _Scale(first, last - first + 1, max(arena.head_bytes, arena.lower_bound_bytes, least_top_bytes))
    peaks = [layer for layer in report.layers if layer.peak]
    footer = _LABELS if scale.column >= 11 else _NUMBERS
    height = _TOP + _PLOT_HEIGHT + footer
    parts = [*_heading(report), *_axis(scale)]
    parts += _bands(scale, report, peaks)
    times = sorted(layer.time for layer in peaks)
    parts += [part for buffer in buffers for part in _buffer(scale, buffer, _contains(buffer, times))]
    parts += _bound(scale, report)
    parts += _layers(scale, report, height)
    where = " and ".join(f"layer {position(report, layer)} ({layer.op})" for layer in peaks[:3])
    description = (
        f"{len(buffers)} buffers in a head of {describe(arena.head_bytes)}; lower bound "
        f"{describe(arena.lower_bound_bytes)}. Most is alive at {where or 'no layer'}."
    )
    return picture(parts, _WIDTH, height, id, f"Arena map of {report.model.path}", description, style)


def _heading(report: MemoryReport) -> list[str]:
    arena = report.arena
    facts = f"head {describe(arena.head_bytes)} of {describe(arena.total_bytes)}, {report.profile.id}"
    return [
        text(16, 28, f"Arena map of {shorten(report.model.path, 60)}", "heading"),
        text(16, 47, facts if arena.exact else f"{facts}, not exact", "muted"),
        *legend(16, 68, (("at-peak", "alive at the peak"), ("tensor", "other tensor"), ("scratch", "other scratch"))),
    ]


def _axis(scale: _Scale) -> list[str]:
    step = 16
    while scale.top_bytes / step > 8:
        step *= 2
    parts = []
    for offset in range(0, scale.top_bytes + 1, step):
        y = scale.y(offset)
        label = f"{offset / 1024:g} KiB" if step >= 1024 else f"{offset:,}"
        parts += [line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"), text(_LEFT - 8, y + 4, label, "muted", "end")]
    return parts


def _bands(scale: _Scale, report: MemoryReport, peaks: list[LayerUse]) -> list[str]:
    """A band behind each peak layer, and the word above those that are not right beside the last one."""
    parts = []
    labelled = float("-inf")
    for layer in sorted((layer for layer in peaks if layer.time >= 0), key=lambda layer: layer.time):
        x = scale.x(layer.time)
        title = f"peak: layer {position(report, layer)} {layer.op}, {describe(layer.live_bytes)} alive"
        parts.append(rectangle(x, _TOP - 8, scale.column, _PLOT_HEIGHT + 8, "band", title))
        if x - labelled >= max(_PEAK_ROOM, 1.5 * scale.column):
            parts.append(text(x + scale.column / 2, _TOP - 12, "peak", "marker", "middle"))
        labelled = x
    return parts


def _contains(buffer: BufferUse, times: list[int]) -> bool:
    """Whether any of the sorted `times` lies in the buffer's lifetime."""
    following = bisect_left(times, buffer.first)
    return following < len(times) and times[following] <= buffer.last


def _buffer(scale: _Scale, buffer: BufferUse, alive: bool) -> list[str]:
    x, y = scale.x(buffer.first), scale.y(buffer.offset + buffer.bytes)
    width = (buffer.last - buffer.first + 1) * scale.column
    height = _PLOT_HEIGHT * buffer.bytes / scale.top_bytes
    title = (
        f"{buffer.name}: {buffer.bytes:,} bytes at offset {buffer.offset:,}, from time {buffer.first} to {buffer.last}"
    )
    data = f'data-offset="{buffer.offset}" data-bytes="{buffer.bytes}" data-first="{buffer.first}" data-last="{buffer.last}"'
    classes = f"buffer {'at-peak' if alive else buffer.kind}"
    parts = [rectangle(x, y, width, height, classes, title, data)]
    # A label that takes no pointer: the title is the rectangle's.
    room = int((width - 10) / _CHARACTER)
    labels = []
    if room >= 5 and height >= 15:
        labels.append(text(x + 5, y + 12, shorten(buffer.name, room)))
        if height >= 30 and room >= len(f"{buffer.bytes:,}"):
            labels.append(text(x + 5, y + 25, f"{buffer.bytes:,}"))
    return [*parts, f'<g pointer-events="none">{"".join(labels)}</g>'] if labels else parts


def _bound(scale: _Scale, report: MemoryReport) -> list[str]:
    y = scale.y(report.arena.lower_bound_bytes)
    label = f"lower bound {report.arena.lower_bound_bytes:,}"
    return [line(_LEFT, y, _WIDTH - _RIGHT, y, "bound"), text(_WIDTH - _RIGHT, 68, label, "marker", "end")]


def _layers(scale: _Scale, report: MemoryReport, height: float) -> list[str]:
    bottom = _TOP + _PLOT_HEIGHT
    parts = [line(_LEFT, bottom, _WIDTH - _RIGHT, bottom, "grid")]
    called = [layer for layer in report.layers if layer.time >= 0]
    names = scale.column >= 11
    every = 1 if names else -(-len(called) * 30 // (_WIDTH - _LEFT - _RIGHT))
    for count, layer in enumerate(called):
        x = scale.x(layer.time) + scale.column / 2
        classes = "marker" if layer.peak else "muted"
        if names:
            label = shorten(f"{position(report, layer)} {layer.op}", 22)
            parts.append(text(x + 4, bottom + 8, label, classes, "end", turned=True))
        elif count % max(every, 1) == 0:
            parts.append(text(x, bottom + 16, position(report, layer), classes, "middle"))
    parts.append(text(_LEFT - 8, bottom + 18, "layer", "muted", "end"))
    return parts
