"""How the map shrinks on its way through a network: plain numbers, checked before anything is built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sapool.errors import UsageError

# How far from the asked resolution one that fits is looked for, in pixels.
_SEARCH = 512


@dataclass(frozen=True, slots=True)
class Shrink:
    """One place that shrinks the map.

    Attributes:
        where: what to call it in an error.
        stride: the factor.
        whole: the stride must divide the map (pools: windows that are cut off would not see the whole map); otherwise the
            extent is rounded up (convolutions, which pad).
    """

    where: str
    stride: int
    whole: bool

    def fits(self, extent: int) -> bool:
        """A map of this extent can be shrunk."""
        return extent >= self.stride and not (self.whole and extent % self.stride)

    def after(self, extent: int) -> int:
        """Extent of the map that comes out."""
        return -(-extent // self.stride)


def extents(resolution: int, stem: tuple[Shrink, ...], stages: tuple[Shrink, ...]) -> tuple[int, ...]:
    """Height (= width) of the map after the whole stem and after each stage, in pixels.

    Raises:
        UsageError: a stage has no spatial extent left, or a pool's stride does not divide its map; the nearest resolutions
            that work are named.
    """
    result = []
    extent = resolution
    for shrink in (*stem, *stages):
        if not shrink.fits(extent):
            raise _refusal(resolution, shrink, extent, stem, stages)
        extent = shrink.after(extent)
        result.append(extent)
    return tuple(result[len(stem) - 1 :])


def _refusal(
    resolution: int, shrink: Shrink, extent: int, stem: tuple[Shrink, ...], stages: tuple[Shrink, ...]
) -> UsageError:
    near = [str(size) for size in _neighbours(resolution, (*stem, *stages))]
    hint = f"resolutions that work: {' and '.join(near)}" if near else "choose smaller strides"
    if extent >= shrink.stride:
        message = f"a pool of {shrink.stride} does not divide a map of {extent}x{extent}"
        return UsageError(message, where=shrink.where, hint=hint)
    if shrink in stem:
        return UsageError(f"{shrink.where} leaves nothing of an input of {resolution}x{resolution}", hint=hint)
    strides = "".join(str(stage.stride) for stage in stages)
    return UsageError(
        f"{shrink.where} has no spatial extent left at {resolution}x{resolution} with strides {strides}",
        hint=f"its map is {extent}x{extent} before a stride of {shrink.stride}; {hint}, or choose smaller strides",
    )


def _neighbours(resolution: int, chain: tuple[Shrink, ...]) -> list[int]:
    """The nearest smaller and the nearest larger resolution at which every shrink fits.

    Only multiples of the stem's stride: 127 works as well as 128 does, but nobody has images of 127 pixels.
    """
    step = chain[0].stride
    start = resolution // step * step
    below = _first(range(start if start < resolution else start - step, max(0, resolution - _SEARCH), -step), chain)
    above = _first(range(start + step, resolution + _SEARCH, step), chain)
    return [size for size in (below, above) if size is not None]


def _first(sizes: Iterable[int], chain: tuple[Shrink, ...]) -> int | None:
    return next((size for size in sizes if _works(size, chain)), None)


def _works(extent: int, chain: tuple[Shrink, ...]) -> bool:
    for shrink in chain:
        if not shrink.fits(extent):
            return False
        extent = shrink.after(extent)
    return True
