"""Boards as data: memory regions with a source beside each figure, and whether a model fits them.

get("stm32f746")                       one target
all()                                  every target, by id
load("board.json")                     the targets of a file of your own
fit(target, arena_bytes, model_bytes)  does it fit, and with what margin
"""

from firmware_sim.targets.files import load
from firmware_sim.targets.fitting import DEFAULT_RESERVE, Reserve, fit
from firmware_sim.targets.loading import all, get, ids
from firmware_sim.targets.records import record
from firmware_sim.targets.resolving import resolve
from firmware_sim.targets.target import Region, Target

__all__ = ["DEFAULT_RESERVE", "Region", "Reserve", "Target", "all", "fit", "get", "ids", "load", "record", "resolve"]
