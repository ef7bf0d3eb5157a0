"""What all tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache_of_our_own(tmp_path_factory):
    """Decoded images of tests never reach the cache of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAPOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
