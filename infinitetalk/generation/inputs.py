"""A film's inputs as tensors, chunk by chunk: what the network is shown, told and lets hear."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..audio.embeddings import SpeechFeatures
from ..checkpoints.loading import Models
from ..config.constants import FRAMES_PER_SECOND, LATENT_CHANNELS, VAE_SPATIAL_STRIDE
from ..media.faces import Square, centre_square, cut, face_square, find_faces
from ..media.framing import middle_of, person_masks, resize_and_crop, to_network_range
from ..media.images import load_image
from ..models.text_encoder import encode_text
from ..planning.chunks import Chunk, num_latent_frames, reference_seconds
from ..planning.film import Film, generated_size
from ..planning.voices import FilmVoices
from ..stages.camera import FAR_EVERY, Report, moves_far
from ..stages.compositing import FilmLock
from ..stages.redraw import Redraw, scene_of_reference
from ..vision.tracking import TrackingScore
from .conditions import TextPair
from .control_inputs import Shown, Steered

_SHOT_DISTANCE = 0.5  # of coarse colour histograms; 0 the same, 1 nothing in common

# What the published command line asks the network to avoid is nothing but quality words, in these terms.
DEFAULT_NEGATIVE_PROMPT = (
    "bright tones, overexposed, static, blurred details, subtitles, style, works, paintings, images, static, overall "
    "gray, worst quality, low quality, JPEG compression residue, ugly, incomplete, extra fingers, poorly drawn hands, "
    "poorly drawn faces, deformed, disfigured, misshapen limbs, fused fingers, still picture, messy background, three "
    "legs, many people in the background, walking backwards"
)


@dataclass
class _Reference:
    """The current reference: its picture as it is, the part that is used at full size, and what is made from that."""

    key: str | float
    whole: np.ndarray
    square: Square | None
    picture: np.ndarray
    pixels: Tensor


class FilmInputs:
    """Serves one film; keeps the last reference and the encoder's pieces in memory, nothing that grows.

    square: where the source is cut in the shot of the last reference; None for the whole picture.
    report: told the share of a film that is read first, because camera, head or body follow it.
    """

    def __init__(self, film: Film, models: Models, report: Report = None) -> None:
        self.film = film
        self.models = models
        self.height, self.width = generated_size(film.plan.settings, film.spec, film.source)
        self.voices = FilmVoices(film)
        self._voices = self._listen()
        self._reference: _Reference | None = None
        self.square = film.square
        self._shot_colors: np.ndarray | None = None
        self.redraw: Redraw | None = None
        request = film.request
        camera = request.camera if request.camera is not None and request.camera.mode == "redraw" else None
        if camera is not None or request.head is not None:
            self.redraw = Redraw(
                camera,
                request.head,
                film.source,
                film.plan.duration_seconds,
                self.voices.loudness,
                request.seed,
                report,
            )

        self.lock = None
        if request.composite is not None:
            self.lock = FilmLock(request.composite, self._original, on_face=self.square is not None)
        self.steered: Steered | None = None
        if request.controls:
            self.steered = Steered(request, film.source, film.plan.duration_seconds, self.height, self.width, report)

    def text(self, prompt: str | None = None) -> TextPair:
        """The encoded prompts, [tokens, dim] each; without a text encoder no tokens at all.

        prompt: instead of the film's.
        """
        models, request = self.models, self.film.request
        if models.text_encoder is None:
            empty = torch.zeros(0, models.transformer.config.text_dim)
            return TextPair(empty, empty)
        negative = DEFAULT_NEGATIVE_PROMPT if request.negative_prompt is None else request.negative_prompt
        return TextPair(
            *(
                encode_text(models.text_encoder, models.tokenizer, each)
                for each in (request.prompt if prompt is None else prompt, negative)
            )
        )

    def speaker_masks(self) -> Tensor | None:
        """[3, h, w]: person one, person two, background; None for one voice."""
        if len(self._voices) == 1:
            return None
        boxes = [speaker.box for speaker in self.film.request.speakers]
        source = self.film.source
        masks = person_masks(
            len(boxes),
            (source.height, source.width),
            (self.height, self.width),
            boxes if all(box is not None for box in boxes) else None,
        )
        return torch.from_numpy(masks)

    def noise_shape(self, chunk: Chunk) -> tuple[int, ...]:
        return (
            1,
            LATENT_CHANNELS,
            num_latent_frames(chunk.num_frames),
            self.height // VAE_SPATIAL_STRIDE,
            self.width // VAE_SPATIAL_STRIDE,
        )

    def reference(self, chunk: Chunk) -> Tensor:
        """The picture that guides the chunk: [1, 3, H, W] in [-1, 1]; the same tensor while the picture is the same."""
        wanted = chunk.reference
        still = self.film.source.kind == "image"
        key = wanted.image or ("" if still else wanted.source_seconds)
        if chunk.opens_shot and chunk.index and self.square is not None:  # another shot, another place of the face
            start_seconds = chunk.start_frame / FRAMES_PER_SECOND
            source, ending = self.film.source, self.film.request.short_source
            instant = reference_seconds(start_seconds, source.duration_seconds, ending)
            self.square = _face_or_centre(source.frame_at(instant))
            self._reference = None
        if self._reference is None or self._reference.key != key:
            own = wanted.image is None
            whole = self.film.source.frame_at(wanted.source_seconds) if own else load_image(wanted.image)
            square = self.square if own or self.square is None else _face_or_centre(whole)
            picture = whole if square is None else cut(whole, square)
            self._reference = _Reference(key, whole, square, picture, self._pixels(picture))
        return self._reference.pixels

    def redrawn(self, chunk: Chunk, frames: np.ndarray) -> tuple[np.ndarray, dict[str, TrackingScore]]:
        """The chunk's new frames, uint8 [F, H, W, 3], with camera and head as asked for, and how well they follow.

        `reference` is asked first.
        """
        if self.redraw is None:
            return frames, {}
        reference = self._reference
        assert reference is not None
        own = chunk.reference.image is None and self.film.source.kind != "image"
        seen = chunk.reference.source_seconds if own else None
        asked = self.redraw.asked(chunk.new_start_frame, chunk.num_new_frames, seen)
        frames = self.redraw.drawn(frames, asked, reference.key, reference.whole, reference.square)
        return frames, self.redraw.followed(frames, asked)

    def shown(self, chunk: Chunk) -> Shown | None:
        """What camera and pose networks are shown for the chunk; None without them. `reference` is asked first."""
        if self.steered is None:
            return None
        spec = self.models.spec
        size = spec.decoder_upscale * self.height, spec.decoder_upscale * self.width
        if self.steered.needs_first:
            first = self.film.plan.chunks[0].reference
            whole = self.film.source.frame_at(first.source_seconds) if first.image is None else load_image(first.image)
            if self.square is not None:
                whole = cut(whole, self.square if first.image is None else _face_or_centre(whole))
            self.steered.fit(resize_and_crop(whole, size))
        reference = self._reference
        assert reference is not None
        own = chunk.reference.image is None and self.film.source.kind != "image"
        seen = chunk.reference.source_seconds if own else None
        picture = resize_and_crop(reference.picture, size)
        source, square = self.film.source, self.square
        place = middle_of(source.height, source.width, self.height, self.width)
        if square is not None:
            place = square.row, square.column, square.side, square.side
        scene = None
        if spec.reference_scale is not None:
            scene = partial(scene_of_reference, reference.whole, reference.square, *size)
        return self.steered.shown(chunk, reference.key, picture, place, seen, scene)

    def steered_followed(self, chunk: Chunk, frames: np.ndarray, shown: Shown | None) -> dict[str, TrackingScore]:
        """How well the chunk's new frames do what was shown, before anything is drawn over them."""
        return {} if self.steered is None or shown is None else self.steered.followed(chunk, frames, shown)

    def locked(self, chunk: Chunk, frames: np.ndarray) -> tuple[np.ndarray, dict[str, TrackingScore]]:
        """The chunk's finished frames, with the source's own pixels around the person where that was asked for."""
        if self.lock is None:
            return frames, {}
        frames, told = self.lock.locked(frames, chunk.new_start_frame)
        return frames, {"lock": told}

    def _original(self, frame: int) -> np.ndarray:
        """The source's picture at that frame of the film, cut and as large as the finished ones."""
        source = self.film.source
        instant = reference_seconds(frame / FRAMES_PER_SECOND, source.duration_seconds, self.film.request.short_source)
        whole = source.frame_at(instant)
        scale = self.models.spec.decoder_upscale
        picture = whole if self.square is None else cut(whole, self.square)
        return resize_and_crop(picture, (scale * self.height, scale * self.width))

    def start(self, chunk: Chunk) -> Tensor | None:
        """Those pictures, [1, 3, num_frames, H, W] in [-1, 1]; `reference` is asked first."""
        camera = self.film.request.camera
        if camera is None or not camera.spared:
            return None
        source, ending = self.film.source, self.film.request.short_source
        instants = (
            reference_seconds(frame / FRAMES_PER_SECOND, source.duration_seconds, ending)
            for frame in range(chunk.start_frame, chunk.stop_frame)
        )
        pictures = [self._pixels(whole if self.square is None else cut(whole, self.square))
                    for whole in map(source.frame_at, instants)]  # fmt: skip
        return torch.stack(pictures, dim=2)

    def second(self, chunk: Chunk) -> Tensor | None:
        """The picture for the chunk's end, as large as `reference`, which is asked first; None where there is none."""
        if chunk.second is None or not self.models.spec.second_reference:
            return None
        if chunk.second_if_far and not self._moves_far(chunk):
            return None
        picture = self.film.source.frame_at(chunk.second.source_seconds)
        return self._pixels(picture if self.square is None else cut(picture, self.square))

    def _moves_far(self, chunk: Chunk) -> bool:
        """Whether the source's camera does, from the chunk's first picture to its last."""
        source, ending = self.film.source, self.film.request.short_source
        frames = [
            source.frame_at(reference_seconds(frame / FRAMES_PER_SECOND, source.duration_seconds, ending))
            for frame in range(chunk.start_frame, chunk.new_stop_frame, FAR_EVERY)
        ]
        return moves_far(frames)

    def _pixels(self, picture: np.ndarray) -> Tensor:
        scale = self.models.spec.decoder_upscale
        pixels = to_network_range(resize_and_crop(picture, (scale * self.height, scale * self.width)))
        return torch.from_numpy(pixels)[None]

    def begins_shot(self, chunk: Chunk) -> bool:
        """Whether the reference just made shows another scene than the shot's first; colours are matched per shot."""
        assert self._reference is not None
        colors = _color_histogram(self._reference.picture)
        new = self._shot_colors is None or float(np.abs(colors - self._shot_colors).sum()) / 2 > _SHOT_DISTANCE
        if new:
            self._shot_colors = colors
        return new and chunk.index > 0

    def audio(self, chunk: Chunk) -> Tensor:
        """What each speaker's part of the chunk sounds like: [S, num_frames, 5, L, C]."""
        last = chunk.index == len(self.film.plan.chunks) - 1
        windows = [v.window(chunk.start_frame, chunk.stop_frame, mirror_tail=last) for v in self._voices]
        return torch.stack(windows)

    def _listen(self) -> list[SpeechFeatures]:
        """A soundtrack of embeddings per person."""
        readers = self.voices.readers
        if len(readers) > self.film.spec.num_speakers:
            readers = [self.voices.together]
        num_samples = self.film.voices[0].placement.total
        return [
            SpeechFeatures(
                self.models.audio_encoder,
                read,
                self.film.plan.num_frames,
                num_samples=num_samples,
            )
            for read in readers
        ]


def _face_or_centre(picture: np.ndarray) -> Square:
    faces = find_faces(picture)
    return face_square(faces[0]) if faces else centre_square(*picture.shape[:2])


def _color_histogram(picture: np.ndarray) -> np.ndarray:
    """Shares of 512 colours among a sample of the pixels; float64 [512]."""
    step = max(1, min(picture.shape[:2]) // 64)
    bins = (picture[::step, ::step] >> 5).astype(np.int64).reshape(-1, 3)
    counts = np.bincount(bins @ np.array([64, 8, 1]), minlength=512)
    return counts / counts.sum()
