"""The movement that a film's person is to make, as joints for each chunk, and how well a result follows it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Literal

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..config.pose import Pose
from ..config.request import GenerationRequest
from ..errors import MediaError
from ..media.framing import middle_of, resize_and_crop
from ..media.video import Source
from ..vision.control_images import PoseCondition, pose_condition, vace_condition
from ..vision.people import parse_choice
from ..vision.pose import PoseSequence
from ..vision.pose_edit import as_far, eased_in, retarget, retime
from ..vision.pose_file import load_pose
from ..vision.tracking import TrackingScore, pose_tracking_score
from .camera_targets import Report

_LOOK_EVERY = 4  # frames between two in which the person is looked for again

Place = tuple[float, float, float, float]  # top, left, height and width of the part of a picture that is the frame


class FilmPose:
    """The movement of one film, read once and put on the film's own person.

    size: height and width of the pictures that are generated. first_reference: gives the film's first reference, uint8
    [H, W, 3] in their shape, on whose person another's movement is put. report: gets the share of a film that is read.
    """

    def __init__(
        self, request: GenerationRequest, source: Source, duration_seconds: float, size: tuple[int, int],
        first_reference: Callable[[], np.ndarray], report: Report = None,
    ) -> None:  # fmt: skip
        from ..vision.pose_extract import read_pose

        pose = request.pose
        assert pose is not None
        self._pose, self._size = pose, size
        self._source_size = source.height, source.width
        self._ending: Literal["hold", "ping-pong"] = "ping-pong" if request.short_source == "ping-pong" else "hold"
        self._begins = pose.offset_seconds if pose.recording else 0.0
        if pose.recording is not None:
            self._movement = load_pose(pose.recording)
        else:
            self._movement = read_pose(
                pose.file or source.path, person=parse_choice(pose.person), start_seconds=pose.offset_seconds,
                max_seconds=pose.speed * duration_seconds, accept_cuts=True, weights_dir=request.checkpoints_dir,
                report=report,
            ).sequence  # fmt: skip
        box = request.speakers[0].box
        rows, columns = (0.5, 0.5) if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        # Of several people in a reference, the one who speaks first, else the one in the middle.
        self._speaker = (columns, rows) if box is None else (columns / source.width, rows / source.height)
        if not self.follows:
            person, (height, width) = self._person(first_reference()), size
            self._movement = (
                self._movement.resized(width, height) if person is None else retarget(self._movement, person)
            )
        self._reference: tuple[object, PoseSequence | None] = None, None

    @property
    def strength(self) -> float:
        return self._pose.strength

    @property
    def steps(self) -> tuple[float, float]:
        """The first and the last in which it acts, as shares."""
        return self._pose.first, self._pose.last

    @property
    def follows(self) -> bool:
        """Whether the movement is that of the source's own person, who is in its place already."""
        return self._pose.file is None

    def moved(
        self, start_frame: int, num_frames: int, place: Place, person: PoseSequence, factor: float = 1.0
    ) -> PoseSequence:
        """As `at`, for a model whose reference moves along: another's movement grows out of the reference's own pose.

        person: of `reference_person`. factor: how far the movement goes, times the pose's strength.
        """
        poses = self.at(start_frame, num_frames, place)
        if not self.follows:  # the film's first picture is the reference itself
            poses = eased_in(poses, person, start_frame)
        return as_far(poses, person, factor * self.strength)

    def at(self, start_frame: int, num_frames: int, place: Place) -> PoseSequence:
        """Of the film's frames from `start_frame` on, in the generated picture's pixels.

        place: the part of the source that is generated, in pixels of the source.
        """
        height, width = self._size
        start = self._begins + self._pose.speed * start_frame / FRAMES_PER_SECOND
        chunk = retime(self._movement, num_frames, start_seconds=start, speed=self._pose.speed, ending=self._ending)
        if not self.follows:
            return chunk
        rows, columns = self._source_size
        return chunk.resized(columns, rows).framed(place, width, height)

    def reference_person(self, key: object, reference: np.ndarray) -> PoseSequence | None:
        """Who is seen in `reference`, uint8 [H, W, 3], in the generated picture's pixels; one frame.

        key: the same while the reference is.
        """
        if self._reference[0] != key or key is None:
            self._reference = key, self._person(reference)
        return self._reference[1]

    def condition(self, sequence: PoseSequence, key: object, reference: np.ndarray) -> PoseCondition:
        """The skeleton pictures of a chunk. key, reference: as of `reference_person`."""
        if self._pose.mode == "vace":
            return vace_condition(sequence, *self._size)
        return pose_condition(sequence, self.reference_person(key, reference), *self._size)

    def _person(self, picture: np.ndarray) -> PoseSequence | None:
        from ..vision.pose_extract import read_picture_pose

        height, width = self._size
        try:
            return read_picture_pose(picture, "the reference", self._speaker).resized(width, height)
        except MediaError:
            return None


