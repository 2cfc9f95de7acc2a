"""Training batches: chunks of stored latents with what is given of them, what they sound like and what counts.

Shapes: B examples, T latent frames, F = 4 (T - 1) + 1 film frames, h and w latent positions of the cut-out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from synthetic_people.visemes import PRESS

from .decoded_crops import DecodedCrop, crop
from .dubbing import Dub, Dubbing
from .latents import LATENT_CELLS, Features, Variation, load_small, windows_of
from .motion_labels import MotionLabels
from .references import Given, draw_given

if TYPE_CHECKING:
    from .audio_pretraining import SpeechWindows
    from .clips import ClipSet
    from .phases import Phase, TransformerTraining

_AS_THEY_ARE = ("num_context", "opens", "picture", "image_seen", "audio", "truth", "motion", "dubbed")
PRESSED = 0.25  # of the shape "press", from which lips count as shut where only shapes are known
LAST_MASK_CHANNEL = 3  # of four, one per frame of a latent frame: a second reference stands for its last frame


@dataclass(frozen=True)
class Batch:
    """One training batch.

    clean: [B,16,T,h,w], (latent - reference latent) / scale. reference: [B,16,1,h,w].
    conditioning: [B,20,T,h,w], mask and reference latents as the network reads them.
    mouth, eyes: [B,1,T,h,w], share of each latent position that they cover.
    num_context: [B] latent frames given clean. opens: [B], 1 where that is the reference itself.
    picture: [B,3,S,S] the reference frame. image_seen: [B], 0 where the image encoder's output is withheld.
    audio: [B,F,5,L,C]. truth: [B,T-1,4,K], of the frames of each group, less the reference's: jaw, opening of the lips,
        mouth shapes, eyelids last. motion: [B], what moves besides the face: 0 little, 1 the head, 2 the camera.
    closed: [B,1,T,1,1], share of each latent frame's time in which p, b or m shuts the lips. dubbed: [B], 1 where the
        mouth says other speech.
    crop: some frames of each as pictures, if the training looks at any.
    tracks: by name [B,F,...], the clips' own camera or pose, for adapters that are conditioned on them.
    """

    clean: Tensor
    reference: Tensor
    conditioning: Tensor
    mouth: Tensor
    eyes: Tensor
    num_context: Tensor
    opens: Tensor
    picture: Tensor
    image_seen: Tensor
    audio: Tensor
    truth: Tensor
    motion: Tensor
    closed: Tensor
    dubbed: Tensor
    crop: DecodedCrop | None = None
    tracks: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        whole = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "tracks"}
        moved = {name: None if value is None else value.to(device) for name, value in whole.items()}
        return replace(self, **moved, tracks={name: track.to(device) for name, track in self.tracks.items()})

    def known(self) -> Tensor:
        """[B,1,T,1,1], 1 for latent frames given clean."""
        frame = torch.arange(self.clean.shape[2], device=self.clean.device)
        return (frame[None] < self.num_context[:, None]).float()[:, None, :, None, None]

    def context(self, noise_level: float, generator: torch.Generator) -> Tensor:
        """Clean latents as they are given, shaken by noise as generated ones are; the reference itself never is."""
        noise = torch.randn(self.clean.shape, generator=generator).to(self.clean.device)
        shaken = (1 - self.opens[:, None, None, None, None]) * noise_level
        return self.clean + shaken * noise


class BatchMaker:
    """Draws training batches from stored latents and features."""

    def __init__(
        self,
        clips: ClipSet,
        features: Features,
        scale: float,
        settings: TransformerTraining,
        tracks: tuple[str, ...] = (),
        speech: SpeechWindows | None = None,
    ) -> None:
        self.dubbing = None if speech is None else Dubbing(clips, features, speech)
        self.labels = MotionLabels(clips, *features.speech.shape[3:5]) if settings.motion_labels else None
        self.clips = clips
        self.features = features
        self.scale = scale
        self.settings = settings
        self.tracks = tracks
        self.pixels = LATENT_CELLS * 8
        parts = (clips.jaw[..., None], clips.openness[..., None], clips.mouth_shapes, clips.lids[..., None])
        self.truths = np.concatenate([np.asarray(part, np.float32) for part in parts], axis=2)  # [N,F,K]

    def choose(self, available: np.ndarray, phase: Phase, rng: np.random.Generator) -> np.ndarray:
        """Clips for one batch out of `available`: `phase.moving_share` of them from those that move much."""
        size = phase.batch_size * self.settings.batch_factor
        favoured = np.intersect1d(available, self.settings.favoured).astype(available.dtype)
        if len(favoured):
            chosen = self._choose(available, size, phase, rng)
            return np.where(rng.random(size) < 0.5, rng.choice(favoured, size), chosen)
        return self._choose(available, size, phase, rng)

    def _choose(self, available: np.ndarray, size: int, phase: Phase, rng: np.random.Generator) -> np.ndarray:
        moves = self.clips.motion[available] > 0
        calm, moving = available[~moves], available[moves]
        if len(calm) == 0 or len(moving) == 0:
            return rng.choice(available, size)
        wanted = rng.random(size) < phase.moving_share
        return np.where(wanted, rng.choice(moving, size), rng.choice(calm, size))

    def draw(self, chosen: np.ndarray, phase: Phase, rng: np.random.Generator, *, plain: bool = False) -> Batch:
        """A batch from the clips `chosen`; `plain` leaves out every random change (for measuring)."""
        num_frames = 4 * (phase.num_latent_frames - 1) + 1
        settings = self.settings
        examples = []
        for clip in chosen:
            given = draw_given(
                settings.conditioning, settings.reference, num_frames, self.clips.num_frames, rng, start_step=2
            )
            # Dropout is drawn either way, so that the numbers that follow do not depend on `plain`.
            variation, sound = (int(rng.integers(0, n)) for n in self.features.num_variations)
            silent, unseen = rng.random(2) < (settings.audio_dropout, settings.image_dropout)
            shake = rng.uniform(-1.5, 1.5, 2)
            if plain:
                variation, sound, silent, unseen, shake = 0, 0, False, False, np.zeros(2)
            dub = None
            if self.dubbing is not None and not plain and rng.random() < settings.dubbed_share:
                dub = self.dubbing.draw(num_frames, rng)
            looking = rng if settings.picture_weight else None
            example = self.example(int(clip), given, phase, variation, sound, silent, unseen, shake, dub, looking)
            if not (plain or silent):
                example["audio"] += settings.audio_noise * rng.standard_normal(example["audio"].shape, np.float32)
            examples.append(example)
        return self.collate(examples, second=settings.conditioning in ("fl2v", "two-reference"))

    def example(
        self,
        clip: int,
        given: Given,
        phase: Phase,
        variation_number: int = 0,
        sound: int = 0,
        silent: bool = False,
        unseen: bool = False,
        shake: np.ndarray | tuple[float, float] = (0.0, 0.0),
        dub: Dub | None = None,
        rng: np.random.Generator | None = None,
    ) -> dict[str, np.ndarray]:
        """One example: its arrays, without the batch axis, absolute latents still.

        rng: draws the frames that are looked at; without it none are.
        """
        features, cells = self.features, LATENT_CELLS
        num_frames = 4 * (phase.num_latent_frames - 1) + 1
        span = slice(given.start, given.start + num_frames)
        variation = Variation.of(clip, variation_number, self.pixels)
        to_cells = cells / self.clips.size
        mouth, eyes = (
            variation.boxes(boxes[clip, span] * to_cells * 8, self.pixels) / 8
            for boxes in (self.clips.mouth_boxes, self.clips.eye_boxes)
        )
        has_eyes = bool(self.clips.eye_boxes[clip, span].any())
        rows, columns = phase.crop or (cells, cells)
        top = left = 0
        if phase.crop is not None:
            # A tall cut-out holds the eyes as well, if they are known.
            inside = np.concatenate([mouth, eyes]) if has_eyes and rows >= 8 else mouth
            middle = (inside[:, :2].min(axis=0) + inside[:, 2:].max(axis=0)) / 2 + shake
            # Even, so that tokens of a cut-out are tokens of the whole picture.
            top, left = (
                int(np.clip(2 * round((m - size / 2) / 2), 0, cells - size))
                for m, size in zip(middle, (rows, columns), strict=True)
            )
        window = (slice(top, top + rows), slice(left, left + columns))
        corner = np.array([top, left, top, left])

        def single(frame: int) -> np.ndarray:
            return features.single[clip, variation_number, frame, :, *window].astype(np.float32)

        shown = load_small(self.clips, clip, given.reference, given.reference + 1)
        if dub is None:
            audio = features.windows(clip, given.start, num_frames, sound)
            clean = features.chunk(clip, given.start, phase.num_latent_frames, variation_number, window)
            if self.labels is not None:
                large = Variation.of(clip, variation_number, self.clips.size)
                added = self.labels.additions(clip, given.reference, large)
                audio = audio + windows_of(added, given.start, num_frames)
            closed = np.asarray(self.clips.closures[clip, span], np.float32)
        else:
            audio, closed = dub.windows, np.asarray(dub.shapes[:, PRESS] > PRESSED, np.float32)
            clean = self.dubbing.chunk(clip, variation_number, dub.shapes, window)
            if given.opens:
                clean[0] = single(given.reference)
        example = {
            "clean": clean,
            "reference": single(given.reference),
            "tail": features.tail[:, *window].numpy(),
            "mouth": covered_cells(mouth - corner, rows, columns),
            "eyes": covered_cells(eyes - corner, rows, columns) * has_eyes,
            "num_context": np.array(given.num_context),
            "opens": np.array(given.opens, np.float32),
            "picture": variation.pictures(shown[0].transpose(0, 1))[0].numpy(),
            "image_seen": np.array(not unseen, np.float32),
            "audio": np.zeros_like(audio) if silent else audio,
            "truth": (self.truths[clip, span][1:] - self.truths[clip, given.reference]).reshape(
                phase.num_latent_frames - 1, 4, -1
            ),
            "motion": np.array(self.clips.motion[clip], np.int64),
            "closed": np.concatenate([closed[:1], closed[1:].reshape(-1, 4).mean(axis=1)]),
            "dubbed": np.array(dub is not None, np.float32),
        }
        if given.second is not None:
            example["second"] = single(given.second)
        if rng is not None:
            large = Variation.of(clip, variation_number, self.clips.size)
            looked = crop(self.clips, clip, given, large, (top, left), (rows, columns), example["closed"], rng)
            looked["counts"] = 1 - example["dubbed"]  # no picture shows the clip's face saying other speech
            example |= {f"crop {name}": value for name, value in looked.items()}
        for name in self.tracks:
            example[f"track {name}"] = np.asarray(getattr(self.clips, name)[clip, span], np.float32)
        return example

    def collate(self, examples: list[dict[str, np.ndarray]], *, second: bool) -> Batch:
        """Examples of one size as a batch; `second`: each has a second reference, at the end of the condition."""
        stacked = {key: torch.from_numpy(np.stack([e[key] for e in examples])) for key in examples[0]}
        reference = stacked["reference"][:, :, None]
        clean = stacked["clean"].transpose(1, 2)
        batch, _, num_latent_frames, rows, columns = clean.shape
        mask = torch.zeros(batch, 4, num_latent_frames, rows, columns)
        mask[:, :, 0] = 1
        tail = stacked["tail"][:, :, None].expand(-1, -1, num_latent_frames - 1, -1, -1)
        shown = torch.cat([reference, tail], dim=2)
        if second:
            mask[:, LAST_MASK_CHANNEL, -1] = 1
            shown[:, :, -1] = stacked["second"]
        return Batch(
            clean=(clean - reference) / self.scale,
            reference=reference,
            conditioning=torch.cat([mask, shown], dim=1),
            crop=DecodedCrop(**looked) if (looked := _named(stacked, "crop ")) else None,
            tracks=_named(stacked, "track "),
            mouth=stacked["mouth"][:, None],
            eyes=stacked["eyes"][:, None],
            closed=stacked["closed"][:, None, :, None, None],
            **{k: stacked[k] for k in _AS_THEY_ARE},
        )


def _named(stacked: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose key begins so, without it."""
    return {key.removeprefix(prefix): value for key, value in stacked.items() if key.startswith(prefix)}


