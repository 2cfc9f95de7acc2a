"""Films of the ablation: dubbing held-out clips chunk by chunk, each network by the way it was trained for.

The small networks work in chunks of 41 frames (11 latent frames), so that a clip of six seconds holds four of them and
every frame has its truth. Speech comes from another clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..models.vae import denormalize_latents, encode_video
from .batches import LAST_MASK_CHANNEL, Batch
from .distill import Teaching, guided_sample
from .references import Conditioning

if TYPE_CHECKING:
    from .clips import ClipSet
    from .latents import Features
    from .networks import NanoNetworks

NUM_LATENT_FRAMES = 11
NUM_CHUNK_FRAMES = 4 * (NUM_LATENT_FRAMES - 1) + 1  # 41
CONTEXT_FRAMES = 9
NUM_FILM_FRAMES = NUM_CHUNK_FRAMES + 3 * (NUM_CHUNK_FRAMES - CONTEXT_FRAMES)  # 137: four chunks of the published way


@dataclass(frozen=True)
class AblationFilm:
    """frames: uint8 [F,S,S,3]. borders: first frame that each later chunk adds.

    closeness: [chunks, T], mean square of the relative latents by latent frame: 0 where the reference is shown again.
    """

    frames: np.ndarray
    borders: list[int]
    closeness: np.ndarray


def dub(
    networks: NanoNetworks,
    vae: nn.Module,
    clips: ClipSet,
    features: Features,
    source: int,
    speech: int,
    conditioning: Conditioning,
    scale: float,
    teaching: Teaching,
    seed: int = 0,
) -> AblationFilm:
    """Show the clip `source` speaking the sound of the clip `speech`.

    sparse: chunks overlap by nine frames, the reference of each is the source's frame at its start.
    i2v: each chunk begins with the last generated frame and knows nothing else. fl2v: and ends with the source's.
    """
    overlap = CONTEXT_FRAMES if conditioning == "sparse" else 1
    video = _pictures(clips, source)
    film: Tensor | None = None  # [1,3,F,S,S]
    borders, closeness = [], []
    start = 0
    while film is None or film.shape[2] < NUM_FILM_FRAMES:
        if film is None or conditioning == "sparse":
            reference = video[:, :, start : start + 1]
        else:
            reference = film[:, :, -1:]
        anchor = _encode(vae, reference)
        if film is None or conditioning != "sparse":
            context = anchor
        else:
            context = _encode(vae, film[:, :, -CONTEXT_FRAMES:])
        last = min(start + NUM_CHUNK_FRAMES - 1, clips.num_frames - 1)
        second = _encode(vae, video[:, :, last : last + 1]) if conditioning == "fl2v" else None
        batch = _batch(features, speech, start, reference, anchor, context, second, scale)
        generator = torch.Generator().manual_seed(1000 * seed + start)
        noise = torch.randn(batch.clean.shape, generator=generator)
        latents = guided_sample(networks, batch, batch.clean, noise, teaching)
        closeness.append(latents.square().mean(dim=(0, 1, 3, 4)).numpy())
        raw = denormalize_latents(vae, latents * scale + anchor)
        frames = vae.decode(raw, reference[:, :, 0]).sample.clamp(-1, 1)
        if film is None:
            film = frames
        else:
            borders.append(film.shape[2])
            film = torch.cat([film, frames[:, :, overlap:]], dim=2)
        start = film.shape[2] - overlap
    shown = ((film[0, :, :NUM_FILM_FRAMES] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0)
    return AblationFilm(shown.numpy(), [b for b in borders if b < NUM_FILM_FRAMES], np.stack(closeness))


def _batch(
    features: Features,
    speech: int,
    start: int,
    reference: Tensor,
    anchor: Tensor,
    context: Tensor,
    second: Tensor | None,
    scale: float,
) -> Batch:
    """What the network is given for one chunk; `clean` holds the context latents and nothing else."""
    shape = (1, 16, NUM_LATENT_FRAMES, *anchor.shape[-2:])
    clean = torch.zeros(shape)
    clean[:, :, : context.shape[2]] = (context - anchor) / scale
    mask = torch.zeros(1, 4, *shape[2:])
    mask[:, :, 0] = 1
    shown = torch.cat([anchor, features.tail[None, :, None].expand(-1, -1, NUM_LATENT_FRAMES - 1, -1, -1)], dim=2)
    if second is not None:
        mask[:, LAST_MASK_CHANNEL, -1] = 1
        shown[:, :, -1] = second[:, :, 0]
    nowhere = torch.zeros(1, 1, *shape[2:])
    return Batch(
        clean=clean,
        reference=anchor,
        conditioning=torch.cat([mask, shown], dim=1),
        mouth=nowhere,
        eyes=nowhere,
        num_context=torch.tensor([context.shape[2]]),
        opens=torch.ones(1),
        picture=_shrunk(reference)[:, :, 0],
        image_seen=torch.ones(1),
        audio=torch.from_numpy(features.windows(speech, start, NUM_CHUNK_FRAMES))[None],
        truth=torch.zeros(1, NUM_LATENT_FRAMES - 1, 4, 1),  # nobody knows it
        motion=torch.zeros(1, dtype=torch.int64),
        closed=nowhere[..., :1, :1],
        dubbed=torch.zeros(1),
    )


def _pictures(clips: ClipSet, clip: int) -> Tensor:
    """[1,3,F,S,S] in [-1,1], as large as they are stored."""
    frames = torch.from_numpy(np.array(clips.frames(clip, 0, clips.num_frames)))
    return frames.movedim(-1, 0)[None].float().div_(127.5).sub_(1)


def _shrunk(video: Tensor) -> Tensor:
    """[1,3,F,S,S] to the 128 pixels that the autoencoder and the image encoder read, by area."""
    factor = video.shape[-1] // 128
    return nn.functional.avg_pool3d(video, (1, factor, factor)) if factor > 1 else video


def _encode(vae: nn.Module, video: Tensor) -> Tensor:
    return encode_video(vae, _shrunk(video))