def tracked_pose(frames: np.ndarray, targets: PoseSequence) -> TrackingScore:
    """How well frames uint8 [F, H, W, 3] follow the target poses, one for each frame."""
    from ..vision.pose_extract import read_frames_pose

    result = read_frames_pose(frames[::_LOOK_EVERY], "the result")
    return pose_tracking_score(targets.part(slice(None, None, _LOOK_EVERY)), result)


def pose_preview(
    request_pose: Pose, source: Source, seconds: float, size: tuple[int, int], count: int
) -> tuple[np.ndarray, int]:
    """The skeletons at `count` moments of a film, drawn over what it will be made of, and how many show a person.

    Of a film only those moments are read, so a preview takes a second or two and is not smoothed.

    Returns:
        uint8 [count, height, width, 3].
    """
    from ..media.video import open_source
    from ..vision.pose_draw import draw_skeletons
    from ..vision.pose_extract import MAX_SIDE, read_picture_pose

    height, width = size
    person = parse_choice(request_pose.person)
    still = source.frame_at(0.0)
    instants = request_pose.offset_seconds + request_pose.speed * np.linspace(0, seconds, count)
    if request_pose.recording is not None:
        recorded = load_pose(request_pose.recording)
        poses = [retime(recorded, 1, start_seconds=float(instant)) for instant in instants]
        under = [still] * count
    else:
        path = request_pose.file or source.path
        with open_source(path, MAX_SIDE) as film:
            last = max(0.0, film.duration_seconds - 1 / FRAMES_PER_SECOND)
            frames = [film.frame_at(float(min(instant, last))) for instant in instants]
        poses = []
        for frame in frames:
            try:
                poses.append(read_picture_pose(frame, os.path.basename(path), person))
            except MediaError:
                poses.append(None)
        under = frames if request_pose.file is None else [still] * count
    known = [pose for pose in poses if pose is not None]
    if not known:
        raise MediaError("No person was found at any of the moments that were looked at; choose another film or start.")
    empty = known[0].part(slice(0, 1))
    empty = dataclasses.replace(empty, confidence=np.zeros_like(empty.confidence))
    poses = [empty if pose is None else pose for pose in poses]
    movement = dataclasses.replace(
        poses[0], **{name: np.concatenate([getattr(pose, name) for pose in poses])
                     for name in ("joints", "confidence", "filled")}
    )  # fmt: skip
    if request_pose.file is None:
        movement = movement.resized(source.width, source.height)
    else:
        movement = retarget(movement, read_picture_pose(still, os.path.basename(source.path), (0.5, 0.5)))
        movement = movement.resized(source.width, source.height)
    movement = movement.framed(middle_of(source.height, source.width, height, width), width, height)
    pictures = np.stack([resize_and_crop(picture, size) for picture in under])
    drawn = np.stack(list(draw_skeletons(movement, height, width)))
    return np.maximum(pictures // 2, drawn), len(known)