def covered_cells(boxes: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Share [T,rows,columns] of each latent position covered by the boxes [F,4] (in positions) of its frames.

    Latent frame 0 is the first frame alone, each later one stands for four; their boxes are joined.
    """
    grouped = boxes[1:].reshape(-1, 4, 4)
    joined = np.concatenate([grouped[..., :2].min(axis=1), grouped[..., 2:].max(axis=1)], axis=1)
    boxes = np.concatenate([boxes[:1], joined])

    def along(first: np.ndarray, last: np.ndarray, size: int) -> np.ndarray:
        edge = np.arange(size)
        return np.clip(np.minimum(edge + 1, last[:, None]) - np.maximum(edge, first[:, None]), 0, 1)

    vertical, horizontal = along(boxes[:, 0], boxes[:, 2], rows), along(boxes[:, 1], boxes[:, 3], columns)
    return (vertical[:, :, None] * horizontal[:, None]).astype(np.float32)


def relative_scale(clips: ClipSet, features: Features, train: np.ndarray, rng: np.random.Generator) -> float:
    """Spread of (latent - reference latent) in the mouth: the one number that relative latents are divided by.

    The mouth's and not the whole picture's, most of which stands still: noise has to hide the mouth, or the network
    reads it from its noisy input instead of from the sound. Of clips that move little, if there are any.
    """
    calm = train[clips.motion[train] == 0]
    train = calm if len(calm) else train
    squares, weights = 0.0, 0.0
    for clip in rng.choice(train, min(64, len(train)), replace=False):
        groups = features.groups[clip, 0, ::7].astype(np.float32)
        error = ((groups - features.single[clip, 0, 0].astype(np.float32)) ** 2).mean(axis=(0, 1))
        box = clips.mouth_boxes[clip].mean(axis=0, keepdims=True) * LATENT_CELLS / clips.size
        mouth = covered_cells(box, LATENT_CELLS, LATENT_CELLS)[0]
        squares, weights = squares + (error * mouth).sum(), weights + mouth.sum()
    return float(np.sqrt(squares / weights))
