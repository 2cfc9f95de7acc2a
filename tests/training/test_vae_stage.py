"""The autoencoder's stage draws pieces that fit together, learns, goes on after a stop, and keeps latents when told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from infinitetalk.models.nano_vae import NanoVAE
from infinitetalk.training.clips import ClipSet, neutral_truth
from infinitetalk.training.vae_pieces import PieceMaker, PieceSettings, moved_photo
from infinitetalk.training.vae_stage import VaeTraining, load_pictures, load_video, train_vae

NUM_FRAMES, SIZE = 33, 96
TINY = VaeTraining(
    num_steps=3, batch_size=2, seconds=600.0, steps_per_report=10,
    pieces=PieceSettings(size=32, photo_share=0.0, max_shift=4),
)  # fmt: skip


@pytest.fixture(scope="module")
def toy() -> ClipSet:
    """Four clips of a coloured wall with a dark mouth that opens and closes; the last is held out."""
    rng = np.random.default_rng(0)
    jaw = np.abs(np.sin(np.cumsum(rng.uniform(0.1, 0.6, (4, NUM_FRAMES)), axis=1))).astype(np.float32)
    video = np.empty((4, NUM_FRAMES, SIZE, SIZE, 3), np.uint8)
    for clip in range(4):
        wall = np.kron(rng.integers(60, 255, (8, 8, 3)), np.ones((12, 12, 1)))
        for frame in range(NUM_FRAMES):
            video[clip, frame] = wall
            half = int(1 + 9 * jaw[clip, frame])
            video[clip, frame, 60 - half : 60 + half, 36:60] = (70, 20, 20)
    truth = neutral_truth(4, NUM_FRAMES)
    truth["eye_boxes"][:] = (20, 30, 32, 66)
    return ClipSet(
        video=list(video),
        audio=[np.zeros(640 * NUM_FRAMES, np.float32)] * 4,
        jaw=jaw,
        mouth_shapes=jaw[..., None],
        openness=jaw,
        pose=np.zeros((4, NUM_FRAMES, 3), np.float32),
        mouth_boxes=np.tile(np.array([48, 34, 72, 62], np.float32), (4, NUM_FRAMES, 1)),
        head_ids=np.arange(4),
        voice_ids=np.arange(4),
        is_test=np.arange(4) == 3,
        is_finished=np.ones(4, bool),
        **truth,
    )


@pytest.fixture(scope="module")
def trained(toy: ClipSet, tmp_path_factory) -> tuple[Path, dict[str, float]]:
    out = tmp_path_factory.mktemp("vae")
    return out, train_vae(toy, out, TINY)


def test_pieces_show_the_mouth_where_they_say(toy: ClipSet) -> None:
    plain = PieceSettings(size=64, mouth_share=1.0, eyes_share=0.0, photo_share=0.0, still_share=0.0, zoomed_share=0.5)
    pieces = PieceMaker(toy, plain, []).draw(6, np.random.default_rng(1))
    assert pieces.frames.shape == (6, 12, 3, 64, 64) and pieces.mouth.shape == (6, 4, 1, 64, 64)
    for row in range(6):
        inside = pieces.mouth[row, -1, 0] > 0
        assert 50 < inside.sum() < 2000
        # The mouth is the only thing that changes within a clip.
        changing = (pieces.frames[row, 4:8].amax(dim=0) - pieces.frames[row, 4:8].amin(dim=0)).amax(dim=0) > 0.1
        assert not (changing & (pieces.mouth[row].amax(dim=0)[0] == 0)).any()


def test_what_the_encoder_is_shown_differs_in_colours_alone(toy: ClipSet) -> None:
    pieces = PieceMaker(toy, replace(TINY.pieces, recolored_share=1.0), []).draw(4, np.random.default_rng(2))
    assert (pieces.shown_frames - pieces.frames).abs().mean() > 0.01
    for shown, given in ((pieces.shown_frames, pieces.frames), (pieces.shown_reference, pieces.reference)):
        one, other = (x.flatten(-2).mean(-2 if x.ndim == 4 else -2) for x in (shown, given))
        assert np.abs(np.corrcoef(one.flatten(), other.flatten())[0, 1]) > 0.5


def test_a_photograph_moves_and_its_first_picture_is_the_same_scene() -> None:
    rng = np.random.default_rng(0)
    photo = np.kron(rng.integers(0, 255, (24, 30, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    changes = []
    for seed in range(8):
        pictures, openings = moved_photo(photo, 64, np.random.default_rng(seed))
        assert pictures.shape == (13, 64, 64, 3) and openings.shape == (4, 64, 64)
        changes.append(np.abs(pictures[1:].astype(float) - pictures[0]).mean())
        between = np.abs(pictures[2:].astype(float) - pictures[1:-1]).mean()
        assert between <= changes[-1] + 12  # from frame to frame it moves less than from far away, or not much more
    assert max(changes) > 2


def test_it_starts_from_principal_components_and_copies_the_reference(trained) -> None:
    out, figures = trained
    assert figures["psnr"] > figures["frozen_mouth_psnr"]
    assert figures["still_drift"] < 1e-4
    config = NanoVAE.from_pretrained(out / "vae").config
    assert len(set(config.latents_std)) == 1 and config.latents_std[0] > 0


def test_the_map_to_colours_shows_the_picture(toy: ClipSet, trained) -> None:
    out, _ = trained
    vae = NanoVAE.from_pretrained(out / "vae")
    video = load_video(toy, 0, 0, 1)
    latents = vae.encode(video).latent_dist.mode()[0, :, 0].detach()
    mean, std = torch.tensor(vae.config.latents_mean)[:, None, None], vae.config.latents_std[0]
    known = torch.cat([(latents - mean) / std, torch.ones_like(latents[:1])])
    colors = torch.einsum("zhw,zc->chw", known, torch.tensor(vae.config.latent_rgb))
    truth = torch.nn.functional.avg_pool2d(video[0, :, 0], 8)
    assert (colors - truth).abs().mean() < 0.1


def test_it_goes_on_after_a_stop(toy: ClipSet, trained, tmp_path) -> None:
    train_vae(toy, tmp_path, replace(TINY, num_steps=2))
    first = sorted(path.name for path in (tmp_path / "stages" / "vae").glob("step-*"))
    train_vae(toy, tmp_path, replace(TINY, num_steps=3))
    last = sorted(path.name for path in (tmp_path / "stages" / "vae").glob("step-*"))
    assert first[-1] == "step-000000002" and last[-1] == "step-000000003"


def test_the_decoder_alone_leaves_latents_as_they_are(toy: ClipSet, trained, tmp_path) -> None:
    out, _ = trained
    train_vae(toy, tmp_path, replace(TINY, num_steps=2, freeze_encoder=True), start_from=out / "vae")
    before, after = NanoVAE.from_pretrained(out / "vae"), NanoVAE.from_pretrained(tmp_path / "vae")
    video = load_video(toy, 0, 0, 5)
    reference = load_pictures(toy, 0, 20, 21)[:, :, 0]
    with torch.no_grad():
        latents = before.encode(video).latent_dist.mode()
        torch.testing.assert_close(latents, after.encode(video).latent_dist.mode())
        assert list(before.config.latents_mean) == list(after.config.latents_mean)
        assert not torch.equal(before.decode(latents, reference).sample, after.decode(latents, reference).sample)
