"""Custom operators that are part of TFLM: post-processing of detections, decoding of weights, circular buffers."""

from __future__ import annotations

from firmware_sim import flexbuffer
from firmware_sim.errors import ModelError
from firmware_sim.memory.kernels.context import Node, initialises, prepares


def not_measured(node: Node) -> None:
    """Note that the sizes were held against a measurement on 64 bits (the PyPI package) and not on 32 bits."""
    if node.profile.pointer_bytes == 4:
        node.doubts.append("its bytes on 32-bit processors are read from TFLM's source and have not been measured")


def options(node: Node) -> dict[str, int | float]:
    """Numbers among the operator's options.

    Raises:
        ModelError: there are none, or they are damaged.
    """
    if node.operator.custom_options is None:
        raise node.error("has no options")
    try:
        return flexbuffer.numbers(node.operator.custom_options)
    except ModelError as error:
        raise node.error(error.message) from error


def integer_option(node: Node, name: str, *, minimum: int = 0) -> int:
    """An integer option.

    Raises:
        ModelError: it is missing or smaller than `minimum`.
    """
    value = options(node).get(name)
    if value is None or isinstance(value, float) or not minimum <= value < 2**31:
        raise node.error(f"option {name!r} is {value}")
    return value


@initialises("CIRCULAR_BUFFER")
def circular_buffer(node: Node) -> None:
    """Source: circular_buffer.cc:52-56."""
    node.persistent(8)


@initialises("TFLite_Detection_PostProcess")
def detection_init(node: Node) -> None:
    """Source: detection_postprocess.cc:100-140."""
    node.persistent(112)


@prepares("TFLite_Detection_PostProcess")
def detection_postprocess(node: Node) -> None:
    """Source: detection_postprocess.cc:187-220."""
    not_measured(node)
    boxes = node.dimension(node.input(0), 1)
    scores = node.input(1)
    most = integer_option(node, "max_detections")
    classes = integer_option(node, "num_classes")
    node.scratch(
        boxes,
        16 * boxes,
        4 * node.dimension(scores, 1) * node.dimension(scores, 2),
        4 * boxes,
        4 * boxes,
        4 * most * boxes,
        4 * most * boxes,
        4 * boxes,
        4 * most * boxes,
        4 * max(classes, most) * boxes,
        4 * min(boxes, most) * boxes,
    )


@initialises("TFLM_DECODE")
def decode_init(_: Node) -> None:
    """Nothing; all is allocated in Prepare."""


# First byte of the ancillary data (decode_state.h) to the bytes of the state with pointers of 4 and 8 bytes.
_DECODE_STATES = {0: (36, 72), 1: (28, 56), 2: (40, 80)}
_PRUNE = 2


@prepares("TFLM_DECODE")
def decode(node: Node) -> None:
    """Per output a state; inputs come in pairs of encoded and ancillary data.

    Source: decode.cc:60, decode_state.cc:29-55, decode_state_prune.cc:63-75.
    """
    not_measured(node)
    node.persistent(node.profile.pointer_bytes * len(node.operator.outputs))
    for position in range(len(node.operator.outputs)):
        data = node.input(2 * position + 1).data
        sizes = _DECODE_STATES.get(data[0]) if data else None
        if data is None or sizes is None:
            raise node.error(f"output {position} has no known encoding")
        node.persistent(sizes[node.profile.pointer_bytes == 8])
        _zero_points(node, position, is_pruned=data[0] == _PRUNE)


def _zero_points(node: Node, position: int, *, is_pruned: bool) -> None:
    output = node.output(position)
    zero_points = output.quantization.zero_point if output.quantization else ()
    if is_pruned and output.type == "INT8" and len(zero_points) > 1 and any(zero_points):
        node.persistent(4 * len(zero_points))
