"""From inputs to pictures: one chunk of the loop, and the state between chunks. Paper section 3.2, official
`generate_infinitetalk`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.loading import Models
from ..config.constants import LATENT_CHANNELS, VAE_TEMPORAL_STRIDE
from ..config.settings import Settings
from ..media.color import match_colors
from ..models.condition import Condition
from ..models.image_encoder import encode_image
from ..models.latent_space import LatentSpace
from ..models.vae import as_encoded, decode_video, encode_video
from ..planning.chunks import NUM_CONTEXT_FRAMES, Chunk, num_latent_frames
from ..sampling.cache import StepCache, make_step_cache, one_by_one
from ..sampling.denoise import denoise
from ..sampling.guidance import Branch, branches_for, make_guidance
from ..sampling.schedule import add_noise, timesteps, timesteps_from
from .conditions import TextPair, branch_conditions, reference_latents
from .control_inputs import ControlInputs, MotionTargets
from .control_residuals import control_residuals
from .reference import ReferencePicture, ShotColors

OnStep = Callable[[int, Tensor], None]
ShouldStop = Callable[[], bool]


class Cancelled(Exception):
    """The user stopped the run; raised between two steps, caught by the pipeline."""


@dataclass(frozen=True)
class ChunkInputs:
    """Everything that one chunk is generated from.

    reference: pixels [1, 3, H, W] in [-1, 1], as large as finished pictures. audio: [S, num_frames, 5, L, C].
    noise: [1, 16, T, h, w]. second_reference: as the first, for the chunk's end; the image encoder does not see it.
    source_video: [1, 3, num_frames, H, W] in [-1, 1], the pictures that denoising starts from (SDEdit), and
        denoising_strength: 1 starts from noise alone, 0 keeps them.
    targets, control: how camera and body are to move, and what control networks take for that.
    image_tokens: in place of the image encoder's. ends_film: nothing starts from this chunk's end.
    """

    chunk: Chunk
    settings: Settings
    reference: ReferencePicture
    audio: Tensor
    noise: Tensor
    text: TextPair
    second_reference: Tensor | None = None
    source_video: Tensor | None = None
    denoising_strength: float = 1.0
    targets: MotionTargets = MotionTargets()
    control: ControlInputs | None = None
    image_tokens: Tensor | None = None
    ends_film: bool = False


@dataclass(frozen=True)
class ChunkContext:
    """What a chunk starts from. latents: [1, 16, 1 or 3, h, w], the end of the chunk before, None after a cut.

    last_frame: uint8 [H, W, 3], the picture before the next chunk's new ones, where the model fades them in.
    """

    latents: Tensor | None = None
    last_frame: np.ndarray | None = None


@dataclass(frozen=True)
class GeneratedChunk:
    """latents: [1, 16, T, h, w]. context: what the next chunk starts from. seconds: per stage of the work.

    frames: [3, F, H, W] in [-1, 1]; those before `chunk.kept` need not be made.
    """

    frames: Tensor
    latents: Tensor
    context: ChunkContext
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _EncodedReference:
    """Of a reference that may guide several chunks. y: [1, 20, T, h, w]."""

    pixels: Tensor
    y: Tensor
    image_tokens: Tensor


def chunk_noise(seed: int, chunk: int, take: int, shape: tuple[int, ...]) -> Tensor:
    """Noise from a generator of this chunk's and take's own, so that any chunk can be made again alone."""
    digest = hashlib.sha256(f"{seed}/{chunk}/{take}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.randn(shape, generator=generator)


def chunk_times(settings: Settings, denoising_strength: float = 1.0) -> Tensor:
    """The times of one chunk's run, [steps + 1]; fewer steps where it starts from pictures (SDEdit)."""
    times = timesteps(settings.steps, settings.shift)
    return timesteps_from(times, denoising_strength)


def num_evaluations(settings: Settings, denoising_strength: float = 1.0) -> int:
    """Steps of one chunk's run."""
    return len(chunk_times(settings, denoising_strength)) - 1


