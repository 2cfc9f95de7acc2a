"""The motion targets of camera, head and body, drawn over a finished film: `JOB/overlay.mp4`, to see how it follows.

A camera is a grid that stands still in the scene, at the person's distance: where the film follows, what is there keeps
to its lines. A head is a dot in a dial, which leaves the middle as far as the head was to turn. A body is its skeleton.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ..config.constants import FRAMES_PER_SECOND
from ..errors import InputError, JobError
from ..generation.camera_targets import FilmCamera
from ..generation.pose_targets import FilmPose
from ..media.faces import cut
from ..media.framing import middle_of, resize_and_crop
from ..media.images import load_image
from ..planning.film import Film
from ..planning.voices import FilmVoices
from ..stages import prepare_film
from ..stages.head_turn import HeadTargets
from ..vision.camera_path import from_w2c, intrinsics, to_w2c
from .folder import JobFolder

NAME = "overlay.mp4"
_GRID, _DEAREST, _FARTHEST_LINE = 0.25, 0.02, 2.0  # in distances to the subject
_LINE, _SHADOW, _DOT = (255, 255, 255), (20, 60, 55), (255, 196, 60)
_DIAL_DEGREES = 20.0  # at the dial's edge
_DIMMED = 0.6  # of the film under a skeleton

_one_at_a_time = threading.Lock()  # two visitors of one film would write into the same file

Draw = Callable[[np.ndarray, int], np.ndarray]  # (picture, frame of the film) -> the picture with something over it


def overlay_film(job: JobFolder, report: Callable[[float], None] | None = None) -> Path:
    """Make `overlay.mp4` in the job's folder, or give the one that is there.

    report: gets the share that is done.

    Raises:
        InputError: there are no motion targets. JobError: the film is not finished. OutputError: it cannot be written.
    """
    request = job.request
    if not request.is_steered:
        raise InputError("The film has no motion targets for camera, head or body; there is nothing to draw over it.")
    if not job.output.exists():
        raise JobError(f"The job {job.path} has no film yet; finish it with `infinitetalk resume {job.path}` first.")
    with _one_at_a_time:
        return _made(job, report)


def _made(job: JobFolder, report: Callable[[float], None] | None) -> Path:
    from ..media.mux import mux_film
    from ..media.probe import probe
    from ..media.video import open_source
    from ..media.writer import SegmentWriter

    target = job.path / NAME
    if target.exists() and target.stat().st_mtime >= job.output.stat().st_mtime:
        return target
    film = prepare_film(job.request, str(job.path))
    with film.source, open_source(job.output) as result:
        num_frames = min(film.plan.num_frames, result.num_frames_25 or 1)
        layers = _layers(film)

        def pictures() -> Iterator[np.ndarray]:
            for index, picture in enumerate(result.frames(0.0, num_frames)):
                for draw in layers:
                    picture = draw(picture, index)
                yield picture
                if report is not None:
                    report((index + 1) / num_frames)

        segment = job.path / f".{NAME}.pictures.mp4"
        try:
            SegmentWriter(result.width, result.height).write(segment, pictures())
            if probe(job.output).has_audio:
                rate = Fraction(FRAMES_PER_SECOND)
                mux_film([segment], job.output, num_frames / FRAMES_PER_SECOND, target, rate=rate)
            else:
                segment.replace(target)
        finally:
            segment.unlink(missing_ok=True)
    return target


def _layers(film: Film) -> list[Draw]:
    """What is drawn over each frame, in order."""
    request, plan = film.request, film.plan
    layers: list[Draw] = []
    if request.pose is not None:
        layers.append(_skeletons(film))
    if (camera := request.camera or request.camera_control) is not None:
        cameras = FilmCamera(camera, film.source, plan.duration_seconds, request.seed).path.w2c(plan.num_frames)
        if request.camera_control is not None and film.spec.latents.moves_reference:
            cameras = to_w2c(request.camera_control.strength * from_w2c(cameras))  # as far as the reference moves
        layers.append(lambda picture, index: with_grid(picture, cameras[index]))
    if request.head is not None:
        voices = FilmVoices(film.voices)
        targets = HeadTargets(request.head, film.source, plan.duration_seconds, voices.loudness, request.seed)
        still = film.source.kind == "image"
        turns = np.concatenate([
            targets.at(chunk.new_start_frame, chunk.num_new_frames,
                       None if still or chunk.reference.image else chunk.reference.source_seconds)[0]
            for chunk in plan.chunks
        ])  # fmt: skip
        layers.append(lambda picture, index: with_dial(picture, *turns[index, :2]))
    return layers


def _skeletons(film: Film) -> Draw:
    from ..vision.pose_draw import draw_skeletons

    plan, source, size = film.plan, film.source, (film.plan.height, film.plan.width)
    first = plan.chunks[0].reference
    whole = source.frame_at(first.source_seconds) if first.image is None else load_image(first.image)
    place = middle_of(source.height, source.width, *size)
    if film.square is not None:
        square = film.square
        whole, place = cut(whole, square), (square.row, square.column, square.side, square.side)
    picture = resize_and_crop(whole, size)
    pose = FilmPose(film.request, source, plan.duration_seconds, size, lambda: picture)
    person = None
    if film.spec.latents.moves_reference and not pose.follows:
        person = pose.reference_person("first", picture)

    def draw(picture: np.ndarray, index: int) -> np.ndarray:
        height, width = picture.shape[:2]
        poses = pose.at(index, 1, place) if person is None else pose.moved(index, 1, place, person)
        (skeleton,) = draw_skeletons(poses, height, width)
        return np.maximum((picture * _DIMMED).astype(np.uint8), skeleton)

    return draw


def with_grid(picture: np.ndarray, w2c: np.ndarray) -> np.ndarray:
    """Lines that stand still in the scene as that camera, [4, 4] against the film's first, sees them."""
    height, width = picture.shape[:2]
    matrix = intrinsics(height, width)
    steps = np.arange(-_FARTHEST_LINE, _FARTHEST_LINE + 1e-9, _GRID)
    along = np.linspace(-_FARTHEST_LINE, _FARTHEST_LINE, 33)
    drawn = picture.copy()
    for across in (0, 1):
        for step in steps:
            points = np.ones((len(along), 4))
            points[:, across], points[:, 1 - across] = step, along
            in_camera = points @ w2c.T
            pixels = in_camera[:, :3] @ matrix.T
            pixels = pixels[:, :2] / np.maximum(pixels[:, 2:], _DEAREST)
            lines = [np.rint(8 * pixels).clip(-(2**20), 2**20).astype(np.int32)[:, None]]
            for colour, thick in ((_SHADOW, 2), (_LINE, 1)):
                cv2.polylines(drawn, lines, False, colour, thick, cv2.LINE_AA, shift=3)
    return cv2.addWeighted(picture, 0.5, drawn, 0.5, 0)


def with_dial(picture: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
    """A dial in the upper right corner: how far the head was to turn, in degrees to the side and down."""
    height, width = picture.shape[:2]
    radius = max(8, round(0.09 * min(height, width)))
    middle = width - radius - radius // 3, radius + radius // 3
    drawn = picture.copy()
    cv2.circle(drawn, middle, radius, _SHADOW, -1, cv2.LINE_AA)
    drawn = cv2.addWeighted(picture, 0.4, drawn, 0.6, 0)
    cv2.circle(drawn, middle, radius, _LINE, 1, cv2.LINE_AA)
    for end in ((radius, 0), (0, radius)):
        cv2.line(drawn, (middle[0] - end[0], middle[1] - end[1]), (middle[0] + end[0], middle[1] + end[1]), _LINE, 1)
    away = np.array([yaw, pitch]) / _DIAL_DEGREES
    away /= max(1.0, float(np.linalg.norm(away)))
    place = round(middle[0] + away[0] * radius), round(middle[1] + away[1] * radius)
    cv2.circle(drawn, place, max(3, radius // 5), _DOT, -1, cv2.LINE_AA)
    return drawn
