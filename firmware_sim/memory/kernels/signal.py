"""Operators of TFLM's signal library (signal/micro/kernels), which are custom operators with flexbuffer options."""

from __future__ import annotations

from math import prod
from typing import Final

from firmware_sim.memory.elements import round_up
from firmware_sim.memory.kernels.context import Node, initialises, prepares
from firmware_sim.memory.kernels.custom import integer_option, not_measured
from firmware_sim.schema import TENSOR_TYPE_BY_CODE

# Bytes of one complex number of the FFT of each type.
_COMPLEX_BYTES: Final = {"INT16": 4, "INT32": 8, "FLOAT32": 8}
_KISS_FFT_BYTES: Final = 264
_MAX_ROWS: Final = 10_000  # each takes an allocation of its own


def _by_pointer(node: Node, narrow: int, wide: int) -> int:
    return narrow if node.profile.pointer_bytes == 4 else wide


def _transform_type(node: Node) -> str:
    kind = TENSOR_TYPE_BY_CODE.get(integer_option(node, "T"))
    if kind is None or kind.name not in _COMPLEX_BYTES:
        raise node.error("transforms int16, int32 or float32 only")
    return kind.name


def _fft_state(node: Node, kind: str) -> int:
    """State of a real transform (kiss_fftr_alloc): three pointers, the half-length complex transform, two tables."""
    half = integer_option(node, "fft_length", minimum=2) // 2
    unit = _COMPLEX_BYTES[kind]
    return _by_pointer(node, 12, 24) + _KISS_FFT_BYTES + unit * half + unit * (3 * half // 2)


@initialises("SignalRfft")
def rfft_init(node: Node) -> None:
    """Source: rfft.cc."""
    node.persistent(_by_pointer(node, 32, 48), _fft_state(node, _transform_type(node)))


@prepares("SignalRfft")
def rfft(node: Node) -> None:
    """A work area of one frame. Source: rfft.cc."""
    unit = _COMPLEX_BYTES[_transform_type(node)] // 2
    node.scratch(unit * integer_option(node, "fft_length"))


@initialises("SignalIrfft")
def irfft_init(node: Node) -> None:
    """The float transform keeps its length beside the state. Source: irfft.cc, signal/src/irfft_float.cc."""
    not_measured(node)
    kind = _transform_type(node)
    header = _by_pointer(node, 8, 16) if kind == "FLOAT32" else 0
    node.persistent(_by_pointer(node, 24, 32), header + _fft_state(node, kind))


@initialises("SignalEnergy", "SignalWindow", "SignalFilterBankLog")
def two_parameters(node: Node) -> None:
    """Source: energy.cc, window.cc, filter_bank_log.cc."""
    node.persistent(8)


@initialises("SignalPCAN")
def pcan_init(node: Node) -> None:
    """Source: pcan.cc."""
    node.persistent(4)


@initialises("SignalFftAutoScale", "SignalFilterBankSquareRoot")
def stateless(_: Node) -> None:
    """Nothing to keep. Source: fft_auto_scale_common.cc, filter_bank_square_root_common.cc."""


@initialises("SignalFilterBank")
def filter_bank_init(node: Node) -> None:
    """A 64-bit accumulator per channel and one more. Source: filter_bank.cc."""
    node.persistent(_by_pointer(node, 36, 64), 8 * (integer_option(node, "num_channels") + 1))


@initialises("SignalFilterBankSpectralSubtraction")
def spectral_subtraction_init(node: Node) -> None:
    """A noise estimate per channel. Source: filter_bank_spectral_subtraction.cc."""
    node.persistent(_by_pointer(node, 44, 56), 4 * integer_option(node, "num_channels"))


def _outer(node: Node, inner_axes: int = 1) -> int:
    shape = node.input(0).shape
    if len(shape) < inner_axes:
        raise node.error(f"input of shape {list(shape)} has fewer than {inner_axes} axes")
    outer = prod(shape[: len(shape) - inner_axes])
    if outer > _MAX_ROWS:
        raise node.error(f"{outer} rows; more than {_MAX_ROWS} are not supported")
    return outer


def _circular_buffer(node: Node, capacity: int) -> int:
    """int16 samples, mirrored (signal/src/circular_buffer.h)."""
    return _by_pointer(node, 24, 40) + 4 * capacity


def _circular_buffers(node: Node, capacity: int) -> None:
    outer = _outer(node)
    pointers = node.profile.pointer_bytes * outer
    node.persistent(pointers, pointers, *[_circular_buffer(node, capacity)] * outer)


@initialises("SignalDelay")
def delay_init(node: Node) -> None:
    """Source: delay.cc."""
    node.persistent(_by_pointer(node, 20, 32))


@prepares("SignalDelay")
def delay(node: Node) -> None:
    """A circular buffer per row. Source: delay.cc."""
    not_measured(node)
    _circular_buffers(node, node.dimension(node.input(0), -1) + integer_option(node, "delay_length"))


@initialises("SignalFramer")
def framer_init(node: Node) -> None:
    """Source: framer.cc."""
    node.persistent(_by_pointer(node, 28, 40))


@prepares("SignalFramer")
def framer(node: Node) -> None:
    """A circular buffer per row, of whole steps. Source: framer.cc."""
    not_measured(node)
    step = integer_option(node, "frame_step", minimum=1)
    _circular_buffers(node, round_up(integer_option(node, "frame_size"), step))


@initialises("SignalStacker")
def stacker_init(node: Node) -> None:
    """Source: stacker.cc."""
    node.persistent(_by_pointer(node, 36, 56))


@prepares("SignalStacker")
def stacker(node: Node) -> None:
    """One circular buffer. Source: stacker.cc."""
    not_measured(node)
    frames = integer_option(node, "stacker_left_context") + integer_option(node, "stacker_right_context") + 1
    node.persistent(_circular_buffer(node, integer_option(node, "num_channels") * frames))


@initialises("SignalOverlapAdd")
def overlap_add_init(node: Node) -> None:
    """Source: overlap_add.cc."""
    node.persistent(_by_pointer(node, 24, 32))


@prepares("SignalOverlapAdd")
def overlap_add(node: Node) -> None:
    """A frame per row. Source: overlap_add.cc."""
    not_measured(node)
    outer = _outer(node, inner_axes=2)
    unit = _COMPLEX_BYTES[_transform_type(node)] // 2
    frame_bytes = node.dimension(node.input(0), -1) * unit
    node.persistent(node.profile.pointer_bytes * outer, *[frame_bytes] * outer)
