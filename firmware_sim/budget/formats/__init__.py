"""The outcome of a check, one format a file, imported when it is used."""

from firmware_sim.budget.formats.registry import FormatContext, formats, render

__all__ = ["FormatContext", "formats", "render"]
