"""Rules for overlapping buffers: distances, the replay verifier, and both against kernels that run in shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim import profiles
from firmware_sim.errors import UsageError
from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.model import Operator, Subgraph, Tensor
from firmware_sim.overlap.distance import distance_bytes
from firmware_sim.overlap.replay import Damage, replay
from firmware_sim.overlap.rules import Rule, class_of, kernel_classes, members, rules
from firmware_sim.schema import PADDING

LIBRARIES = members("any")


def convolution(
    data: tuple[int, ...],
    channels: int,
    kernel: tuple[int, int] = (3, 3),
    stride: int = 1,
    padding: str = "SAME",
    op: str = "CONV_2D",
    dilation: int = 1,
) -> Subgraph:
    """One operator from tensor 0 to tensor 2; tensor 1 holds its weights."""
    shapes = []
    for size, taps in zip(data[1:3], kernel, strict=True):
        reach = (taps - 1) * dilation + 1
        shapes.append(-(-size // stride) if padding == "SAME" else (size - reach) // stride + 1)
    filters = (channels, *kernel, data[3]) if op == "CONV_2D" else (1, *kernel, channels)
    tensors = [Tensor(0, "x", data, "INT8", 0), Tensor(1, "w", filters, "INT8", 1, data=memoryview(b"w"))]
    tensors.append(Tensor(2, "y", (data[0], *shapes, channels), "INT8", 0))
    options = {
        "stride_h": stride, "stride_w": stride, "padding": PADDING[padding], "dilation_h_factor": dilation,
        "dilation_w_factor": dilation, "filter_height": kernel[0], "filter_width": kernel[1],
    }  # fmt: skip
    inputs = (0,) if op.endswith("POOL_2D") else (0, 1)
    return Subgraph(tuple(tensors), (Operator(0, op, 1, inputs, (2,), options),), (0,), (2,))


def adding(shape: tuple[int, ...]) -> Subgraph:
    tensors = tuple(Tensor(index, f"t{index}", shape, "INT8", 0) for index in range(3))
    return Subgraph(tensors, (Operator(0, "ADD", 1, (0, 1), (2,)),), (0, 1), (2,))


def widening(shape: tuple[int, ...], source: str = "INT8", result: str = "FLOAT32", op: str = "DEQUANTIZE") -> Subgraph:
    """One operator from tensor 0 to tensor 2, as in `convolution`."""
    tensors = tuple(Tensor(index, f"t{index}", shape, kind, 0) for index, kind in enumerate((source, source, result)))
    return Subgraph(tensors, (Operator(0, op, 1, (0,), (2,)),), (0,), (2,))


@st.composite
def subgraphs(draw: st.DrawFn, largest_dilation: int = 2) -> Subgraph:
    op = draw(st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"]))
    channels = draw(st.integers(1, 4))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 3), (1, 3)]))
    dilation = draw(st.integers(1, largest_dilation)) if op != "MAX_POOL_2D" else 1
    low = (max(kernel) - 1) * dilation + 1
    data = (draw(st.integers(1, 2)), draw(st.integers(low, low + 3)), draw(st.integers(low, low + 3)), channels)
    out = draw(st.integers(1, 6)) if op == "CONV_2D" else channels
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    return convolution(data, out, kernel, draw(st.integers(1, 2)), padding, op, dilation)


def least(subgraph: Subgraph, library: str) -> int | None:
    return distance_bytes(rules(subgraph.operators[0], subgraph.tensors, library), 0)


def is_safe(subgraph: Subgraph, library: str, shift: int) -> bool:
    """Whether the input may begin `shift` bytes above the output."""
    base = 4096
    return replay(subgraph, subgraph.tensors, {0: base + shift, 2: base}, library) == ()


def order(rule: Rule, pixels: int, channels: int) -> Iterator[tuple[int, int]]:
    """(pixel, channel) as a kernel may write them: channels outside pixels in each step, the worst there is."""
    assert rule.windows is not None
    step = rule.windows.width.out if rule.step == "row" else rule.count
    for start in range(0, pixels, step):
        for channel in range(channels):
            for pixel in range(start, min(start + step, pixels)):
                yield pixel, channel


def run(subgraph: Subgraph, library: str, shift: int | None, seed: int = 0) -> bytes:
    """Run the operator with output and input in one memory, `shift` bytes apart; None keeps them separate.

    What is computed is a checksum of the window that depends on the place of every byte in it and on the channel.
    """
    operator, tensors = subgraph.operators[0], subgraph.tensors
    x, y = tensors[0], tensors[2]
    (rule,) = rules(operator, tensors, library)
    assert rule.windows is not None
    base = tensor_bytes(x) + tensor_bytes(y)
    memory = np.zeros(3 * base, np.uint8)
    place = 2 * base if shift is None else base + shift
    memory[place : place + tensor_bytes(x)] = np.random.default_rng(seed).integers(0, 256, tensor_bytes(x))
    geometry, channels = rule.windows, x.shape[3]
    weights = np.arange(1, 1 + 2 * 97, 2)
    image = geometry.height.out * geometry.width.out
    for pixel, channel in order(rule, y.shape[0] * image, y.shape[3]):
        batch, (row, column) = pixel // image, divmod(pixel % image, geometry.width.out)
        total = channel
        for tap_row in range(geometry.height.kernel):
            for tap_column in range(geometry.width.kernel):
                at = row * geometry.height.stride - geometry.height.pad + tap_row * geometry.height.dilation
                side = column * geometry.width.stride - geometry.width.pad + tap_column * geometry.width.dilation
                if 0 <= at < x.shape[1] and 0 <= side < x.shape[2]:
                    start = place + ((batch * x.shape[1] + at) * x.shape[2] + side) * channels
                    total = 3 * total + int(memory[start : start + channels] @ weights[:channels])
        memory[base + pixel * y.shape[3] + channel] = total % 251
    return memory[base : base + tensor_bytes(y)].tobytes()


@given(subgraphs(), st.sampled_from(LIBRARIES), st.integers(-40, 120))
@settings(deadline=None, max_examples=300)
def test_what_the_verifier_accepts_computes_the_same(subgraph: Subgraph, library: str, shift: int):
    (rule,) = rules(subgraph.operators[0], subgraph.tensors, library)
    size = tensor_bytes(subgraph.tensors[2])
    if rule.step == "apart" or not -tensor_bytes(subgraph.tensors[0]) < shift < size:
        return
    if is_safe(subgraph, library, shift):
        assert run(subgraph, library, shift) == run(subgraph, library, None)


@given(subgraphs(), st.sampled_from(LIBRARIES))
@settings(deadline=None, max_examples=300)
def test_every_shift_from_the_distance_on_is_accepted(subgraph: Subgraph, library: str):
    distance = least(subgraph, library)
    if distance is None:
        assert not is_safe(subgraph, library, tensor_bytes(subgraph.tensors[2]) - 1)
        return
    assert all(is_safe(subgraph, library, distance + more) for more in range(0, 40, 3))


@given(subgraphs(largest_dilation=1), st.sampled_from(["reference", "cmsis-nn-dsp"]))
@settings(deadline=None, max_examples=300)
def test_one_byte_less_than_the_distance_is_damage(subgraph: Subgraph, library: str):
    distance = least(subgraph, library)
    if distance:
        assert not is_safe(subgraph, library, distance - 1)


@given(subgraphs(), st.sampled_from(LIBRARIES))
@settings(deadline=None)
def test_plans_for_any_library_hold_for_the_reference_kernels(subgraph: Subgraph, library: str):
    reference, other = least(subgraph, "reference"), least(subgraph, library)
    assert reference is not None
    assert other is None or other >= reference
    assert least(subgraph, "any") is None or least(subgraph, "any") >= (other or 0)


def test_two_bytes_too_near_compute_something_else():
    # What the verifier refuses is not refused for nothing. One byte less only hits the last channel of a pixel, which is
    # written after the last read: a kernel is not held to that.
    subgraph = convolution((1, 8, 8, 4), 8, (1, 1))
    distance = least(subgraph, "reference")
    assert distance == 8 * 64 - 4 * 63
    assert run(subgraph, "reference", distance) == run(subgraph, "reference", None)
    assert run(subgraph, "reference", distance - 2) != run(subgraph, "reference", None)


@pytest.mark.parametrize(
    ("subgraph", "library", "distance"),
    [
        # From the published table of person_detect: 48 x 48 x 8 to 16 channels needs 16 N - 8 (N - 1).
        (convolution((1, 48, 48, 8), 16, (1, 1)), "reference", 18440),
        (convolution((1, 48, 48, 8), 16, (1, 1)), "cmsis-nn-dsp", None),
        (convolution((1, 48, 48, 8), 16, (1, 1)), "any", None),
        (convolution((1, 48, 48, 8), 16, (1, 1)), "cmsis-nn-mve", 18440 + 3 * 8),
        (convolution((1, 48, 48, 8), 8, op="DEPTHWISE_CONV_2D"), "any", 48 * 8 + 2 * 8),
        (convolution((1, 48, 48, 124), 124, op="DEPTHWISE_CONV_2D"), "cmsis-nn-mve", 50 * 124),
        (convolution((1, 48, 48, 125), 125, op="DEPTHWISE_CONV_2D"), "cmsis-nn-mve", None),
        (convolution((1, 48, 48, 125), 125, op="DEPTHWISE_CONV_2D"), "cmsis-nn-dsp", 50 * 125),
        (convolution((1, 8, 8, 4), 4, (1, 1), stride=2), "cmsis-nn", 16),
        (convolution((1, 1, 40, 4), 4, (1, 3)), "cmsis-nn-mve", None),
        (convolution((1, 9, 9, 1), 2, op="DEPTHWISE_CONV_2D", padding="VALID"), "cmsis-nn-mve", 2 * 49 - (6 * 9 + 6)),
        (convolution((1, 1, 9, 1), 2, (1, 3), op="DEPTHWISE_CONV_2D"), "cmsis-nn-mve", None),
        (convolution((1, 4, 4, 4), 4, op="AVERAGE_POOL_2D", kernel=(2, 2), stride=2), "any", 4),
        (adding((1, 4, 4, 4)), "any", 0),
        (widening((1, 4, 4, 4)), "any", 3 * 63),
        (widening((1, 4, 4, 4), "INT8", "INT16", "QUANTIZE"), "any", 63),
        (widening((1, 4, 4, 4), "FLOAT32", "INT8", "QUANTIZE"), "any", 0),
        (widening((1, 4, 4, 4), "INT16", "FLOAT32"), "reference", None),  # the compiler may take the two for strangers
    ],
)
def test_distances(subgraph: Subgraph, library: str, distance: int | None):
    assert least(subgraph, library) == distance


def test_the_last_of_elements_that_get_wider_decides():
    subgraph = widening((1, 4, 4, 4))
    assert all(is_safe(subgraph, "any", 189 + more) for more in range(0, 80, 7))
    assert not is_safe(subgraph, "any", 188)


def test_groups_and_widening_and_broadcasts_stay_apart():
    grouped = convolution((1, 8, 8, 8), 8)
    weights = replace(grouped.tensors[1], shape=(8, 3, 3, 4))
    grouped = replace(grouped, tensors=(grouped.tensors[0], weights, grouped.tensors[2]))
    assert least(grouped, "reference") is not None
    assert least(grouped, "cmsis-nn-mve") is None
    added = adding((1, 4, 4, 4))
    scalar = replace(added, tensors=(added.tensors[0], replace(added.tensors[1], shape=(1,)), added.tensors[2]))
    assert least(scalar, "reference") is None
    wider = replace(added, tensors=(*added.tensors[:2], replace(added.tensors[2], type="INT16")))
    assert least(wider, "reference") is None


def test_a_copy_shares_all_or_nothing():
    shaped = adding((1, 4, 4, 4))
    copy = replace(shaped, operators=(Operator(0, "RESHAPE", 1, (0,), (2,)),), inputs=(0,))
    assert [is_safe(copy, "any", shift) for shift in (-64, -16, 0, 16, 48, 64)] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]


def test_both_inputs_of_an_addition_may_be_written_over():
    subgraph = adding((1, 4, 4, 4))
    places = {0: 0, 1: 64, 2: 0}
    assert replay(subgraph, subgraph.tensors, places, "any") == ()
    assert replay(subgraph, subgraph.tensors, {**places, 2: 64}, "any") == ()
    assert replay(subgraph, subgraph.tensors, {**places, 2: 16}, "any") == (Damage(0, 2, 0),)


def test_an_input_that_is_an_output_or_read_later_is_never_overwritten():
    subgraph = adding((1, 4, 4, 4))
    kept = replace(subgraph, outputs=(2, 0))
    assert replay(kept, kept.tensors, {0: 0, 1: 64, 2: 0}, "reference") == (Damage(0, 2, 0),)
    later = Operator(1, "ADD", 1, (0, 2), (3,))
    tensors = (*subgraph.tensors, replace(subgraph.tensors[0], index=3, name="t3"))
    longer = Subgraph(tensors, (*subgraph.operators, later), (0, 1), (3,))
    assert replay(longer, tensors, {0: 0, 1: 64, 2: 64, 3: 0}, "reference") == ()
    assert replay(longer, tensors, {0: 0, 1: 64, 2: 0, 3: 64}, "reference") == (Damage(0, 2, 0),)


def test_inputs_that_share_bytes_are_damage():
    subgraph = adding((1, 4, 4, 4))
    assert replay(subgraph, subgraph.tensors, {0: 0, 1: 32, 2: 128}, "reference") == (Damage(-1, 0, 1),)


def test_classes():
    assert [class_of(profiles.get(name)) for name in profiles.names()] == [
        "reference", "reference", "cmsis-nn", "cmsis-nn-dsp", "cmsis-nn-mve", "reference",
    ]  # fmt: skip
    assert set(members("any")) == set(kernel_classes()) - {"any"}
    with pytest.raises(UsageError, match="esp-nn"):
        members("esp-nn")


def joining(sizes: tuple[int, int], parts: list[int]) -> Subgraph:
    """Tensors 0 and 1 of these sizes; 2 is 0 twice; 3 is put together from some of them."""
    widths = [*sizes, 2 * sizes[0]]
    widths.append(sum(widths[part] for part in parts))
    tensors = tuple(Tensor(index, f"t{index}", (1, 1, 1, width), "INT8", 0) for index, width in enumerate(widths))
    options = {"axis": 3}
    first = Operator(0, "CONCATENATION", 1, (0, 0), (2,), options)
    return Subgraph(tensors, (first, Operator(1, "CONCATENATION", 1, tuple(parts), (3,), options)), (0, 1), (3,))


def joined(subgraph: Subgraph, places: dict[int, int]) -> bytes | None:
    """What is put together in shared memory, one memcpy after the other; None where one overlaps itself."""
    memory = bytearray(256)
    sizes = [tensor_bytes(tensor) for tensor in subgraph.tensors]
    for index in subgraph.inputs:
        memory[places[index] : places[index] + sizes[index]] = bytes(
            range(100 * index + 1, 100 * index + 1 + sizes[index])
        )
    for operator in subgraph.operators:
        to = places[operator.outputs[0]]
        for index in operator.inputs:
            start = places[index]
            if start != to and abs(start - to) < sizes[index]:
                return None
            memory[to : to + sizes[index]] = memory[start : start + sizes[index]]
            to += sizes[index]
    return bytes(memory[places[3] : places[3] + sizes[3]])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_put_together_in_shared_memory_is_what_was_meant(data: st.DataObject):
    sizes = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    subgraph = joining(sizes, data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=4)))
    apart = {0: 0, 1: 40, 2: 80, 3: 120}
    # Near the places that the parts have in the result, or anywhere.
    near = st.sampled_from([0, sizes[0], 2 * sizes[0], sizes[1], sizes[0] + sizes[1], 3 * sizes[0]])
    places = {index: 40 + data.draw(near | st.integers(-8, 16)) for index in range(3)} | {3: 40}
    if replay(subgraph, subgraph.tensors, places, "any") == ():
        assert joined(subgraph, places) == joined(subgraph, apart)


def test_a_part_may_lie_in_another_part_that_stays_where_it_is():
    # 0 is in front of 2, which is the middle of 3, and once more at the end of 3.
    subgraph = joining((3, 4), [1, 2, 0])
    assert replay(subgraph, subgraph.tensors, {0: 44, 1: 40, 2: 44, 3: 40}, "any") == ()


def test_the_second_copy_of_a_part_overwrites_as_well():
    # 1 begins where 0 is copied to for the second time.
    subgraph = joining((4, 4), [0, 0, 1])
    assert Damage(1, 3, 1) in replay(subgraph, subgraph.tensors, {0: 40, 1: 44, 2: 80, 3: 40}, "any")
