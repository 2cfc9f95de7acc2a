"""Examples for nano's control network: chunks of clips, and the reference moved along with them.

A camera's example is a clip's chunk filmed again: every frame as a camera on a path sees it that stands before the
picture's plane, which is exact. The network's inputs are made as for a film (`vision/control_images.py`): the
reference alone along that path, its holes, and the rays. A body's example is a chunk as it is, most of them swaying
besides; the network gets the reference bent from its own joints to each frame's (`vision/pose_turn.py`), by the
clip's exact joints, with small errors, as a detector's are. The target is relative to the reference
moved along, by the camera or the joints, as in a film (`ControlInputs.expected`): there stands all that is known of a
frame but what the mouth says.

Shapes: B examples, T latent frames, F = 4 (T - 1) + 1 film frames of 128 x 128 pixels, h and w latent positions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from ..config.camera import MOVEMENTS
from ..vision.camera_path import CHANNELS, intrinsics, preset_path, to_w2c
from ..vision.control_images import camera_condition
from ..vision.pose import BODY, NUM_JOINTS
from ..vision.pose_turn import pose_maps
from ..vision.rays import ray_embedding
from ..vision.tracking import farthest
from .batches import Batch, covered_cells
from .clips import CALM, SMALL_SIZE
from .latents import LATENT_CELLS, Variation, windows_of
from .references import Given, draw_given

if TYPE_CHECKING:
    from ..models.audio_encoder import SpeechEncoder
    from ..models.nano_vae import NanoVAE
    from .clips import ClipSet

Kind = Literal["camera", "body"]

FARTHEST = 0.25  # of the picture's width, by which a camera moves the picture (`vision.tracking.farthest`)
_DEPTH = 1.0  # of the plane, in distances to the subject
_LONGEST_PATH = 250  # frames
_STILL_SHARE = 0.1  # of the cameras, which rest
_CALM_SHARE = 0.3  # of the bodies, from clips whose head hardly moves; of the cameras the rest
# Of the bodies, in which the picture sways and leans besides: heads of the clips turn, but hardly go anywhere.
_SWAYING_SHARE, _SWAY, _SWAY_DEGREES = 0.7, 0.12, 8.0
_NUM_VARIATIONS = 1000
_JOINT_OFFSET, _JOINT_SHAKE = 0.008, 0.003  # of the picture: of a clip's joints throughout, and of every frame's
_LOST_EAR_SHARE = 0.1
_OUTSIDE_SHARE = 0.5  # of the clips, whose joints beyond the picture's edge are given as well
# OpenCV counts pixels from the middle of the first one, homographies here from the picture's edge.
_TO_EDGE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
_FROM_EDGE = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])


@dataclass(frozen=True)
class Moved:
    """Inputs of the control network.

    rendering: [B,16,T,h,w], (its latent - reference latent) / scale. holes: [B,1,F,H,W]. rays: [B,6,F,H,W].
    """

    rendering: Tensor
    holes: Tensor
    rays: Tensor


@dataclass(frozen=True)
class ControlBatch:
    """Chunks, and a control network's inputs for them."""

    chunks: Batch
    shown: Moved

    def to(self, device: torch.device | str) -> ControlBatch:
        """The same on another device."""
        moved = {name: value.to(device) for name, value in vars(self.shown).items()}
        return ControlBatch(self.chunks.to(device), replace(self.shown, **moved))


