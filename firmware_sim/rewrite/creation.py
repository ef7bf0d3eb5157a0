"""Records of tensors, operators and operator codes that a pass has made: what is in no record of the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from firmware_sim.errors import InternalError
from firmware_sim.model import Operator, Tensor
from firmware_sim.rewrite.records import Record, Value
from firmware_sim.schema import OPERATORS, OPTIONS, TENSOR_TYPES

_LARGEST_OLD_CODE: Final = 127
"""Operators up to this code are named in the byte-sized field too, all others have this placeholder there (schema.fbs)."""

_OPTIONS: Final[Mapping[str, str]] = {
    "ADD": "AddOptions",
    "CONCATENATION": "ConcatenationOptions",
    "DYNAMIC_UPDATE_SLICE": "DynamicUpdateSliceOptions",
    "LESS": "LessOptions",
    "PAD": "PadOptions",
    "SLICE": "SliceOptions",
    "WHILE": "WhileOptions",
}


def tensor_record(tensor: Tensor) -> Record:
    """The record of a tensor that is no other's copy; its buffer is the caller's."""
    fields: dict[str, Value] = {"shape": tensor.shape, "name": tensor.name.encode()}
    code = TENSOR_TYPES[tensor.type].code
    if code:
        fields["type"] = code
    quantization = tensor.quantization
    if quantization is not None:
        fields["quantization"] = Record(
            "QuantizationParameters",
            {
                "scale": quantization.scale,
                "zero_point": quantization.zero_point,
                **({"quantized_dimension": quantization.dimension} if quantization.dimension else {}),
            },
        )
    return Record("Tensor", fields)


def operator_record(operator: Operator) -> Record:
    """The record of a builtin operator without inputs, outputs and code, which are the caller's.

    Raises:
        InternalError: options of this operator are not known here.
    """
    name = _OPTIONS.get(operator.op)
    if name is None or operator.is_custom:
        raise InternalError(f"an operator {operator.op} cannot be made")
    options = OPTIONS.get(name)
    defaults = {} if options is None else {field.name: field.default for field in options.fields.values()}
    values: dict[str, Value] = {
        key: value
        for key, value in operator.options.items()
        if defaults.get(key) != value and not isinstance(value, str)
    }
    code = _code_of(name)
    return Record("Operator", {"builtin_options_type": code, "builtin_options": Record(name, values)})


def _code_of(name: str) -> int:
    from firmware_sim.schema.rest import UNIONS

    return next(code for code, table in UNIONS["BuiltinOptions"].items() if table == name)


def code_record(operator: Operator) -> Record:
    """The operator code of an operator that was made."""
    code = OPERATORS[operator.op]
    fields: dict[str, Value] = {"deprecated_builtin_code": min(code, _LARGEST_OLD_CODE), "builtin_code": code}
    if operator.version != 1:
        fields["version"] = operator.version
    return Record("OperatorCode", {key: value for key, value in fields.items() if value})
