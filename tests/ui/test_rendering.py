from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from infinitetalk.events import ChunkFinished, Finished, Progress
from infinitetalk.media.probe import MediaInfo
from infinitetalk.planning.chunks import plan_chunks
from infinitetalk.ui import rendering


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0 s"), (0.4, "0.4 s"), (3, "3 s"), (7.26, "7.3 s"), (59.4, "59 s"), (60, "1 min"), (75, "1 min 15 s"),
     (3600, "1 h"), (7265, "2 h 1 min")],
)  # fmt: skip
def test_a_duration_reads_as_a_person_says_it(seconds: float, words: str) -> None:
    assert rendering.duration(seconds) == words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(7.9, 14.2, "8 to 14 s"), (3.05, 3.1, "3 s"), (0.2, 0.4, "0.5 s"), (42, 88, "40 to 90 s"),
     (50, 130, "50 s to 2 min 15 s")],
)  # fmt: skip
def test_a_range_of_times_is_rounded_and_never_says_the_same_twice(low: float, high: float, words: str) -> None:
    assert rendering.span(low, high) == words


def test_clock() -> None:
    assert [rendering.clock(s) for s in (0, 75.9, 3600)] == ["0:00", "1:15", "1:00:00"]


def test_what_came_from_outside_cannot_become_markup() -> None:
    evil = "<img src=x onerror=alert(1)>"
    assert "<img" not in rendering.notice(evil)
    assert "<img" not in rendering.plan_problem(evil)
    assert "<img" not in rendering.plan_hint([evil])


def test_an_error_is_read_out_and_a_note_is_not() -> None:
    assert 'role="alert"' in rendering.notice("Broken.")
    assert 'role="status"' in rendering.notice("Kept.", "note")


def test_progress_says_stage_chunk_step_and_both_times() -> None:
    event = Progress("denoising", 0.42, 12.0, 8.4, chunk=1, num_chunks=4, step=2, num_steps=4)
    html = rendering.progress(event)
    assert "chunk 2 of 4, step 3 of 4" in html
    assert "12 s so far · about 8 s left" in html
    assert 'aria-valuenow="42"' in html and "width:42%" in html


def test_progress_stays_within_its_bar() -> None:
    assert 'aria-valuenow="100"' in rendering.progress(Progress("finishing", 1.3, 1.0))
    assert "left" not in rendering.progress(Progress("loading", 0.0, 1.0))


def _finished(index: int, num_chunks: int) -> ChunkFinished:
    return ChunkFinished(index, num_chunks, Path("segment.mp4"), 0.0, 1.0, 7)


def test_finished_chunks_are_buttons_that_know_where_they_start() -> None:
    chunks = plan_chunks(225)
    html = rendering.chunk_strip(chunks, [_finished(0, 3)], running=1)
    assert html.count("<button") == 1 and 'data-start="0.00"' in html
    assert html.count("band running") == 1 and html.count("band planned") == 1
    assert "1 of 3 chunks finished" in html
    both = rendering.chunk_strip(chunks, [_finished(0, 3), _finished(1, 3)])
    assert 'data-start="3.24"' in both


def test_hours_of_film_do_not_become_thousands_of_bands() -> None:
    chunks = plan_chunks(3 * 3600 * 25)
    html = rendering.chunk_strip(chunks, [_finished(k, len(chunks)) for k in range(20)], running=20)
    assert html.count('class="band') <= rendering.MAX_BANDS
    assert html.count("band done") == 2 and html.count("band running") == 1


def test_the_plan_shows_its_numbers_and_every_warning() -> None:
    plan = SimpleNamespace(
        chunks=plan_chunks(250), num_frames=250, duration_seconds=10.0,
        warnings=("The sound is silent.", "Short <film>."),
        vram_mb=0, memory_mb=1234.0, disk_mb=0.4, seconds_low=6.0, seconds_high=11.0, first_chunk_seconds=2.6,
    )  # fmt: skip
    html = rendering.plan_panel(plan).replace("\u00a0", " ")
    for text in ("10 s", "250 frames", "6 to 11 s", "about 2.5 s", "1.2 GB", "under 1 MB", "The sound is silent."):
        assert text in html
    assert html.count("<li>") == 2 and "Short &lt;film&gt;." in html


def test_the_preview_shows_the_picture_and_what_it_is() -> None:
    info = MediaInfo(Path("a.mp4"), "video", width=640, height=360, duration_seconds=12.0, fps=29.97)
    html = rendering.source_preview(info, np.zeros((36, 64, 3), np.uint8))
    assert "data:image/jpeg;base64," in html
    assert "Video · 640 × 360 · 12 s · 29.97 frames per second" in html


def test_a_cancelled_film_is_not_called_the_film() -> None:
    whole = Finished(Path("o.mp4"), Path("."), True, 250)
    assert "Your film</strong> 10 s · 250 frames · 2 MB · seed 7 · made in 6 s" in rendering.film_facts(
        whole, 7, 2_000_000, 6.0
    )
    part = Finished(Path("o.mp4"), Path("."), False, 81)
    assert "Your film so far" in rendering.film_facts(part, 7, 2_000_000, 0.0)
