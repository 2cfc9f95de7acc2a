"""Finished pictures drawn again, with every model: the camera on its path, the head as it is to move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..config.camera import Camera
from ..config.constants import FRAMES_PER_SECOND
from ..config.head import LIVELY, Head
from ..config.request import GenerationRequest
from ..config.shares import FOLLOW
from ..errors import InputError
from ..media.faces import Square, cut
from ..media.framing import middle_of, resize_and_crop
from ..media.video import Source
from ..vision.blink import Eyelids, closures
from ..vision.camera_path import CameraPath
from ..vision.head_motion import HeadMotion, begun, lively, read_head
from ..vision.head_turn import Head as HeadPlace
from ..vision.head_turn import HeadTurn
from ..vision.layers import LayeredScene, scene_of
from ..vision.tracking import TrackingScore, head_tracking_score
from .camera import FilmCamera, Report, measured

_LEAST_PERSON = 0.02  # share of the picture that must be a person; otherwise all of it is one
_CAMERA_SECONDS, _HEAD_SECONDS = 0.14, 0.13  # for each second of film of 256 x 256 pixels, on two cores
_LOOK_EVERY = 4  # frames between two in which the head is looked for again

Loudness = Callable[[int, int], np.ndarray]  # root mean square of the speech in frames start to stop


@dataclass(frozen=True)
class Seen:
    """One reference: the scene that the frames are laid into, and its head and eyelids (None without a face)."""

    key: object
    scene: LayeredScene
    turn: HeadTurn | None
    lids: Eyelids | None

    def maps(self, angles: np.ndarray, closure: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Where the person's pixels come from; None where nothing moves."""
        if self.turn is None or (np.abs(angles).max() < 0.02 and closure == 0):
            return None
        columns, rows = self.turn.maps(*angles)
        if closure:
            import cv2

            # The eyes close in the head that is turned afterwards.
            rows = rows + cv2.remap(self.lids.shift(closure), columns, rows, cv2.INTER_LINEAR)
        return columns, rows


@dataclass(frozen=True)
class Asked:
    """Of one chunk's new frames: cameras [F, 4, 4]; the head's yaw, pitch and roll [F, 3] in degrees; how far the eyes
    are closed [F], 0 to 1.
    """

    w2c: np.ndarray
    head: np.ndarray | None = None
    closed: np.ndarray | None = None


def check_head(request: GenerationRequest, source: Source, duration_seconds: float) -> list[str]:
    """What is to be said of the head's movement before the film is made.

    Raises:
        InputError: what the head is to follow cannot be followed. MediaError: it is damaged.
    """
    from ..media.cuts import remembered_cuts
    from ..media.probe import require_source

    head = request.head
    if head is None or head.source == LIVELY:
        return []
    if head.source == FOLLOW and source.kind == "image":
        raise InputError("The source is a picture, whose head rests; choose lively, or a film that shows a head.")
    path = head.file or source.path
    info = require_source(path)
    if info.kind == "image":
        raise InputError("What the head follows is a picture, where no head moves; give a film.")
    notes = []
    length = info.duration_seconds or 0.0
    if length < duration_seconds - 0.1:
        notes.append(
            f"The head's movement lasts {length:.1f} s and the film {duration_seconds:.1f} s; it then runs backwards "
            "and forwards."
        )
    if head.file is not None and (cuts := remembered_cuts(path, min(length, duration_seconds))):
        notes.append(f"The film that the head follows cuts at {cuts[0]:.1f} s; the head may jump there.")
    return notes


def redraw_seconds(request: GenerationRequest, duration_seconds: float, height: int, width: int) -> float:
    """About how long drawing again takes for a film, its looking how well the result follows included."""
    camera = request.camera is not None and request.camera.mode == "redraw"
    each = _CAMERA_SECONDS * camera + _HEAD_SECONDS * (request.head is not None)
    return each * duration_seconds * height * width / 256**2


