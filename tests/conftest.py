"""Settings shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A test's time says nothing on a shared machine, and examples must be the same in every run.
settings.register_profile("default", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("default")


def pytest_configure() -> None:
    """Times measured by tests stay out of the user's own cache, and no library reports that it is tested."""
    import tempfile

    from infinitetalk.runtime.telemetry import refuse_telemetry

    refuse_telemetry()
    os.environ.setdefault("INFINITETALK_CACHE", tempfile.mkdtemp(prefix="infinitetalk-test-cache-"))


@pytest.fixture(scope="session")
def panned_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real picture that moves a pixel to the left with every frame: the camera turns to the right."""
    from infinitetalk.media.images import load_image
    from tests.vision.conftest import PHOTO, shifted, write_film

    photo = load_image(PHOTO)
    height, width = photo.shape[0] // 2 * 2, photo.shape[1] // 2 * 2
    frames = [shifted(photo[:height, :width], -index) for index in range(60)]
    return write_film(tmp_path_factory.mktemp("panned") / "panned.mp4", frames)
