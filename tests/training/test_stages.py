"""Every stage of the training runs, learns something from a toy, continues after a stop and writes loadable weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from infinitetalk.errors import InputError
from infinitetalk.models.audio_encoder import SpeechEncoder
from infinitetalk.models.image_encoder import encode_image
from infinitetalk.models.nano_vae import NanoVAE
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.training.audio_stage import AudioTraining, train_audio
from infinitetalk.training.clips import ClipSet, neutral_truth, open_clips
from infinitetalk.training.latents import Variation, compute_features
from infinitetalk.training.transformer_stage import PHASES, BatchMaker, TransformerTraining, train_transformer
from infinitetalk.training.vae_stage import VaeTraining, load_video, train_vae

NUM_FRAMES, SIZE = 113, 64


@pytest.fixture(scope="module")
def toy() -> ClipSet:
    """Five clips of a coloured wall with a dark mouth that is as open as the noise is loud."""
    rng = np.random.default_rng(0)
    jaw = np.abs(np.sin(np.cumsum(rng.uniform(0.1, 0.6, (5, NUM_FRAMES)), axis=1))).astype(np.float32)
    video = np.empty((5, NUM_FRAMES, SIZE, SIZE, 3), np.uint8)
    for clip in range(5):
        wall = np.kron(rng.integers(60, 255, (8, 8, 3)), np.ones((8, 8, 1)))
        for frame in range(NUM_FRAMES):
            video[clip, frame] = wall
            half = int(1 + 7 * jaw[clip, frame])
            video[clip, frame, 40 - half : 40 + half, 24:40] = (70, 20, 20)
    audio = rng.normal(0, 0.2, (5, NUM_FRAMES * 640)) * np.repeat(jaw + 0.03, 640, axis=1)
    boxes = np.tile(np.array([30, 22, 50, 42], np.float32), (5, NUM_FRAMES, 1))
    is_test = np.arange(5) >= 3
    return ClipSet(
        video=list(video),
        audio=list(audio.astype(np.float32)),
        mouth_shapes=jaw[:, :, None] * 0.5,
        is_test=is_test,
        is_finished=np.ones(5, bool),
        **neutral_truth(5, NUM_FRAMES)
        | {
            "jaw": jaw,
            "openness": jaw * 0.5,
            "pose": np.zeros((5, NUM_FRAMES, 3), np.float32),
            "mouth_boxes": boxes,
            "head_ids": np.arange(5),
            "voice_ids": np.zeros(5, np.int64),
        },
    )


@pytest.fixture(scope="module")
def trained(toy: ClipSet, tmp_path_factory) -> tuple[Path, dict[str, dict[str, float]]]:
    """The folder after the stages audio and vae, and their figures."""
    out = tmp_path_factory.mktemp("nano")
    torch.manual_seed(0)
    return out, {
        "audio": train_audio(toy, out, AudioTraining(num_steps=25, batch_size=2, num_frames=40)),
        "vae": train_vae(toy, out, VaeTraining(num_steps=3, batch_size=2, crop_size=32)),
    }


def test_the_encoder_hears_the_mouth(trained) -> None:
    out, figures = trained
    assert figures["audio"]["jaw_last_layer"] > 0.3  # loudness alone gives it away in the toy
    layers = SpeechEncoder.from_pretrained(out / "audio_encoder").eval().embed(np.zeros(6400, np.float32))
    assert layers.shape == (10, 4, 96)


def test_the_autoencoder_starts_from_principal_components(trained) -> None:
    out, figures = trained
    assert figures["vae"]["psnr"] > 20  # untrained networks give about 10
    assert figures["vae"]["still_drift"] < 1e-4
    config = NanoVAE.from_pretrained(out / "vae").config
    assert len(set(config.latents_std)) == 1 and config.latents_std[0] > 0


def test_the_decoder_alone_leaves_latents_as_they_are(toy: ClipSet, trained, tmp_path) -> None:
    out, _ = trained
    settings = VaeTraining(num_steps=2, batch_size=2, crop_size=32, freeze_encoder=True)
    train_vae(toy, tmp_path, settings, start_from=out / "vae")
    before, after = NanoVAE.from_pretrained(out / "vae"), NanoVAE.from_pretrained(tmp_path / "vae")
    video = load_video(toy, 0, 0, 5)
    latents = before.encode(video).latent_dist.mode()
    torch.testing.assert_close(latents, after.encode(video).latent_dist.mode())
    assert list(before.config.latents_mean) == list(after.config.latents_mean)
    assert not torch.equal(before.decode(latents).sample, after.decode(latents).sample)


def test_variations_keep_the_mouth_in_its_box(toy: ClipSet) -> None:
    """The dark mouth is where the moved box says, whatever the variation did to the picture."""
    frames = load_video(toy, 0, int(toy.jaw[0].argmax()), int(toy.jaw[0].argmax()) + 1)[:, :, 0]
    box = np.array([34, 26, 46, 38.0])  # well inside the open mouth
    for number in range(6):
        variation = Variation.of(0, number, SIZE)
        variation = replace(variation, colors=np.eye(3, 4))
        top, left, bottom, right = np.round(variation.boxes(box, SIZE)).astype(int)
        inside = variation.pictures(frames)[0, :, top + 1 : bottom - 1, left + 1 : right - 1]
        assert inside[1].max() < -0.5, number  # the mouth's green is 20 of 255, the wall's at least 60
    assert torch.equal(Variation.of(0, 0, SIZE).pictures(frames), frames)


def test_stored_pieces_make_the_chunk_that_encoding_makes(toy: ClipSet, trained, tmp_path) -> None:
    out, _ = trained
    vae = NanoVAE.from_pretrained(out / "vae").eval()
    features = compute_features(toy, vae, SpeechEncoder.from_pretrained(out / "audio_encoder").eval(), tmp_path)
    with torch.no_grad():
        raw = vae.encode(load_video(toy, 1, 6, 23)).latent_dist.mode()[0].transpose(0, 1)
    mean = torch.tensor(vae.config.latents_mean)[:, None, None]
    expected = ((raw - mean) / vae.config.latents_std[0])[:5]
    stored = torch.from_numpy(features.chunk(1, 6, 5))
    torch.testing.assert_close(stored, expected, atol=0.01, rtol=0.01)  # kept in float16
    windows = features.windows(1, 0, NUM_FRAMES)
    np.testing.assert_array_equal(windows[0, 0], windows[0, 2])  # before the first frame stands the first
    np.testing.assert_array_equal(windows[5, 3], windows[6, 2])


def test_transformer_learns_stops_and_goes_on(toy: ClipSet, trained, tmp_path) -> None:
    out, _ = trained
    vae, encoder = NanoVAE.from_pretrained(out / "vae"), SpeechEncoder.from_pretrained(out / "audio_encoder").eval()
    features = compute_features(toy, vae.eval(), encoder, tmp_path / "features")
    phases = tuple(replace(phase, batch_size=2, num_latent_frames=4) for phase in PHASES[:2])
    settings = TransformerTraining(seconds=2.0, dim=48, num_heads=2, num_layers=2, phases=phases)
    figures = train_transformer(toy, features, tmp_path, settings)
    assert np.isfinite(list(figures.values())).all() and figures["relative_scale"] > 0
    steps = torch.load(tmp_path / "stages/transformer/optimizer.pt", weights_only=True)["step"]
    assert steps > 0
    train_transformer(toy, features, tmp_path, replace(settings, seconds=3.0))
    assert torch.load(tmp_path / "stages/transformer/optimizer.pt", weights_only=True)["step"] > steps

    network = InfiniteTalkTransformer.from_pretrained(tmp_path / "transformer")
    assert network.config.audio_blocks == 4 and network.config.dim == 48
    from transformers import CLIPVisionModel

    images = CLIPVisionModel.from_pretrained(tmp_path / "image_encoder")
    assert encode_image(images, torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 65, network.config.image_dim)


def test_batches_are_what_generation_sees(toy: ClipSet, trained, tmp_path) -> None:
    out, _ = trained
    phase = replace(PHASES[1], num_latent_frames=5)
    vae, encoder = NanoVAE.from_pretrained(out / "vae"), SpeechEncoder.from_pretrained(out / "audio_encoder").eval()
    features = compute_features(toy, vae.eval(), encoder, tmp_path)
    maker = BatchMaker(toy, features, 0.5, TransformerTraining())
    batch = maker.draw(np.array([0, 1, 2] * 6), phase, np.random.default_rng(0))
    assert batch.clean.shape == (18, 16, 5, SIZE // 8, SIZE // 8) and batch.audio.shape == (18, 17, 5, 4, 96)
    torch.testing.assert_close(batch.conditioning[:, 4:, 0], batch.reference[:, :, 0])
    assert batch.conditioning[:, :4, 0].eq(1).all() and batch.conditioning[:, :4, 1:].eq(0).all()
    torch.testing.assert_close(batch.conditioning[:, 4:, 1], batch.conditioning[:, 4:, 3])
    still = batch.clean[:, :, 0].flatten(1).abs().amax(dim=1) == 0
    assert set(batch.num_context.tolist()) == {1, 3}
    assert (batch.num_context[still] == 1).any() and not still.all()


def test_missing_clips_are_said(tmp_path) -> None:
    with pytest.raises(InputError, match="holds no clips"):
        open_clips(tmp_path)
