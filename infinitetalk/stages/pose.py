"""A body that moves as a skeleton does, through UniAnimate or VACE (`unianimate.py` and `vace.py` name the network)."""

from __future__ import annotations

import functools
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ..config.pose import Pose
from ..config.request import GenerationRequest
from ..errors import InputError
from ..generation.control_inputs import PoseTarget
from ..generation.job import ChunkJob
from ..generation.pose_targets import FilmPose, tracked_pose
from ..media.probe import require_source
from ..media.scanning import remembered_cuts
from ..planning.film import SourceFacts
from ..vision.people import Choice, parse_choice
from ..vision.pose_file import load_pose
from .base import FilmStage, FinishedChunk, Stage, StageFilm
from .control_networks import check_network

if TYPE_CHECKING:
    from ..generation.generator import ChunkInputs

_SHORTER = 0.1  # seconds by which a movement may end before the film without a word


class PoseStage(Stage):
    name = "pose"
    order = 120
    network: str

    def is_on(self, request: GenerationRequest) -> bool:
        return request.pose is not None and request.pose.mode == self.network

    def check(self, request: GenerationRequest, facts: SourceFacts) -> list[str]:
        assert request.pose is not None
        return [*check_movement(request.pose, request.short_source, facts), *check_network(self.network, facts)]

    def prepare(self, film: StageFilm) -> FilmStage:
        return _FilmPoseStage(film)


class _FilmPoseStage(FilmStage):
    def __init__(self, film: StageFilm) -> None:
        request, inputs = film.request, film.inputs
        assert request.pose is not None
        self._pose = request.pose
        self._movement = FilmPose(
            request, film.film.source, film.film.plan.duration_seconds, inputs.frame.generated,
            inputs.first_reference, film.report,
        )  # fmt: skip

    def before(self, job: ChunkJob, inputs: ChunkInputs) -> ChunkInputs:
        factor, pose = job.chunk.control_factor, self._pose
        target = PoseTarget(self._movement, factor * pose.strength, factor, (pose.first, pose.last))
        return replace(inputs, targets=replace(inputs.targets, pose=target))

    def after(self, job: ChunkJob, inputs: ChunkInputs, chunk: FinishedChunk) -> FinishedChunk:
        control = inputs.control
        if control is None or control.poses is None or not control.pose_strength:
            return chunk
        height, width = chunk.frames.shape[1:3]
        return chunk.scored(
            "pose", tracked_pose(chunk.frames, control.poses.part(job.chunk.kept).resized(width, height))
        )


def check_movement(pose: Pose, short_source: str, facts: SourceFacts) -> list[str]:
    """Notes on the movement that the pose follows.

    Raises:
        InputError, MediaError: the movement cannot be used, or it is not said whose it is.
    """
    source, duration_seconds = facts.source, facts.duration_seconds
    if pose.file is None and source.kind == "image":
        raise InputError("The source is a picture, whose person rests; give the pose a film or a recorded sequence.")
    needed = pose.speed * duration_seconds
    if pose.recording is not None:
        length, notes = load_pose(pose.recording).seconds, []
    else:
        path = pose.file or str(source.path)
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
        ending = "runs backwards and forwards" if short_source == "ping-pong" else "stays as it ended"
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
    """A page plans at every change of a form, so what was found is kept."""
    from ..vision.pose_extract import look_at_people

    return tuple(look_at_people(path, person=person, start_seconds=start_seconds, max_seconds=seconds))
