"""The tree of errors that every package of this project raises.

    SapoolError            1..4, the base
    ├── BudgetExceeded     1     a size budget is not met
    ├── UsageError         2     arguments or configuration that make no sense
    ├── FileError          3     a model or data file that cannot be read or is not supported
    │   └── ModelError     3     a model file, with operator and tensor where they are known
    └── InternalError      4     a fault of ours

The base lives in the lowest package because imports only point down; `sapool.errors` is where users find all of it.
"""

from __future__ import annotations

from pathlib import Path


class SapoolError(Exception):
    """Base of all errors that are shown without a traceback.

    Args:
        message: what is wrong.
        where: file, layer or line; shown in front of the message.
        hint: what to do about it; shown on a line of its own.
    """

    exit_code = 4

    def __init__(self, message: str, *, where: str | Path | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = None if where is None else str(where)
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  {self.hint}" if self.hint else text


class BudgetExceeded(SapoolError):
    """A model needs more than its budget allows."""

    exit_code = 1


class UsageError(SapoolError):
    """Arguments, a specification or a configuration file that make no sense."""

    exit_code = 2


class FileError(SapoolError):
    """A model or data file that is missing, damaged or not supported."""

    exit_code = 3


class ModelError(FileError):
    """A model file that cannot be read or contains what is not supported."""


class InternalError(SapoolError):
    """A fault of this project; please report it."""

    exit_code = 4