class ControlExamples:
    """Draws batches; everything is encoded when it is drawn, which costs little compared with a step."""

    def __init__(
        self, clips: ClipSet, vae: NanoVAE, speech_encoder: SpeechEncoder, scale: float, audio_noise: float = 0.1
    ) -> None:
        self.clips, self.vae, self.scale = clips, vae, scale
        self._say, self._audio_noise = speech_encoder.articulation.say, audio_noise
        self._spoken_shape = speech_encoder.num_layers, speech_encoder.num_channels
        self._mean = torch.tensor(vae.config.latents_mean)[:, None, None, None]
        self._std = torch.tensor(vae.config.latents_std)[:, None, None, None]
        self._tail = self._encode(np.full((1, SMALL_SIZE, SMALL_SIZE, 3), 127.5, np.float32))
        self._joints = [clips.joints.index(name.replace(" ", "_")) for name in BODY if "toe" not in name]

    def choose(self, available: np.ndarray, size: int, kind: Kind, rng: np.random.Generator) -> np.ndarray:
        """Clips for one batch: for bodies mostly those whose head moves, for cameras the others."""
        calm = self.clips.motion[available] == CALM
        if calm.all() or not calm.any():
            return rng.choice(available, size)
        share = _CALM_SHARE if kind == "body" else 1 - _CALM_SHARE
        return np.where(rng.random(size) < share, rng.choice(available[calm], size), rng.choice(available[~calm], size))

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)  # pictures are encoded as films encode them, whatever the networks compute in
    def draw(
        self, chosen: np.ndarray, num_latent_frames: int, kind: Kind, rng: np.random.Generator, *, plain: bool = False
    ) -> ControlBatch:
        """A batch from the clips `chosen`; `plain` leaves the clips' colours and sound as they are, for measuring."""
        num_frames = 4 * (num_latent_frames - 1) + 1
        examples = []
        for clip in chosen:
            given = draw_given("sparse", "M3", num_frames, self.clips.num_frames, rng)
            variation = Variation.of(int(clip), 0 if plain else int(rng.integers(_NUM_VARIATIONS)), SMALL_SIZE)
            make = self._filmed if kind == "camera" else self._swayed
            examples.append(make(int(clip), given, num_frames, variation, rng))
            if not plain:
                audio = examples[-1]["audio"]
                examples[-1]["audio"] = audio + self._audio_noise * rng.standard_normal(audio.shape, np.float32)
        return self._collate(examples)

    def _filmed(
        self, clip: int, given: Given, num_frames: int, variation: Variation, rng: np.random.Generator
    ) -> dict[str, np.ndarray | Tensor]:
        size = self.clips.size
        w2c = draw_cameras(num_frames, given.opens, rng)
        frames = np.array(self.clips.frames(clip, given.start, given.start + num_frames))
        reference = np.array(self.clips.frames(clip, given.reference, given.reference + 1))
        if variation.mirrored:
            frames, reference = (np.ascontiguousarray(each[:, :, ::-1]) for each in (frames, reference))
        moves = plane_moves(w2c, size)
        filmed, expected = (_warped(each, moves) for each in (frames, np.broadcast_to(reference, frames.shape)))
        colored = replace(variation, mirrored=False, zoom=1.0, top=0.0, left=0.0)
        filmed, expected, reference = (_changed(each, colored) for each in (filmed, expected, reference))
        seen = np.clip(np.rint(reference[0]), 0, 255).astype(np.uint8)
        plane = np.full((SMALL_SIZE, SMALL_SIZE), _DEPTH, np.float32)
        shown = camera_condition(seen, plane, w2c)
        mirror = replace(variation, zoom=1.0, top=0.0, left=0.0)
        boxes = {
            name: moved_boxes(mirror.boxes(own[clip, given.start : given.start + num_frames], size), moves)
            for name, own in (("mouth", self.clips.mouth_boxes), ("eyes", self.clips.eye_boxes))
        }
        return self._chunk(clip, given, filmed, reference, boxes) | {
            "rendering": self._encode(shown.render.astype(np.float32)),
            "expected": self._encode(expected),
            "holes": shown.holes[None].astype(np.float32),
            "rays": ray_embedding(shown.intrinsic, shown.w2c, SMALL_SIZE, SMALL_SIZE),
        }

    def _swayed(
        self, clip: int, given: Given, num_frames: int, variation: Variation, rng: np.random.Generator
    ) -> dict[str, np.ndarray | Tensor]:
        import cv2

        span = slice(given.start, given.start + num_frames)
        frames, joints = self.clips.frames(clip, span.start, span.stop), self.clips.skeleton[clip][:, self._joints]
        joints = np.concatenate([joints[span], joints[given.reference][None]])
        sway = np.eye(4)[None].repeat(num_frames, axis=0)
        if rng.random() < _SWAYING_SHARE:
            sway = draw_cameras(num_frames, given.opens, rng, _SWAY, _SWAY_DEGREES)
            frames = _warped(frames, plane_moves(sway, self.clips.size))
            for index, move in enumerate(plane_moves(sway, 1)):
                joints[index, :, :2] = np.where(joints[index, :, :2] != 0, _through(move, joints[index, :, :2]), 0)
        frames = _changed(frames, variation)
        reference = _changed(self.clips.frames(clip, given.reference, given.reference + 1), variation)
        scale = self.clips.size / SMALL_SIZE
        large = replace(variation, top=variation.top * scale, left=variation.left * scale)
        swayed = plane_moves(sway, self.clips.size)
        boxes = {
            name: large.boxes(moved_boxes(own[clip, span], swayed), self.clips.size)
            for name, own in (("mouth", self.clips.mouth_boxes), ("eyes", self.clips.eye_boxes))
        }
        places, seen = self._places(joints, variation, rng)
        expected = np.repeat(reference, num_frames, axis=0)
        for index, (there, known) in enumerate(zip(places[:-1], seen[:-1], strict=True)):
            maps = pose_maps(places[-1], there, known & seen[-1], SMALL_SIZE, SMALL_SIZE)
            if maps is not None and not (given.opens and index == 0):
                expected[index] = cv2.remap(reference[0], *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        encoded, still = self._encode(np.clip(expected, 0, 255)), np.repeat(np.eye(4)[None], num_frames, axis=0)
        intrinsic = intrinsics(SMALL_SIZE, SMALL_SIZE)
        return self._chunk(clip, given, frames, reference, boxes) | {
            "rendering": encoded, "expected": encoded,
            "holes": np.zeros((1, num_frames, SMALL_SIZE, SMALL_SIZE), np.float32),
            "rays": ray_embedding(intrinsic, still, SMALL_SIZE, SMALL_SIZE),
        }  # fmt: skip

    def _places(
        self, joints: np.ndarray, variation: Variation, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Joints [F,18,3] (x, y in shares of the picture, visible 0 or 1) as [F,62,2] and which are seen [F,62]."""
        places = np.zeros((len(joints), NUM_JOINTS, 2))
        seen = np.zeros((len(joints), NUM_JOINTS), bool)
        order = mirrored_order(joints.shape[1]) if variation.mirrored else np.arange(joints.shape[1])
        moved = (joints[:, order, :2] - np.array([variation.left, variation.top]) / SMALL_SIZE) * variation.zoom
        if variation.mirrored:
            moved[..., 0] = 1 - moved[..., 0]
        moved = moved + _JOINT_OFFSET * rng.standard_normal(moved.shape[1:])
        places[:, : joints.shape[1]] = moved + _JOINT_SHAKE * rng.standard_normal(moved.shape)
        known = (joints[:, order, :2] != 0).any(axis=-1) if rng.random() < _OUTSIDE_SHARE else False
        seen[:, : joints.shape[1]] = (joints[:, order, 2] > 0) | known
        for ear in ("right ear", "left ear"):
            if rng.random() < _LOST_EAR_SHARE:
                seen[:, BODY.index(ear)] = False
        return places, seen

    def _chunk(
        self, clip: int, given: Given, frames: np.ndarray, reference: np.ndarray, boxes: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray | Tensor]:
        """What every example has. frames, reference: float32 [F,128,128,3], 0 to 255. boxes: in the clips' pixels."""
        clips, num_frames = self.clips, len(frames)
        span = slice(given.start, given.start + num_frames)
        cells = LATENT_CELLS / clips.size
        spoken = self._say(torch.from_numpy(np.array(clips.mouth_shapes[clip], np.float32)))
        closed = np.asarray(clips.closures[clip, span], np.float32)
        return {
            "clean": self._encode(frames),
            "reference": self._encode(reference),
            "picture": torch.from_numpy(reference[0]).movedim(-1, 0) / 127.5 - 1,
            "mouth": covered_cells(boxes["mouth"] * cells, LATENT_CELLS, LATENT_CELLS),
            "eyes": covered_cells(boxes["eyes"] * cells, LATENT_CELLS, LATENT_CELLS),
            "num_context": np.array(given.num_context),
            "opens": np.array(given.opens, np.float32),
            "audio": windows_of(spoken.unflatten(-1, self._spoken_shape).numpy(), given.start, num_frames),
            "closed": np.concatenate([closed[:1], closed[1:].reshape(-1, 4).mean(axis=1)]),
            "motion": np.array(clips.motion[clip], np.int64),
        }

    def _encode(self, pictures: np.ndarray) -> Tensor:
        """float32 [F,128,128,3], 0 to 255, to normalised latents [16,T,h,w]."""
        film = torch.from_numpy(pictures).movedim(-1, 0)[None] / 127.5 - 1
        return (self.vae.encode(film).latent_dist.mode()[0] - self._mean) / self._std

    def _collate(self, examples: list[dict[str, np.ndarray | Tensor]]) -> ControlBatch:
        stacked = {key: torch.stack([torch.as_tensor(e[key]) for e in examples]) for key in examples[0]}
        reference, size = stacked["reference"], len(examples)
        num_latent_frames = stacked["clean"].shape[2]
        shown = torch.cat([reference, self._tail.expand(size, -1, num_latent_frames - 1, -1, -1)], dim=2)
        mask = torch.zeros_like(shown[:, :4])
        mask[:, :, 0] = 1
        chunks = Batch(
            clean=(stacked["clean"] - stacked["expected"]) / self.scale, reference=reference,
            conditioning=torch.cat([mask, shown], dim=1), mouth=stacked["mouth"][:, None],
            eyes=stacked["eyes"][:, None], num_context=stacked["num_context"], opens=stacked["opens"],
            picture=stacked["picture"], image_seen=torch.ones(size), audio=stacked["audio"].float(),
            truth=torch.zeros(size, 0), motion=stacked["motion"], closed=stacked["closed"][:, None, :, None, None],
            dubbed=torch.zeros(size),
        )  # fmt: skip
        rendering = (stacked["rendering"] - reference) / self.scale
        return ControlBatch(chunks, Moved(rendering, stacked["holes"], stacked["rays"]))


def draw_cameras(
    num_frames: int, opens: bool, rng: np.random.Generator, most: float = FARTHEST, roll: float = 0.0
) -> np.ndarray:
    """World-to-camera matrices [F,4,4] of a chunk somewhere along a ready-made path, at its start if it `opens`.

    most: as far as the path may go, in picture widths. roll: degrees to which it may turn the picture besides.
    """
    if rng.random() < _STILL_SHARE:
        return np.repeat(np.eye(4)[None], num_frames, axis=0)
    length = int(rng.integers(num_frames, _LONGEST_PATH + 1))
    path = preset_path(str(rng.choice(MOVEMENTS)), float(rng.choice([-1, 1])), length / 25, int(rng.integers(2**31)))
    values = path.at(np.arange(length) / 25)
    values = values * _fitting(values, most) * rng.uniform(0.2, 1.0)
    if roll:
        values[:, CHANNELS.index("roll")] += rng.uniform(-roll, roll) * np.sin(
            rng.uniform(0.03, 0.1) * np.arange(length)
        )
    start = 0 if opens else int(rng.integers(0, length - num_frames + 1))
    return to_w2c(values[start : start + num_frames])


def _fitting(values: np.ndarray, most: float) -> float:
    """The factor by which a path goes just as far as it may."""
    low, high = 0.0, 3.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if farthest(to_w2c(values[::8] * middle)) < most else (low, middle)
    return low


def plane_moves(w2c: np.ndarray, size: int) -> np.ndarray:
    """Homographies [F,3,3], pixels of the reference to those of each frame, of a plane before the first camera."""
    intrinsic = intrinsics(size, size)
    back = np.linalg.inv(intrinsic)
    rotation, translation = w2c[:, :3, :3], w2c[:, :3, 3]
    turned = rotation + translation[:, :, None] * np.array([0, 0, 1 / _DEPTH])
    return intrinsic @ turned @ back


def _through(move: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [...,2], x and y, where a homography takes them."""
    moved = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1) @ move.T
    return moved[..., :2] / moved[..., 2:]


def _warped(pictures: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """uint8 [F,S,S,3], each moved by its homography [F,3,3] in pixels; beyond the edge the edge."""
    import cv2

    size = pictures.shape[2], pictures.shape[1]
    warps = _FROM_EDGE @ moves @ _TO_EDGE
    return np.stack([
        cv2.warpPerspective(np.ascontiguousarray(picture), warp, size, borderMode=cv2.BORDER_REPLICATE)
        for picture, warp in zip(pictures, warps, strict=True)
    ])  # fmt: skip


def moved_boxes(boxes: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Boxes [F,4] (row, column of two corners) as they stand in each filmed frame."""
    corners = boxes.reshape(-1, 2, 2)[..., ::-1]
    moved = np.stack([_through(move, pair) for move, pair in zip(moves, corners, strict=True)])
    return moved[..., ::-1].reshape(-1, 4)


def mirrored_order(num_joints: int) -> np.ndarray:
    """For every joint the one that stands there in a mirror."""
    other = {"right": "left", "left": "right"}
    sides = [name.split(" ", 1) for name in BODY[:num_joints]]
    return np.array([
        BODY.index(" ".join([other[side[0]], *side[1:]])) if side[0] in other else index
        for index, side in enumerate(sides)
    ])  # fmt: skip


def _changed(pictures: np.ndarray, variation: Variation) -> np.ndarray:
    """uint8 [F,S,S,3] to float32 [F,128,128,3], 0 to 255, as the variation shows them."""
    import cv2

    small = [cv2.resize(each, (SMALL_SIZE, SMALL_SIZE), interpolation=cv2.INTER_AREA) for each in pictures]
    frames = torch.from_numpy(np.stack(small)).movedim(-1, 1).float() / 127.5 - 1
    return ((variation.pictures(frames) + 1) * 127.5).movedim(1, -1).contiguous().numpy()
