"""A film's inputs as tensors, chunk by chunk: reference, audio, text, noise, and the source's own pictures."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..audio.embeddings import SpeechFeatures
from ..checkpoints.loading import Models
from ..config.constants import LATENT_CHANNELS, VAE_SPATIAL_STRIDE
from ..media.faces import Square, cut
from ..media.framing import person_masks, resize_and_crop, to_network_range
from ..media.images import load_image
from ..models.text_encoder import encode_text
from ..planning.chunks import Chunk, num_latent_frames
from ..planning.film import Film
from ..planning.sources import face_or_centre, generated_size
from ..planning.voices import FilmVoices
from .camera_targets import FAR_EVERY, moves_far
from .conditions import TextPair
from .control_inputs import Frame
from .generator import ChunkInputs, chunk_noise
from .job import ChunkJob
from .reference import ReferencePicture

# The published command line's negative prompt is nothing but quality words, in these terms.
DEFAULT_NEGATIVE_PROMPT = (
    "bright tones, overexposed, static, blurred details, subtitles, style, works, paintings, images, static, overall "
    "gray, worst quality, low quality, JPEG compression residue, ugly, incomplete, extra fingers, poorly drawn hands, "
    "poorly drawn faces, deformed, disfigured, misshapen limbs, fused fingers, still picture, messy background, three "
    "legs, many people in the background, walking backwards"
)


class FilmInputs:
    """Serves one film; keeps the last reference, the film's prompt and the speech encoder's pieces in memory."""

    def __init__(self, film: Film, models: Models, voices: FilmVoices) -> None:
        self.film = film
        self.models = models
        size = generated_size(film.plan.settings, film.spec, film.source)
        source = film.source
        self.frame = Frame(size, film.spec.decoder_upscale, (source.height, source.width), film.request.checkpoints_dir)
        self._speech = _speech_features(film, models, voices)
        self._text: dict[str, TextPair] = {}
        self._reference: ReferencePicture | None = None
        self._squares: dict[int, Square | None] = {0: film.square}  # of the shot that opens with that chunk

    def chunk_inputs(self, job: ChunkJob, reference: ReferencePicture) -> ChunkInputs:
        """What the chunk is generated from, before any stage adds to it."""
        chunk = job.chunk
        height, width = self.frame.generated
        shape = (
            1, LATENT_CHANNELS, num_latent_frames(chunk.num_frames), height // VAE_SPATIAL_STRIDE,
            width // VAE_SPATIAL_STRIDE,
        )  # fmt: skip
        return ChunkInputs(
            chunk=chunk,
            settings=job.settings,
            reference=reference,
            audio=self._audio(chunk, mirror_tail=job.ends_film),
            noise=chunk_noise(job.seed, chunk.index, job.noise_number, shape),
            text=self.text(self.film.request.prompt if job.prompt is None else job.prompt),
            second_reference=self._second_reference(chunk, reference),
            ends_film=job.ends_film,
        )

    def text(self, prompt: str) -> TextPair:
        """The encoded prompts, [tokens, dim] each; without a text encoder no tokens at all."""
        models, request = self.models, self.film.request
        encoder, tokenizer = models.text_encoder, models.tokenizer
        if encoder is None or tokenizer is None:
            empty = torch.zeros(0, int(models.transformer.config["text_dim"]))
            return TextPair(empty, empty)
        if prompt not in self._text:
            negative = DEFAULT_NEGATIVE_PROMPT if request.negative_prompt is None else request.negative_prompt
            pair = (encode_text(encoder, tokenizer, each) for each in (prompt, negative))
            kept = {p: self._text[p] for p in self._text if p == request.prompt}  # of the others only the last
            self._text = {**kept, prompt: TextPair(*pair)}
        return self._text[prompt]

    def speaker_masks(self) -> Tensor | None:
        """[3, h, w]: person one, person two, background; None for one voice."""
        if len(self._speech) == 1:
            return None
        speakers = self.film.request.speakers
        boxes = [speaker.box for speaker in speakers if speaker.box is not None]
        complete = boxes if len(boxes) == len(speakers) else None
        return torch.from_numpy(person_masks(len(speakers), self.frame.source, self.frame.generated, complete))

    def reference(self, job: ChunkJob) -> ReferencePicture:
        """The picture that guides the chunk; the same object while the picture is the same."""
        wanted, source_square = job.chunk.reference, self.shot_square(job.chunk)
        still = self.film.source.kind == "image"
        own = wanted.image is not None
        key = wanted.image or ("" if still else wanted.source_seconds)
        known = self._reference
        if known is not None and known.key == key and known.source_square == source_square:
            return known
        whole = (
            load_image(wanted.image) if wanted.image is not None else self.film.source.frame_at(wanted.source_seconds)
        )
        square = face_or_centre(whole) if own and source_square is not None else source_square
        picture = whole if square is None else cut(whole, square)
        seconds = None if own or still else wanted.source_seconds
        self._reference = ReferencePicture(
            key, whole, square, picture, self._pixels(picture), source_square, seconds
        )  # fmt: skip
        return self._reference

    def first_reference(self) -> np.ndarray:
        """The film's first reference as large as finished pictures, uint8 [H, W, 3]."""
        first = self.film.plan.chunks[0].reference
        whole = self.film.source.frame_at(first.source_seconds) if first.image is None else load_image(first.image)
        square = self.film.square
        if square is not None:
            whole = cut(whole, square if first.image is None else face_or_centre(whole))
        return resize_and_crop(whole, self.frame.finished)

    def shot_square(self, chunk: Chunk) -> Square | None:
        """Where the source is cut in the chunk's shot; None for whole pictures."""
        opening = self.film.opening_chunk(chunk)
        if opening.index not in self._squares:  # of a few shots' squares only the last is kept
            self._squares = {opening.index: self.film.shot_square(chunk)}
        return self._squares[opening.index]

    def source_picture(self, frame: int, square: Square | None) -> np.ndarray:
        """The source's picture at a frame of the film, cut to `square`, as large as finished ones: uint8 [H, W, 3]."""
        whole = self.film.source.frame_at(self.film.source_seconds(frame))
        return resize_and_crop(whole if square is None else cut(whole, square), self.frame.finished)

    def source_video(self, chunk: Chunk, square: Square | None) -> Tensor:
        """Those pictures of all the chunk's frames, [1, 3, num_frames, H, W] in [-1, 1]."""
        pictures = (self.source_picture(frame, square) for frame in range(chunk.start_frame, chunk.stop_frame))
        return torch.stack([torch.from_numpy(to_network_range(picture))[None] for picture in pictures], dim=2)

    def _second_reference(self, chunk: Chunk, reference: ReferencePicture) -> Tensor | None:
        """[1, 3, H, W], the picture for the chunk's end; None where there is none."""
        if chunk.second is None or not self.models.spec.second_reference:
            return None
        if chunk.second_if_far and not self._moves_far(chunk):
            return None
        picture, square = self.film.source.frame_at(chunk.second.source_seconds), reference.source_square
        return self._pixels(picture if square is None else cut(picture, square))

    def _moves_far(self, chunk: Chunk) -> bool:
        """Whether the source's camera does, from the chunk's first picture to its last."""
        frames = range(chunk.start_frame, chunk.new_stop_frame, FAR_EVERY)
        return moves_far([self.film.source.frame_at(self.film.source_seconds(frame)) for frame in frames])

    def _pixels(self, picture: np.ndarray) -> Tensor:
        return torch.from_numpy(to_network_range(resize_and_crop(picture, self.frame.finished)))[None]

    def _audio(self, chunk: Chunk, *, mirror_tail: bool) -> Tensor:
        """The embeddings of each speaker's part of the chunk: [S, num_frames, 5, L, C]."""
        windows = [v.window(chunk.start_frame, chunk.stop_frame, mirror_tail=mirror_tail) for v in self._speech]
        return torch.stack(windows)


def _speech_features(film: Film, models: Models, voices: FilmVoices) -> list[SpeechFeatures]:
    """A soundtrack of embeddings per person; all voices together where the model animates fewer."""
    readers = voices.readers if len(voices.readers) <= film.spec.num_speakers else [voices.together]
    num_samples = film.voices[0].placement.total
    return [
        SpeechFeatures(models.audio_encoder, read, film.plan.num_frames, num_samples=num_samples) for read in readers
    ]
