"""One small model per operator, in the wheel of TFLM on this machine: Init, Prepare and builtin data of each."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from flatbuffers import flexbuffers
from support.tflite_files import Graph, Op, T, convolution_options, small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.errors import SapoolError
from firmware_sim.run.tflm import Tflm
from firmware_sim.schema import PADDING, TENSOR_TYPES

pytest.importorskip("tflite_micro")
pytestmark = pytest.mark.oracle

ZEROS = bytes(1 << 12)
VALID = PADDING["VALID"]
F32 = TENSOR_TYPES["FLOAT32"].code
I32 = TENSOR_TYPES["INT32"].code


def plain(shape: Sequence[int], type: str = "FLOAT32", **more: Any) -> T:
    """A tensor that is not quantised."""
    return T(shape, type, scale=(), **more)


def integers(*values: int, shape: Sequence[int] | None = None) -> T:
    """A constant of int32."""
    data = struct.pack(f"<{len(values)}i", *values)
    return plain([len(values)] if shape is None else shape, "INT32", data=data)


def flex(**options: int | float | bool) -> bytes:
    """Options of a custom operator."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in sorted(options.items()):
            builder.Key(name)
            {bool: builder.Bool, int: builder.Int, float: builder.Float}[type(value)](value)
    return bytes(builder.Finish())


def one(
    op: str,
    inputs: Sequence[T],
    outputs: Sequence[T],
    options: tuple[str, Mapping[str, Any]] | None = None,
    custom: bytes | None = None,
) -> list[Graph]:
    """A model of a single operator."""
    count = len(inputs)
    results = range(count, count + len(outputs))
    free = [i for i, tensor in enumerate(inputs) if tensor.data is None and not tensor.is_variable]
    return [Graph([*inputs, *outputs], [Op(op, range(count), results, options, custom)], free, results)]


