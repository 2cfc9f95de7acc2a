"""From chunk to chunk: the loop's state and one turn of it. Paper section 3.2, official `generate_infinitetalk`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.loading import Models
from ..config.constants import VAE_TEMPORAL_STRIDE
from ..config.request import Settings
from ..media.color import match_colors
from ..models.image_encoder import encode_image
from ..models.vae import as_encoded, decode_video, encode_video
from ..planning.chunks import NUM_CONTEXT_FRAMES, Chunk, num_latent_frames
from ..sampling.cache import make_step_cache, one_by_one
from ..sampling.denoise import denoise
from ..sampling.guidance import branches_for, make_guidance
from ..sampling.schedule import add_noise, timesteps, timesteps_from
from .conditions import LatentSpace, TextPair, branch_conditions, motion_weights, reference_latents
from .control_inputs import Shown
from .control_residuals import beside


class Cancelled(Exception):
    """The user asked to stop; raised between two steps, caught by the pipeline."""


@dataclass
class ChunkPictures:
    """What one turn gives. latents: [1, 16, T, h, w]; seconds: per stage.

    frames: [3, F, H, W] in [-1, 1]; those before `chunk.kept` need not be made.
    """

    frames: Tensor
    latents: Tensor
    seconds: dict[str, float] = field(default_factory=dict)


def chunk_noise(seed: int, chunk: int, take: int, shape: tuple[int, ...]) -> Tensor:
    """Noise from a generator of this chunk's and take's own, so that any chunk can be made again alone."""
    digest = hashlib.sha256(f"{seed}/{chunk}/{take}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.randn(shape, generator=generator)


def chunk_times(settings: Settings, spared: float = 0.0) -> Tensor:
    """The times of one chunk's run; spared: see `timesteps_from`."""
    times = timesteps(settings.steps, settings.shift)
    return timesteps_from(times, spared) if spared else times


def num_evaluations(settings: Settings, spared: float = 0.0) -> int:
    """Steps of one chunk's run."""
    return len(chunk_times(settings, spared)) - 1


