"""The errors that sapool raises; one tree for all three packages, shown in `firmware_sim.errors`."""

from firmware_sim.errors import BudgetExceeded, FileError, InternalError, ModelError, SapoolError, UsageError

__all__ = ["BudgetExceeded", "FileError", "InternalError", "ModelError", "SapoolError", "UsageError"]
