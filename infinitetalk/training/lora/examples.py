"""Training examples from stored encodings, and the flow-matching loss of a transformer on them.

Letters of shapes: B batch, T = 21 latent frames, h and w latent rows and columns, F = 81 frames, L and C layers and
channels of the speech encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from ...audio.windows import window_indices
from ...models.specs import ModelSpec
from ...models.transformer import InfiniteTalkTransformer
from ...planning.chunks import NUM_CHUNK_FRAMES
from ...sampling.schedule import NUM_TIMESTEPS
from ..references import CONTEXT_CHOICES, CONTEXT_SHARES, OPENING_SHARE
from .config import LoraConfig
from .encode import StoredChunk

# A clean latent predicted with error e is a velocity with error e / t; bounded, lest nearly clean examples take all.
_SMALLEST_SQUARED_TIME = 0.15
_EARLIEST_TIME = 1e-3


@dataclass(frozen=True)
class Batch:
    """clean: [B,16,T,h,w] latents. reference: [B,20,T,h,w] mask and encoded reference. num_context: [B].

    image: [B,tokens,C]. audio: [B,F,5,L,C]. text: [B,tokens,dim].
    """

    clean: Tensor
    reference: Tensor
    image: Tensor
    audio: Tensor
    text: Tensor
    num_context: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def draw_batch(
    chunks: Sequence[StoredChunk], chosen: np.ndarray, config: LoraConfig, rng: np.random.Generator
) -> Batch:
    """A batch of the chunks at the indices `chosen`; those of another size than the first are replaced by chance."""
    first = chunks[chosen[0]]
    fitting = [i for i, chunk in enumerate(chunks) if (chunk.height, chunk.width) == (first.height, first.width)]
    rows: dict[str, list[Tensor]] = {field.name: [] for field in fields(Batch)}
    for index in chosen:
        if (chunks[index].height, chunks[index].width) != (first.height, first.width):
            index = int(rng.choice(fitting))
        for name, tensor in _example(chunks[index], config, rng).items():
            rows[name].append(tensor)
    longest = max(len(text) for text in rows["text"])
    # The network itself fills shorter prompts up with zeros.
    rows["text"] = [torch.nn.functional.pad(text, (0, 0, 0, longest - len(text))) for text in rows["text"]]
    return Batch(**{name: torch.stack(tensors) for name, tensors in rows.items()})


def _example(chunk: StoredChunk, config: LoraConfig, rng: np.random.Generator) -> dict[str, Tensor]:
    """One row of a batch: a film's first chunk (its reference is its first frame and its context), or a later one."""
    opens = rng.random() < OPENING_SHARE
    number = 0 if opens else int(rng.integers(1, chunk.num_references))
    num_context = 1 if opens else int(rng.choice(CONTEXT_CHOICES, p=CONTEXT_SHARES))
    silent, wordless = rng.random(2) < (config.audio_dropout, config.text_dropout)
    with safe_open(chunk.chunk, framework="pt") as file:
        clean = file.get_tensor("latents")
        reference, image = file.get_tensor(f"reference.{number}"), file.get_tensor(f"image.{number}")
    with safe_open(chunk.film, framework="pt") as file:
        text = file.get_tensor("no_text" if wordless else "text")
        audio = file.get_slice("audio")  # of a whole film: only the chunk's part is read
        frames = window_indices(chunk.start, chunk.start + NUM_CHUNK_FRAMES, audio.get_shape()[0])
        speech = audio[int(frames.min()) : int(frames.max()) + 1][torch.from_numpy(frames - frames.min())]
    return {
        "clean": clean, "reference": reference, "image": image, "audio": torch.zeros_like(speech) if silent else speech,
        "text": text, "num_context": torch.tensor(num_context),
    }  # fmt: skip


def draw_times(count: int, shift: float, generator: torch.Generator) -> Tensor:
    """[count] times in (0, 1], moved towards noise as the schedule of a generation is."""
    even = torch.rand(count, generator=generator)
    return (shift * even / (1 + (shift - 1) * even)).clamp(min=_EARLIEST_TIME)


def flow_loss(
    transformer: InfiniteTalkTransformer, spec: ModelSpec, batch: Batch, times: Tensor, noise: Tensor
) -> Tensor:
    """Mean squared error of the velocity (noise minus clean) of the latent frames that are not given, [B].

    A network that predicts the clean latent is measured by the velocity which that implies. Sources: Wan 2.1 and
    InfiniteTalk (arXiv 2508.14033) section 3; times, noise on the device of the batch, [B] in (0, 1] and [B,16,T,h,w].
    """
    clean, origin = batch.clean.float(), batch.reference[:, 4:, :1].float()
    clean = spec.latents.space(origin).normalise(clean)
    at = times[:, None, None, None, None]
    frame = torch.arange(clean.shape[2], device=clean.device)
    known = (frame[None] < batch.num_context[:, None]).float()[:, None, :, None, None]
    latents = known * clean + (1 - known) * ((1 - at) * clean + at * noise)
    # Keys and values are made inside each block, so that checkpointing forgets and remakes them.
    condition = transformer.encode_condition(
        text=batch.text, image=batch.image, audio=batch.audio, reference=batch.reference, keep_keys=False
    )
    output = transformer(latents, times * NUM_TIMESTEPS, condition).float()
    if spec.prediction == "sample":
        error = (output - clean).square() / at.square().clamp(min=_SMALLEST_SQUARED_TIME)
    else:
        error = (output - (noise - clean)).square()
    free = (1 - known).expand_as(error)
    return (error * free).flatten(1).sum(dim=1) / free.flatten(1).sum(dim=1)