UNARY = (
    "ABS", "SIN", "COS", "LOG", "SQRT", "RSQRT", "SQUARE", "EXP", "CEIL", "FLOOR", "ROUND", "NEG", "ELU", "RELU", "RELU6",
    "LOGISTIC", "TANH", "HARD_SWISH", "ZEROS_LIKE", "LOG_SOFTMAX",
)  # fmt: skip
BINARY = {
    "ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions", "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions", "FLOOR_DIV": "FloorDivOptions", "FLOOR_MOD": "FloorModOptions",
}  # fmt: skip
COMPARISONS = ["EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"]
SIGNALS = {"INT16": "int16", "INT32": "int32", "FLOAT32": "float"}
POOL = {"padding": VALID, "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2}


def elementwise() -> dict[str, list[Graph]]:
    row, quantised, truth = plain([2, 5]), T([2, 5]), plain([2, 5], "BOOL")
    cases = {op: one(op, [row], [row]) for op in UNARY}
    cases |= {op: one(op, [row, row], [row], (options, {})) for op, options in BINARY.items()}
    cases |= {op: one(op, [row, row], [truth]) for op in COMPARISONS}
    cases |= {op: one(op, [truth, truth], [truth]) for op in ("LOGICAL_AND", "LOGICAL_OR")}
    sixteen = T([2, 5], "INT16")
    return cases | {
        "LOGICAL_NOT": one("LOGICAL_NOT", [truth], [truth]),
        "LEAKY_RELU": one("LEAKY_RELU", [row], [row], ("LeakyReluOptions", {"alpha": 0.1})),
        "L2_NORMALIZATION": one("L2_NORMALIZATION", [row], [row], ("L2NormOptions", {})),
        "SOFTMAX int16": one(
            "SOFTMAX", [sixteen], [T([2, 5], "INT16", scale=[2**-15])], ("SoftmaxOptions", {"beta": 1.0})
        ),
        "ADD_N int8": one("ADD_N", [quantised] * 3, [quantised]),
        "ADD_N float": one("ADD_N", [row] * 3, [row]),
        "CUMSUM": one("CUMSUM", [quantised, integers(1)], [quantised], ("CumsumOptions", {})),
        "CAST": one("CAST", [row], [plain([2, 5], "INT32")], ("CastOptions", {})),
        "QUANTIZE": one("QUANTIZE", [row], [quantised]),
        "DEQUANTIZE": one("DEQUANTIZE", [quantised], [row]),
        "PRELU": one("PRELU", [T([1, 2, 2, 3]), T([1, 1, 3], data=ZEROS[:3])], [T([1, 2, 2, 3])]),
        "SELECT_V2": one("SELECT_V2", [truth, quantised, quantised], [quantised]),
        "CUSTOM circular buffer": one(
            "CIRCULAR_BUFFER", [T([1, 1, 1, 8])], [T([1, 5, 1, 8])], custom=flex(cycles_max=1)
        ),
    }


def arrays() -> dict[str, list[Graph]]:
    table, none = T([4, 5]), integers(0, 0, 0, 0, shape=[2, 2])
    ones = integers(1, 1, 1, 1, shape=[2, 2])
    small, large = T([1, 2, 2, 8]), T([1, 4, 4, 2])
    return {
        "ARG_MAX": one("ARG_MAX", [table, integers(1)], [plain([4], "INT32")], ("ArgMaxOptions", {"output_type": I32})),
        "ARG_MIN": one("ARG_MIN", [table, integers(1)], [plain([4], "INT32")], ("ArgMinOptions", {"output_type": I32})),
        "DEPTH_TO_SPACE": one("DEPTH_TO_SPACE", [small], [large], ("DepthToSpaceOptions", {"block_size": 2})),
        "SPACE_TO_DEPTH": one("SPACE_TO_DEPTH", [large], [small], ("SpaceToDepthOptions", {"block_size": 2})),
        "SPACE_TO_BATCH_ND": one("SPACE_TO_BATCH_ND", [large, integers(2, 2), none], [T([4, 2, 2, 2])]),
        "BATCH_TO_SPACE_ND": one("BATCH_TO_SPACE_ND", [T([4, 2, 2, 2]), integers(2, 2), none], [large]),
        "BROADCAST_ARGS": one("BROADCAST_ARGS", [plain([2], "INT32")] * 2, [plain([2], "INT32")]),
        "BROADCAST_TO": one("BROADCAST_TO", [T([1, 5]), integers(4, 5)], [table]),
        "DYNAMIC_UPDATE_SLICE": one("DYNAMIC_UPDATE_SLICE", [table, T([2, 5]), integers(1, 0)], [table]),
        "EMBEDDING_LOOKUP": one("EMBEDDING_LOOKUP", [plain([3], "INT32"), T([8, 5], data=ZEROS[:40])], [T([3, 5])]),
        "EXPAND_DIMS": one("EXPAND_DIMS", [table, integers(0)], [T([1, 4, 5])]),
        "FILL": one("FILL", [integers(2, 3), plain([], "INT8")], [plain([2, 3], "INT8")]),
        "GATHER": one("GATHER", [table, plain([2], "INT32")], [T([2, 5])], ("GatherOptions", {})),
        "GATHER_ND": one("GATHER_ND", [table, plain([2, 1], "INT32")], [T([2, 5])]),
        "MIRROR_PAD": one("MIRROR_PAD", [table, ones], [T([6, 7])], ("MirrorPadOptions", {})),
        "PACK": one("PACK", [T([4]), T([4])], [T([2, 4])], ("PackOptions", {"values_count": 2})),
        "UNPACK": one("UNPACK", [T([2, 4])], [T([4]), T([4])], ("UnpackOptions", {"num": 2})),
        "PADV2": one("PADV2", [table, ones, T([1], data=b"\0")], [T([6, 7])]),
        "RESHAPE open size": one(
            "RESHAPE", [T([2, 6]), integers(3, -1)], [T([3, -1])], ("ReshapeOptions", {"new_shape": [3, -1]})
        ),
        "RESIZE_BILINEAR": one(
            "RESIZE_BILINEAR", [T([1, 2, 2, 3]), integers(4, 4)], [T([1, 4, 4, 3])], ("ResizeBilinearOptions", {})
        ),
        "RESIZE_NEAREST_NEIGHBOR": one(
            "RESIZE_NEAREST_NEIGHBOR",
            [T([1, 2, 2, 3]), integers(4, 4)],
            [T([1, 4, 4, 3])],
            ("ResizeNearestNeighborOptions", {}),
        ),
        "REVERSE_V2": one("REVERSE_V2", [table, integers(1)], [table]),
        "SHAPE": one("SHAPE", [table], [plain([2], "INT32")], ("ShapeOptions", {"out_type": I32})),
        "SLICE": one("SLICE", [table, integers(0, 0), integers(2, 3)], [T([2, 3])]),
        "SPLIT": one("SPLIT", [integers(0), table], [T([2, 5])] * 2, ("SplitOptions", {"num_splits": 2})),
        "SPLIT_V": one(
            "SPLIT_V",
            [table, integers(1, 3), integers(0)],
            [T([1, 5]), T([3, 5])],
            ("SplitVOptions", {"num_splits": 2}),
        ),
        "SQUEEZE": one("SQUEEZE", [T([1, 3])], [T([3])], ("SqueezeOptions", {"squeeze_dims": [0]})),
        "TRANSPOSE": one("TRANSPOSE", [table, integers(1, 0)], [T([5, 4])], ("TransposeOptions", {})),
    }


def layers() -> dict[str, list[Graph]]:
    feature, time = T([8, 6], data=ZEROS[:48]), T([8, 4], "INT16", ZEROS[:64])
    svdf = ("SVDFOptions", {"rank": 2, "fused_activation_function": 1})
    reducer = ("ReducerOptions", {"keep_dims": True})
    cases = {
        op: one(op, [T([2, 5]), integers(1)], [T([2, 1])], reducer)
        for op in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")
    }
    return cases | {
        "REDUCE_ALL": one("REDUCE_ALL", [plain([2, 5], "BOOL"), integers(1)], [plain([2, 1], "BOOL")], reducer),
        "MEAN float": one("MEAN", [plain([2, 5]), integers(1)], [plain([2, 1])], reducer),
        "L2_POOL_2D": one("L2_POOL_2D", [plain([1, 4, 4, 2])], [plain([1, 2, 2, 2])], ("Pool2DOptions", POOL)),
        "MAX_POOL_2D": one("MAX_POOL_2D", [T([1, 4, 4, 2])], [T([1, 2, 2, 2])], ("Pool2DOptions", POOL)),
        "CONV_2D float": one(
            "CONV_2D",
            [plain([1, 4, 4, 2]), plain([3, 3, 3, 2], data=ZEROS[:216])],
            [plain([1, 4, 4, 3])],
            convolution_options(),
        ),
        "CONV_2D int4": one(
            "CONV_2D",
            [T([1, 4, 4, 2]), T([3, 3, 3, 2], "INT4", ZEROS[:27]), T([3], "INT32", ZEROS[:12], scale=[0.25])],
            [T([1, 4, 4, 3])],
            convolution_options(),
        ),
        "TRANSPOSE_CONV": one(
            "TRANSPOSE_CONV",
            [
                integers(1, 4, 4, 3),
                T([3, 2, 2, 5], data=ZEROS[:60], scale=[0.1] * 3),
                T([1, 2, 2, 5]),
                T([3], "INT32", ZEROS[:12], scale=[0.05] * 3),
            ],
            [T([1, 4, 4, 3])],
            ("TransposeConvOptions", {"padding": VALID, "stride_w": 2, "stride_h": 2}),
        ),
        "FULLY_CONNECTED per channel": one(
            "FULLY_CONNECTED",
            [T([1, 6]), T([3, 6], data=ZEROS[:18], scale=[0.1] * 3), T([3], "INT32", ZEROS[:12], scale=[0.05] * 3)],
            [T([1, 3])],
            ("FullyConnectedOptions", {}),
        ),
        "BATCH_MATMUL": one("BATCH_MATMUL", [T([1, 4, 6]), T([1, 6, 5])], [T([1, 4, 5])], ("BatchMatMulOptions", {})),
        "BATCH_MATMUL transposed": one(
            "BATCH_MATMUL",
            [T([1, 6, 4], "INT16"), T([1, 5, 6], "INT16")],
            [T([1, 4, 5], "INT16")],
            ("BatchMatMulOptions", {"adj_x": True, "adj_y": True}),
        ),
        "SVDF": one(
            "SVDF",
            [
                T([1, 6]), feature, time, T([4], "INT32", ZEROS[:16], scale=[0.25]),
                T([1, 32], "INT16", is_variable=True),
            ],
            [T([1, 4])],
            svdf,
        ),
        "small network": [small_network()],
    }  # fmt: skip


def signals() -> dict[str, list[Graph]]:
    sound, stereo, valid = plain([1, 20], "INT16"), plain([2, 30], "INT16"), plain([], "BOOL")
    cases = {}
    for kind, name in SIGNALS.items():
        code = TENSOR_TYPES[kind].code
        cases[f"SignalRfft {name}"] = one(
            "SignalRfft", [plain([1, 64], kind)], [plain([1, 66], kind)], custom=flex(T=code, fft_length=64)
        )
        cases[f"SignalIrfft {name}"] = one(
            "SignalIrfft", [plain([1, 66], kind)], [plain([1, 64], kind)], custom=flex(T=code, fft_length=64)
        )
    return cases | {
        "SignalDelay": one("SignalDelay", [stereo], [stereo], custom=flex(delay_length=7)),
        "SignalFramer": one(
            "SignalFramer",
            [sound],
            [plain([1, 2, 25], "INT16"), valid],
            custom=flex(frame_size=25, frame_step=10, prefill=True),
        ),
        "SignalStacker": one(
            "SignalStacker",
            [plain([40], "INT16")],
            [plain([200], "INT16"), valid],
            custom=flex(num_channels=40, stacker_left_context=3, stacker_right_context=1, stacker_step=2),
        ),
        "SignalOverlapAdd": one(
            "SignalOverlapAdd", [plain([3, 2, 31])], [plain([3, 32])], custom=flex(T=F32, frame_step=16)
        ),
        "TFLite_Detection_PostProcess": one(
            "TFLite_Detection_PostProcess",
            [plain([1, 6, 4]), plain([1, 6, 3]), plain([6, 4], data=ZEROS[:96])],
            [plain([1, 3, 4]), plain([1, 3]), plain([1, 3]), plain([1])],
            custom=flex(
                detections_per_class=1, max_classes_per_detection=1, max_detections=3, num_classes=2,
                nms_iou_threshold=0.5, nms_score_threshold=0.0, use_regular_nms=False,
                h_scale=5.0, w_scale=5.0, x_scale=10.0, y_scale=10.0,
            ),
        ),
    }  # fmt: skip


def decoders() -> dict[str, list[Graph]]:
    cases = {}
    for name, code in (("table", 0), ("Huffman", 1), ("pruning", 2)):
        # Type, then the version, which older releases read at byte 1 and newer ones at byte 4.
        ancillary = bytes([code, 1, 0, 0, 1, 4, 16]) + bytes(73)
        inputs = [plain([8], "UINT8", data=ZEROS[:8]), plain([80], "UINT8", data=ancillary)]
        for scales in (1, 4):
            output = T([16], scale=[0.1] * scales, zero_point=[*range(1, scales + 1)])
            cases[f"TFLM_DECODE {name} {scales}"] = one("TFLM_DECODE", inputs, [output])
    return cases


def control_flow() -> dict[str, list[Graph]]:
    row, number, truth, handle = plain([3]), plain([1], "INT32"), plain([1], "BOOL"), plain([], "RESOURCE")
    variable = ("VarHandleOptions", {"container": "c", "shared_name": "v"})

    def branch(op: str) -> Graph:
        return Graph([row, row, plain([40])], [Op(op, [0], [1])], [0], [1])

    once = Graph(
        [handle, plain([3], data=ZEROS[:12])],
        [Op("VAR_HANDLE", [], [0], variable), Op("ASSIGN_VARIABLE", [0, 1], [])],
        [],
        [],
    )
    counting = Graph([number, integers(1), number], [Op("ADD", [0, 1], [2], ("AddOptions", {}))], [0], [2])
    condition = Graph([number, integers(9), truth], [Op("LESS", [0, 1], [2])], [0], [2])
    choice = ("IfOptions", {"then_subgraph_index": 1, "else_subgraph_index": 2})
    loop = ("WhileOptions", {"cond_subgraph_index": 1, "body_subgraph_index": 2})
    return {
        "IF": [Graph([truth, row, row], [Op("IF", [0, 1], [2], choice)], [0, 1], [2]), branch("ABS"), branch("NEG")],
        "WHILE": [Graph([number, number], [Op("WHILE", [0], [1], loop)], [0], [1]), condition, counting],
        "variables": [
            Graph(
                [row, handle, row, row],
                [
                    Op("CALL_ONCE", [], [], ("CallOnceOptions", {"init_subgraph_index": 1})),
                    Op("VAR_HANDLE", [], [1], variable),
                    Op("READ_VARIABLE", [1], [2]),
                    Op("ADD", [0, 2], [3], ("AddOptions", {})),
                ],
                [0],
                [3],
            ),
            once,
        ],
    }


CASES = {
    **elementwise(), **arrays(), **layers(), **signals(), **decoders(), **control_flow(),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_arena_is_what_tflm_uses(name: str):
    data = tflite(*CASES[name])
    measured = Tflm(data, arena_bytes=1 << 18).arena
    arena = memreport(read(data)).arena
    assert arena.exact
    assert (arena.total_bytes, arena.head_bytes, arena.tail_bytes) == (
        measured.total_bytes,
        measured.head_bytes,
        measured.tail_bytes,
    )


def offline(*offsets: int) -> dict[str, bytes]:
    return {"OfflineMemoryAllocation": struct.pack(f"<{3 + len(offsets)}i", 1, 0, len(offsets), *offsets)}


@pytest.mark.parametrize("offset", [-1, 0, 2048])
def test_offline_plan_is_what_tflm_follows(offset: int):
    graph = small_network()
    offsets = [offset if tensor.name == "features" else -1 for tensor in graph.tensors]
    data = tflite(graph, metadata=offline(*offsets))
    measured = Tflm(data, arena_bytes=1 << 18).arena
    report = memreport(read(data))
    assert report.arena.head_bytes == measured.head_bytes
    assert report.arena.total_bytes == measured.total_bytes
    placed = next(buffer for buffer in report.buffers if buffer.name == "features")
    assert offset < 0 or placed.offset == offset


@pytest.mark.parametrize("name", ["small network", "IF", "variables", "SVDF", "TRANSPOSE_CONV", "SignalDelay"])
def test_minimum_initialises(name: str):
    data = tflite(*CASES[name])
    arena = memreport(read(data)).arena
    assert arena.minimum_bytes is not None
    assert arena.minimum_bytes >= arena.total_bytes
    Tflm(data, arena_bytes=arena.minimum_bytes)
    if "minimum_bytes" not in arena.inexact:
        with pytest.raises(SapoolError):
            Tflm(data, arena_bytes=arena.minimum_bytes - 16)
