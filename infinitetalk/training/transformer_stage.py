"""Stage `transformer`: flow matching on latents relative to the reference, mouth first.

The network sees (latent - reference latent) / scale, so identity and background cost it nothing, and predicts the clean
latent, so it spends nothing on passing noise through.  Three phases (see `PHASES`): cut-outs around the mouth, where
the sound takes hold because a picture costs a quarter; whole pictures of a few latent frames; whole chunks of 21.
Rotary positions are relative, so what one phase learns holds in the next.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import CLIPVisionModel

from ..models.image_encoder import encode_image, image_encoder_config
from ..models.transformer import InfiniteTalkTransformer
from .clips import ClipSet
from .common import CsvLog, MovingAverage, cosine_rate, load_checkpoint, parameter_groups, save_checkpoint
from .latents import NUM_VARIATIONS, Features, Variation
from .vae_stage import load_video

PATCH_CELLS = 2  # latent positions per token along each side
CROP_CELLS = 8  # latent positions of a mouth cut-out along each side
CONTEXT_LATENTS = 3
REFERENCE_REACH = 24  # frames: the reference comes from within one second of the chunk (M3)


@dataclass(frozen=True)
class Phase:
    """One part of the training. `share`: of the stage's time. `crop`: cut out the mouth's surroundings.

    mouth_weight: of the mouth's latents in the loss, against 1 elsewhere.
    high_noise_share: of the examples, drawn with times in [0.75, 1], where the sound is all there is to go by.
    pure_noise_share: of the examples, drawn at time 1 itself, where few-step sampling does most of its work.
    and_mouths: every other step sees cut-outs around the mouth instead, four times as many.
    """

    name: str
    share: float
    num_latent_frames: int
    crop: bool
    batch_size: int
    mouth_weight: float
    high_noise_share: float
    pure_noise_share: float = 0.0
    and_mouths: bool = False


PHASES = (
    Phase("mouths", 0.30, 7, True, 16, 6.0, 0.6),
    Phase("pictures", 0.20, 7, False, 8, 8.0, 0.5),
    Phase("chunks", 0.50, 21, False, 2, 8.0, 0.2, 0.6, and_mouths=True),
)


@dataclass(frozen=True)
class TransformerTraining:
    """Settings of the stage."""

    seconds: float = 3600.0
    rate: float = 1.2e-3
    weight_decay: float = 0.01
    audio_rate_factor: float = 1.5
    audio_dropout: float = 0.12
    context_noise: float = 0.06
    average_decay: float = 0.997
    dim: int = 192
    num_layers: int = 6
    num_heads: int = 6
    context_tokens: int = 8
    save_seconds: float = 180.0
    report_seconds: float = 60.0
    phases: tuple[Phase, ...] = PHASES
    seed: int = 3


class NanoNetworks(nn.Module):
    """The two networks this stage trains together."""

    def __init__(self, transformer: InfiniteTalkTransformer, image_encoder: CLIPVisionModel) -> None:
        super().__init__()
        self.transformer = transformer
        self.image_encoder = image_encoder


@dataclass(frozen=True)
class Batch:
    """One training batch. clean, reference: [B,16,T,h,w]; conditioning: [B,20,T,h,w]; weight: [B,1,T,h,w].

    num_context: [B] latent frames given clean. picture: [B,3,S,S] the reference frame. audio: [B,F,5,L,C].
    """

    clean: Tensor
    reference: Tensor
    conditioning: Tensor
    mouth: Tensor
    num_context: Tensor
    picture: Tensor
    audio: Tensor


def build_networks(settings: TransformerTraining, speech_layers: int, speech_channels: int) -> NanoNetworks:
    """Nano's transformer and image encoder with starting weights that suit a short training."""
    transformer = InfiniteTalkTransformer(
        text_len=1,
        dim=settings.dim,
        ffn_dim=4 * settings.dim,
        freq_dim=64,
        text_dim=16,
        num_heads=settings.num_heads,
        num_layers=settings.num_layers,
        audio_blocks=speech_layers,
        audio_channels=speech_channels,
        intermediate_dim=192,
        output_dim=128,
        context_tokens=settings.context_tokens,
        image_dim=96,
    )
    image_encoder = CLIPVisionModel(
        image_encoder_config(hidden_size=96, num_layers=2, num_heads=4, mlp_ratio=3, image_size=128, patch_size=16)
    )
    start_weights(transformer)
    return NanoNetworks(transformer, image_encoder)


