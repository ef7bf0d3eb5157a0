"""Random networks and random bands of them, and what a runtime computes from them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from support.band_nets import Layer

from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.stage import cuts
from firmware_sim.rewrite.draft import Draft
from firmware_sim.run.litert import LiteRt
from firmware_sim.run.tflm import Tflm


@st.composite
def layers(draw: st.DrawFn) -> list[Layer]:
    found = []
    for _ in range(draw(st.integers(2, 4))):
        kind = draw(st.sampled_from(["conv", "dw", "max", "avg", "pad", "relu", "block"]))
        kernel, stride = draw(st.integers(1, 7)), draw(st.integers(1, 3))
        if kind == "pad":
            found.append(Layer("pad", draw(st.integers(1, 3))))
        elif kind == "block":
            found.append(Layer("block", draw(st.sampled_from([3, 5]))))
        elif kind == "conv" and stride == 1:
            found.append(Layer(kind, kernel, 1, draw(st.integers(1, 8)), dilation=draw(st.integers(1, 2))))
        else:
            found.append(Layer(kind, kernel, stride, draw(st.integers(1, 8))))
    return found


def random_bandings(draft: Draft, data: st.DataObject, stages: int = 1) -> tuple[Banding, ...]:
    """All layers in that many stages, of which each but the only one may be left as it is."""
    found = cuts(draft.graphs[0])
    positions = [position for position, tensor in enumerate(found.tensors[:-1]) if position and tensor is not None]
    inner = data.draw(st.sets(st.sampled_from(positions), max_size=stages - 1)) if stages > 1 and positions else set()
    bandings = []
    for first, end in pairwise([0, *sorted(inner), len(found.layers)]):
        stage = found.stage(first, end - 1)
        assert stage is not None
        heights: list[int] = []
        while sum(heights) < stage.rows:
            heights.append(data.draw(st.integers(1, stage.rows - sum(heights))))
        trimmed = frozenset(index for index in stage.trimmable if data.draw(st.booleans()))
        bandings.append(Banding(stage, tuple(heights), data.draw(st.booleans()), trimmed))
    return tuple(one for one in bandings if len(bandings) == 1 or data.draw(st.booleans()))


def outputs(runtime: Tflm | LiteRt, images: list[np.ndarray]) -> list[bytes]:
    return [runtime.invoke(image)[0].tobytes() for image in images]
