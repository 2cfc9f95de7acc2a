"""A person's joints read from a film or picture by mediapipe's holistic model, whose files lie inside its wheel.

A DWPose file is used instead where there is one (`dwpose.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..errors import InputError, MediaError
from .people import Choice, Person, choose, find_people
from .pose import LEFT_HAND, LEFT_SHOULDER, NUM_BODY, NUM_JOINTS, RIGHT_HAND, RIGHT_SHOULDER, PoseSequence
from .pose_edit import LONGEST_GAP, fill_gaps, smooth

MAX_SIDE = 640  # pixels that the model gets; it scales the body to 256 itself
_PEOPLE_EVERY = 12  # frames between two looks at where the others are
_STARTS = 3  # attempts
_LOOKS = 4  # pictures of a film that are looked at before all of it is read
_TRUST = 0.6  # mediapipe is surer of hidden joints than DWPose; 0.5 of its visibility is just seen
_LEAST_SHOULDERS = 0.5  # share of frames that must show both shoulders
_MOST_FILLED = 0.1  # share of joints that may be guesses without a word
_LEAST_PERSON = 0.2  # share of frames that must show a person
# mediapipe's 33 points of the body, in the order of `pose.BODY`; the neck lies between the shoulders.
_NOSE, _LEFT_SHOULDER, _RIGHT_SHOULDER = 0, 11, 12
_BLAZE = (_NOSE, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7, 31, 32)


@dataclass(frozen=True)
class ExtractedPose:
    """What was read: the movement, filled and smoothed, and sentences about what to know before it is used."""

    sequence: PoseSequence
    warnings: tuple[str, ...]
    reader: str


class Reader(Protocol):
    """Finds one person's joints in frames that come in order."""

    name: str
    needs_box: bool  # whether it needs the person's box, or finds the person itself

    def __call__(self, frame: np.ndarray, person: Person | None) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [height, width, 3] → joints [62, 2] in pixels, confidence [62]."""
        ...

    def close(self) -> None: ...


class HolisticReader:
    """mediapipe's holistic model of medium size, tracking from frame to frame."""

    name = "mediapipe holistic"
    needs_box = False

    def __init__(self, *, single_picture: bool = False) -> None:
        self._single_picture = single_picture
        self._model = self._made()
        self._first = True

    def _made(self) -> Any:
        from ..media.native_code import quiet_native_code

        with quiet_native_code():
            from mediapipe.python.solutions.holistic import Holistic

            return Holistic(
                static_image_mode=self._single_picture, model_complexity=1, smooth_landmarks=False,
                refine_face_landmarks=False,
            )  # fmt: skip

    def __call__(self, frame: np.ndarray, person: Person | None) -> tuple[np.ndarray, np.ndarray]:
        from ..media.native_code import quiet_native_code

        frame = np.ascontiguousarray(frame)  # mediapipe takes no views
        if self._first:
            with quiet_native_code():
                found = self._started(frame)
            self._first = False
        else:
            found = self._model.process(frame)
        size = np.array([frame.shape[1], frame.shape[0]], np.float32)
        joints, confidence = np.zeros((NUM_JOINTS, 2), np.float32), np.zeros(NUM_JOINTS, np.float32)
        if found.pose_landmarks is not None:
            points = np.array([(p.x, p.y, p.visibility) for p in found.pose_landmarks.landmark], np.float32)
            points = np.concatenate([points, points[[_LEFT_SHOULDER, _RIGHT_SHOULDER]].mean(0, keepdims=True)])
            points[-1, 2] = points[[_LEFT_SHOULDER, _RIGHT_SHOULDER], 2].min()
            body = points[list(_BLAZE)]  # -1 is the neck, appended above
            joints[:NUM_BODY], confidence[:NUM_BODY] = body[:, :2], _TRUST * body[:, 2]
        for part, hand in ((LEFT_HAND, found.left_hand_landmarks), (RIGHT_HAND, found.right_hand_landmarks)):
            if hand is not None:
                joints[part] = [(p.x, p.y) for p in hand.landmark]
                confidence[part] = 1.0
        inside = ((joints >= 0) & (joints <= 1)).all(axis=1)
        return joints * size, np.where(inside, confidence, 0).astype(np.float32)

    def _started(self, frame: np.ndarray) -> Any:
        """The first frame's answer; a graph that does not start (`media/native_code.py`) is made anew."""
        for _ in range(_STARTS - 1):
            try:
                return self._model.process(frame)
            except RuntimeError:
                self._model = self._made()
        return self._model.process(frame)

    def close(self) -> None:
        self._model.close()


