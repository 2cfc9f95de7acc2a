"""What is known of a film's pictures: cuts, moments that no reference should come from, and faces.

A black frame, the white of a camera's flash, half of a fade or the middle of a dissolve are moments of a shot like any
others, but a chunk that is guided by one of them is black, white or blurred from end to end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_FACES_IN_SHOT = 0.3  # share of its moments from which on a shot has a face

Span = tuple[float, float]


@dataclass(frozen=True)
class FilmScan:
    """Instants and spans in seconds of the film.

    cuts: at which shots begin. unsuitable: spans that no reference should come from, and what they show ("black",
    "white", "one tone", "in a fade", "in a dissolve"). faceless: spans without a face, of a film that has faces;
    has_face: whether it has any. damaged: packets that were left out.
    """

    cuts: tuple[float, ...] = ()
    unsuitable: tuple[tuple[float, float, str], ...] = ()
    faceless: tuple[Span, ...] = ()
    has_face: bool = False
    damaged: int = 0


def suitable_instant(scan: FilmScan, seconds: float, shot: Span, step: float) -> tuple[float, str]:
    """The instant nearest to `seconds` in its shot from which a reference can come, later ones first; and why it moved.

    shot: the shot's span. step: between two frames. The reason is empty where nothing moved, or where the whole shot is
    no better.
    """
    why = _reason(scan, seconds, shot)
    if not why:
        return seconds, ""
    for forwards in (True, False):
        instant = seconds
        while reason := _reason(scan, instant, shot):
            start, stop = next(
                (span[0], span[1]) for span in _spans(scan, shot, reason) if span[0] <= instant < span[1]
            )
            instant = stop if forwards else start - step
            if not shot[0] <= instant <= shot[1] - step + 1e-6:
                break
        else:
            return instant, why
    return seconds, ""


def _reason(scan: FilmScan, seconds: float, shot: Span) -> str:
    for start, stop, reason in _spans(scan, shot):
        if start <= seconds < stop:
            return reason
    return ""


def _spans(scan: FilmScan, shot: Span, only: str | None = None) -> Iterable[tuple[float, float, str]]:
    spans = scan.unsuitable
    if _has_face(scan, shot):
        spans = (*spans, *((start, stop, "without a face") for start, stop in scan.faceless))
    return [span for span in spans if only is None or span[2] == only]


def _has_face(scan: FilmScan, shot: Span) -> bool:
    inside = sum(max(0.0, min(stop, shot[1]) - max(start, shot[0])) for start, stop in scan.faceless)
    return scan.has_face and inside <= (1 - _FACES_IN_SHOT) * (shot[1] - shot[0])
