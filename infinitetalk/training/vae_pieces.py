"""Cut-outs that nano's autoencoder is trained on: a reference, a group of frames, and where mouth and eyes are.

Pieces are 96x96 pixels of the 256-pixel pictures, most of them around the mouth or the eyes, so that far more
pictures pass in the same time; the networks are convolutional and their loss is local.  The reference is any
other frame of the same clip, cut a little off the frames for some.

Photographs, where given, are moved and bent as a speaking head moves, and some get an opening that widens: so flow,
mask and painting also learn on textures that no renderer makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from ..config.constants import VAE_TEMPORAL_STRIDE
from .clips import MOVING_CAMERA, ClipSet

NUM_FRAMES = 3 * VAE_TEMPORAL_STRIDE  # a group and its neighbours, which the decoder sees too
MIDDLE = slice(VAE_TEMPORAL_STRIDE, 2 * VAE_TEMPORAL_STRIDE)  # the group that is decoded
_TRUSTED_ERROR = 15.0  # of 255, mean of the surroundings: what looks more different than this was not found


@dataclass(frozen=True)
class PieceSettings:
    """Shares of the kinds of pieces. Lengths in pixels of the decoded picture.

    reach: frames before and after that the reference may come from where the camera moves.
    """

    size: int = 96
    mouth_share: float = 0.45
    eyes_share: float = 0.3
    photo_share: float = 0.15
    still_share: float = 0.1
    zoomed_share: float = 0.3
    shifted_share: float = 0.15
    max_shift: int = 5
    reach: int = 25
    recolored_share: float = 0.5


@dataclass(frozen=True)
class Pieces:
    """B cut-outs of s pixels, colours in [-1,1].

    frames: [B,12,3,s,s], of which the middle four are to be decoded. reference: [B,3,s,s].
    shown_frames, shown_reference: the same in other colours for some rows: the encoder's input, so that the
        difference of their latents has to be a code of motion.
    mouth, eyes: [B,4,1,s,s], 1 where they are.
    flow, trust: [B,4,2,s,s] pixels and [B,4,1,s,s] from 0 to 1: where optical flow finds the frames in the reference,
        and how far what it finds there looks alike.
    """

    frames: Tensor
    reference: Tensor
    shown_frames: Tensor
    shown_reference: Tensor
    mouth: Tensor
    eyes: Tensor
    flow: Tensor
    trust: Tensor

    def to(self, device: torch.device) -> Pieces:
        return Pieces(**{name: value.to(device) for name, value in vars(self).items()})


class PieceMaker:
    """Draws pieces from clips of pictures twice as large as what is encoded, and from photographs."""

    def __init__(self, clips: ClipSet, settings: PieceSettings, photos: list[np.ndarray]) -> None:
        self.clips = clips
        self.settings = settings
        self.photos = photos
        self.train = clips.split("train")

    def reopen(self) -> None:
        """Take in clips that have been rendered since."""
        self.clips = self.clips.reopened()
        self.train = self.clips.split("train")

    def draw(self, batch: int, rng: np.random.Generator) -> Pieces:
        """A batch of pieces."""
        size = self.settings.size
        pictures = np.empty((batch, 1 + NUM_FRAMES, size, size, 3), np.uint8)  # the reference first
        places = np.zeros((2, batch, VAE_TEMPORAL_STRIDE, size, size), np.float32)
        for row in range(batch):
            if self.photos and rng.random() < self.settings.photo_share:
                pictures[row], places[0, row] = moved_photo(self.photos[rng.integers(len(self.photos))], size, rng)
            else:
                self._cut(pictures[row], places[:, row], rng)
            if rng.random() < self.settings.still_share:
                pictures[row, 1:] = pictures[row, MIDDLE.stop].copy()
                places[:, row] = places[:, row, -1:]
        if rng.random() < 0.5:  # mirrored
            pictures, places = np.ascontiguousarray(pictures[..., ::-1, :]), places[..., ::-1].copy()
        mouth, eyes = torch.from_numpy(places)[..., None, :, :].unbind(0)
        flow, trust = optical_flow(pictures[:, 0], pictures[:, 1:][:, MIDDLE])
        colors = [random_colors(rng) for _ in range(batch)]
        changed = rng.random(batch) < self.settings.recolored_share
        seen = [random_colors(rng) @ whole(own) if other else own for own, other in zip(colors, changed, strict=True)]
        decoded, shown = recolored(pictures, colors), recolored(pictures, seen)
        return Pieces(decoded[:, 1:], decoded[:, 0], shown[:, 1:], shown[:, 0], mouth, eyes, flow, trust)

    def _cut(self, pictures: np.ndarray, places: np.ndarray, rng: np.random.Generator) -> None:
        """One row from a clip: pictures [13,s,s,3] and the places of mouth and eyes [2,4,s,s], in place."""
        clips, settings = self.clips, self.settings
        clip = int(rng.choice(self.train))
        start = int(rng.integers(0, clips.num_frames - NUM_FRAMES + 1))
        boxes = [clips.mouth_boxes[clip], clips.eye_boxes[clip]]
        side = settings.size
        if rng.random() < settings.zoomed_share:
            side = int(rng.integers(settings.size * 7 // 8, min(clips.size, settings.size * 3 // 2) + 1))
        room = clips.size - side
        top, left = (int(v) for v in rng.integers(0, room + 1, 2))
        choice = rng.random()
        if choice < settings.mouth_share + settings.eyes_share:
            box = boxes[0 if choice < settings.mouth_share else 1][start + MIDDLE.stop - 1]
            if box[2] > box[0]:  # it is known where they are
                middle = box.reshape(2, 2).mean(axis=0) + rng.uniform(-0.3, 0.3, 2) * side
                top, left = (int(np.clip(v - side / 2, 0, room)) for v in middle)
        shifts = np.zeros(2, int)
        if rng.random() < settings.shifted_share:
            shifts = rng.integers(-settings.max_shift, settings.max_shift + 1, 2)
        beside_top, beside_left = (int(v) for v in np.clip(shifts + (top, left), 0, room))
        low, high = 0, clips.num_frames
        if clips.motion[clip] == MOVING_CAMERA:
            low, high = max(0, start - self.settings.reach), min(high, start + NUM_FRAMES + self.settings.reach)
        other = int(rng.integers(low, high))
        reference = clips.frames(clip, other, other + 1)[
            :, beside_top : beside_top + side, beside_left : beside_left + side
        ]
        frames = clips.frames(clip, start, start + NUM_FRAMES)[:, top : top + side, left : left + side]
        for target, picture in zip(pictures, [*reference, *frames], strict=True):
            target[:] = _resized(picture, settings.size)
        scale = settings.size / side
        for place, box in zip(places, boxes, strict=True):
            for frame in range(VAE_TEMPORAL_STRIDE):
                corners = (box[start + MIDDLE.start + frame] - np.array([top, left, top, left])) * scale
                r0, c0, r1, c1 = np.clip(np.round(np.nan_to_num(corners)), 0, settings.size).astype(int)
                place[frame, r0:r1, c0:c1] = 1


def optical_flow(references: np.ndarray, frames: np.ndarray) -> tuple[Tensor, Tensor]:
    """Where frames [B,n,s,s,3] uint8 are found in references [B,s,s,3]: flow [B,n,2,s,s] in pixels, trust [B,n,1,s,s].

    The decoder's own first idea of motion; learning it from pictures alone takes many times as long.
    """
    batch, num_frames, size = frames.shape[:3]
    flows = np.empty((batch, num_frames, size, size, 2), np.float32)
    trust = np.empty((batch, num_frames, size, size), np.float32)
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    position = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=2).astype(np.float32)
    for row in range(batch):
        gray = cv2.cvtColor(references[row], cv2.COLOR_RGB2GRAY)
        for frame in range(num_frames):
            picture = frames[row, frame]
            flow = method.calc(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), gray, None)
            found = cv2.remap(references[row], position + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            error = cv2.blur(cv2.absdiff(found, picture).astype(np.float32).mean(axis=2), (5, 5))
            flows[row, frame], trust[row, frame] = flow, np.exp(-np.square(error / _TRUSTED_ERROR))
    return torch.from_numpy(flows).movedim(-1, 2).contiguous(), torch.from_numpy(trust)[:, :, None]


def open_photos(folder: Path | None) -> list[np.ndarray]:
    """Pictures of a folder as uint8 [H,W,3], in order of name; none without a folder."""
    paths = [] if folder is None else sorted(p for p in folder.iterdir() if p.suffix in (".png", ".jpg", ".jpeg"))
    return [cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for path in paths]


def moved_photo(photo: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A piece of a photograph, moving: pictures [13,s,s,3], the first far from the others, and openings [4,s,s]."""
    shorter = min(photo.shape[:2])
    scale = np.exp(rng.uniform(0, np.log(max(1.01, shorter / size / 1.2)))) if shorter > 1.2 * size else 1.0
    side = min(int(size * scale * 1.2), shorter)
    top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    base = _resized(photo[top : top + side, left : left + side], int(size * 1.2))
    times = np.concatenate([[rng.uniform(-30, 30)], np.arange(NUM_FRAMES)])

    def path(spread: float, period: float = 25.0) -> np.ndarray:
        return spread * rng.normal() * np.sin(2 * np.pi * (times / (period * rng.uniform(0.5, 2)) + rng.random()))

    calm = rng.random() < 0.5
    right, down = (path(0.5 if calm else 4.0) for _ in range(2))
    turn, zoom = path(0.002 if calm else 0.015), path(0.002 if calm else 0.015)
    center_r, center_c = rng.uniform(0.25, 0.75, 2) * size
    radius = rng.uniform(0.08, 0.3) * size
    bend_down, bend_right = path(5.0, 10.0), path(1.5, 10.0)
    opening = np.abs(path(7.0, 12.0)) - 1.0 if rng.random() < 0.4 else np.full(len(times), -1.0)
    inside = rng.integers(0, (90, 50, 50))
    teeth = rng.random() < 0.5

    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    bump = np.exp(-((rows - center_r) ** 2 + (columns - center_c) ** 2) / (2 * radius**2))
    margin = (len(base) - size) / 2
    pictures = np.empty((len(times), size, size, 3), np.uint8)
    openings = np.zeros((len(times), size, size), np.float32)
    for index in range(len(times)):
        r, c = rows - size / 2, columns - size / 2
        from_r = (1 + zoom[index]) * (r + turn[index] * c) + size / 2 + down[index] - bump * bend_down[index]
        from_c = (1 + zoom[index]) * (c - turn[index] * r) + size / 2 + right[index] - bump * bend_right[index]
        pictures[index] = cv2.remap(
            base,
            (from_c + margin).astype(np.float32),
            (from_r + margin).astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if opening[index] > 0.5:
            cover = _ellipse(center_r, center_c, opening[index], radius * 0.7, rows, columns)
            color = np.full((size, size, 3), inside, np.float32)
            if teeth:
                color[rows < center_r - 0.3 * opening[index]] = (215, 205, 190)
            pictures[index] = (pictures[index] * (1 - cover[..., None]) + color * cover[..., None]).astype(np.uint8)
            r0, r1 = int(max(0, center_r - opening[index] - 4)), int(center_r + opening[index] + 5)
            c0, c1 = int(max(0, center_c - radius)), int(center_c + radius)
            openings[index, r0:r1, c0:c1] = 1
    return pictures, openings[1:][MIDDLE]


def random_colors(rng: np.random.Generator) -> np.ndarray:
    """A change of colours in [-1,1]: matrix and offset [3,4]."""
    change = np.eye(3, 4)
    if rng.random() < 0.6:
        change[:, :3] += rng.normal(0, 0.1, (3, 3))
    change[:, :3] *= np.exp(rng.normal(0, 0.15))
    change[:, 3] = rng.normal(0, 0.1) + rng.normal(0, 0.05, 3)
    return change


def whole(change: np.ndarray) -> np.ndarray:
    """[3,4] to [4,4], for applying one change after another."""
    return np.vstack([change, [0, 0, 0, 1]])


def recolored(pictures: np.ndarray, changes: list[np.ndarray]) -> Tensor:
    """Pictures [B,n,s,s,3] uint8 as [B,n,3,s,s] in [-1,1], each row in colours of its own [3,4]."""
    batch, num_pictures, size = pictures.shape[:3]
    result = np.empty(pictures.shape, np.float32)
    for row, (picture, change) in enumerate(zip(pictures, changes, strict=True)):
        # (c / 127.5 - 1) changed: all in one matrix.
        matrix = np.column_stack([change[:, :3] / 127.5, change[:, 3] - change[:, :3].sum(axis=1)])
        flat = picture.reshape(num_pictures * size, size, 3)
        cv2.transform(flat.astype(np.float32), matrix, dst=result[row].reshape(num_pictures * size, size, 3))
    return torch.from_numpy(result).clamp_(-1, 1).movedim(-1, 2)


def _ellipse(
    row: float, column: float, half_height: float, half_width: float, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """[s,s] from 0 to 1, with a soft edge of about a pixel."""
    inside = 1 - np.hypot((rows - row) / half_height, (columns - column) / half_width)
    return np.clip(inside * half_height + 0.5, 0, 1)


def _resized(picture: np.ndarray, size: int) -> np.ndarray:
    if len(picture) == size:
        return picture
    smaller = len(picture) > size
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
