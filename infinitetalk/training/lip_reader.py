"""A small network that reads mouths from pictures, of any face: what a mouth that was generated is held to.

Absolute errors of pictures are mostly beards, shadows and heads that moved a little. What counts is whether the lips
are as open as the speech says; a reader that learnt it from true frames, of all heads alike, passes that on through the
decoder (Wav2Lip, arXiv 2008.10010, does the same with a network that judges sound and picture together).  It sees the
reference beside the frame and reads the change, as `batches.Batch.truth` states it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import CheckpointError
from .batches import Batch, BatchMaker
from .loop import Draw, fit
from .loop_settings import Every, LoopSettings
from .phases import Phase, TransformerTraining

if TYPE_CHECKING:
    from ..models.nano_vae import NanoVAE
    from .clips import ClipSet
    from .latents import Features

NAME = "lip_reader"
_GROUP = Phase("reader", 1.0, 5, (8, 8), 24, 1.0, 1.0, 0.0, 1.0, moving_share=0.25)
_CHANNELS = (24, 32, 48, 64)
_JAW_WEIGHT = 3.0  # of the jaw and of the lips' opening, against 1 for each other shape
_COLOR_SPREAD, _NOISE = 0.12, 0.04


@dataclass(frozen=True)
class ReaderTraining:
    """A step reads `_GROUP.batch_size` groups of four frames, half of them decoded from their own latents."""

    seconds: float = 480.0
    num_steps: int = 2500
    rate: float = 1.5e-3
    seed: int = 9


class LipReader(nn.Module):
    """Frames and their references [N,3,96,96] in [-1,1] → [N,K]: jaw, opening and mouth shapes less the reference's.

    spread: [K], of what is read; predictions are in units of it.
    """

    def __init__(self, num_shapes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 6
        for index, width in enumerate(_CHANNELS):
            layers += [nn.Conv2d(channels, width, 5 if index == 0 else 3, 2, padding=2 if index == 0 else 1),
                       nn.GroupNorm(4, width), nn.SiLU()]  # fmt: skip
            channels = width
        self.seen = nn.Sequential(*layers)
        self.read = nn.Sequential(nn.Flatten(), nn.Linear(36 * channels, 96), nn.SiLU(), nn.Linear(96, num_shapes))
        self.register_buffer("spread", torch.ones(num_shapes))

    def forward(self, frames: Tensor, references: Tensor) -> Tensor:
        return self.read(self.seen(torch.cat([frames, references], dim=1)))

    def error(self, frames: Tensor, batch: Batch, closed_weight: float = 1.0) -> Tensor:
        """Squared error of what is read from frames [B,4,3,96,96] of the batch's glimpses, jaw and opening foremost.

        closed_weight: of frames in which p, b or m shuts the lips, against 1 for all others.
        """
        seen = batch.crop
        references = seen.reference[:, None].expand_as(frames).flatten(0, 1)
        read = self(frames.flatten(0, 1), references).float().unflatten(0, (-1, 4))
        error = (read - glimpsed(batch) / self.spread).square()
        weight = error.new_ones(error.shape[-1])
        weight[:2] = _JAW_WEIGHT
        counts = (1 + (closed_weight - 1) * seen.closed) * seen.counts[:, None]
        each = (error * weight).mean(dim=2) / weight.mean()
        return (each * counts).sum() / counts.sum().clamp(min=1)


def glimpsed(batch: Batch) -> Tensor:
    """Truth [B,4,K] of the batch's glimpses; the eyelids, its last column, are not in the picture."""
    index = torch.arange(len(batch.truth), device=batch.truth.device)
    return batch.truth[index, batch.crop.group - 1, :, :-1]