class FilmStream:
    """Makes a film chunk by chunk; between two of them it keeps only the context latents and the colour anchor.

    context_latents: [1, 16, 1 or 3, h, w], the end of the chunk before; None before the first chunk.
    last_frame: uint8 [H, W, 3], the picture before the next chunk's new ones, where the model fades them in.
    color_anchor: [1, 3, H, W], the reference that colours are matched to: the first of the current shot.
    spared: of the way from noise, where chunks start from pictures (SDEdit); see `timesteps_from`.
    """

    def __init__(
        self,
        models: Models,
        settings: Settings,
        text: TextPair,
        speaker_masks: Tensor | None = None,
        num_context_frames: int = NUM_CONTEXT_FRAMES,
        spared: float = 0.0,
    ) -> None:
        self.models = models
        self.settings = settings
        self.text = text
        self.speaker_masks = speaker_masks
        self.num_context_frames = num_context_frames
        self.spared = spared
        self.context_latents: Tensor | None = None
        self.last_frame: np.ndarray | None = None
        self.color_anchor: Tensor | None = None
        self.cache = make_step_cache(
            settings.cache,
            steps=num_evaluations(settings, spared),
            size=settings.size,
            threshold=settings.cache_threshold,
        )
        self._reference: Tensor | None = None  # of the chunk before
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None  # reference, its y, its image tokens

    @torch.inference_mode()
    def generate_chunk(
        self,
        chunk: Chunk,
        reference: Tensor,
        audio: Tensor,
        noise: Tensor,
        *,
        on_step: Callable[[int, Tensor], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        image_tokens: Tensor | None = None,
        keep_context: bool = True,
        settings: Settings | None = None,
        text: TextPair | None = None,
        second: Tensor | None = None,
        start: Tensor | None = None,
        shown: Shown | None = None,
    ) -> ChunkPictures:
        """One turn of the loop; leaves the state ready for the next chunk.

        reference: [1, 3, H, W] in [-1, 1], as large as the finished pictures. audio: [S, num_frames, 5, L, C].
        noise: [1, 16, T, h, w].
        on_step: called after step i with (i, the normalised latents [1, 16, T, h, w] as that step foresees them).
        image_tokens: instead of the image encoder's, for the parity suite.
        keep_context: False after the last chunk, when nothing starts from it.
        settings, text: of this chunk alone, instead of the film's.
        second: a second reference for the chunk's end, as large as the first; the image encoder does not see it.
        start: [1, 3, F, H, W] in [-1, 1], the chunk's pictures to start from where `spared` is not 0.
        shown: what camera and pose networks are shown, where the models have them.

        Raises:
            Cancelled: if `should_stop` said so; the state is as before the call.
        """
        models, settings, spec = self.models, settings or self.settings, self.models.spec
        dtype, device = models.dtype, models.device
        clock = _Stopwatch()

        # 1. What the network is told.
        y, image_tokens = self._see(reference, chunk.num_frames, image_tokens, second)
        still = space = LatentSpace(y[:, -16:, :1], spec.reference_scale, self._motion(*y.shape[-2:]))
        pictures = reference
        if shown is not None and shown.expected is not None:
            pictures, space = self._moving(shown.expected)
        context = still.reference if self.context_latents is None else self.context_latents
        branches = branches_for(settings.guidance_scale, settings.audio_guidance_scale)
        times = chunk_times(settings, self.spared)
        steering = None if shown is None else beside(models, shown, y, times, still)
        conditions = branch_conditions(
            models,
            branches,
            text=text or self.text,
            y=y,
            audio=audio,
            speaker_masks=self.speaker_masks,
            image_tokens=image_tokens,
            keys=settings.keys,
            beside=steering,
        )
        del steering
        clock.lap("conditioning")

        # 2. From noise to latents.
        noise = noise.to(device, dtype)
        if start is not None:
            film = space.enter(encode_video(models.vae, as_encoded(models.vae, start)).to(device))
            noise = add_noise(film.to(dtype), noise, times[0])
        with self.cache.attached(models.transformer) as network:
            latents = denoise(
                network if settings.branches == "together" else one_by_one(network),
                conditions,
                noise,
                space.enter(context.to(device)).to(dtype),
                timesteps=times,
                guidance=make_guidance(
                    settings.guidance_scale, settings.audio_guidance_scale, adaptive=settings.adaptive_guidance
                ),
                prediction=spec.prediction,
                on_step=None if on_step is None else lambda index, clean: on_step(index, space.leave(clean)),
                should_stop=should_stop,
            )
        del conditions  # their memory is wanted for the pictures
        if latents is None:
            raise Cancelled
        latents = space.leave(latents)
        clock.lap("denoising")

        # 3. From latents to pictures.
        # Colours are measured on all of the chunk; otherwise the context's pictures have been shown already.
        unseen = chunk.kept.start if settings.color_correction == 0 else 0
        frames = decode_video(models.vae, latents, pictures, skip_frames=unseen)
        clock.lap("decoding")
        if settings.color_correction > 0:
            anchor = self.color_anchor if self.color_anchor is not None else reference
            frames = match_colors(frames, anchor[:, :, None], settings.color_correction)
            clock.lap("color")

        # 4. What the next chunk starts from.
        context_latents = self._end_of(frames, latents) if keep_context else None
        # What moves would be seen twice; that is less than a jump from one reference to another.
        if spec.fade_in_frames and (space is still or reference is not self._reference):
            frames = self._faded_in(frames, chunk)
        self.carry_on(reference, context_latents, to_bytes(frames[0][:, -1:])[0] if spec.fade_in_frames else None)
        clock.lap("context")
        return ChunkPictures(frames[0], latents, clock.seconds)

    def _moving(self, expected: np.ndarray) -> tuple[Tensor, LatentSpace]:
        """What the decoder takes each frame's picture from, [1,3,F,H,W], and where the transformer then works.

        expected: of `Shown`.
        """
        models = self.models
        film = torch.from_numpy(expected).permute(3, 0, 1, 2)[None].float().div_(127.5).sub_(1)
        latents = encode_video(models.vae, as_encoded(models.vae, film)).to(models.device)
        return film, LatentSpace(latents, models.spec.reference_scale)

    def _faded_in(self, frames: Tensor, chunk: Chunk) -> Tensor:
        """The first new ones of frames [1,3,F,H,W] come out of the frame before them."""
        if self.last_frame is None or chunk.opens_shot:
            return frames
        before = torch.from_numpy(self.last_frame).to(frames.device).permute(2, 0, 1)[None] / 127.5 - 1
        for index in range(min(self.models.spec.fade_in_frames, chunk.num_new_frames)):
            place = chunk.kept.start + index
            share = (index + 1) / (self.models.spec.fade_in_frames + 1)
            frames[:, :, place] = torch.lerp(before.to(frames.dtype), frames[:, :, place], share)
        return frames

    def _end_of(self, frames: Tensor, latents: Tensor) -> Tensor:
        """Context latents of the next chunk from this one's pictures [1,3,F,H,W] and latents [1,16,T,h,w]."""
        end = as_encoded(self.models.vae, frames[:, :, -self.num_context_frames :])
        if not self.models.spec.reuse_context_latents:
            return encode_video(self.models.vae, end)
        # All but the first stand for whole groups of four frames in the chunk that ends as in the one that begins.
        whole_groups = (self.num_context_frames - 1) // VAE_TEMPORAL_STRIDE
        return torch.cat([encode_video(self.models.vae, end[:, :, :1]), latents[:, :, -whole_groups:]], dim=2)

    def _see(
        self, reference: Tensor, num_frames: int, image_tokens: Tensor | None, second: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The reference as `y` and as image tokens; a picture that guides several chunks is encoded once."""
        seen = self._seen
        if second is not None:
            seen = self._seen = None  # the chunk's end has its own picture, which no other chunk has
        if seen is None or seen[0] is not reference or seen[1].shape[2] != num_latent_frames(num_frames):
            encoded = as_encoded(self.models.vae, reference)
            last = None if second is None else as_encoded(self.models.vae, second)
            y = reference_latents(self.models, encoded, num_frames, last)
            if image_tokens is None:
                image_tokens = encode_image(self.models.image_encoder, encoded)
            seen = (reference, y, image_tokens)
            self._seen = seen if second is None else None
        return seen[1], seen[2]

    def _motion(self, height: int, width: int) -> Tensor | None:
        """Where the model may move the picture; only a picture framed on the face has the face where it is expected."""
        region = self.models.spec.motion_region
        if region is None or self.settings.framing != "face":
            return None
        return motion_weights(region, height, width).to(self.models.device)

    def carry_on(self, reference: Tensor, context_latents: Tensor | None, last_frame: np.ndarray | None = None) -> None:
        """Take over what a chunk left behind, just made or found on disk."""
        self.context_latents = context_latents
        self.last_frame = last_frame
        self._reference = reference
        if self.color_anchor is None:
            self.color_anchor = reference

    def cut(self) -> None:
        """The next chunk looks back at nothing and is the measure of colours for its shot."""
        self.context_latents = self.last_frame = None
        self.color_anchor = None

    def begin_shot(self) -> None:
        """Colours are matched to the next reference from here on."""
        self.color_anchor = None


class _Stopwatch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._start
        self._start = now


def to_bytes(frames: Tensor) -> np.ndarray:
    """[3, F, H, W] in [-1, 1] -> uint8 [F, H, W, 3], rounded as the reference rounds."""
    pictures = (frames + 1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return pictures.permute(1, 2, 3, 0).contiguous().cpu().numpy()