@torch.no_grad()
def start_weights(transformer: InfiniteTalkTransformer) -> None:
    """Residual branches start small, the output at zero, and self-attention at "same place, any time".

    Without the last, copying along time takes hundreds of steps to emerge.
    """
    for block in transformer.blocks:
        for attention in (block.attn1, block.attn2, block.audio_attn):
            nn.init.xavier_uniform_(attention.to_out[0].weight, gain=0.5)
            nn.init.zeros_(attention.to_out[0].bias)
        nn.init.zeros_(block.scale_shift_table)
        # Order of the table: shift, scale, gate of the attention; shift, scale, gate of the MLP.
        block.scale_shift_table[:, 2] = 0.5
        block.scale_shift_table[:, 5] = 0.5
        _prefer_same_place(block.attn1, transformer.config.dim // transformer.config.num_heads)
    nn.init.normal_(transformer.condition_embedder.time_proj.weight, std=0.01)
    nn.init.zeros_(transformer.condition_embedder.time_proj.bias)
    nn.init.zeros_(transformer.proj_out.weight)
    nn.init.zeros_(transformer.proj_out.bias)
    nn.init.zeros_(transformer.scale_shift_table)


def _prefer_same_place(attention: nn.Module, head_dim: int) -> None:
    """Equal biases of queries and keys on the fastest row and column rotations: their product peaks at distance zero.

    Every other head starts with it; the rest are free to look elsewhere.
    """
    spatial = 2 * (head_dim // 6)
    first_row = head_dim - 2 * spatial
    for head in range(0, attention.num_heads, 2):
        for axis in (first_row, first_row + spatial):
            for pair, strength in ((0, 2.0), (1, 1.5)):
                channel = head * head_dim + axis + 2 * pair
                attention.to_q.bias[channel] = strength
                attention.to_k.bias[channel] = strength


class BatchMaker:
    """Draws training batches from stored latents and features."""

    def __init__(self, clips: ClipSet, features: Features, scale: float, settings: TransformerTraining) -> None:
        self.clips = clips
        self.features = features
        self.scale = scale
        self.settings = settings
        self.cells = clips.size // 8

    def draw(self, chosen: np.ndarray, phase: Phase, rng: np.random.Generator, *, plain: bool = False) -> Batch:
        """A batch from the clips `chosen`; `plain` leaves out every random change (for measuring)."""
        size = CROP_CELLS if phase.crop else self.cells
        num_latent_frames = phase.num_latent_frames
        num_frames = 4 * (num_latent_frames - 1) + 1
        rows: dict[str, list] = {name: [] for name in ("clean", "reference", "mouth", "context", "picture", "audio")}
        tails = []
        for clip in chosen:
            start = 2 * int(rng.integers(0, (self.clips.num_frames - num_frames) // 2 + 1))
            opening = rng.random() < 0.35  # the first chunk of a film: its reference is its first frame
            low = max(0, start - REFERENCE_REACH)
            high = min(self.clips.num_frames, start + num_frames + REFERENCE_REACH)
            anchor = start if opening else int(rng.integers(low, high))
            number = 0 if plain else int(rng.integers(0, NUM_VARIATIONS))
            variation = Variation.of(int(clip), number, self.clips.size)
            boxes = variation.boxes(self.clips.mouth_boxes[clip, start : start + num_frames], self.clips.size) / 8
            box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
            top = left = 0
            if phase.crop:
                middle = (box[:2] + box[2:]) / 2 + (0 if plain else rng.uniform(-2, 2, 2))
                # Even, so that tokens of a cut-out are tokens of the whole picture.
                top, left = (int(np.clip(2 * round((m - size / 2) / 2), 0, self.cells - size)) for m in middle)
            window = (slice(top, top + size), slice(left, left + size))
            rows["clean"].append(self.features.chunk(clip, start, num_latent_frames, number)[:, :, *window])
            rows["reference"].append(self.features.single[clip, number, anchor][:, *window].astype(np.float32))
            rows["mouth"].append(_mouth_cells(box - np.array([top, left, top, left]), size))
            rows["context"].append(1 if opening else int(rng.choice([1, CONTEXT_LATENTS, CONTEXT_LATENTS])))
            rows["picture"].append(variation.pictures(load_video(self.clips, clip, anchor, anchor + 1)[:, :, 0])[0])
            audio = self.features.windows(clip, start, num_frames, 0 if plain else int(rng.integers(0, NUM_VARIATIONS)))
            silent = not plain and rng.random() < self.settings.audio_dropout
            rows["audio"].append(np.zeros_like(audio) if silent else audio)
            tails.append(self.features.tail[:, *window])
        reference = torch.from_numpy(np.stack(rows["reference"]))[:, :, None]
        clean = torch.from_numpy(np.stack(rows["clean"])).transpose(1, 2)
        tail = torch.stack(tails)[:, :, None].expand(-1, -1, num_latent_frames - 1, -1, -1)
        mask = torch.zeros(len(chosen), 4, num_latent_frames, size, size)
        mask[:, :, 0] = 1
        return Batch(
            clean=(clean - reference) / self.scale,
            reference=reference,
            conditioning=torch.cat([mask, torch.cat([reference, tail], dim=2)], dim=1),
            mouth=torch.from_numpy(np.stack(rows["mouth"]))[:, None, None],
            num_context=torch.tensor(rows["context"]),
            picture=torch.stack(rows["picture"]),
            audio=torch.from_numpy(np.stack(rows["audio"])),
        )


def _mouth_cells(box: np.ndarray, size: int) -> np.ndarray:
    """Share of each latent cell [h,w] covered by a box given in cells."""
    edge = np.arange(size)
    rows = np.clip(np.minimum(edge + 1, box[2]) - np.maximum(edge, box[0]), 0, 1)
    columns = np.clip(np.minimum(edge + 1, box[3]) - np.maximum(edge, box[1]), 0, 1)
    return np.outer(rows, columns).astype(np.float32)


def relative_scale(clips: ClipSet, features: Features, train: np.ndarray, rng: np.random.Generator) -> float:
    """Spread of (latent - reference latent) in the mouth: the one number that relative latents are divided by.

    The mouth's and not the whole picture's, most of which stands still: noise has to hide the mouth, or the network
    reads it from its noisy input instead of from the sound.
    """
    squares, weights = 0.0, 0.0
    for clip in rng.choice(train, min(64, len(train)), replace=False):
        groups = features.groups[clip, 0, ::7].astype(np.float32)
        error = ((groups - features.single[clip, 0, 0].astype(np.float32)) ** 2).mean(axis=(0, 1))
        mouth = _mouth_cells(clips.mouth_boxes[clip].mean(axis=0) / 8, error.shape[0])
        squares, weights = squares + (error * mouth).sum(), weights + mouth.sum()
    return float(np.sqrt(squares / weights))


def context_mask(batch: Batch) -> Tensor:
    """[B,1,T,1,1], 1 for latent frames given clean."""
    frame = torch.arange(batch.clean.shape[2])
    return (frame[None] < batch.num_context[:, None]).float()[:, None, :, None, None]


def predict(networks: NanoNetworks, batch: Batch, latents: Tensor, times: Tensor, audio: Tensor) -> Tensor:
    """The networks' clean latents at `times` [B] in [0,1]."""
    transformer = networks.transformer
    condition = transformer.encode_condition(
        text=latents.new_zeros(1, 0, transformer.config.text_dim),
        image=encode_image(networks.image_encoder, batch.picture),
        audio=audio,
        reference=batch.conditioning,
    )
    return transformer(latents, times * 1000, condition)


def flow_loss(
    networks: NanoNetworks, batch: Batch, phase: Phase, settings: TransformerTraining, generator: torch.Generator
) -> tuple[Tensor, float]:
    """Weighted squared error of the predicted velocity, and that of the mouth's clean latent alone at high noise."""
    size = batch.clean.shape[0]
    high = torch.rand(size, generator=generator) < phase.high_noise_share
    times = torch.rand(size, generator=generator)
    times = torch.where(high, 0.75 + 0.25 * times, times).clamp(min=0.001)
    times = torch.where(torch.rand(size, generator=generator) < phase.pure_noise_share, 1.0, times)
    noise = torch.randn(batch.clean.shape, generator=generator)
    at = times[:, None, None, None, None]
    known = context_mask(batch)
    shaken = batch.clean + settings.context_noise * torch.randn(batch.clean.shape, generator=generator)
    opening = (batch.num_context == 1).float()[:, None, None, None, None]
    context = opening * batch.clean + (1 - opening) * shaken  # the reference itself is never shaken
    latents = known * context + (1 - known) * ((1 - at) * batch.clean + at * noise)
    error = (predict(networks, batch, latents, times, batch.audio) - batch.clean).square().mean(dim=1, keepdim=True)
    weight = (1 - known) * (1 + (phase.mouth_weight - 1) * batch.mouth)
    # A velocity's error is the clean latent's over t; bounded, lest nearly clean examples take all.
    by_time = 1 / at.square().clamp(min=0.15)
    loss = (error * weight * by_time).sum() / weight.expand_as(error).sum()
    with torch.no_grad():
        inside = (1 - known) * batch.mouth * (at > 0.75)
        mouth = ((error * inside).sum() / inside.expand_as(error).sum().clamp(min=1e-6)).item()
    return loss, mouth


def train_transformer(
    clips: ClipSet, features: Features, out: Path, settings: TransformerTraining, *, only: str | None = None
) -> dict[str, float]:
    """Run the phases within the time given, export to `out/transformer` and `out/image_encoder`.

    Continues from the newest checkpoint: a phase that was finished is not run again.
    """
    from .transformer_report import Probe, report

    torch.manual_seed(settings.seed)
    layers, channels = features.speech.shape[3:5]
    networks = build_networks(settings, layers, channels)
    train, held_out = clips.split("train"), clips.split("test")
    folder = out / "stages" / "transformer"
    scale_file = folder / "relative_scale.txt"  # more clips must not change it once training has begun
    folder.mkdir(parents=True, exist_ok=True)
    if not scale_file.exists():
        scale = relative_scale(clips, features, train, np.random.default_rng(settings.seed))
        scale_file.write_text(f"{scale:.4f}\n")
    scale = float(scale_file.read_text())
    maker = BatchMaker(clips, features, scale, settings)
    probe = Probe.fit(clips, features, train)
    average = MovingAverage(networks, settings.average_decay)
    rates = [("audio_projection", settings.audio_rate_factor), ("audio_attn", settings.audio_rate_factor)]
    optimizer = torch.optim.AdamW(parameter_groups(networks, settings.weight_decay, rates), betas=(0.9, 0.98))
    step = load_checkpoint(folder, networks, average, optimizer)
    clock = _Clock(folder / "seconds.txt", settings)
    log = CsvLog(folder / "log.csv")
    quality = probe.quality(clips, features, held_out)
    print(f"relative scale {scale:.4f}, probe on true latents {quality:.3f}", flush=True)
    rng = np.random.default_rng(settings.seed + step)
    generator = torch.Generator().manual_seed(settings.seed + step)
    running, last_report, last_save = None, time.monotonic(), time.monotonic()
    while (phase := clock.phase()) is not None:
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * group["factor"] * clock.rate() * min(1, (step + 1) / 100)
        if phase.and_mouths and step % 2:
            phase = replace(phase, crop=True, batch_size=4 * phase.batch_size)
        batch = maker.draw(rng.choice(train, phase.batch_size), phase, rng)
        loss, mouth = flow_loss(networks, batch, phase, settings, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimizer.step()
        average.update(networks)
        step += 1
        running = (loss.item(), mouth) if running is None else tuple(
            0.98 * old + 0.02 * new for old, new in zip(running, (loss.item(), mouth), strict=True)
        )
        clock.tick()
        if time.monotonic() - last_report > settings.report_seconds:
            average.swap(networks)
            figures = report(networks, maker, probe, held_out, replace(phase, crop=True, batch_size=16))
            average.swap(networks)
            log.write(step=step, phase=phase.name, loss=running[0], train_mouth=running[1], **figures)
            last_report = time.monotonic()
        if time.monotonic() - last_save > settings.save_seconds:
            save_checkpoint(folder, networks, average, optimizer, step)
            clock.save()
            last_save = time.monotonic()
    save_checkpoint(folder, networks, average, optimizer, step)
    clock.save()
    average.swap(networks)
    figures = report(networks, maker, probe, held_out, replace(settings.phases[-1], batch_size=6))
    networks.transformer.save_pretrained(out / "transformer")
    networks.image_encoder.save_pretrained(out / "image_encoder")
    log.write(step=step, phase="end", loss=0.0, train_mouth=0.0, **figures)
    return {**figures, "relative_scale": scale}


class _Clock:
    """Seconds of training so far, across restarts, and what they mean for phase and rate."""

    def __init__(self, path: Path, settings: TransformerTraining) -> None:
        self.path, self.settings = path, settings
        self.before = float(path.read_text()) if path.exists() else 0.0
        self.elapsed = self.before
        self.started = time.monotonic()

    def tick(self) -> None:
        self.elapsed = self.before + time.monotonic() - self.started

    def save(self) -> None:
        self.path.write_text(f"{self.elapsed:.1f}\n")

    def phase(self) -> Phase | None:
        end = 0.0
        for phase in self.settings.phases:
            end += phase.share * self.settings.seconds
            if self.elapsed < end:
                return phase
        return None

    def rate(self) -> float:
        return cosine_rate(int(1000 * self.elapsed / self.settings.seconds), 1000, warm_up=0)
