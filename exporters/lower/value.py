"""What a torch value has become: a tensor of the graph, and how torch sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from exporters.graph import Shape

Margins = tuple[tuple[int, int], tuple[int, int]]
NO_MARGINS: Final[Margins] = ((0, 0), (0, 0))


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph, and the shape under which torch sees the same elements.

    The graph's maps are [1, H, W, C]; torch sees one as [1, C, H, W], or after a flatten, view or squeeze as `view`, which
    always counts the elements in torch's order (channels first). On the device nothing moves until an operator reads it.
    `margins` are zeros around a map, (before, after) for its height and width, that torch sees and the graph does not hold:
    the convolution that reads them has them as its padding.
    """

    name: str
    shape: Shape
    view: Shape | None = None
    margins: Margins = NO_MARGINS

    @property
    def torch_shape(self) -> Shape:
        return self._natural if self.view is None else self.view

    @property
    def is_map(self) -> bool:
        """Whether torch sees a map [1, C, H, W]."""
        return len(self.shape) == 4 and self.view is None

    @property
    def is_vector(self) -> bool:
        """Whether it holds one number a channel: [1, 1, 1, C], in which torch's order is also the graph's."""
        return len(self.shape) == 4 and self.shape[1:3] == (1, 1)

    @property
    def is_flat(self) -> bool:
        """Whether torch sees one row of numbers, [1, n]."""
        return self.torch_shape == (1, math.prod(self.shape))

    def seen_as(self, torch_shape: Shape) -> Value:
        """The same elements under another shape of torch."""
        return replace(self, view=None if torch_shape == self._natural else torch_shape)

    @property
    def _natural(self) -> Shape:
        if len(self.shape) != 4:
            return self.shape
        n, h, w, c = self.shape
        return (n, c, h + sum(self.margins[0]), w + sum(self.margins[1]))
