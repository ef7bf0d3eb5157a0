"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How long examples take depends on what else the machine does.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_our_own(tmp_path_factory):
    """Decoded images of tests never reach the cache of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAPOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
