"""A film's pose: the movement that its person is to make, and what may be asked of it."""

from __future__ import annotations

import functools
import os

import numpy as np

from ..control.conditions import PoseCondition, pose_condition
from ..control.followed import Followed, pose_followed
from ..control.people import Choice, parse_choice
from ..control.pose import PoseSequence
from ..control.pose_edit import retarget, retime
from ..control.pose_file import load_pose
from ..errors import InputError, MediaError
from ..media.cuts import remembered_cuts
from ..media.probe import require_source
from ..media.video import Source
from ..request import FRAMES_PER_SECOND, GenerationRequest
from ..steering import Pose

_LOOK_EVERY = 4  # frames between two in which the person is looked for again
_SHORTER = 0.1  # seconds by which a movement may end before the film without a word

Place = tuple[float, float, float, float]  # top, left, height and width of the part of a picture that is the frame


def check_pose(request: GenerationRequest, source: Source, duration_seconds: float) -> list[str]:
    """What is to be said of the film's pose before it is made.

    Raises:
        InputError, MediaError: the movement cannot be used, or it is not said whose it is.
    """
    pose = request.pose
    if pose is None:
        return []
    if pose.file is None and source.kind == "image":
        raise InputError("The source is a picture, whose person rests; give the pose a film or a recorded sequence.")
    needed = pose.speed * duration_seconds
    if pose.recorded:
        length, notes = load_pose(pose.file).seconds, []
    else:
        path = pose.file or source.path
        info = require_source(path)
        length = info.duration_seconds or 0.0
        if info.kind == "image":
            return ["The pose is that of a picture and is held through the film.", *_people(pose, path, needed)]
        _check_start(pose, length)
        notes = _people(pose, path, needed)
        cuts = [cut for cut in remembered_cuts(path, min(length, pose.offset_seconds + needed))
                if cut > pose.offset_seconds]  # fmt: skip
        if cuts and pose.file is not None:
            notes.append(
                f"The film that the pose follows cuts at {cuts[0]:.1f} s; the body may jump there. Choose a start or a "
                "film without a cut to avoid it."
            )
    _check_start(pose, length)
    left = (length - pose.offset_seconds) / pose.speed
    if left < duration_seconds - _SHORTER:
        ending = "runs backwards and forwards" if request.short_source == "ping-pong" else "stays as it ended"
        notes.append(f"The movement lasts {left:.1f} s and the film {duration_seconds:.1f} s; it then {ending}.")
    return notes


def _check_start(pose: Pose, length: float) -> None:
    if pose.offset_seconds >= length:
        raise InputError(
            f"The pose's movement lasts {length:.1f} s, so nothing begins at {pose.offset_seconds:g} s; choose an "
            "earlier start."
        )


def _people(pose: Pose, path: str, seconds: float) -> list[str]:
    try:
        return list(_looked(path, os.path.getmtime(path), parse_choice(pose.person), pose.offset_seconds, seconds))
    except InputError as error:
        if pose.person is None and "choose one" in str(error):
            raise InputError(f"{error} Say it as the pose's person.") from None
        raise


@functools.lru_cache(maxsize=16)
def _looked(path: str, changed: float, person: Choice, start_seconds: float, seconds: float) -> tuple[str, ...]:
    """Asked again at every change of a request, so what was seen is kept."""
    from ..control.pose_extract import look_at_people

    return tuple(look_at_people(path, person=person, start_seconds=start_seconds, max_seconds=seconds))


class FilmPose:
    """The movement of one film, read once.

    height, width: of the pictures that are generated.
    """

    def __init__(
        self, request: GenerationRequest, source: Source, duration_seconds: float, height: int, width: int
    ) -> None:
        from ..control.pose_extract import read_pose

        pose = request.pose
        assert pose is not None
        self._pose, self._size = pose, (height, width)
        self._source_size = source.height, source.width
        self._ending = "ping-pong" if request.short_source == "ping-pong" else "hold"
        self._begins = pose.offset_seconds if pose.recorded else 0.0
        if pose.recorded:
            self._movement = load_pose(pose.file)
        else:
            self._movement = read_pose(
                pose.file or source.path, person=parse_choice(pose.person), start_seconds=pose.offset_seconds,
                max_seconds=pose.speed * duration_seconds, accept_cuts=True, weights_dir=request.checkpoints_dir,
            ).sequence  # fmt: skip
        box = request.speakers[0].box
        rows, columns = (0.5, 0.5) if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        # Of several people in a reference, the one who speaks first, else the one in the middle.
        self._speaker = (columns, rows) if box is None else (columns / source.width, rows / source.height)
        self._fitted: PoseSequence | None = None  # to the first reference's person, where it is another's movement
        self._reference: tuple[object, PoseSequence | None] = None, None

    @property
    def follows(self) -> bool:
        """Whether the movement is that of the source's own person, who is in its place already."""
        return self._pose.file is None

    @property
    def unfitted(self) -> bool:
        """Whether another's movement still has to be put on the film's person."""
        return not self.follows and self._fitted is None

    def fit(self, first_reference: np.ndarray) -> None:
        """Put another person's movement on the body in uint8 [height, width, 3]; to be called before `at`."""
        if not self.unfitted:
            return
        found = self._person(first_reference)
        height, width = self._size
        self._fitted = self._movement.resized(width, height) if found is None else retarget(self._movement, found)

    def at(self, start_frame: int, num_frames: int, place: Place) -> PoseSequence:
        """Of the film's frames from `start_frame` on, in the generated picture's pixels.

        place: the part of the source that is generated, in pixels of the source.
        """
        height, width = self._size
        start = self._begins + self._pose.speed * start_frame / FRAMES_PER_SECOND
        whole = self._movement if self._fitted is None else self._fitted
        chunk = retime(whole, num_frames, start_seconds=start, speed=self._pose.speed, ending=self._ending)
        if not self.follows:
            return chunk
        rows, columns = self._source_size
        return chunk.resized(columns, rows).framed(place, width, height)

    def condition(self, sequence: PoseSequence, key: object, reference: np.ndarray) -> PoseCondition:
        """What the network is shown of a chunk. key: the same while `reference`, uint8 [height, width, 3], is."""
        if self._reference[0] != key or key is None:
            self._reference = key, self._person(reference)
        return pose_condition(sequence, self._reference[1], *self._size)

    def _person(self, picture: np.ndarray) -> PoseSequence | None:
        from ..control.pose_extract import read_picture_pose

        height, width = self._size
        try:
            return read_picture_pose(picture, "the reference", self._speaker).resized(width, height)
        except MediaError:
            return None


def followed(frames: np.ndarray, asked: PoseSequence) -> Followed:
    """How well frames uint8 [F, H, W, 3] show the poses asked for, one for each frame."""
    from ..control.pose_extract import read_frames_pose

    result = read_frames_pose(frames[::_LOOK_EVERY], "the result")
    return pose_followed(asked.part(slice(None, None, _LOOK_EVERY)), result)
