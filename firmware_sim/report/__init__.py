"""Memory reports for people and for programs: one format a file, found by its name in a registry."""

from firmware_sim.report.registry import Style, formats, register, render
from firmware_sim.report.schema import schema

__all__ = ["Style", "formats", "register", "render", "schema"]
