"""Buffer sizes of CMSIS-NN, worked out by hand from its formulas, and the size tables."""

from __future__ import annotations

import pytest
from flatbuffers import flexbuffers
from support.tflite_files import Graph, Op, T, convolution_options, tflite

from firmware_sim import flexbuffer, memreport, profiles, read
from firmware_sim.errors import ModelError
from firmware_sim.memory import sizes
from firmware_sim.schema import OPERATORS

ISAS = ("cortex-m-cmsis-nn", "cortex-m-cmsis-nn-dsp", "cortex-m-cmsis-nn-mve")


def scratch(graph: Graph, profile: str) -> list[int]:
    """Scratch buffers in the head, rounded up to 16."""
    report = memreport(read(tflite(graph)), profile=profile)
    return [buffer.bytes for buffer in report.buffers if buffer.kind == "scratch"]


def convolution(data: list[int], weights: list[int], result: list[int], type: str = "INT8", **options: int) -> Graph:
    constant = bytes(1 << 14)
    count = weights[0] * weights[1] * weights[2] * weights[3]
    return Graph(
        [T(data, type), T(weights, data=constant[:count]), T(result, type)],
        [Op("CONV_2D", [0, 1], [2], convolution_options(**options))],
        [0],
        [2],
    )


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        # 3x3x5 = 45 columns: 4 * 48; with Helium 64 * 3.
        (convolution([1, 8, 8, 5], [4, 3, 3, 5], [1, 8, 8, 4]), ([192], [192], [192])),
        # A 1x1 convolution needs none, whatever its stride.
        (convolution([1, 8, 8, 5], [4, 1, 1, 5], [1, 4, 4, 4], stride=2), ([], [], [])),
        # Grouped 1x1: input channels differ from the filter's.
        (convolution([1, 8, 8, 8], [4, 1, 1, 4], [1, 8, 8, 4]), ([32], [32], [64])),
        # A row: 3 wide, 4 channels, padded by 1: max(12 + 4, 8 + 4) with Helium.
        (convolution([1, 1, 16, 4], [4, 1, 3, 4], [1, 1, 16, 4]), ([48], [48], [16])),
        # int16: 4 * 45, with Helium 64 * 6.
        (convolution([1, 8, 8, 5], [4, 3, 3, 5], [1, 8, 8, 4], "INT16"), ([192], [192], [384])),
    ],
)
def test_convolution_buffers(graph: Graph, expected: tuple[list[int], ...]):
    assert tuple(scratch(graph, profile) for profile in ISAS) == expected


@pytest.mark.parametrize(
    ("kernel", "expected"),
    # in_c = 8: without DSP none; DSP 2 * 8 * taps, but nothing for 3x3; Helium 4 * 124 * taps.
    [(3, ([], [], [4464])), (5, ([], [400], [12400]))],
)
def test_depthwise_buffers(kernel: int, expected: tuple[list[int], ...]):
    graph = Graph(
        [T([1, 8, 8, 8]), T([1, kernel, kernel, 8], data=bytes(8 * kernel**2), dimension=3), T([1, 8, 8, 8])],
        [
            Op(
                "DEPTHWISE_CONV_2D",
                [0, 1],
                [2],
                ("DepthwiseConv2DOptions", {"stride_w": 1, "stride_h": 1, "depth_multiplier": 1}),
            )
        ],
        [0],
        [2],
    )
    assert tuple(scratch(graph, profile) for profile in ISAS) == expected


def test_every_row_has_a_column_for_every_profile():
    for id in profiles.names():
        profile = profiles.get(id)
        for op in OPERATORS:
            for size in (sizes.builtin_data(profile, op), sizes.opdata(profile, op)):
                assert size is None or size.bytes > 0
        assert sizes.core(profile, "TfLiteEvalTensor").bytes == 3 * profile.pointer_bytes


def test_tables_name_operators_that_exist():
    for name in ("builtin", "opdata-reference", "opdata-cmsis-nn"):
        table = sizes._table(name)
        assert {*table["sizes"], *table.get("none", ())} <= OPERATORS.keys()
        assert all(row["source"] for row in table["sizes"].values())
    assert not sizes.is_known("GELU")
    assert sizes.is_known("SOFTMAX")


def test_flexbuffer_numbers():
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key("big")
        builder.Int(-70_000)
        builder.Key("flag")
        builder.Bool(True)
        builder.Key("half")
        builder.Float(0.5)
        builder.Key("name")
        builder.String("ignored")
        builder.Key("unsigned")
        builder.UInt(200)
    data = memoryview(bytes(builder.Finish()))
    assert flexbuffer.numbers(data) == {"big": -70_000, "flag": 1, "half": 0.5, "unsigned": 200}
    for length in range(len(data)):
        for part in (data[:length], data[length + 1 :]):
            try:
                flexbuffer.numbers(part)
            except ModelError:
                continue


@pytest.mark.parametrize("options", [b"", b"\0", b"\1\2\3\4\5\6\7\x26\1"])
def test_damaged_options_of_a_custom_operator(options: bytes):
    graph = Graph([T([40]), T([40])], [Op("SignalFilterBank", [0], [1], custom_options=options)], [0], [1])
    with pytest.raises(ModelError, match=r"operator 0 \(SignalFilterBank\)"):
        memreport(read(tflite(graph)))
