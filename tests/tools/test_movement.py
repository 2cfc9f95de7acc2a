"""The figures of camera, head and retakes come from commands; here on films as short as they can be."""

from __future__ import annotations

from infinitetalk.config.camera import MOVEMENTS
from tools.benchmarks import movement, retake


def test_every_movement_has_its_figures() -> None:
    movements = ("pan", "push in")
    found = movement.measure(2.0, movements)
    assert found["still"]["lips"] == 1 and found["still"]["seconds_per_second"] == 0
    assert set(movements) <= set(MOVEMENTS)
    for name in movements:
        figures = found[f"camera {name}"]
        assert figures["camera"][0] > 0.8 and figures["lips"] > 0.9 and figures["seconds_per_second"] > 0
        assert abs(found["without"].get(name, 0.0)) < 0.5, "a camera that rests follows no path; two seconds are short"
        figures = found[f"network {name}"]
        assert figures["camera"][0] > 0.8 and figures["lips"] > 0.6 and "seconds_per_second" in figures
    assert found["network pose"]["lips"] > 0.6
    assert found["pose_frames_per_second"] > 0


def test_a_retake_costs_about_its_chunk() -> None:
    found = retake.measure(num_chunks=2, times=1)
    assert found["chunks"] == 2 and 0 < found["chunk_seconds"][0] < found["retake_seconds"][0]
