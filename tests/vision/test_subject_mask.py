"""One person changes, the rest stays to the byte."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from infinitetalk.commands.main import main
from infinitetalk.errors import InputError
from infinitetalk.media.framing import resize_and_crop
from infinitetalk.media.probe import probe
from infinitetalk.media.video import open_source
from infinitetalk.media.writer import SegmentWriter
from infinitetalk.vision.subject_mask import composite, feathered, follow_person, outside_difference
from tests.vision.conftest import shifted, write_film


@pytest.fixture(scope="module")
def two_people(photo):
    return np.concatenate([photo[:, :300], photo[:, 300:0:-1]], axis=1)


def test_the_clicked_person_is_followed(photo):
    frames = [shifted(photo, 3 * index) for index in range(14)]
    masks = list(follow_person(frames, (168 / 384, 0.25)))
    assert all(mask.followed for mask in masks)
    first, last = masks[0].alpha, masks[-1].alpha
    assert first[96, 168] == 1 and first[20, 360] == 0 and 0.2 < first.mean() < 0.7
    middles = [np.nonzero(mask.alpha[60:130].any(axis=0))[0].mean() for mask in masks]
    assert middles[-1] - middles[0] == pytest.approx(39, abs=6)  # of the head
    assert last.shape == (384, 384)


def test_people_who_touch_are_told_apart(two_people):
    left = next(follow_person([two_people], (168 / 600, 0.25))).alpha
    right = next(follow_person([two_people], (432 / 600, 0.25))).alpha
    assert not (left * right).any()
    assert left[:, 310:].sum() == 0 and right[:, :290].sum() == 0 and left.mean() > 0.1 < right.mean()


def test_a_person_who_leaves_keeps_the_last_mask(photo):
    masks = list(follow_person([photo, np.full_like(photo, 40)], (168 / 384, 0.25)))
    assert masks[0].followed and not masks[1].followed and np.array_equal(masks[0].alpha, masks[1].alpha)


def test_a_click_on_nobody(photo):
    with pytest.raises(InputError, match="Nobody was found at 90 % from the left"):
        next(follow_person([photo], (0.9, 0.1)))


def test_outside_the_feather_the_source_stays_to_the_byte(photo):
    mask = next(follow_person([photo], (168 / 384, 0.25))).alpha
    alpha = feathered(mask)
    result = 255 - photo
    mixed = composite(result, photo, alpha)
    assert outside_difference(mixed, photo, alpha) == 0.0 and outside_difference(result, photo, alpha) > 20
    assert np.array_equal(mixed[mask == 1], result[mask == 1])  # the person is wholly the result's
    steps = np.abs(np.diff(alpha, axis=1)).max()
    assert steps < 0.35, "no hard edge"
    assert 0 < (alpha == 0).mean() < 1


def test_nothing_outside():
    picture = np.zeros((4, 4, 3), np.uint8)
    assert outside_difference(picture, picture + 9, np.ones((4, 4), np.float32)) == 0.0


def test_command_keeps_the_source_around_the_person(photo, tmp_path, capfd):
    source = write_film(tmp_path / "source.mp4", [photo] * 6)
    changed = np.clip(photo.astype(int) + 40, 0, 255).astype(np.uint8)
    result = write_film(tmp_path / "result.mp4", [changed] * 6)
    output = tmp_path / "locked.mp4"
    assert main(["lock", str(result), "--source", str(source), "--output", str(output), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["frames"] == 6 and 25 < told["difference_before"] < 45 and "differ by" in told["warnings"][0]
    with open_source(output) as film:
        frame = film.frame_at(0.2).astype(int)
    assert np.abs(frame[20:40, 340:370] - photo[20:40, 340:370]).mean() < 4  # wall: the source's
    assert np.abs(frame[80:110, 150:190] - changed[80:110, 150:190]).mean() < 6  # face: the result's
    assert sorted(p.name for p in tmp_path.iterdir()) == ["locked.mp4", "result.mp4", "source.mp4"]


def test_a_film_keeps_its_rate(photo, tmp_path, capfd):
    source = write_film(tmp_path / "source.mp4", [photo] * 3)
    result = tmp_path / "result.mp4"
    SegmentWriter(384, 384, rate=Fraction(50)).write(result, [photo] * 6)
    assert main(["lock", str(result), "--source", str(source), "--output", str(tmp_path / "a.mp4"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["frames"] == 6
    assert probe(tmp_path / "a.mp4").fps == pytest.approx(50)


def test_a_wider_source_is_cut_as_the_engine_cuts_it(photo, tmp_path, capfd):
    source = write_film(tmp_path / "source.mp4", [np.ascontiguousarray(photo[:300])] * 2)
    result = write_film(tmp_path / "result.mp4", [resize_and_crop(photo[:300], (300, 320))] * 2)
    assert main(["lock", str(result), "--source", str(source), "--output", str(tmp_path / "a.mp4"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["difference_before"] < 4


@pytest.mark.parametrize("person, says", [("0.95,0.05", "Nobody was found"), ("3", "no number 3"), ("x", "a number")])
def test_refusals_leave_nothing(photo, tmp_path, capfd, person, says):
    film = write_film(tmp_path / "film.mp4", [photo] * 2)
    output = tmp_path / "locked.mp4"
    assert main(["lock", str(film), "--source", str(film), "--person", person, "--output", str(output)]) == 1
    assert says in capfd.readouterr().err and [p.name for p in tmp_path.iterdir()] == ["film.mp4"]
