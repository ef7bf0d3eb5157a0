"""How each kind of torch layer, function and method becomes TFLite operators; one family a file."""

from exporters.lower import activations, arithmetic, convolutions, pools, shapes
from exporters.lower.builder import Builder
from exporters.lower.registry import Lowering, find, lower_function, lower_module, names, register, register_function
from exporters.lower.value import Value

__all__ = ["Builder", "Lowering", "Value", "find", "lower_function", "lower_module", "names", "register"]
__all__ += ["activations", "arithmetic", "convolutions", "pools", "register_function", "shapes"]
