"""The error that exporters raise."""

from __future__ import annotations

from firmware_sim.errors import ModelError


class ExportError(ModelError):
    """A module that cannot be exported: `where` is the module's path, the hint says what to use instead."""
