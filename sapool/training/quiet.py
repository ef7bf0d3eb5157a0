"""Lightning without its banners, hints and warnings about choices that were made on purpose."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LOGGERS: Final = ("lightning.pytorch", "lightning.fabric", "lightning")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within, Lightning logs errors only and does not warn; afterwards all is as it was."""
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # "does not have many workers": the data is in memory, workers would only copy it.
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