class ChunkGenerator:
    """Generates chunk after chunk; between two of them it keeps the context that a chunk starts from, nothing more.

    shots: says where a reference begins another scene, to whose colours pictures are then matched; None matches all
    pictures between two cuts to the first reference.
    """

    def __init__(
        self,
        models: Models,
        speaker_masks: Tensor | None = None,
        num_context_frames: int = NUM_CONTEXT_FRAMES,
        shots: ShotColors | None = None,
    ) -> None:
        self.models = models
        self.speaker_masks = speaker_masks
        self.num_context_frames = num_context_frames
        self.context = ChunkContext()
        self.cache: StepCache | None = None
        self._shots = shots
        self._begun: int | None = None  # index of the chunk that the state is ready for
        self._anchor: Tensor | None = None  # [1, 3, H, W], the reference that colours are matched to
        self._before: Tensor | None = None  # the reference of the chunk before
        self._encoded: _EncodedReference | None = None

    @torch.inference_mode()
    def generate(
        self, inputs: ChunkInputs, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> GeneratedChunk:
        """One chunk, starting where `continue_from` left off.

        on_step: called after step i with (i, the normalised latents [1, 16, T, h, w] as that step foresees them).

        Raises:
            Cancelled: if `should_stop` said so between two steps.
        """
        self._begin(inputs.chunk, inputs.reference)
        models, settings, clock = self.models, inputs.settings, _Stopwatch()

        # 1. Encode the reference and everything else that stays the same between steps.
        encoded = self._encode_reference(inputs)
        still = models.spec.latents.space(
            encoded.y[:, -LATENT_CHANNELS:, :1], framed_on_face=settings.framing == "face"
        )
        decoded_from, space = self._moved_reference(inputs, still)
        times = chunk_times(settings, inputs.denoising_strength)
        conditions = self._conditions(inputs, encoded, times, still)
        clock.lap("conditioning")

        # 2. From noise to latents.
        latents = self._denoise(inputs, conditions, times, space, still.reference, on_step, should_stop)
        del conditions  # their memory is wanted for the pictures
        clock.lap("denoising")

        # 3. From latents to pictures.
        # Colours are measured on all of the chunk; otherwise the context's pictures are known already.
        skipped = inputs.chunk.kept.start if settings.color_correction == 0 else 0
        frames = decode_video(models.vae, latents, decoded_from, skip_frames=skipped)
        clock.lap("decoding")
        if settings.color_correction > 0:
            anchor = inputs.reference.pixels if self._anchor is None else self._anchor
            frames = match_colors(frames, anchor[:, :, None], settings.color_correction)
            clock.lap("color")

        # 4. What the next chunk starts from.
        end = None if inputs.ends_film else self._end_of(frames, latents)
        # What moves would be seen twice; that is less than a jump from one reference to another.
        fades = models.spec.context.fade_in_frames > 0
        if fades and (space is still or inputs.reference.pixels is not self._before):
            frames = self._faded_in(frames, inputs.chunk)
        context = ChunkContext(end, to_bytes(frames[0][:, -1:])[0] if fades else None)
        clock.lap("context")
        return GeneratedChunk(frames[0], latents, context, clock.seconds)

    def continue_from(self, chunk: Chunk, reference: ReferencePicture, context: ChunkContext) -> None:
        """Take over what `chunk` left behind, just generated or found on disk."""
        self._begin(chunk, reference)
        self.context, self._before = context, reference.pixels
        if self._anchor is None:
            self._anchor = reference.pixels

    def _begin(self, chunk: Chunk, reference: ReferencePicture) -> None:
        """At a cut nothing is looked back at; another scene has colours of its own."""
        if self._begun == chunk.index:
            return
        self._begun = chunk.index
        if chunk.opens_shot:
            self.context, self._anchor = ChunkContext(), None
        if self._shots is not None and self._shots.change(reference) and chunk.index > 0:
            self._anchor = None

    def _encode_reference(self, inputs: ChunkInputs) -> _EncodedReference:
        """The reference as `y` and as image tokens; a picture that guides several chunks is encoded once."""
        models, pixels, num_frames = self.models, inputs.reference.pixels, inputs.chunk.num_frames
        known = self._encoded
        if known is not None and inputs.second_reference is None and known.pixels is pixels:
            if known.y.shape[2] == num_latent_frames(num_frames):
                return known
        self._encoded = None  # before more is made
        picture = as_encoded(models.vae, pixels)
        second = None if inputs.second_reference is None else as_encoded(models.vae, inputs.second_reference)
        y = reference_latents(models, picture, num_frames, second)
        tokens = inputs.image_tokens
        if tokens is None:
            tokens = encode_image(models.image_encoder, picture)
        encoded = _EncodedReference(pixels, y, tokens)
        if second is None:  # a chunk's end has a picture of its own, which no other chunk has
            self._encoded = encoded
        return encoded

    def _moved_reference(self, inputs: ChunkInputs, still: LatentSpace) -> tuple[Tensor, LatentSpace]:
        """The pictures that the decoder starts from, [1, 3, 1 or F, H, W], and where the transformer works."""
        moved = None if inputs.control is None else inputs.control.moved_reference
        if moved is None:
            return inputs.reference.pixels, still
        models = self.models
        video = torch.from_numpy(moved).permute(3, 0, 1, 2)[None].float().div_(127.5).sub_(1)
        latents = encode_video(models.vae, as_encoded(models.vae, video)).to(models.device)
        return video, models.spec.latents.space(latents)

    def _conditions(
        self, inputs: ChunkInputs, encoded: _EncodedReference, times: Tensor, still: LatentSpace
    ) -> Mapping[Branch, Condition]:
        settings = inputs.settings
        residuals = None
        if inputs.control is not None:
            residuals = control_residuals(self.models, inputs.control, encoded.y, times, still)
        return branch_conditions(
            self.models,
            branches_for(settings.guidance_scale, settings.audio_guidance_scale),
            text=inputs.text,
            y=encoded.y,
            audio=inputs.audio,
            speaker_masks=self.speaker_masks,
            image_tokens=encoded.image_tokens,
            keys=settings.keys,
            residuals=residuals,
        )

    def _denoise(
        self, inputs: ChunkInputs, conditions: Mapping[Branch, Condition], times: Tensor, space: LatentSpace,
        first: Tensor, on_step: OnStep | None, should_stop: ShouldStop | None,
    ) -> Tensor:  # fmt: skip
        """Normalised latents [1, 16, T, h, w]. first: [1, 16, 1, h, w], the context of a chunk that opens a shot."""
        models, settings = self.models, inputs.settings
        dtype, device = models.dtype, models.device
        noise = inputs.noise.to(device, dtype)
        if inputs.source_video is not None:
            video = space.normalise(encode_video(models.vae, as_encoded(models.vae, inputs.source_video)).to(device))
            noise = add_noise(video.to(dtype), noise, times[0])
        context = first if self.context.latents is None else self.context.latents
        if self.cache is None:
            self.cache = make_step_cache(
                settings.cache, steps=len(times) - 1, size=settings.size, threshold=settings.cache_threshold
            )
        with self.cache.attached(models.transformer) as network:
            latents = denoise(
                network if settings.branches == "together" else one_by_one(network),
                conditions,
                noise,
                space.normalise(context.to(device)).to(dtype),
                timesteps=times,
                guidance=make_guidance(
                    settings.guidance_scale, settings.audio_guidance_scale, adaptive=settings.adaptive_guidance
                ),
                prediction=models.spec.prediction,
                on_step=None if on_step is None else lambda index, clean: on_step(index, space.denormalise(clean)),
                should_stop=should_stop,
            )
        if latents is None:
            raise Cancelled
        return space.denormalise(latents)

    def _faded_in(self, frames: Tensor, chunk: Chunk) -> Tensor:
        """The first new ones of frames [1, 3, F, H, W] come out of the frame before them."""
        if self.context.last_frame is None or chunk.opens_shot:
            return frames
        count = self.models.spec.context.fade_in_frames
        before = torch.from_numpy(self.context.last_frame).to(frames.device).permute(2, 0, 1)[None] / 127.5 - 1
        for index in range(min(count, chunk.num_new_frames)):
            place = chunk.kept.start + index
            frames[:, :, place] = torch.lerp(before.to(frames.dtype), frames[:, :, place], (index + 1) / (count + 1))
        return frames

    def _end_of(self, frames: Tensor, latents: Tensor) -> Tensor:
        """Context latents of the next chunk from this one's pictures [1, 3, F, H, W] and latents [1, 16, T, h, w]."""
        end = as_encoded(self.models.vae, frames[:, :, -self.num_context_frames :])
        if not self.models.spec.context.reuses_latents:
            return encode_video(self.models.vae, end)
        # All but the first stand for whole groups of four frames in the chunk that ends as in the one that begins.
        whole_groups = (self.num_context_frames - 1) // VAE_TEMPORAL_STRIDE
        return torch.cat([encode_video(self.models.vae, end[:, :, :1]), latents[:, :, -whole_groups:]], dim=2)


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
