"""Padding of a window along one axis: torch's padding, TFLite's SAME and VALID, and the way between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporters.errors import ExportError

Padding = str | tuple[int, int]
Refuse = Callable[[str, str | None], ExportError]


@dataclass(frozen=True, slots=True)
class Window:
    """A window that slides along one axis: the axis' extent, the kernel's, the stride and the dilation."""

    extent: int
    kernel: int
    stride: int
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Pixels from the first to the last that one position reads."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def same_total(self) -> int:
        """Padding that SAME adds, half of it (rounded down) in front (tensorflow/lite/kernels/padding.h)."""
        return max(0, (-(-self.extent // self.stride) - 1) * self.stride + self.reach - self.extent)


@dataclass(frozen=True, slots=True)
class AxisPadding:
    """Padding of one axis in TFLite's terms: SAME or VALID, and zeros to append to the kernel (before, after)."""

    window: Window
    same: bool
    output: int
    extension: tuple[int, int] = (0, 0)

    def agree_with(self, other: AxisPadding, refuse: Refuse) -> AxisPadding:
        """This axis under the rule of the other one, since one operator has one rule for both axes.

        A VALID axis whose SAME form adds no padding and yields the same extent turns into SAME.
        """
        if self.same or not other.same:
            return self
        if self.window.same_total == 0 and -(-self.window.extent // self.window.stride) == self.output:
            return AxisPadding(self.window, True, self.output)
        raise refuse("one axis is padded and the other is not", "pad both axes alike")


def window_padding(
    window: Window, padding: Padding, axis: int, margins: tuple[int, int], refuse: Refuse
) -> AxisPadding:
    """Express `padding` ("SAME", "VALID" or torch's symmetric pair; `axis` picks 0 height, 1 width) in TFLite's terms.

    `margins` are further zeros before and after the map.

    Raises:
        ExportError: the window is larger than the padded map, or no kernel of at most twice the size does the same.
    """
    if padding == "SAME" and margins == (0, 0):
        return AxisPadding(window, True, -(-window.extent // window.stride))
    if padding == "SAME" and window.stride != 1:  # torch has it for stride 1 only
        raise refuse("SAME padding of a padded map is not supported", "pad once")
    symmetric = (window.reach - 1) // 2, window.reach // 2
    if padding != "SAME":
        symmetric = (0, 0) if padding == "VALID" else (int(padding[axis]), int(padding[axis]))
    pad, behind = symmetric[0] + margins[0], symmetric[1] + margins[1]
    output = (window.extent + pad + behind - window.reach) // window.stride + 1
    if window.extent + pad + behind < window.reach:
        raise refuse(f"a window of {window.reach} does not fit a map of {window.extent}", None)
    if pad == behind == 0:
        return AxisPadding(window, False, output)
    if -(-window.extent // window.stride) == output:
        limit = window.kernel + 1 if window.dilation == 1 else 1
        for total in range(2 * limit):
            for before in range(total + 1):
                wider = Window(window.extent, window.kernel + total, window.stride, window.dilation)
                # Then the real kernel starts at the same pixel; what lies outside the map is zero under both rules.
                if wider.same_total // 2 == pad + before:
                    return AxisPadding(wider, True, output, (before, total - before))
    sizes = pad if pad == behind else (pad, behind)
    raise refuse(
        f"padding {sizes} on a map of {window.extent} (kernel {window.kernel}, stride {window.stride}) has no counterpart "
        "in TFLite without a PAD operator, which copies the map into the arena",
        "use SAME-style padding",
    )


@dataclass(frozen=True, slots=True)
class PoolAxis:
    """One axis of a pool: its output's extent, and which of TFLite's two rules give exactly torch's windows."""

    output: int
    valid: bool
    same: bool
    centred: bool


def pool_axis(window: Window, pad: int, ceil_mode: bool = False) -> PoolAxis:
    """What TFLite has for a pool that pads `pad` pixels on both sides (torch.nn.MaxPool2d, AvgPool2d).

    `centred` says that SAME at stride 1, of which every stride-th pixel is kept, gives the same windows.
    """
    steps, rest = divmod(window.extent + 2 * pad - window.kernel, window.stride)
    output = steps + 1
    # A further window, which hangs over the end, must begin inside the map or the padding in front of it.
    if ceil_mode and rest and output * window.stride < window.extent + pad:
        output += 1
    return PoolAxis(
        output,
        valid=pad == 0 and output == steps + 1,
        # Then the windows begin at the same pixels, and what lies outside the map counts under neither rule.
        same=output == -(-window.extent // window.stride) and window.same_total // 2 == pad,
        centred=2 * pad == window.kernel - 1 and output == -(-window.extent // window.stride),
    )