def train_reader(
    clips: ClipSet, features: Features, vae: NanoVAE, scale: float, out: Path, settings: ReaderTraining
) -> dict[str, float]:
    """Train, write `out/lip_reader.safetensors` and return how well held-out heads are read.

    Returns:
        jaw, opening: correlation over all held-out frames; decoded: the jaw's where the frames are decoded from their
        own latents.
    """
    from .decoded_crops import CropLoss

    torch.manual_seed(settings.seed)
    maker = BatchMaker(
        clips, features, scale, TransformerTraining(picture_weight=1.0, audio_dropout=0, image_dropout=0)
    )
    crop_loss = CropLoss(vae, scale)
    train, held_out = (features.ready(clips.split(name)) for name in ("train", "test"))
    reader = LipReader(maker.truths.shape[2] - 1)
    rng = np.random.default_rng(settings.seed)
    some = [glimpsed(maker.draw(maker.choose(train, _GROUP, rng), _GROUP, rng)) for _ in range(20)]
    reader.spread.copy_(torch.cat(some).flatten(0, 1).std(dim=0).clamp(min=1e-3))

    def frames_of(batch: Batch, decoded: Tensor) -> Tensor:
        with torch.no_grad():
            shown = crop_loss.decode(batch.clean, batch).clamp(-1, 1)
        return torch.where(decoded[:, None, None, None, None], shown.float(), batch.crop.frames)

    def loss(draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        crop_loss.to(draw.device)
        batch = maker.draw(maker.choose(train, _GROUP, draw.rng), _GROUP, draw.rng).to(draw.device)
        size = len(batch.clean)
        frames = frames_of(batch, torch.rand(size, generator=draw.generator).to(draw.device) < 0.5)
        # Colours and grain must not be read: frame and reference are changed alike, and grained each by itself.
        gain = 1 + _COLOR_SPREAD * torch.randn(size, 1, 3, 1, 1, generator=draw.generator).to(frames)
        lift = _COLOR_SPREAD * torch.randn(size, 1, 3, 1, 1, generator=draw.generator).to(frames)
        grain = _NOISE * torch.rand(1, generator=draw.generator).to(frames)
        frames = frames * gain + lift
        frames = frames + grain * torch.randn_like(frames)
        changed = batch.crop.reference * gain[:, 0] + lift[:, 0]
        batch = replace(batch, crop=replace(batch.crop, reference=changed))
        return reader.error(frames, batch), {}

    @torch.no_grad()
    def measure(step: int) -> dict[str, float]:
        rng = np.random.default_rng(settings.seed)
        batches = [
            maker.draw(np.repeat(held_out, 6)[start : start + 24], _GROUP, rng, plain=True)
            for start in range(0, 6 * len(held_out), 24)
        ]
        figures = {}
        for name, decoded in (("", False), ("decoded_", True)):
            reads, truths = [], []
            for batch in batches:
                batch = batch.to(next(reader.parameters()).device)
                frames = frames_of(batch, torch.full((len(batch.clean),), decoded, device=batch.clean.device))
                references = batch.crop.reference[:, None].expand_as(frames).flatten(0, 1)
                reads.append(reader(frames.flatten(0, 1), references).cpu())
                truths.append(glimpsed(batch).flatten(0, 1).cpu())
            read, truth = torch.cat(reads), torch.cat(truths)
            for column, what in enumerate(("jaw", "opening")):
                figures[name + what] = float(np.corrcoef(read[:, column], truth[:, column])[0, 1])
        return figures

    result = fit(
        reader, loss,
        LoopSettings(
            num_steps=settings.num_steps, seconds=settings.seconds, rate=settings.rate, weight_decay=0.02,
            average_decay=0.99, log=Every(steps=50), report=Every(steps=250), seed=settings.seed,
        ),
        out / "stages" / NAME, report=measure,
    )  # fmt: skip
    save_file(
        {name: value.contiguous().cpu() for name, value in reader.state_dict().items()}, out / f"{NAME}.safetensors"
    )
    return result.figures


def load_reader(out: Path) -> LipReader | None:
    """The reader that `train_reader` left in `out`, which no longer learns; None where there is none.

    Raises:
        CheckpointError: the file is damaged or of another network.
    """
    file = out / f"{NAME}.safetensors"
    if not file.exists():
        return None
    try:
        tensors = load_file(file)
        reader = LipReader(len(tensors["spread"]))
        reader.load_state_dict(tensors)
    except Exception as error:  # safetensors' own error type, or torch's
        raise CheckpointError(f"{file} is not a lip reader ({error}); train --stage lip-reader again.") from error
    return reader.eval().requires_grad_(False)
