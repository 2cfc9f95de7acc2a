from __future__ import annotations

import pytest
import torch

from infinitetalk.media.color import _to_lab, color_statistics, match_colors


def noise(*shape: int, low: float = -1.0, high: float = 1.0, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * (high - low) + low


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1.0, 1.0, 1.0), (100.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (53.24, 80.09, 67.20)),
        ((0.0, 1.0, 0.0), (87.74, -86.18, 83.18)),
        ((0.0, 0.0, 1.0), (32.30, 79.19, -107.86)),
    ],
)
def test_lab_of_the_primaries(rgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    found = _to_lab(torch.tensor(rgb)[:, None, None])[:, 0, 0]
    torch.testing.assert_close(found, torch.tensor(lab), atol=0.02, rtol=0)


def test_matched_frames_have_the_references_colours() -> None:
    video = noise(1, 3, 5, 40, 30, low=-0.4, high=0.3)
    reference = noise(1, 3, 1, 24, 24, low=-0.2, high=0.2, seed=1)
    matched, wanted = color_statistics(match_colors(video, reference, 1.0)), color_statistics(reference)
    torch.testing.assert_close(matched.mean, wanted.mean.expand(5, 3), atol=0.1, rtol=0)
    torch.testing.assert_close(matched.std, wanted.std.expand(5, 3), atol=0.3, rtol=0)


def test_a_frame_matched_to_itself_stays() -> None:
    video = noise(1, 3, 1, 16, 16)
    torch.testing.assert_close(match_colors(video, video, 1.0), video, atol=1e-4, rtol=0)


def test_strength_blends_and_zero_touches_nothing() -> None:
    video, reference = noise(1, 3, 2, 16, 16, low=-2, high=2), noise(1, 3, 1, 16, 16, seed=1)
    assert match_colors(video, reference, 0.0) is video
    full, third = match_colors(video, reference, 1.0), match_colors(video, reference, 0.3)
    torch.testing.assert_close(third, torch.lerp(video.clamp(-1, 1), full, 0.3), atol=1e-5, rtol=0)


def test_frames_do_not_influence_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    video, reference = noise(2, 3, 7, 16, 16), noise(2, 3, 1, 8, 8, seed=1)
    whole = match_colors(video, reference, 1.0)
    for row in range(2):
        for index in range(7):
            alone = match_colors(video[row : row + 1, :, index : index + 1], reference[row : row + 1], 1.0)
            torch.testing.assert_close(whole[row : row + 1, :, index : index + 1], alone, atol=1e-5, rtol=0)
    monkeypatch.setattr("infinitetalk.media.color._PIXELS_AT_ONCE", 3 * 256)
    torch.testing.assert_close(match_colors(video, reference, 1.0), whole, atol=1e-5, rtol=0)


def test_statistics_serve_as_reference() -> None:
    video, reference = noise(1, 3, 2, 16, 16), noise(1, 3, 1, 16, 16, seed=1)
    assert torch.equal(match_colors(video, color_statistics(reference), 0.5), match_colors(video, reference, 0.5))


@pytest.mark.parametrize("level", [-1.0, 0.1, 1.0])
def test_a_frame_of_one_colour_takes_the_references_mean(level: float) -> None:
    flat = torch.full((1, 3, 1, 16, 16), level)
    reference = noise(1, 3, 1, 16, 16, low=-0.2, high=0.2)
    matched = match_colors(flat, reference, 1.0)
    assert (matched - matched[..., :1, :1]).abs().max() < 0.02
    torch.testing.assert_close(color_statistics(matched).mean, color_statistics(reference).mean, atol=0.5, rtol=0)