def read_pose(
    path: str | os.PathLike,
    *,
    person: Choice = None,
    start_seconds: float = 0.0,
    max_seconds: float | None = None,
    accept_cuts: bool = False,
    weights_dir: str | os.PathLike | None = None,
    report: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> ExtractedPose:
    """The movement of one person in a film, at 25 frames per second.

    Args:
        person: who, where several are seen.
        accept_cuts: read on across a change of shot; the person is looked for anew.
        weights_dir: where a DWPose file may lie.
        report: called with the share that is done. should_stop: called at every frame; what was read so far is
        returned.

    Raises:
        MediaError: not a film or picture, or no person in it. InputError: several people and none chosen, a cut
        inside, or a stretch outside the film.
    """
    from ..media.cuts import find_cuts
    from ..media.video import open_source

    name = Path(path).name
    warnings: list[str] = []
    with open_source(path, MAX_SIDE) as source:
        still = source.kind == "image"
        if not still and start_seconds >= source.duration_seconds:
            raise InputError(
                f"{name} is {source.duration_seconds:.1f} s long, so nothing begins at {start_seconds:g} s; "
                "choose an earlier start."
            )
        total = 1 if still else max(1, source.num_frames_25 - round(start_seconds * FRAMES_PER_SECOND))
        if max_seconds is not None:
            total = max(1, min(total, round(max_seconds * FRAMES_PER_SECOND)))
        if not still:
            end = start_seconds + total / FRAMES_PER_SECOND
            cuts = [cut for cut in find_cuts(path, until_seconds=end) if start_seconds < cut < end]
            if cuts and not accept_cuts:
                raise InputError(
                    f"{name} cuts to another shot at {cuts[0]:.2f} s; choose a stretch without a cut, or accept cuts "
                    "to read on across them."
                )
            if cuts:
                warnings.append(f"{name} cuts {len(cuts)} times; the movement jumps there.")
        chosen, num_people = _chosen_person(source, start_seconds, total, person, name)
        reader = _reader(weights_dir, single_picture=still)
        if num_people <= 1 and not reader.needs_box:
            chosen = None  # there is nobody else
        try:
            sequence = _read(source, reader, start_seconds, total, chosen, name, report, should_stop)
        finally:
            reader.close()
    if not still:
        sequence = smooth(fill_gaps(sequence))
    warnings += judge(sequence, name)
    return ExtractedPose(sequence, tuple(warnings), reader.name)


def read_picture_pose(picture: np.ndarray, name: str, person: Choice = None) -> PoseSequence:
    """The pose in one picture, uint8 [height, width, 3]: a sequence of one frame.

    Raises:
        MediaError: nobody in it. InputError: several people and none chosen.
    """
    picture = _shrunk(picture)
    people = find_people(picture)
    chosen = choose(people, person, name) if people else None
    others = [one for one in people if one is not chosen]
    reader = HolisticReader(single_picture=True)
    try:
        joints, confidence = reader(_without_others(picture, chosen, others), chosen)
    finally:
        reader.close()
    height, width = picture.shape[:2]
    sequence = PoseSequence(joints[None], confidence[None], np.zeros((1, NUM_JOINTS), bool), width, height, name)
    judge(sequence, name)
    return sequence


def read_frames_pose(frames: np.ndarray, name: str) -> PoseSequence:
    """The pose in pictures that follow each other, uint8 [F, height, width, 3]; frames without a person stay empty."""
    shrunk = [_shrunk(frame) for frame in frames]
    reader = HolisticReader()
    try:
        read = [reader(frame, None) for frame in shrunk]
    finally:
        reader.close()
    height, width = shrunk[0].shape[:2]
    joints, confidence = (np.stack(part) for part in zip(*read, strict=True))
    return PoseSequence(joints, confidence, np.zeros(confidence.shape, bool), width, height, name)


def look_at_people(
    path: str | os.PathLike, *, person: Choice = None, start_seconds: float = 0.0, max_seconds: float | None = None
) -> list[str]:
    """What reading a film's pose will say of its person, from a few of its pictures.

    Raises:
        MediaError: nobody is seen. InputError: several people and none chosen.
    """
    from ..media.video import open_source

    name = Path(path).name
    with open_source(path, MAX_SIDE) as source:
        still = source.kind == "image"
        seconds = 0.0 if still else max(0.0, source.duration_seconds - start_seconds)
        total = max(1, round(min(seconds, max_seconds or seconds) * FRAMES_PER_SECOND))
        chosen, count = _chosen_person(source, start_seconds, total, person, name)
        instants = [start_seconds + part * total / _LOOKS / FRAMES_PER_SECOND for part in range(_LOOKS)]
        pictures = [source.frame_at(instant) for instant in instants[: 1 if still else _LOOKS]]
    if count > 1:  # pictures far apart are no film in which one of several could be followed
        return []
    looks = [read_frames_pose(picture[None], name) for picture in pictures]
    confidence = np.concatenate([look.confidence for look in looks])
    joints = np.concatenate([look.joints for look in looks])
    few = PoseSequence(joints, confidence, np.zeros(confidence.shape, bool), looks[0].width, looks[0].height, name)
    return [warning for warning in judge(few, name) if "cropped" in warning]


def judge(sequence: PoseSequence, name: str) -> list[str]:
    """What a user should know about a movement that was read.

    Raises:
        MediaError: there is nobody in it.
    """
    present = sequence.has_person
    if present.mean() < _LEAST_PERSON:
        raise MediaError(
            f"No person was found in {name} ({100 * present.mean():.0f} % of its frames show one); choose a film in "
            "which head and shoulders are seen."
        )
    warnings = []
    shoulders = sequence.seen[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].all(axis=1)
    if shoulders.mean() < _LEAST_SHOULDERS:
        warnings.append(
            f"{name} is cropped so closely that both shoulders are seen in only {100 * shoulders.mean():.0f} % of its "
            "frames; only the head will be steered."
        )
    seen, filled = sequence.seen[:, :NUM_BODY], sequence.filled[:, :NUM_BODY]
    share = (seen & filled).sum() / max(1, seen.sum())
    if share > _MOST_FILLED:
        warnings.append(f"{100 * share:.0f} % of the joints were not seen for a moment and are filled in.")
    missing = int((~present).sum())
    if missing:
        warnings.append(
            f"The person is not seen for {missing / 25:.1f} s in stretches of more than {LONGEST_GAP / 25:g} s; there "
            "the skeleton is empty and nothing is steered."
        )
    return warnings


def _reader(weights_dir: str | os.PathLike | None, *, single_picture: bool) -> Reader:
    from .dwpose import DWPoseReader, dwpose_file

    file = dwpose_file(weights_dir)
    return HolisticReader(single_picture=single_picture) if file is None else DWPoseReader(file)


def _chosen_person(source, start_seconds: float, total: int, choice: Choice, name: str) -> tuple[Person | None, int]:
    """The person and how many there are, looked for at four instants.

    None where no face is seen; the model then looks for a body by itself.
    """

    fullest: list[Person] = []
    for part in range(_LOOKS if total >= _LOOKS else 1):
        people = find_people(source.frame_at(start_seconds + part * total / _LOOKS / FRAMES_PER_SECOND))
        if len(people) > len(fullest):
            fullest = people
    return (choose(fullest, choice, name) if fullest else None), len(fullest)


def _read(source, reader, start_seconds, total, chosen, name, report, should_stop) -> PoseSequence:
    joints = np.zeros((total, NUM_JOINTS, 2), np.float32)
    confidence = np.zeros((total, NUM_JOINTS), np.float32)
    others: list[Person] = []
    done = total
    for index, frame in enumerate(source.frames(start_seconds, total)):
        if should_stop is not None and should_stop():
            done = max(1, index)
            break
        if chosen is not None and index % _PEOPLE_EVERY == 0:
            chosen, others = _follow(chosen, find_people(frame), others)
        joints[index], confidence[index] = reader(_without_others(frame, chosen, others), chosen)
        if report is not None:
            report((index + 1) / total)
    return PoseSequence(
        joints[:done], confidence[:done], np.zeros((done, NUM_JOINTS), bool), source.width, source.height, name
    )


def _follow(chosen: Person, people: list[Person], before: list[Person]) -> tuple[Person, list[Person]]:
    """Where the chosen person is now: the nearest face, unless everybody is far away (turned round, hidden)."""
    if not people:
        return chosen, before
    nearest = min(people, key=lambda p: (p.x - chosen.x) ** 2 + (p.y - chosen.y) ** 2)
    if max(abs(nearest.x - chosen.x), abs(nearest.y - chosen.y)) > 0.2:
        return chosen, people
    return nearest, [person for person in people if person is not nearest]


def _without_others(frame: np.ndarray, chosen: Person | None, others: list[Person]) -> np.ndarray:
    """The frame with grey over everything nearer to another person, left and right of the chosen one."""
    if chosen is None or not others:
        return frame
    width = frame.shape[1]
    left = max((round((o.x + chosen.x) / 2 * width) for o in others if o.x < chosen.x), default=0)
    right = min((round((o.x + chosen.x) / 2 * width) for o in others if o.x >= chosen.x), default=width)
    alone = np.full_like(frame, 128)
    alone[:, left:right] = frame[:, left:right]
    return alone


def _shrunk(picture: np.ndarray) -> np.ndarray:
    import cv2

    scale = MAX_SIDE / max(picture.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(picture)
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
