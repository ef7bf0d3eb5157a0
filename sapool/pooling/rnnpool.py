"""RNNPool (Saha et al., "RNNPool: Efficient Non-linear Pooling for RAM Constrained Inference", NeurIPS 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from sapool.errors import UsageError
from sapool.layers import noise
from sapool.pooling.base import PoolingLayer, positive
from sapool.pooling.registry import register


@register("rnnpool")
class RnnPooling(PoolingLayer):
    """Each patch is read row by row and column by column by two small recurrent networks.

    The outputs of `RNNPool` are 4*h channels, so the layer keeps the channels with h = C/4 in both networks. The paper's
    place for it is behind the stem: 6x6 patches at a stride of 4 (for MobileNetV2, 112x112x32 to 28x28x64). Patches of
    s + 2 pixels overlap as these do; they are centred on the windows of an average pool, zeros beside the map.

    Args:
        channels: C, a multiple of 4.
        stride: s.
        size: (H, W) of the map; any.
        patch: height and width of a patch, s or more; None takes s + 2.

    Attributes:
        patch: height and width of a patch.
        cells: the `RNNPool`.

    Raises:
        UsageError: channels that are no multiple of 4; patches that skip pixels.
    """

    def __init__(
        self, channels: int, stride: int, size: tuple[int, int] | None = None, *, patch: int | None = None
    ) -> None:
        super().__init__(channels, stride, size)
        if channels % 4:
            raise UsageError(
                f"rnnpool pooling gives 4*h channels and cannot keep {channels}", hint="choose a multiple of 4 channels"
            )
        self.patch = stride + 2 if patch is None else positive("rnnpool pooling: the patch", patch)
        if self.patch < stride:
            raise UsageError(
                f"rnnpool pooling: patches of {patch} at a stride of {stride} skip pixels",
                hint=f"choose a patch of {stride} or more",
            )
        self.cells = RNNPool(channels, channels // 4, channels // 4)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, patch={self.patch}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        front = (self.patch - self.stride) // 2
        back = self.patch - self.stride - front
        padded = F.pad(x, (front, back, front, back))
        patches = padded.unfold(2, self.patch, self.stride).unfold(3, self.patch, self.stride)
        y: torch.Tensor = self.cells(patches.permute(0, 2, 3, 4, 5, 1), self.patch, self.patch)
        return y.permute(0, 3, 1, 2)


class RNNPool(nn.Module):
    """A patch of pixels to one vector: [..., rows, columns, C] -> [..., 4 * h2] (algorithm 1 of the paper).

        p_i = RNN1(row i),        y_1, y_2 = RNN2(p_1, p_2, ...), RNN2(..., p_2, p_1)
        q_j = RNN1(column j),     y_3, y_4 = RNN2(q_1, q_2, ...), RNN2(..., q_2, q_1)
        y = concat(y_1, y_2, y_3, y_4)

    Each is a `FastGRNN`, of which the last state counts; RNN2 has the same weights in both directions.

    Args:
        channels: C.
        hidden: h1, states of RNN1.
        summary: h2, states of RNN2.

    Attributes:
        line: RNN1.
        across: RNN2.
    """

    def __init__(self, channels: int, hidden: int, summary: int) -> None:
        super().__init__()
        self.line = FastGRNN(channels, hidden)
        self.across = FastGRNN(hidden, summary)

    def forward(self, patches: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        """`rows` and `columns` are those of a patch: torch.fx does not know them."""
        pixels = self.line.project(patches)
        of_rows = self.across.project(self.line.scan(pixels, -2, range(columns)))
        of_columns = self.across.project(self.line.scan(pixels, -3, range(rows)))
        ends = [
            self.across.scan(summaries, -2, order)
            for summaries, count in ((of_rows, rows), (of_columns, columns))
            for order in (range(count), range(count - 1, -1, -1))
        ]
        return torch.cat(ends, -1)


class FastGRNN(nn.Module):
    """The recurrent cell of RNNPool (Kusupati et al., "FastGRNN: A Fast, Accurate, Stable and Tiny Kilobyte Sized Gated
    Recurrent Neural Network", NeurIPS 2018).

        z = sigmoid(W x + U h + b_z),    c = tanh(W x + U h + b_h)
        h = (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * c + z * h

    Starts as in the authors' code for RNNPool: W and U normal with a deviation of 0.1, both biases 1, zeta 100 and nu -100,
    which makes the two factors 1 and 0, and constant.

    Attributes:
        weight: W [h, C].
        recurrent: U [h, h].
        gate_bias, update_bias: b_z and b_h, [h].
        zeta, nu: scalars.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.weight = noise(hidden, channels, deviation=0.1)
        self.recurrent = noise(hidden, hidden, deviation=0.1)
        self.gate_bias = nn.Parameter(torch.ones(hidden))
        self.update_bias = nn.Parameter(torch.ones(hidden))
        self.zeta = nn.Parameter(torch.tensor(100.0))
        self.nu = nn.Parameter(torch.tensor(-100.0))

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """W x of all steps at once: [..., C] -> [..., h]."""
        return F.linear(x, self.weight)

    def scan(self, projected: torch.Tensor, axis: int, order: range) -> torch.Tensor:
        """The last state after the steps of `order` along `axis` of [..., h], which that axis leaves; it starts at 0."""
        scale, offset = self.zeta.sigmoid(), self.nu.sigmoid()
        state = None
        for step in order:
            drive = projected.select(axis, step)
            if state is not None:
                drive = drive + F.linear(state, self.recurrent)
            gate = (drive + self.gate_bias).sigmoid()
            update = (scale * (1 - gate) + offset) * (drive + self.update_bias).tanh()
            state = update if state is None else update + gate * state
        assert state is not None, "an axis has a step"
        return state