class Redraw:
    """Serves one film. What it follows is read once, a scene is made once for each reference.

    seed: of a handheld camera's and a lively head's movements. report: told the share of a film that is read.
    """

    def __init__(
        self, camera: Camera | None, head: Head | None, source: Source, duration_seconds: float, loudness: Loudness,
        seed: int = 0, report: Report = None,
    ) -> None:  # fmt: skip
        self._camera = None if camera is None else FilmCamera(camera, source, duration_seconds, seed, report)
        self._head, self._loudness, self._seed = head, loudness, seed % 2**32
        self._motion: HeadMotion | None = None
        if head is not None and head.source != LIVELY:
            self._motion = read_head(head.file or source.path, duration_seconds, report)
        self._seen: Seen | None = None

    @property
    def path(self) -> CameraPath | None:
        return None if self._camera is None else self._camera.path

    def asked(self, start_frame: int, num_frames: int, reference_seconds: float | None) -> Asked:
        """Of the film's frames from `start_frame` on.

        reference_seconds: when the source's camera saw the reference; None for another picture.
        """
        still = np.tile(np.eye(4), (num_frames, 1, 1))
        w2c = still if self._camera is None else self._camera.w2c(start_frame, num_frames, reference_seconds)
        if self._head is None:
            return Asked(w2c)
        closed = np.zeros(num_frames)
        if self._motion is None:
            turned = lively(self._loudness, start_frame, num_frames, self._seed)
            closed = closures(start_frame, num_frames, self._seed)
        else:
            turned = self._motion.at(start_frame, num_frames)
            if self._head.source == FOLLOW and reference_seconds is not None:
                # The reference is turned already as the source was then.
                turned = turned - self._motion.at(round(reference_seconds * FRAMES_PER_SECOND), 1)
            else:
                turned = begun(turned, start_frame)
        return Asked(w2c, np.float32(self._head.amount) * turned, closed)

    def drawn(
        self, frames: np.ndarray, asked: Asked, key: object, picture: np.ndarray, square: Square | None
    ) -> np.ndarray:
        """uint8 [F, H, W, 3] as asked.

        key: the same while the reference is. picture: the whole reference, uint8; square: the part that is the frame.
        """
        height, width = frames.shape[1:3]
        if self._seen is None or self._seen.key != key:
            scene = scene_of_reference(picture, square, height, width)
            self._seen = Seen(key, scene, *self._face(picture, square, height, width))
        turns = None
        if asked.head is not None:
            turns = [partial(self._seen.maps, *each) for each in zip(asked.head, asked.closed, strict=True)]
        return self._seen.scene.moved(frames, asked.w2c, turns)

    def followed(self, frames: np.ndarray, asked: Asked) -> dict[str, TrackingScore]:
        """How well the frames that `drawn` gave do what was asked for."""
        assert self._seen is not None
        found = {}
        if self._camera is not None and asked.head is None:  # a head's own movement hides the camera's
            found["camera"] = measured(frames, asked.w2c, self._seen.scene.depth(asked.w2c[0]))
        if asked.head is not None:
            from ..vision.head_pose import face_points, head_pose

            found["head"] = head_tracking_score(
                asked.head[::_LOOK_EVERY], head_pose(face_points(frames[::_LOOK_EVERY]))
            )
        return {name: one for name, one in found.items() if one is not None}

    def _face(self, picture: np.ndarray, square: Square | None, height: int, width: int) -> tuple:
        from ..vision.head_pose import face_points

        if self._head is None:
            return None, None
        still = resize_and_crop(picture if square is None else cut(picture, square), (height, width))
        points = face_points(still[None])[0]
        if not np.isfinite(points[0, 0]):
            return None, None
        return HeadTurn(HeadPlace.of(points), height, width), Eyelids(points, height, width)


def scene_of_reference(picture: np.ndarray, square: Square | None, height: int, width: int) -> LayeredScene:
    """The scene of a whole reference, uint8 [H, W, 3], of which `square` is the frame of height x width pixels."""
    from ..vision.depth import person_mask

    if square is None:  # the middle of the picture, as `resize_and_crop` takes it
        place = middle_of(*picture.shape[:2], height, width)
    else:
        place = square.row, square.column, square.side, square.side
    person = person_mask(picture)
    if (person > 0.5).mean() < _LEAST_PERSON:
        person = np.ones_like(person)
    return scene_of(picture, person, place, (height, width))


def foreseen(
    redraw: Redraw, source: Source, square: Square | None, size: tuple[int, int], frames: np.ndarray
) -> np.ndarray:
    """What will be made of the source's first picture at those frames of the film: uint8 [n, height, width, 3]."""
    picture = source.frame_at(0.0)
    still = resize_and_crop(picture if square is None else cut(picture, square), size)
    asked = [redraw.asked(int(frame), 1, 0.0) for frame in frames]
    w2c = np.concatenate([one.w2c for one in asked])
    head = None if asked[0].head is None else np.concatenate([one.head for one in asked])
    open_eyes = Asked(w2c, head, np.zeros(len(frames)))
    return redraw.drawn(np.repeat(still[None], len(frames), axis=0), open_eyes, "", picture, square)
