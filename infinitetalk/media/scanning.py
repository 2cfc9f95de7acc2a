"""Looking through a film once for what `film_scan.FilmScan` holds."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..files import read_json
from ..paths import cache_dir
from .cuts import SIDE_PIXELS, CutDetector
from .faces import FaceFinder
from .film_scan import FilmScan, Span
from .video import VideoSource

VERSION = 1  # of what is kept
FACE_SIDE_PIXELS = 480
FACE_EVERY_SECONDS = 0.4
_SHORTEST_WITHOUT_FACE = 2 * FACE_EVERY_SECONDS  # a detector misses a single moment

# Of 255, mean and standard deviation of brightness.
_FLAT = 6.0  # a picture of one tone
_DARK, _WHITE = 24.0, 215.0
_DARK_SHARE, _WHITE_SHARE = 0.4, 1.3  # of the shot's median brightness
_FADED_SHARE = 0.7  # of the shot's median brightness and contrast, both

# Of a dissolve: a frame that is a mixture of those half a second before and after it.
_MIX_SECONDS = 0.5
_MIX_SIDE = 24
_MIX_LEAST = 10.0  # mean difference of the two, of 255
_MIX_REST = 0.25  # of that difference, what the mixture leaves unexplained
_MIX_INSIDE = 0.12  # share of either that has to be in it


@dataclass
class _Moments:
    """Of every frame: instant, mean and standard deviation of brightness, whether it is a mixture."""

    seconds: list[float] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    mixed: list[bool] = field(default_factory=list)


def scan_film(path: str | os.PathLike, until_seconds: float) -> FilmScan:
    """Look through a film's first `until_seconds`.

    Raises:
        MediaError: much of the film is damaged.
    """
    detector, moments, mixtures = CutDetector(), _Moments(), _Mixtures()
    faces: list[tuple[float, bool]] = []
    with VideoSource(path, max_side=SIDE_PIXELS) as source, FaceFinder() as finder:
        stop = min(source.duration_seconds, until_seconds)
        for seconds, frame in source.own_frames():
            if seconds >= stop:
                break
            detector.add(seconds, frame)
            brightness = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            moments.seconds.append(seconds)
            moments.means.append(float(brightness.mean()))
            moments.spreads.append(float(brightness.std()))
            moments.mixed += mixtures.add(seconds, frame)
            if not faces or seconds >= faces[-1][0] + FACE_EVERY_SECONDS:
                faces.append((seconds, finder.sees_one(source.on_screen(FACE_SIDE_PIXELS))))
        moments.mixed += mixtures.finish()
        cuts = detector.finish(stop)
        damaged = source.damage.skipped
    return FilmScan(
        cuts,
        tuple(_unsuitable(moments, cuts, stop)),
        tuple(_faceless(faces, stop)) if any(found for _, found in faces) else (),
        any(found for _, found in faces),
        damaged,
    )


def remembered_scan(path: str | os.PathLike, until_seconds: float) -> FilmScan:
    """As `scan_film`, done once for each file: the answer is kept in the user's cache folder.

    A file counts as the same while its path, size and time of change are; a cache that cannot be written is done
    without.
    """
    stat = os.stat(path)
    named = f"{VERSION}/{Path(path).absolute()}/{stat.st_size}/{stat.st_mtime_ns}"
    kept = cache_dir() / "scans" / f"{hashlib.sha256(named.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"
    try:
        known = read_json(kept)
        if known["until"] >= until_seconds:
            return _until(_from_table(known), until_seconds)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    scan = scan_film(path, until_seconds)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
        temporary.write_text(json.dumps({"until": until_seconds, **scan.__dict__}), encoding="utf-8")
        os.replace(temporary, kept)
    except OSError:
        pass
    return scan


def remembered_cuts(path: str | os.PathLike, until_seconds: float) -> tuple[float, ...]:
    """The cuts of `remembered_scan`."""
    return remembered_scan(path, until_seconds).cuts


def _unsuitable(moments: _Moments, cuts: Sequence[float], stop: float) -> Iterator[tuple[float, float, str]]:
    """Spans of frames that are far from what their shot looks like."""
    seconds = np.array(moments.seconds)
    means, spreads = np.array(moments.means), np.array(moments.spreads)
    mixed = np.array(moments.mixed, bool)
    reasons: list[str] = [""] * len(seconds)
    edges = np.searchsorted(seconds, [0.0, *(cut - 1e-6 for cut in cuts), np.inf])
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        if first == last:
            continue
        part = slice(first, last)
        # The shot's look is that of its pictures that are more than one tone.
        lively = spreads[part] > _FLAT
        if not lively.any():
            continue
        mean, spread = np.median(means[part][lively]), np.median(spreads[part][lively])
        for index in range(first, last):
            reasons[index] = _look(means[index], spreads[index], bool(mixed[index]), float(mean), float(spread))
    ends = [*moments.seconds[1:], stop]
    open_start, open_reason = 0.0, ""
    for index, reason in enumerate([*reasons, ""]):
        if reason != open_reason:
            if open_reason:
                yield open_start, ends[index - 1], open_reason
            open_reason = reason
            open_start = moments.seconds[index] if index < len(reasons) else 0.0


def _look(mean: float, spread: float, mixed: bool, usual_mean: float, usual_spread: float) -> str:
    if mean < _DARK and mean < _DARK_SHARE * usual_mean:
        return "black"
    if mean > _WHITE and mean > _WHITE_SHARE * usual_mean:
        return "white"
    if spread <= _FLAT:
        return "one tone"
    if mean < _FADED_SHARE * usual_mean and spread < _FADED_SHARE * usual_spread:
        return "in a fade"
    return "in a dissolve" if mixed else ""


class _Mixtures:
    """Says of each frame, half a second later, whether it is a mixture of the frames around it."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, np.ndarray]] = deque()
        self._judged = 0  # of the frames in the deque, how many are

    def add(self, seconds: float, frame: np.ndarray) -> list[bool]:
        """The verdicts on frames that can be judged now, in order."""
        height, width = frame.shape[:2]
        size = (_MIX_SIDE, max(1, round(_MIX_SIDE * height / width)))
        self._frames.append((seconds, cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)))
        verdicts = []
        while self._frames[self._judged][0] <= seconds - _MIX_SECONDS:
            verdicts.append(self._judge(self._judged))
            self._judged += 1
            while self._frames[0][0] < self._frames[self._judged][0] - _MIX_SECONDS - 1e-3:
                self._frames.popleft()
                self._judged -= 1
        return verdicts

    def finish(self) -> list[bool]:
        """The last half second has nothing after it."""
        return [False] * (len(self._frames) - self._judged)

    def _judge(self, index: int) -> bool:
        (_, before), (_, frame), (_, after) = self._frames[0], self._frames[index], self._frames[-1]
        across = after - before
        if index == 0 or np.abs(across).mean() < _MIX_LEAST:
            return False
        share = float(((frame - before) * across).sum() / (across * across).sum())
        rest = float(np.abs(frame - before - share * across).mean() / np.abs(across).mean())
        return _MIX_INSIDE < share < 1 - _MIX_INSIDE and rest < _MIX_REST


def _faceless(faces: Sequence[tuple[float, bool]], stop: float) -> Iterator[Span]:
    start: float | None = None
    for seconds, found in [*faces, (stop, True)]:
        if not found and start is None:
            start = seconds
        elif found and start is not None:
            if seconds - start >= _SHORTEST_WITHOUT_FACE - 1e-6:
                yield start, seconds
            start = None


def _until(scan: FilmScan, seconds: float) -> FilmScan:
    """Of the film's first part alone."""
    return FilmScan(
        tuple(cut for cut in scan.cuts if cut < seconds),
        tuple((start, min(stop, seconds), why) for start, stop, why in scan.unsuitable if start < seconds),
        tuple((start, min(stop, seconds)) for start, stop in scan.faceless if start < seconds),
        scan.has_face,
        scan.damaged,
    )


def _from_table(known: dict[str, Any]) -> FilmScan:
    return FilmScan(
        tuple(float(cut) for cut in known["cuts"]),
        tuple((float(start), float(stop), str(why)) for start, stop, why in known["unsuitable"]),
        tuple((float(start), float(stop)) for start, stop in known["faceless"]),
        bool(known["has_face"]),
        int(known["damaged"]),
    )
