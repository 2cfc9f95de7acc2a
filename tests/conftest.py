"""Settings shared by all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A test's time says nothing on a shared machine, and examples must be the same in every run.
settings.register_profile("default", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("default")


def pytest_configure() -> None:
    """Times measured by tests stay out of the user's own cache."""
    import tempfile

    os.environ.setdefault("INFINITETALK_CACHE", tempfile.mkdtemp(prefix="infinitetalk-test-cache-"))
