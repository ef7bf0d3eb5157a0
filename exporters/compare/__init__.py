"""Where the int8 form of a network departs from the float one, layer by layer."""

from exporters.compare.formats import format_of, formats, render
from exporters.compare.measure import compare
from exporters.compare.result import Comparison, LayerError

__all__ = ["Comparison", "LayerError", "compare", "format_of", "formats", "render"]
