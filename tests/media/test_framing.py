from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from infinitetalk.media.buckets import BUCKETS
from infinitetalk.media.framing import (
    bucket_key,
    choose_bucket,
    covering_size,
    crop_offset,
    person_masks,
    resize_and_crop,
    to_network_range,
)

sides = st.integers(1, 5_000)


@settings(deadline=None)
@given(height=sides, width=sides, size=st.sampled_from(sorted(BUCKETS)))
def test_every_picture_has_a_size_it_covers(height: int, width: int, size: str) -> None:
    target = choose_bucket(height, width, BUCKETS[size])
    resized = covering_size(height, width, target)
    top, left = crop_offset(resized, target)
    assert target[0] % 16 == target[1] % 16 == 0
    assert all(0 <= offset <= have - want for offset, have, want in zip((top, left), resized, target))
    assert min(have - want for have, want in zip(resized, target)) <= 1


@settings(deadline=None)
@given(height=sides, width=sides)
def test_the_nearest_ratio_wins(height: int, width: int) -> None:
    sizes = BUCKETS["480p"]
    distance = {key: abs(float(key) - height / width) for key in sizes}
    assert distance[bucket_key(height, width, sizes)] == min(distance.values())


def test_resized_pictures_keep_their_middle() -> None:
    picture = np.zeros((60, 200, 3), np.uint8)
    picture[:, 95:105] = 255
    small = resize_and_crop(picture, (30, 30))
    assert small.shape == (30, 30, 3)
    assert small.dtype == np.uint8
    assert small[:, 13:17].min() > 200
    assert small[:, :10].max() == small[:, 20:].max() == 0
    assert np.array_equal(resize_and_crop(Image.fromarray(picture), (30, 30)), small)


def test_a_picture_of_the_right_size_is_untouched() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert np.array_equal(resize_and_crop(picture, (48, 64)), picture)
    planes = to_network_range(picture)
    assert planes.shape == (3, 48, 64)
    np.testing.assert_allclose((planes + 1) * 127.5, picture.transpose(2, 0, 1), atol=1e-4)


def test_persons_and_background_share_the_picture_out() -> None:
    masks = person_masks(2, (240, 320), (96, 128), [(0, 0, 240, 150), (0, 170, 240, 320)])
    assert masks.shape == (3, 12, 16)
    assert (masks.sum(axis=0) == 1).all()
    assert masks[0, :, :7].all()
    assert masks[1, :, 9:].all()
    halves = person_masks(2, (240, 320), (96, 128))
    assert halves[0, 5, 3] == halves[1, 5, 12] == halves[2, 0, 0] == 1


def test_one_person_is_everywhere() -> None:
    assert person_masks(1, (240, 320), (96, 128)).all()


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="3 persons"):
        person_masks(3, (10, 10), (16, 16))
    with pytest.raises(ValueError, match="1 boxes"):
        person_masks(2, (10, 10), (16, 16), [(0, 0, 5, 5)])
