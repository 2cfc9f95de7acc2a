"""The loop, on networks whose answer is known."""

from __future__ import annotations

import pytest
import torch

from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.sampling.denoise import denoise
from infinitetalk.sampling.guidance import branches_for, make_guidance
from infinitetalk.sampling.schedule import timesteps

SHAPE = (1, 16, 4, 2, 2)


def normal(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


class GaussianData:
    """The exact answer where clean latents are normal around `mean` with `deviation`, each value by itself."""

    def __init__(self, mean: torch.Tensor, deviation: float, prediction: str) -> None:
        self.mean, self.deviation, self.prediction = mean, deviation, prediction
        self.seen: list[torch.Tensor] = []

    def __call__(self, latents, timestep, conditions, *, skip_frames):
        self.seen.append(latents.clone())
        t = (timestep / 1000).view(-1, 1, 1, 1, 1)
        variance = ((1 - t) * self.deviation) ** 2 + t**2
        clean = self.mean + (1 - t) * self.deviation**2 / variance * (latents - (1 - t) * self.mean)
        output = clean if self.prediction == "sample" else (latents - clean) / t
        return {branch: output + 0.1 * shift for branch, shift in conditions.items()}


def run(network, *, context_frames=1, steps=6, text=1.0, audio=2.0, adaptive=False, prediction="velocity", **options):
    conditions = dict.fromkeys(branches_for(text, audio), 0.0)
    return denoise(
        network, conditions, normal(0), normal(1)[:, :, :context_frames], timesteps=timesteps(steps, 3.0),
        guidance=make_guidance(text, audio, adaptive=adaptive), prediction=prediction, **options,
    )  # fmt: skip


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("context_frames", [0, 1, 3, 4])
def test_context_latents_stay_clean(context_frames, adaptive):
    network = GaussianData(normal(3), 0.5, "velocity")
    context = normal(1)[:, :, :context_frames]
    after: list[tuple[int, torch.Tensor]] = []
    result = run(
        network, context_frames=context_frames, adaptive=adaptive,
        on_step=lambda index, latents: after.append((index, latents.clone())),
    )  # fmt: skip
    assert [index for index, _ in after] == list(range(6)) and len(network.seen) == 6
    for latents in [*network.seen, *(latents for _, latents in after), result]:
        assert torch.equal(latents[:, :, :context_frames], context)
    torch.testing.assert_close(network.seen[0][:, :, context_frames:], normal(0)[:, :, context_frames:])


def test_what_the_last_step_foresees_is_the_result_and_earlier_ones_come_nearer():
    foreseen: list[torch.Tensor] = []
    result = run(
        GaussianData(normal(3), 0.5, "velocity"), steps=8, on_step=lambda index, clean: foreseen.append(clean.clone())
    )
    torch.testing.assert_close(foreseen[-1], result)
    distances = [float((clean - result).norm()) for clean in foreseen]
    assert distances == sorted(distances, reverse=True) and distances[0] > 1


@pytest.mark.parametrize("text", [1.0, 4.0])
@pytest.mark.parametrize("adaptive", [False, True])
def test_sample_and_velocity_networks_agree(text, adaptive):
    results = [
        run(GaussianData(normal(3), 0.5, prediction), prediction=prediction, text=text, adaptive=adaptive)
        for prediction in ("velocity", "sample")
    ]
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)


def test_certain_network_is_believed_in_any_number_of_steps():
    for steps in (1, 2, 9):
        result = run(GaussianData(normal(3), 0.0, "sample"), prediction="sample", steps=steps, context_frames=0)
        torch.testing.assert_close(result, normal(3), atol=1e-4, rtol=1e-4)


def test_stop_is_noticed_before_the_next_step():
    network = GaussianData(normal(3), 0.5, "velocity")
    assert run(network, should_stop=lambda: len(network.seen) == 2) is None
    assert len(network.seen) == 2


def test_noise_and_context_of_the_caller_are_untouched():
    noise, context = normal(0), normal(1)[:, :, :2]
    kept = noise.clone(), context.clone()
    denoise(
        GaussianData(normal(3), 0.5, "velocity"), {"cond": 0.0}, noise, context,
        timesteps=timesteps(2, 3.0), guidance=make_guidance(1.0, 1.0),
    )  # fmt: skip
    assert torch.equal(noise, kept[0]) and torch.equal(context, kept[1])


@torch.inference_mode()
def test_real_network_one_branch_at_a_time_gives_the_same_chunk():
    torch.manual_seed(0)
    model = InfiniteTalkTransformer(
        text_len=2, text_dim=8, dim=24, ffn_dim=32, freq_dim=16, num_heads=2, num_layers=2, audio_blocks=2,
        audio_channels=6, intermediate_dim=8, output_dim=8, context_tokens=2, image_dim=10,
    ).eval()  # fmt: skip
    inputs = {
        "text": torch.randn(1, 1, 8), "image": torch.randn(1, 3, 10), "reference": torch.randn(1, 20, 4, 4, 4),
        "audio": torch.randn(1, 13, 5, 2, 6),
    }  # fmt: skip
    branches = branches_for(1.0, 2.0)
    conditions = {
        branch: model.encode_condition(**{**inputs, "audio": inputs["audio"] * (branch == "cond")})
        for branch in branches
    }

    def separately(latents, timestep, conditions, *, skip_frames):
        return {branch: model(latents, timestep, condition) for branch, condition in conditions.items()}

    noise, context = torch.randn(1, 16, 4, 4, 4), torch.randn(1, 16, 1, 4, 4)
    results = [
        denoise(network, conditions, noise, context, timesteps=timesteps(3, 5.0), guidance=make_guidance(1.0, 2.0))
        for network in (model, separately)
    ]
    torch.testing.assert_close(*results)
