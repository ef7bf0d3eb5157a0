"""Models broken on purpose, by when TFLM refuses them, and models near them that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from oracles.test_arena_operators import CASES, ZEROS, integers, one, plain
from support.tflite_files import Graph, Op, T, convolution_options

from firmware_sim.schema import PADDING

VALID, SAME = PADDING["VALID"], PADDING["SAME"]
BYTES = {
    "FLOAT32": 4, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8, "UINT8": 1, "BOOL": 1, "UINT32": 4, "FLOAT16": 2,
    "INT4": 1,
}  # fmt: skip
QUANTISED = ("INT8", "INT16", "UINT8", "INT4")


def q(shape: Sequence[int], type: str = "INT8", scale: float = 0.5, zero: int = 0, **more: Any) -> T:
    """A quantised tensor."""
    return T(shape, type, scale=[scale], zero_point=[zero], **more)


def retyped(tensor: T, type: str) -> T:
    """The tensor in another type, quantised if that is a type for it."""
    return replace(
        tensor,
        type=type,
        scale=(tensor.scale or (0.5,)) if type in QUANTISED else (),
        zero_point=tensor.zero_point if type in QUANTISED else None,
        data=None if tensor.data is None else bytes(prod(tensor.shape) * BYTES[type]),
    )


POOL = ("Pool2DOptions", {"padding": VALID, "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2})
IMAGE, SMALLER = q([1, 4, 4, 2]), q([1, 2, 2, 2])
ROW, PAIR, LONG = q([1, 4]), q([2, 5]), q([1, 16])


def pool(x: T = IMAGE, y: T = SMALLER) -> list[Graph]:
    return one("AVERAGE_POOL_2D", [x], [y], POOL)


def conv(x: T = IMAGE, y: T | None = None, bias: T | None = None, **weights: Any) -> list[Graph]:
    w = T(**{"shape": [3, 3, 3, 2], "data": ZEROS[:54], "scale": [0.1] * 3, **weights})
    b = bias or T([3], "INT32", ZEROS[:12], scale=[0.05] * 3)
    return one("CONV_2D", [x, w, b], [y or q([1, 4, 4, 3])], convolution_options())


def depthwise(x: T | None = None, y: T | None = None, **weights: Any) -> list[Graph]:
    w = T(**{"shape": [1, 3, 3, 3], "data": ZEROS[:27], "scale": [0.1] * 3, "dimension": 3, **weights})
    options = ("DepthwiseConv2DOptions", {"padding": SAME, "stride_w": 1, "stride_h": 1, "depth_multiplier": 1})
    return one("DEPTHWISE_CONV_2D", [x or q([1, 4, 4, 3]), w], [y or q([1, 4, 4, 3])], options)


def transpose_conv(x: T | None = None, y: T | None = None, **weights: Any) -> list[Graph]:
    w = T(**{"shape": [3, 2, 2, 5], "data": ZEROS[:60], "scale": [0.1] * 3, **weights})
    options = ("TransposeConvOptions", {"padding": VALID, "stride_w": 2, "stride_h": 2})
    data = [integers(1, 4, 4, 3), w, x or q([1, 2, 2, 5])]
    return one("TRANSPOSE_CONV", data, [y or q([1, 4, 4, 3])], options)


def dense(x: T | None = None, y: T | None = None, bias: T | None = None, **weights: Any) -> list[Graph]:
    w = T(**{"shape": [3, 6], "data": ZEROS[:18], "scale": [0.1], **weights})
    b = bias or T([3], "INT32", ZEROS[:12], scale=[0.05])
    return one("FULLY_CONNECTED", [x or q([1, 6]), w, b], [y or q([1, 3])], ("FullyConnectedOptions", {}))


def joined(*tensors: T, **options: Any) -> list[Graph]:
    return one("CONCATENATION", tensors[:-1], tensors[-1:], ("ConcatenationOptions", {"axis": 1, **options}))


def soft(x: T, y: T) -> list[Graph]:
    return one("SOFTMAX", [x], [y], ("SoftmaxOptions", {"beta": 1.0}))


def unary(op: str, x: T, y: T) -> list[Graph]:
    return one(op, [x], [y])


def binary(op: str, x: T, y: T, z: T) -> list[Graph]:
    table = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}
    return one(op, [x, y], [z], (table[op], {}) if op in table else None)


def padded(y: T, *value: T, paddings: T | None = None, x: T | None = None) -> list[Graph]:
    data = [x or q([4, 5]), paddings or integers(1, 1, 1, 1, shape=[2, 2]), *value]
    return one("PADV2" if value else "PAD", data, [y])


def sliced(x: T, y: T, begin: T, end: T, strides: T) -> list[Graph]:
    return one("STRIDED_SLICE", [x, begin, end, strides], [y], ("StridedSliceOptions", {}))


def matmul(x: T, y: T, z: T) -> list[Graph]:
    return one("BATCH_MATMUL", [x, y], [z], ("BatchMatMulOptions", {}))


def reduced(op: str, y: T) -> list[Graph]:
    return one(op, [PAIR, integers(1)], [y], ("ReducerOptions", {"keep_dims": True}))


def resized(op: str, size: T, x: T | None = None, **options: Any) -> list[Graph]:
    table = {"RESIZE_BILINEAR": "ResizeBilinearOptions", "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions"}
    return one(op, [x or q([1, 2, 2, 3]), size], [q([1, 4, 4, 3])], (table[op], options))


def ones(rank: int, last: int = 1) -> list[int]:
    return [*[1] * (rank - 1), last]


def transposed(rank: int, order: T | None = None) -> list[Graph]:
    return one("TRANSPOSE", [q(ones(rank, 5)), order or integers(*range(rank))], [q(ones(rank, 5))])


def changed(case: str, index: int, **changes: Any) -> list[Graph]:
    """A case of the arena tests with one tensor changed."""
    graph = CASES[case][0]
    tensors = [replace(tensor, **changes) if i == index else tensor for i, tensor in enumerate(graph.tensors)]
    free = list(graph.inputs)
    if "data" in changes or "is_variable" in changes:
        free.append(index)
    return [replace(graph, tensors=tensors, inputs=free)]


def operated(case: str, **changes: Any) -> list[Graph]:
    """A case of the arena tests with its operator changed."""
    graph = CASES[case][0]
    return [replace(graph, operators=[replace(graph.operators[0], **changes)])]


def lstm(kind: str = "FLOAT32", **changes: T | None) -> list[Graph]:
    """A plain LSTM of four units; `in9=...` puts a tensor at an input."""
    is_float = kind == "FLOAT32"

    def tensor(shape: Sequence[int], type: str, **more: Any) -> T:
        data = bytes(prod(shape) * BYTES[type]) if more.pop("constant", False) else None
        return plain(shape, type, data=data, **more) if is_float else q(shape, type, 2**-11, data=data, **more)

    weight, bias, cell = ("FLOAT32",) * 3 if is_float else ("INT8", "INT32", "INT16")
    operands: list[T | None] = [None] * 24
    operands[0] = tensor([1, 2, 4], kind)
    operands[1:9] = [tensor([4, 4], weight, constant=True)] * 8
    operands[12:16] = [tensor([4], bias, constant=True)] * 4
    operands[18], operands[19] = tensor([1, 4], kind, is_variable=True), tensor([1, 4], cell, is_variable=True)
    for name, other in changes.items():
        operands[int(name[2:])] = other
    tensors = [operand for operand in operands if operand is not None]
    places = iter(range(len(tensors)))
    inputs = [-1 if operand is None else next(places) for operand in operands]
    free = [i for i, t in enumerate(tensors) if t.data is None and not t.is_variable]
    options = ("UnidirectionalSequenceLSTMOptions", {"fused_activation_function": 4})
    result = len(tensors)
    operator = Op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [result], options)
    return [Graph([*tensors, tensor([1, 2, 4], kind)], [operator], free, [result])]


def wide(shape: Sequence[int], zero: int = 0, scale: float = 0.5) -> T:
    return q(shape, "INT16", scale, zero)


BARE, BARE16 = plain([1, 4], "INT8"), plain([1, 4], "INT16")
UNIT16 = wide([1, 4], scale=2**-15)
NO_DATA = {"data": None}

REFUSED_AT_ALLOCATION = {
    # the interpreter
    "an open shape": unary("ABS", plain([1, 4]), plain([-1, 4])),
    "an open shape of the input": unary("ABS", plain([-1, 4]), plain([1, 4])),
    "a size of 0": unary("ABS", plain([0, 4]), plain([0, 4])),
    "an intermediate": [
        Graph([plain([4])] * 3, [Op("ABS", [0], [1], intermediates=[2])], [0], [1]),
    ],
    "custom options": operated("ABS", custom_options=b"1234"),
    "empty custom options": operated("ABS", custom_options=b""),
    # weights
    "hybrid convolution": conv(plain([1, 4, 4, 2]), plain([1, 4, 4, 3])),
    "hybrid depthwise": depthwise(plain([1, 4, 4, 3]), plain([1, 4, 4, 3])),
    "hybrid dense": dense(plain([1, 6]), plain([1, 3])),
    "hybrid transposed convolution": transpose_conv(plain([1, 2, 2, 5]), plain([1, 4, 4, 3])),
    "int4 weights with int16 data": conv(wide([1, 4, 4, 2]), wide([1, 4, 4, 3]), type="INT4", data=ZEROS[:27]),
    "int4 transposed convolution": transpose_conv(type="INT4", data=ZEROS[:30]),
    "convolution of uint8": conv(q([1, 4, 4, 2], "UINT8"), q([1, 4, 4, 3], "UINT8"), type="UINT8", scale=[0.1]),
    "dense int16 weights": dense(type="INT16", data=ZEROS[:36]),
    "two scales for three channels": conv(scale=[0.1] * 2),
    "two scales for three depthwise channels": depthwise(scale=[0.1] * 2),
    "two scales for three transposed channels": transpose_conv(scale=[0.1] * 2),
    "two scales for three dense channels": dense(scale=[0.1] * 2),
    "channels along the wrong axis": conv(dimension=3),
    "depthwise channels along the wrong axis": depthwise(dimension=0),
    "transposed channels along the wrong axis": transpose_conv(dimension=3),
    "dense channels along the wrong axis": dense(scale=[0.1] * 3, dimension=1),
    "int4 dense with channels": dense(type="INT4", data=ZEROS[:9], scale=[0.1] * 3),
    "weights without a scale": conv(scale=()),
    "depthwise weights without a scale": depthwise(scale=()),
    "transposed weights without a scale": transpose_conv(scale=()),
    "convolution of unquantised data": conv(plain([1, 4, 4, 2], "INT8")),
    "depthwise of unquantised data": depthwise(plain([1, 4, 4, 3], "INT8")),
    "transposed convolution of unquantised data": transpose_conv(plain([1, 2, 2, 5], "INT8")),
    "bias in another scale": dense(bias=T([3], "INT32", ZEROS[:12], scale=[0.5])),
    "bias without a scale": dense(bias=plain([3], "INT32", data=ZEROS[:12])),
    "dense without a scale of the output": dense(y=plain([1, 3], "INT8")),
    "dense int16 with bias in another scale": dense(wide([1, 6]), wide([1, 3]), T([3], "INT64", ZEROS[:24])),
    "convolution with four inputs": operated("CONV_2D int4", inputs=[0, 1, 2, 2]),
    # equal scales and zero points
    "pool with another scale": pool(y=q([1, 2, 2, 2], scale=0.6)),
    "pool with a slightly different scale": pool(y=q([1, 2, 2, 2], scale=0.50001)),
    "pool with another zero point": pool(y=q([1, 2, 2, 2], zero=1)),
    "pool of int16 with another zero point": pool(wide([1, 4, 4, 2]), wide([1, 2, 2, 2], 1)),
    "pool of unquantised data": pool(plain([1, 4, 4, 2], "INT8")),
    "pool of uint8": pool(q([1, 4, 4, 2], "UINT8"), q([1, 2, 2, 2], "UINT8")),
    "joined with another scale": joined(q([1, 2]), q([1, 2], scale=0.6), ROW),
    "joined with a scale one step away": joined(q([1, 2]), q([1, 2], scale=0.5000001), ROW),
    "joined with another zero point": joined(q([1, 2]), q([1, 2], zero=1), ROW),
    "joined int16 with a zero point": joined(wide([1, 2]), wide([1, 2], 1), wide([1, 4])),
    "joined int16 with a zero point of the result": joined(wide([1, 2]), wide([1, 2]), wide([1, 4], 1)),
    "added with another scale": one("ADD_N", [PAIR, q([2, 5], scale=0.6)], [PAIR]),
    "added with another zero point": one("ADD_N", [PAIR, q([2, 5], zero=1)], [PAIR]),
    "padded with a value of another scale": padded(q([6, 7]), q([1], scale=0.6, data=b"\0")),
    "padded with a value of another zero point": padded(q([6, 7]), q([1], zero=2, data=b"\0")),
    # fixed scales and zero points
    "softmax scale": soft(ROW, q([1, 4], scale=1 / 255, zero=-128)),
    "softmax zero point": soft(ROW, q([1, 4], scale=1 / 256, zero=-127)),
    "softmax to int16 scale": soft(ROW, wide([1, 4], -32768, 2**-15)),
    "softmax to int16 zero point": soft(ROW, wide([1, 4], 0, 2**-16)),
    "softmax int16 zero point": soft(wide([1, 4], 2), UNIT16),
    "softmax int16 zero point of the result": soft(wide([1, 4]), wide([1, 4], 2, 2**-15)),
    "softmax int16 scale": soft(wide([1, 4]), wide([1, 4], scale=2**-14)),
    "softmax from float to int8": soft(plain([1, 4]), q([1, 4], scale=1 / 256, zero=-128)),
    "softmax of a scalar": soft(plain([]), plain([])),
    "softmax of uint8": soft(q([1, 4], "UINT8"), q([1, 4], "UINT8", scale=1 / 256)),
    "logistic zero point": unary("LOGISTIC", ROW, q([1, 4], scale=1 / 256)),
    "logistic int16 zero point": unary("LOGISTIC", wide([1, 4], 1), UNIT16),
    "logistic int16 scale": unary("LOGISTIC", wide([1, 4]), wide([1, 4], scale=2**-14)),
    "tanh int16 zero point": unary("TANH", wide([1, 4], 1), UNIT16),
    "tanh int16 scale": unary("TANH", wide([1, 4]), wide([1, 4], scale=1.2 * 2**-15)),
    "log softmax scale": unary("LOG_SOFTMAX", ROW, q([1, 4], scale=15 / 256, zero=127)),
    "log softmax zero point": unary("LOG_SOFTMAX", ROW, q([1, 4], scale=16 / 256, zero=126)),
    "log softmax shape": unary("LOG_SOFTMAX", ROW, q([4], scale=16 / 256, zero=127)),
    "relu int16 zero point": unary("RELU", wide([1, 4], 3), wide([1, 4])),
    "abs int16 zero point": unary("ABS", wide([1, 4], 3), wide([1, 4])),
    "product int16 zero point": binary("MUL", wide([1, 4]), wide([1, 4], 1), wide([1, 4])),
    "squared difference int16 zero point": binary("SQUARED_DIFFERENCE", wide([1, 4], 1), wide([1, 4]), wide([1, 4])),
    "matrix product int16 zero point": matmul(wide([1, 4, 6], 1), wide([1, 6, 5]), wide([1, 4, 5])),
    # quantisation that is missing, or should be
    "abs without a scale": unary("ABS", ROW, BARE),
    "sum without a scale of the result": binary("ADD", ROW, ROW, BARE),
    "sum of int32 with a scale": binary("ADD", *[q([1, 4], "INT32")] * 3),
    "difference of int32 with a scale": binary("SUB", *[q([1, 4], "INT32")] * 3),
    "quotient of int32 with a scale": binary("DIV", *[q([1, 4], "INT32")] * 3),
    "quantised without a scale": unary("QUANTIZE", plain([1, 4]), BARE),
    "quantised with two scales": unary("QUANTIZE", plain([1, 4]), T([1, 4], scale=[0.5, 0.5])),
    # ranks and sizes
    "bilinear of three dimensions": resized("RESIZE_BILINEAR", integers(4, 4), q([2, 2, 3])),
    "slice of five dimensions": sliced(
        q([1, 1, 1, 4, 5]), q([1, 1, 1, 2, 3]), integers(*[0] * 5), integers(1, 1, 1, 2, 3), integers(*[1] * 5)
    ),
    "transpose of six dimensions": transposed(6),
    "transpose along a missing axis": transposed(2, integers(0, 7)),
    "transpose with too few axes": transposed(2, integers(0)),
    "padding of six dimensions": padded(q(ones(6, 5)), x=q(ones(6, 5)), paddings=integers(*[0] * 12, shape=[6, 2])),
    "paddings that do not give the shape": padded(q([6, 6])),
    "too few paddings": padded(q([6, 7]), paddings=integers(1, 1, shape=[1, 2])),
    "two values to pad with": padded(q([6, 7]), q([2], data=bytes(2))),
    "seven dimensions to join": joined(q(ones(7, 2)), q(ones(7, 2)), q(ones(7, 4)), axis=6),
    "eleven inputs to join": joined(*[q([1, 2])] * 11, q([1, 22])),
    "joined with an activation": joined(q([1, 2]), q([1, 2]), ROW, fused_activation_function=1),
    "matrix product of vectors": matmul(q([6]), q([6]), q([1])),
    "matrix product of six dimensions": matmul(q([1, 1, 1, 1, 4, 6]), q([1, 1, 1, 1, 6, 5]), q([1, 1, 1, 1, 4, 5])),
    "matrix product of other sizes": matmul(q([1, 4, 6]), q([1, 7, 5]), q([1, 4, 5])),
    "squeeze of nine dimensions": one("SQUEEZE", [q([1] * 9)], [q([1] * 9)], ("SqueezeOptions", {})),
    "reshape to more elements": one("RESHAPE", [q([2, 6]), integers(3, 5)], [q([3, 5])], ("ReshapeOptions", {})),
    "reshape with two open sizes": one("RESHAPE", [q([2, 6])], [q([-1, -1])], ("ReshapeOptions", {})),
    "norm of five dimensions": one("L2_NORMALIZATION", [q(ones(5, 4))], [q(ones(5, 4))], ("L2NormOptions", {})),
    "norm with an activation": one(
        "L2_NORMALIZATION", [plain([1, 4])], [plain([1, 4])], ("L2NormOptions", {"fused_activation_function": 1})
    ),
    "blocks of five dimensions": one(
        "SPACE_TO_BATCH_ND", [q(ones(5, 2)), integers(1, 1), integers(*[0] * 4, shape=[2, 2])], [q(ones(5, 2))]
    ),
    "channels that do not divide": one(
        "DEPTH_TO_SPACE", [q([1, 2, 2, 6])], [q([1, 4, 4, 2])], ("DepthToSpaceOptions", {"block_size": 2})
    ),
    "rows that do not divide": one(
        "SPACE_TO_DEPTH", [q([1, 5, 4, 2])], [q([1, 2, 2, 8])], ("SpaceToDepthOptions", {"block_size": 2})
    ),
    "six indices": one("GATHER_ND", [q([1] * 6), plain([1, 6], "INT32")], [q([1])]),
    "broadcast to six dimensions": one("BROADCAST_TO", [q(ones(6, 5)), integers(*ones(6, 5))], [q(ones(6, 5))]),
    "broadcast of tables of sizes": one("BROADCAST_ARGS", [plain([1, 2], "INT32")] * 2, [plain([2], "INT32")]),
    "added in different shapes": one("ADD_N", [PAIR, q([1, 5])], [PAIR]),
    "added alone": one("ADD_N", [PAIR], [PAIR]),
    "two axes to add along": one("CUMSUM", [PAIR, integers(1, 1)], [PAIR], ("CumsumOptions", {})),
    "three sizes": resized("RESIZE_NEAREST_NEIGHBOR", integers(1, 4, 4)),
    "corners both ways": resized("RESIZE_BILINEAR", integers(4, 4), half_pixel_centers=True, align_corners=True),
    "no axis more": one("EXPAND_DIMS", [q([4, 5]), integers(0)], [q([4, 5])]),
    "a stride of 0": sliced(q([4, 5]), q([2, 3]), integers(0, 0), integers(2, 3), integers(0, 0)),
    # operands that have to be constant
    "variable paddings": padded(q([6, 7]), paddings=plain([2, 2], "INT32")),
    "variable order": transposed(2, plain([2], "INT32")),
    "variable size": resized("RESIZE_BILINEAR", plain([2], "INT32")),
    "variable size of neighbours": resized("RESIZE_NEAREST_NEIGHBOR", plain([2], "INT32")),
    "variable begin": sliced(q([4, 5]), q([2, 3]), plain([2], "INT32"), integers(2, 3), integers(1, 1)),
    "variable end": sliced(q([4, 5]), q([2, 3]), integers(0, 0), plain([2], "INT32"), integers(1, 1)),
    "variable axis of a split": changed("SPLIT", 0, **NO_DATA),
    "variable axis of uneven parts": changed("SPLIT_V", 2, **NO_DATA),
    "variable new axis": changed("EXPAND_DIMS", 1, **NO_DATA),
    "variable shape to broadcast to": changed("BROADCAST_TO", 1, **NO_DATA),
    "variable shape to fill": changed("FILL", 0, **NO_DATA),
    # recurrent layers
    "svdf with a state that is no variable": changed("SVDF", 4, is_variable=False),
    "svdf with a bias in another scale": changed("SVDF", 3, scale=[0.9]),
    "svdf with float weights": changed("SVDF", 1, type="FLOAT32", data=ZEROS[:192], scale=()),
    "lstm with 23 inputs": one("UNIDIRECTIONAL_SEQUENCE_LSTM", [plain([1, 1, 4])] * 23, [plain([1, 1, 4])]),
    "lstm with a peephole": lstm(in9=plain([4], data=ZEROS[:16])),
    "lstm with a projection": lstm(in16=plain([4, 4], data=ZEROS[:64])),
    "lstm with layer normalisation": lstm(in20=plain([4], data=ZEROS[:16])),
    "lstm without weights": lstm(in5=None),
    "lstm without a bias": lstm(in14=None),
    "lstm without a state": lstm(in18=None),
    "lstm with an output state that is no variable": lstm(in18=plain([1, 4])),
    "lstm with a cell state that is no variable": lstm(in19=plain([1, 4])),
    "lstm with an int8 cell state": lstm("INT8", in19=q([1, 4], is_variable=True)),
}

REFUSED_AT_INVOKE = {
    "absolute value of int32": unary("ABS", plain([4], "INT32"), plain([4], "INT32")),
    "sine of int8": unary("SIN", ROW, ROW),
    "not of int8": unary("LOGICAL_NOT", ROW, ROW),
    "sum of int64": binary("ADD", *[plain([4], "INT64")] * 3),
    "product of uint8": binary("MUL", *[q([4], "UINT8")] * 3),
    "quotient of int16": binary("DIV", *[wide([4])] * 3),
    "uint8 depthwise": depthwise(
        q([1, 4, 4, 3], "UINT8"), q([1, 4, 4, 3], "UINT8"), type="UINT8", scale=[0.1]
    ),
    "uint8 dense": dense(q([1, 6], "UINT8"), q([1, 3], "UINT8"), type="UINT8"),
    "float bias with int16 data": conv(
        wide([1, 4, 4, 2]), wide([1, 4, 4, 3]), bias=plain([3], "FLOAT32", data=ZEROS[:12])
    ),
    "float to uint8": unary("QUANTIZE", plain([4]), q([4], "UINT8")),
    "int64 cast": one("CAST", [plain([4], "INT64")], [plain([4])], ("CastOptions", {})),
    "int64 position of the largest": one(
        "ARG_MAX", [q([4, 5]), integers(1)], [plain([4], "INT64")], ("ArgMaxOptions", {"output_type": 4})
    ),
    "largest with another scale": reduced("REDUCE_MAX", q([2, 1], scale=0.6)),
    "smallest with another zero point": reduced("REDUCE_MIN", q([2, 1], zero=1)),
    "sum to float": reduced("SUM", plain([2, 1])),
    "squeezed to another type": one(
        "SQUEEZE", [q([1, 3])], [wide([3])], ("SqueezeOptions", {"squeeze_dims": [0]})
    ),
}  # fmt: skip

ENDS_THE_PROCESS = {
    "sum of unquantised data": binary("ADD", BARE, ROW, ROW),
    "sum of unquantised int16": binary("ADD", wide([1, 4]), BARE16, wide([1, 4])),
    "difference without a scale": binary("SUB", ROW, ROW, BARE),
    "squared difference of unquantised data": binary("SQUARED_DIFFERENCE", BARE, ROW, ROW),
    "running sum of unquantised data": one("CUMSUM", [plain([2, 5], "INT8"), integers(1)], [PAIR]),
    "unquantised terms": one("ADD_N", [plain([2, 5], "INT8")] * 2, [plain([2, 5], "INT8")]),
    "slice of six dimensions": one("SLICE", [q(ones(6, 5)), integers(*[0] * 6), integers(*[1] * 6)], [q([1] * 6)]),
    "svdf without a bias": operated("SVDF", inputs=[0, 1, 2, -1, 4]),
    "one operand of a maximum": one("MAXIMUM", [plain([4])], [plain([4])]),
    "one operand of an and": one("LOGICAL_AND", [plain([4], "BOOL")], [plain([4], "BOOL")]),
}  # fmt: skip

# Zeros as inputs are a division by zero, or no data that these can work on.
UNFIT = ("FLOOR_DIV", "FILL", "RESHAPE open size", "TFLM_DECODE", "TFLite_Detection")
TAKEN = {
    **{name: CASES[name] for name in CASES if len(CASES[name]) == 1 and not name.startswith(UNFIT)},
    "depthwise": depthwise(),
    "dense": dense(),
    "one scale, whatever the axis": conv(scale=[0.1], dimension=3),
    "weights with a zero point": conv(zero_point=[3] * 3),
    "a float bias": conv(bias=plain([3], "FLOAT32", data=ZEROS[:12])),
    "a bias in another scale": conv(bias=T([3], "INT32", ZEROS[:12], scale=[0.5] * 3)),
    "an unquantised result": conv(y=plain([1, 4, 4, 3], "INT8")),
    "int16 data": conv(wide([1, 4, 4, 2]), wide([1, 4, 4, 3]), bias=T([3], "INT64", ZEROS[:24])),
    "a bias 5% off": dense(bias=T([3], "INT32", ZEROS[:12], scale=[0.0525])),
    "dense channels with a bias in another scale": dense(scale=[0.1] * 3, bias=T([3], "INT32", ZEROS[:12])),
    "dense of five dimensions": dense(q([1, 1, 1, 1, 6]), q([1, 1, 1, 1, 3])),
    "pool with nearly the same scale": pool(y=q([1, 2, 2, 2], scale=0.5000005)),
    "pool without a scale": pool(plain([1, 4, 4, 2], "INT8"), plain([1, 2, 2, 2], "INT8")),
    "ten inputs to join": joined(*[q([1, 2])] * 10, q([1, 20])),
    "six dimensions to join": joined(q(ones(6, 2)), q(ones(6, 2)), q(ones(6, 4)), axis=5),
    "joined int16 with another scale": joined(wide([1, 2]), wide([1, 2], scale=0.6), wide([1, 4])),
    "softmax": soft(ROW, q([1, 4], scale=1 / 256, zero=-128)),
    "softmax to int16": soft(ROW, wide([1, 4], -32768, 2**-16)),
    "softmax int16 nearly": soft(wide([1, 4]), wide([1, 4], scale=2**-15 * 1.0005)),
    "logistic with any scale": unary("LOGISTIC", ROW, q([1, 4], scale=1 / 128, zero=-128)),
    "log softmax": unary("LOG_SOFTMAX", ROW, q([1, 4], scale=16 / 256, zero=127)),
    "sum int16 with a zero point": binary("ADD", *[wide([1, 4], 1)] * 3),
    "sum over six dimensions": binary("ADD", q(ones(6, 4)), q([2, 1]), q([1, 1, 1, 1, 2, 4])),
    "product without scales": binary("MUL", BARE, BARE, BARE),
    "padding of five dimensions": padded(
        q(ones(5, 5)), x=q(ones(5, 5)), paddings=integers(*[0] * 10, shape=[5, 2])
    ),
    "transpose of five dimensions": transposed(5),
    "svdf": CASES["SVDF"],
    "lstm": lstm(),
    "lstm int8": lstm("INT8"),
}  # fmt: skip
