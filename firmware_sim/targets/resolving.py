"""What a user means by the name of a target: a board, or a profile without a board."""

from __future__ import annotations

import difflib

from firmware_sim import profiles
from firmware_sim.errors import UsageError
from firmware_sim.targets.loading import get, ids
from firmware_sim.targets.target import Target


def resolve(name: str) -> tuple[profiles.Profile, Target | None]:
    """The profile to account for, and the board to fit, None if `name` is a profile.

    Raises:
        UsageError: neither a board nor a profile; the message lists the nearest names.
    """
    wanted = name.strip().lower()
    if wanted in profiles.names():
        return profiles.get(wanted), None
    boards = ids()
    if wanted in boards:
        target = get(wanted)
        return profiles.get(target.profile), target
    if wanted.endswith(".json"):
        raise UsageError(f"unknown target '{name}'", hint="a file of your own is given with --target-file")
    known = (*boards, *profiles.names())
    nearest = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known names: {', '.join(known)}"
    raise UsageError(f"unknown target '{name}'", hint=hint)
