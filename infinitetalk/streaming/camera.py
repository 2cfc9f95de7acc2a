"""A film's camera path, and its finished frames as the camera on it sees them."""

from __future__ import annotations

import numpy as np

from ..control.camera_path import CameraPath, load_path, preset_path
from ..control.followed import Followed, camera_followed
from ..control.layers import LayeredScene, scene_of
from ..errors import InputError
from ..media.faces import Square, cut
from ..media.framing import resize_and_crop
from ..media.video import Source
from ..request import FRAMES_PER_SECOND, GenerationRequest
from ..steering import FOLLOW, Camera

_LOOK_EVERY = 3  # frames between two that are measured
_FOLLOW_SIDE = 512  # pixels of the source's pictures in which its camera is looked for


def check_camera(request: GenerationRequest, source: Source, title: str, *, sdedit: bool) -> list[str]:
    """What is to be said of the film's camera before it is made.

    Raises:
        InputError: the path cannot be used with this source.
    """
    camera = request.camera
    if camera is None:
        return []
    if camera.mode == "sdedit":
        if not sdedit:
            raise InputError(f"{title} cannot start from the source's own pictures; choose another camera for it.")
        notes = [] if source.kind != "image" else ["The source is a picture: SDEdit then holds its pose, too."]
        return [*notes, "With SDEdit colours may shift little by little in a long film."]
    if camera.path == FOLLOW and source.kind == "image":
        raise InputError("The source is a picture, whose camera rests; choose a ready-made movement for it.")
    if camera.file is not None:
        load_path(camera.file)  # what is wrong with it is told now
    return []


class FilmCamera:
    """Serves one film. Its path is read once, its scene once for each reference.

    seed: of a handheld camera's shaking.
    """

    def __init__(self, camera: Camera, source: Source, duration_seconds: float, seed: int = 0) -> None:
        self._follows = camera.path == FOLLOW
        if self._follows:
            self.path = followed_path(source, min(duration_seconds, source.duration_seconds))
        elif camera.file is not None:
            self.path = load_path(camera.file)
        else:
            self.path = preset_path(camera.path, camera.amount, duration_seconds, seed % 2**32)
        self._scene: tuple[object, LayeredScene] | None = None

    def w2c(self, start_frame: int, num_frames: int, reference_seconds: float | None) -> np.ndarray:
        """Cameras of the film's frames against that of their reference, [num_frames, 4, 4].

        reference_seconds: when the source's camera saw it; a followed film's references have moved along.
        """
        cameras = self.path.w2c(num_frames, start_frame)
        if not self._follows or reference_seconds is None:
            return cameras
        own = self.path.w2c(1, round(reference_seconds * FRAMES_PER_SECOND))[0]
        return cameras @ np.linalg.inv(own)

    def moved(
        self, frames: np.ndarray, w2c: np.ndarray, key: object, picture: np.ndarray, square: Square | None
    ) -> np.ndarray:
        """uint8 [F, H, W, 3] as those cameras see them.

        key: the same while the reference is. picture: the whole reference, uint8; square: the part that is the frame.
        """
        if self._scene is None or self._scene[0] != key:
            self._scene = key, _scene(picture, square, *frames.shape[1:3])
        return self._scene[1].moved(frames, w2c)

    def followed(self, frames: np.ndarray, w2c: np.ndarray) -> Followed | None:
        """How well the frames that `moved` gave follow the cameras; see `measured`."""
        assert self._scene is not None
        return measured(frames, w2c, self._scene[1].depth(w2c[0]))


def _scene(picture: np.ndarray, square: Square | None, height: int, width: int) -> LayeredScene:
    from ..control.depth import person_mask

    if square is None:  # the middle of the picture, as `resize_and_crop` takes it
        scale = min(picture.shape[0] / height, picture.shape[1] / width)
        tall, wide = scale * height, scale * width
        place = (picture.shape[0] - tall) / 2, (picture.shape[1] - wide) / 2, tall, wide
    else:
        place = square.row, square.column, square.side, square.side
    return scene_of(picture, person_mask(picture), place, (height, width))


def foreseen(
    camera: Camera, source: Source, square: Square | None, size: tuple[int, int], seconds: float, count: int
) -> tuple[np.ndarray, CameraPath]:
    """What that camera will see of the source's first picture: uint8 [count, height, width, 3], evenly over `seconds`.

    Raises:
        UserError: the path cannot be read.
    """
    film = FilmCamera(camera, source, seconds)
    picture = source.frame_at(0.0)
    still = resize_and_crop(picture if square is None else cut(picture, square), size)
    frames = np.linspace(0, max(0, round(FRAMES_PER_SECOND * seconds) - 1), count).round().astype(int)
    cameras = np.concatenate([film.path.w2c(1, frame) for frame in frames])
    return film.moved(np.repeat(still[None], count, axis=0), cameras, "", picture, square), film.path


def followed_path(source: Source, seconds: float) -> CameraPath:
    """The camera of a source film.

    Raises:
        MediaError: its pictures show too little that can be followed.
    """
    from ..control.camera_motion import as_path, estimate_motion
    from ..control.depth import person_mask
    from ..media.video import open_source

    with open_source(source.path, _FOLLOW_SIDE) as small:
        frames = small.frames(0.0, max(1, round(FRAMES_PER_SECOND * seconds)))
        motion = estimate_motion(frames, ignore=lambda frame: person_mask(frame) > 0.3)
    return as_path(motion, "followed from the source")


def measured(frames: np.ndarray, w2c: np.ndarray, depth: np.ndarray | None = None) -> Followed | None:
    """How well frames uint8 [F, H, W, 3] follow those cameras; None where nothing in them can be followed.

    depth: of the first frame as its camera was to see it, float32 [H, W]; what is near moves faster.
    """
    from ..control.camera_motion import estimate_motion
    from ..control.camera_path import to_w2c
    from ..errors import MediaError

    if len(frames) <= _LOOK_EVERY:
        return None
    try:
        motion = estimate_motion(frames[::_LOOK_EVERY], depth=depth)
    except MediaError:
        return None
    return camera_followed(w2c[::_LOOK_EVERY] @ np.linalg.inv(w2c[0]), to_w2c(motion.values))
