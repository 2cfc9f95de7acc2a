"""Films as the network sees them, encoded once and kept on disk.

For each film one file with what it sounds like and what its prompt says; for each chunk one with its latents and the
encodings of the pictures that may guide it. Files appear whole or not at all and are named by what they were made
from, so an interrupted encoding goes on where it was, and several processes share the work. Encoders are in memory only
while they work: text and sound first, then pictures.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from ...audio.embeddings import SpeechFeatures
from ...audio.loudness import normalize_loudness
from ...checkpoints.loading import Models
from ...generation.conditions import reference_latents
from ...media.atomic import atomic_output
from ...media.audio import load_speech_16k
from ...media.framing import to_network_range
from ...models.image_encoder import encode_image
from ...models.text_encoder import encode_text
from ...models.vae import as_encoded, decoder_upscale, encode_video
from ...planning.chunks import NUM_CHUNK_FRAMES
from .footage import ChunkPlace, Footage
from .networks import ModelFiles

_LOOK_AGAIN_SECONDS = 0.5  # for files that another process is making


@dataclass(frozen=True)
class StoredChunk:
    """A chunk whose encodings lie on disk. height, width: of its pictures. num_references: the opening one included.

    chunk: latents [16,T,h,w]; reference.K [20,T,h,w] and image.K [tokens,C] for each reference, 0 its own first frame.
    film: audio [F,L,C]; text [tokens,dim], none for a model without a prompt; no_text, of an empty prompt.
    """

    chunk: Path
    film: Path
    start: int
    num_references: int
    height: int
    width: int


def encode_footage(
    films: Sequence[Footage],
    places: Sequence[ChunkPlace],
    files: ModelFiles,
    cache: Path,
    *,
    device: torch.device | str = "cpu",
    rank: int = 0,
    num_ranks: int = 1,
) -> list[StoredChunk]:
    """Encode what is not in `cache` yet; this process does every `num_ranks`-th file and waits for the others."""
    cache.mkdir(parents=True, exist_ok=True)
    names = [_fingerprint(film, files) for film in films]
    film_files = [cache / f"film-{name}.safetensors" for name in names]
    chunks = [
        StoredChunk(
            chunk=cache / f"chunk-{names[place.film]}-{place.start:06d}-{_digest(place.references)[:8]}.safetensors",
            film=film_files[place.film],
            start=place.start,
            num_references=len(place.references),
            height=films[place.film].height,
            width=films[place.film].width,
        )
        for place in places
    ]
    encoder = _Encoder(files, device)
    own_films = [i for i in range(len(films)) if not film_files[i].exists()][rank::num_ranks]
    if own_films:
        encoder.films([films[i] for i in own_films], [film_files[i] for i in own_films])
    own_chunks = [i for i in range(len(places)) if not chunks[i].chunk.exists()][rank::num_ranks]
    if own_chunks:
        encoder.chunks(films, [places[i] for i in own_chunks], [chunks[i].chunk for i in own_chunks])
    del encoder
    _wait_for([*film_files, *(chunk.chunk for chunk in chunks)])
    return chunks


class _Encoder:
    """The model's encoders, each loaded when it is first needed and let go when its part is done."""

    def __init__(self, files: ModelFiles, device: torch.device | str) -> None:
        self.files, self.device = files, device

    @torch.inference_mode()
    def films(self, films: Sequence[Footage], files: Sequence[Path]) -> None:
        texts = self._texts({"", *(film.prompt for film in films)})
        listener = self.files.load("audio_encoder", self.device)
        for film, file in zip(films, files, strict=True):
            speech = normalize_loudness(np.asarray(load_speech_16k(film.path, file.parent)))
            features = SpeechFeatures(listener, speech, film.num_frames)
            audio = features.frames(0, film.num_frames)
            _store(file, {"audio": audio, "text": texts[film.prompt], "no_text": texts[""]}, self.files.dtype)

    def _texts(self, prompts: set[str]) -> Mapping[str, Tensor]:
        """Embeddings [tokens, dim] of prompts; without a text encoder no tokens at all."""
        if "text_encoder" not in self.files.spec.components:
            return dict.fromkeys(prompts, torch.zeros(0, self.files.text_dim()))
        tokenizer, network = self.files.tokenizer(), self.files.load("text_encoder", self.device)
        return {prompt: encode_text(network, tokenizer, prompt).cpu() for prompt in prompts}

    @torch.inference_mode()
    def chunks(self, films: Sequence[Footage], places: Sequence[ChunkPlace], files: Sequence[Path]) -> None:
        vae, image_encoder = (self.files.load(name, self.device) for name in ("vae", "image_encoder"))
        # What conditions are made of, without the networks that take no part in it.
        models = Models(spec=self.files.spec, transformer=vae, vae=vae, image_encoder=image_encoder, audio_encoder=vae)
        scale = decoder_upscale(vae)  # pictures are read as generation reads them and then brought to size
        started = time.monotonic()
        for count, (place, file) in enumerate(zip(places, files, strict=True), 1):
            film = films[place.film]
            span = range(place.start, place.start + NUM_CHUNK_FRAMES)
            video = _to_video(film.pictures(span, scale)).to(self.device)
            tensors = {"latents": encode_video(vae, as_encoded(vae, video))[0]}
            for number, picture in enumerate(film.pictures(list(place.references), scale)):
                reference = as_encoded(vae, torch.from_numpy(to_network_range(picture))[None].to(self.device))
                tensors[f"reference.{number}"] = reference_latents(models, reference, NUM_CHUNK_FRAMES)[0]
                tensors[f"image.{number}"] = encode_image(image_encoder, reference)[0]
            _store(file, tensors, self.files.dtype)
            if count % 20 == 0 or count == len(places):
                each = (time.monotonic() - started) / count
                print(f"encoded {count} of {len(places)} chunks, {each:.1f} s each", flush=True)


def _to_video(pictures) -> Tensor:
    """Pictures -> [1,3,F,H,W] in [-1,1]."""
    return torch.stack([torch.from_numpy(to_network_range(picture)) for picture in pictures], dim=1)[None]


def _store(file: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    with atomic_output(file) as partial:
        save_file({name: tensor.to("cpu", dtype).clone().contiguous() for name, tensor in tensors.items()}, partial)


def _wait_for(files: Sequence[Path]) -> None:
    """Until files that other processes are making are there; those processes end this one when they fail."""
    missing = [file for file in files if not file.exists()]
    while missing := [file for file in missing if not file.exists()]:
        time.sleep(_LOOK_AGAIN_SECONDS)


def _fingerprint(film: Footage, files: ModelFiles) -> str:
    """Of all that a film's encodings are made from."""
    stat = film.path.stat()
    described = repr(replace(film, path=Path(film.path.name)))
    networks = [files.spec.name, str(files.dtype), files.fingerprint()]
    return _digest([described, stat.st_size, stat.st_mtime_ns, networks])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
