"""The chunk arithmetic for films of any length."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinitetalk.config.constants import FRAMES_PER_SECOND
from infinitetalk.config.request import Guide, Keyframe
from infinitetalk.planning.chunks import (
    NUM_CHUNK_FRAMES,
    NUM_CONTEXT_FRAMES,
    NUM_NEW_FRAMES,
    film_cuts,
    frame_at,
    num_chunks,
    num_film_frames,
    num_latent_frames,
    plan_chunks,
    reference_seconds,
)

THREE_HOURS = 3 * 3600.0
film_lengths = st.floats(0.1, THREE_HOURS).map(num_film_frames) | st.integers(1, 400)
short_sources = st.sampled_from(["hold", "ping-pong", "stop"])
# Down to a film of a single frame, and exact multiples of frames and chunks.
source_lengths = st.floats(0.04, THREE_HOURS) | st.integers(1, 3000).map(lambda frames: frames / FRAMES_PER_SECOND)


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (5, 2), (9, 3), (13, 4), (81, 21)])
def test_latent_frames(frames, latents):
    assert num_latent_frames(frames) == latents


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(0.0, 1), (0.001, 1), (0.04, 1), (0.059, 1), (0.06, 2), (3.24, 81), (10, 250), (10800, 270_000)],
)
def test_film_is_as_long_as_the_speech(seconds, frames):
    assert num_film_frames(seconds) == frames


@pytest.mark.parametrize(
    ("frames", "chunks"), [(1, 1), (80, 1), (81, 1), (82, 2), (153, 2), (154, 3), (225, 3), (226, 4), (270_000, 3750)]
)
def test_chunk_count(frames, chunks):
    assert num_chunks(frames) == chunks
    assert len(plan_chunks(frames)) == chunks


@given(film_lengths)
def test_every_frame_is_produced_exactly_once_and_in_order(num_frames):
    expected = 0
    for chunk in plan_chunks(num_frames):
        assert chunk.new_start_frame == expected
        assert chunk.new_stop_frame > chunk.new_start_frame
        expected = chunk.new_stop_frame
    assert expected == num_frames


@given(film_lengths)
def test_chunks_follow_the_published_arithmetic(num_frames):
    chunks = plan_chunks(num_frames)
    assert [c.index for c in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert chunk.num_frames == NUM_CHUNK_FRAMES
        assert chunk.start_frame == NUM_NEW_FRAMES * chunk.index
        assert chunk.num_context_frames == (NUM_CONTEXT_FRAMES if chunk.index else 0)
    # No chunk is there for nothing, and the last one is the first that reaches the end.
    assert all(c.stop_frame < num_frames for c in chunks[:-1])
    assert chunks[-1].stop_frame >= num_frames


@given(film_lengths)
def test_context_is_the_nine_frames_before_and_was_generated_by_the_predecessor(num_frames):
    chunks = plan_chunks(num_frames)
    for before, chunk in zip(chunks[:-1], chunks[1:], strict=True):
        assert chunk.new_start_frame - chunk.start_frame == NUM_CONTEXT_FRAMES
        assert before.start_frame <= chunk.start_frame
        assert chunk.new_start_frame == before.stop_frame  # its last 9 frames are this chunk's first 9


@given(film_lengths)
def test_every_audio_frame_is_heard(num_frames):
    heard = 0
    for chunk in plan_chunks(num_frames):
        assert chunk.start_frame <= heard  # no gap
        heard = chunk.stop_frame
    assert heard >= num_frames


@given(film_lengths)
def test_kept_selects_the_new_frames_among_the_generated(num_frames):
    for chunk in plan_chunks(num_frames):
        generated = range(chunk.start_frame, chunk.stop_frame)
        kept = generated[chunk.kept]
        assert (kept[0], kept[-1] + 1) == (chunk.new_start_frame, chunk.new_stop_frame)
        assert len(kept) == chunk.num_new_frames
        assert chunk.stop_seconds - chunk.start_seconds == pytest.approx(len(kept) / FRAMES_PER_SECOND)


@given(film_lengths)
def test_a_picture_is_its_own_reference_at_the_start_of_each_chunk(num_frames):
    for chunk in plan_chunks(num_frames):
        assert chunk.reference.source_seconds == pytest.approx(NUM_NEW_FRAMES * chunk.index / FRAMES_PER_SECOND)
        assert chunk.reference.keyframe_index is None


@given(film_lengths, source_lengths, short_sources)
def test_references_lie_within_the_source(num_frames, source_seconds, short_source):
    for chunk in plan_chunks(num_frames, source_seconds=source_seconds, short_source=short_source):
        assert 0 <= chunk.reference.source_seconds < source_seconds
        if chunk.start_frame / FRAMES_PER_SECOND < source_seconds:  # the source is long enough: frame 72 k
            assert chunk.reference.source_seconds == chunk.start_frame / FRAMES_PER_SECOND


@given(st.floats(0, THREE_HOURS), source_lengths)
def test_hold_shows_the_last_frame_and_ping_pong_never_jumps(film_seconds, source_seconds):
    last = max(0.0, source_seconds - 1 / FRAMES_PER_SECOND)
    if film_seconds >= source_seconds:
        assert reference_seconds(film_seconds, source_seconds, "hold") == last
    here, soon = (reference_seconds(t, source_seconds, "ping-pong") for t in (film_seconds, film_seconds + 0.01))
    assert abs(soon - here) <= 2 / FRAMES_PER_SECOND + 1e-6


@given(film_lengths, st.data())
def test_a_keyframe_guides_the_chunk_that_adds_the_frame_it_points_at(num_frames, data):
    frame = data.draw(st.integers(0, num_frames - 1))
    pin = Keyframe(frame / FRAMES_PER_SECOND, image="smile.png")
    chunks = plan_chunks(num_frames, keyframes=[pin])
    pinned = [c for c in chunks if c.reference.keyframe_index is not None]
    assert len(pinned) == 1
    assert pinned[0].new_start_frame <= frame < pinned[0].new_stop_frame
    assert (pinned[0].reference.image, pinned[0].reference.keyframe_index) == ("smile.png", 0)


@given(st.integers(0, 270_000))
def test_a_frames_start_time_belongs_to_it(frame):
    assert frame_at(frame / FRAMES_PER_SECOND) == frame
    assert frame_at((frame + 0.99) / FRAMES_PER_SECOND) == frame


def test_the_first_of_several_keyframes_in_one_chunk_counts():
    pins = [Keyframe(0.5, 7.0), Keyframe(1.0, 8.0), Keyframe(3.24, 9.0)]
    chunks = plan_chunks(200, source_seconds=20.0, keyframes=pins)
    assert [c.reference.keyframe_index for c in chunks] == [0, 2, None]
    assert [c.reference.source_seconds for c in chunks] == [7.0, 9.0, 5.76]


def test_a_keyframe_past_the_end_guides_the_last_chunk():
    chunks = plan_chunks(100, keyframes=[Keyframe(1e6, 0.0)])
    assert [c.reference.keyframe_index for c in chunks] == [None, 0]


@given(film_lengths, source_lengths, st.floats(0, 1e6))
def test_a_keyframe_never_points_past_the_source(num_frames, source_seconds, instant):
    chunks = plan_chunks(num_frames, source_seconds=source_seconds, keyframes=[Keyframe(0.0, instant)])
    assert 0 <= chunks[0].reference.source_seconds < source_seconds
    if instant < source_seconds:
        assert chunks[0].reference.source_seconds == instant


def test_an_endless_source_keeps_a_keyframes_instant():
    assert plan_chunks(81, keyframes=[Keyframe(0.0, 12.5)])[0].reference.source_seconds == 12.5
    assert reference_seconds(1e5, math.inf, "hold") == 1e5


def test_no_frames_is_our_own_mistake():
    with pytest.raises(AssertionError):
        plan_chunks(0)


@given(film_lengths)
def test_a_trimmed_last_chunk_is_as_short_as_the_film_allows(num_frames):
    trimmed, whole = plan_chunks(num_frames, trim_last=True), plan_chunks(num_frames)
    assert trimmed[:-1] == whole[:-1]
    last = trimmed[-1]
    assert (last.start_frame, last.new_stop_frame, last.reference) == (
        whole[-1].start_frame,
        whole[-1].new_stop_frame,
        whole[-1].reference,
    )
    assert last.num_frames % 4 == 1  # whole latent frames
    assert last.num_context_frames < last.num_frames <= NUM_CHUNK_FRAMES
    assert 0 <= last.stop_frame - num_frames < 4


@given(film_lengths, st.integers(2, 40), st.integers(1, 10), st.booleans())
def test_chunks_of_other_lengths_cover_the_film_too(num_frames, num_new_groups, num_context_groups, trim):
    num_context = 1 + 4 * (num_context_groups - 1)
    num_chunk = num_context + 4 * num_new_groups
    num_frames = min(num_frames, 20_000)
    chunks = plan_chunks(num_frames, trim_last=trim, num_chunk_frames=num_chunk, num_context_frames=num_context)
    expected = 0
    for chunk in chunks:
        assert chunk.new_start_frame == expected
        assert chunk.num_frames <= num_chunk
        assert chunk.start_frame + chunk.num_context_frames == chunk.new_start_frame
        expected = chunk.new_stop_frame
    assert expected == num_frames


cuts = st.lists(st.integers(1, 2000), max_size=12)


@given(st.integers(1, 2000), cuts, st.booleans())
def test_no_chunk_crosses_a_cut_and_every_frame_is_kept_once(num_frames, cut_frames, trim_last):
    chunks = plan_chunks(num_frames, cut_frames=cut_frames, trim_last=trim_last)
    expected = 0
    for chunk in chunks:
        assert chunk.new_start_frame == expected < chunk.new_stop_frame <= chunk.stop_frame
        assert not any(chunk.new_start_frame < cut < chunk.new_stop_frame for cut in cut_frames)
        assert chunk.num_frames % 4 == 1
        expected = chunk.new_stop_frame
    assert expected == num_frames


@given(st.integers(1, 2000), cuts)
def test_a_shot_begins_without_context_and_no_context_reaches_back_over_a_cut(num_frames, cut_frames):
    shots = {0, *(cut for cut in cut_frames if cut < num_frames)}
    for chunk in plan_chunks(num_frames, cut_frames=cut_frames):
        assert chunk.opens_shot == (chunk.new_start_frame in shots)
        assert not any(chunk.start_frame < shot <= chunk.new_start_frame for shot in shots if not chunk.opens_shot)


@given(st.integers(2, 1500), st.integers(1, 1499))
def test_each_shot_is_planned_like_a_film_of_its_own(num_frames, cut):
    chunks = plan_chunks(num_frames, cut_frames=[cut])
    alone = plan_chunks(min(cut, num_frames))
    assert [(c.start_frame, c.new_stop_frame) for c in chunks[: len(alone)]] == [
        (c.start_frame, c.new_stop_frame) for c in alone
    ]


@given(st.integers(1, 1500), cuts, st.floats(0, 60))
def test_a_keyframe_guides_the_chunk_that_adds_its_frame(num_frames, cut_frames, time_seconds):
    chunks = plan_chunks(num_frames, cut_frames=cut_frames, keyframes=[Keyframe(time_seconds, 0.0)])
    (pinned,) = [chunk for chunk in chunks if chunk.reference.keyframe_index is not None]
    frame = min(frame_at(time_seconds), num_frames - 1)
    assert pinned.new_start_frame <= frame < pinned.new_stop_frame


def test_cuts_of_the_source_lie_at_the_frames_that_first_show_the_new_shot():
    assert film_cuts([2.0, 3.01], 200, math.inf, "hold") == (50, 76)
    assert film_cuts([2.0, 9.0], 200, 4.0, "hold") == (50,), "after its end the source stands still"


def test_a_source_that_runs_back_and_forth_shows_its_cut_each_time():
    # 20 frames, a cut before frame 5; frames 0..19, then 18..0, then 1..19 again.
    assert film_cuts([5 / 25], 60, 20 / 25, "ping-pong") == (5, 34, 43)


def test_adherence_is_where_the_reference_stands():
    soft, published, strong = (
        plan_chunks(300, source_seconds=12.0, reference_placement=reference_placement)
        for reference_placement in ("adjacent", "edge", "inside")
    )
    for chunk in published:
        assert chunk.reference.source_seconds == chunk.start_frame / 25
    for chunk in strong:
        assert chunk.start_seconds < chunk.reference.source_seconds < chunk.stop_seconds
    for chunk in soft:
        first, last = chunk.start_frame / 25, (chunk.stop_frame - 1) / 25
        distance = max(first - chunk.reference.source_seconds, chunk.reference.source_seconds - last)
        assert 0 < distance <= 1 + 1e-9
    assert plan_chunks(300, source_seconds=12.0) == published


def test_a_soft_reference_stays_in_its_shot():
    chunks = plan_chunks(200, source_seconds=8.0, cut_frames=(50, 140), reference_placement="adjacent")
    shots = [(0, 50), (50, 140), (140, 200)]
    for chunk in chunks:
        frame = round(chunk.reference.source_seconds * 25)
        assert any(a <= frame < b and a <= chunk.new_start_frame < b for a, b in shots), chunk
    assert chunks[0].reference.source_seconds == 0, "the first shot has nothing outside its only chunk"


def test_guides_count_where_a_chunk_has_its_middle():
    guides = (Guide(0, 4, prompt="calm"), Guide(3, 9, reference_placement="inside"), Guide(4, 7, prompt="smiling"))
    chunks = plan_chunks(225, source_seconds=9.0, guides=guides)  # 0 to 3.24, to 6.12, to 9
    assert [chunk.prompt for chunk in chunks] == ["calm", "smiling", None]
    assert [chunk.reference_placement for chunk in chunks] == [None, "inside", "inside"]
    assert chunks[1].reference.source_seconds == 117 / 25


def test_a_pin_comes_before_reference_placement():
    chunks = plan_chunks(
        225, source_seconds=9.0, reference_placement="inside", keyframes=(Keyframe(4.0, source_seconds=0.5),)
    )
    assert chunks[1].reference.source_seconds == 0.5 and chunks[0].reference.source_seconds > 1


def test_both_ends_of_a_chunk_are_given_where_the_source_is_a_film():
    chunks = plan_chunks(153, source_seconds=8.0, reference_placement="ends")
    assert [chunk.reference.source_seconds for chunk in chunks] == [0, 2.88]
    assert [chunk.second.source_seconds for chunk in chunks] == [3.2, 6.08], "the last pictures that are kept"
    assert all(chunk.second is None for chunk in plan_chunks(153, source_seconds=8.0))
    assert all(chunk.second is None for chunk in plan_chunks(153, reference_placement="ends")), "a picture has no end"
    by_itself = plan_chunks(153, source_seconds=8.0, reference_placement="auto")
    assert [c.second for c in by_itself] == [c.second for c in chunks] and all(c.second_if_far for c in by_itself)
    assert [(c.reference, c.reference_placement) for c in by_itself] == [
        (c.reference, None) for c in plan_chunks(153, source_seconds=8.0)
    ]
    pinned = plan_chunks(
        153, source_seconds=8.0, reference_placement="ends", keyframes=(Keyframe(1.0, source_seconds=7.0),)
    )
    assert (pinned[0].reference.source_seconds, pinned[0].second.source_seconds) == (7.0, 3.2)


@pytest.mark.parametrize(
    "num_frames, cuts, trim_last, ends",
    [
        (60, (), False, [None]),
        (100, (), False, [80, None]),
        (200, (100,), False, [80, None, 180, None]),
        (151, (), False, [80, 150]),
        (99, (), True, [80, 98]),
    ],
)
def test_the_second_picture_is_never_shown_at_another_time_than_the_sources(num_frames, cuts, trim_last, ends):
    """The network sets it at the last frame it makes, which may lie beyond the film or in another shot."""
    chunks = plan_chunks(
        num_frames, source_seconds=20.0, reference_placement="ends", cut_frames=cuts, trim_last=trim_last
    )
    assert [c.second and round(25 * c.second.source_seconds) for c in chunks] == ends
    assert all(c.stop_frame - 1 - round(25 * c.second.source_seconds) < 4 for c in chunks if c.second)
