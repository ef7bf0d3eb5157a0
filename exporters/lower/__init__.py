"""How each kind of torch layer becomes TFLite operators; one family of layers a file."""

from exporters.lower import activations, arithmetic, convolutions, pools
from exporters.lower.builder import Builder, Value
from exporters.lower.registry import Lowering, find, lower_module, names, register

__all__ = ["Builder", "Lowering", "Value", "find", "lower_module", "names", "register"]
__all__ += ["activations", "arithmetic", "convolutions", "pools"]
