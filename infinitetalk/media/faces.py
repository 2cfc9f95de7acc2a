"""Where the face is, and the square cut around it that a model trained on faces wants to see.

Detection is mediapipe's (models inside its 0.10.21 wheel, Apache-2.0): the full-range detector finds small faces, the
face mesh then gives forehead, chin and mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .native_code import quiet_native_code, with_mediapipe

# How nano's training pictures are framed; measured with `find_face` on them.
FACE_HEIGHT_SHARE = 0.55  # forehead to chin, of the picture's height
MOUTH_ROW_SHARE = 0.70  # of the picture's height

_FOREHEAD, _CHIN, _MOUTH, _LEFT, _RIGHT = 10, 152, 13, 234, 454  # face mesh landmarks
_SEARCH_MARGIN = 0.6  # of the detected box, added on each side before the mesh looks


@dataclass(frozen=True)
class Face:
    """In source pixels. height: forehead to chin. (mouth_row, column): mouth's row, the face's middle column."""

    height: float
    width: float
    mouth_row: float
    column: float


@dataclass(frozen=True)
class Square:
    """A square cut of a picture: top-left corner and side in source pixels; it may reach over the picture's edge."""

    row: int
    column: int
    side: int


def find_faces(picture: np.ndarray, most: int = 4) -> list[Face]:
    """The faces in `picture` (uint8 [H, W, 3] RGB), the largest first."""
    boxes = _detect(picture)
    faces = [face for box in boxes[:most] if (face := _measure(picture, box)) is not None]
    return sorted(faces, key=lambda face: -face.height)


def face_square(face: Face) -> Square:
    """The cut that frames `face` as in nano's training pictures."""
    side = max(16, round(face.height / FACE_HEIGHT_SHARE))
    return Square(round(face.mouth_row - MOUTH_ROW_SHARE * side), round(face.column - side / 2), side)


def centre_square(height: int, width: int) -> Square:
    """The largest square in the middle, for pictures without a face."""
    side = min(height, width)
    return Square((height - side) // 2, (width - side) // 2, side)


def cut(picture: np.ndarray, square: Square) -> np.ndarray:
    """uint8 [side, side, 3]; what lies over the picture's edge repeats its border pixels."""
    height, width = picture.shape[:2]
    rows = np.clip(np.arange(square.row, square.row + square.side), 0, height - 1)
    columns = np.clip(np.arange(square.column, square.column + square.side), 0, width - 1)
    return picture[rows][:, columns]


FoundFace = tuple[float, tuple[float, float, float, float]]  # certainty; left, top, width, height as shares


def detected_faces(picture: np.ndarray, range_model: int, least_certain: float) -> list[FoundFace]:
    """mediapipe's detector on uint8 [height, width, 3]; to be called by `with_mediapipe`.

    Args:
        range_model: 0 for faces near the camera, 1 for small ones.
    """
    from mediapipe.python.solutions.face_detection import FaceDetection

    with FaceDetection(model_selection=range_model, min_detection_confidence=least_certain) as detector:
        result: Any = detector.process(np.ascontiguousarray(picture))  # its fields are made at run time
    found = result.detections or ()
    boxes = [(face.score[0], face.location_data.relative_bounding_box) for face in found]
    return [(score, (box.xmin, box.ymin, box.width, box.height)) for score, box in boxes]


class FaceFinder:
    """Looks for a face in many pictures, with detectors that stay open: a context.

    Where mediapipe does not start (`with_mediapipe`), every picture counts as one with a face.
    """

    def __init__(self) -> None:
        self._detectors: list[Any] = []
        self._broken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for detector in self._detectors:
            detector.close()
        self._detectors.clear()

    def sees_one(self, picture: np.ndarray) -> bool:
        """Whether uint8 [height, width, 3] shows a face, near or small."""
        if self._broken:
            return True
        picture = np.ascontiguousarray(picture)
        try:
            return any(self._detector(model).process(picture).detections for model in (0, 1))
        except RuntimeError:
            self._broken = True
            return True

    def _detector(self, model: int) -> Any:
        from mediapipe.python.solutions.face_detection import FaceDetection

        if model == len(self._detectors):
            with quiet_native_code():
                detector = FaceDetection(model_selection=model, min_detection_confidence=0.5)
                detector.process(np.zeros((64, 64, 3), np.uint8))  # the first picture is what it has notes about
                self._detectors.append(detector)
        return self._detectors[model]


def _detect(picture: np.ndarray) -> list[tuple[float, float, float, float]]:
    """(row, column, height, width) of each face, most certain first."""
    height, width = picture.shape[:2]
    found = with_mediapipe(_near_or_small_faces, picture)
    return [(y * height, x * width, h * height, w * width) for _, (x, y, w, h) in sorted(found, key=lambda f: -f[0])]


def _near_or_small_faces(picture: np.ndarray) -> list[FoundFace]:
    return detected_faces(picture, 0, 0.5) or detected_faces(picture, 1, 0.5)


def _measure(picture: np.ndarray, box: tuple[float, float, float, float]) -> Face | None:
    row, column, height, width = box
    side = int((1 + 2 * _SEARCH_MARGIN) * max(height, width))
    square = Square(int(row + height / 2 - side / 2), int(column + width / 2 - side / 2), max(side, 16))
    view = np.ascontiguousarray(cut(picture, square))

    mesh = with_mediapipe(_face_mesh, view)
    if mesh is None:
        return None
    points = mesh * square.side + (square.row, square.column)
    return Face(
        height=float(np.linalg.norm(points[_CHIN] - points[_FOREHEAD])),
        width=float(np.linalg.norm(points[_RIGHT] - points[_LEFT])),
        mouth_row=float(points[_MOUTH, 0]),
        column=float((points[_LEFT, 1] + points[_RIGHT, 1]) / 2),
    )


def _face_mesh(view: np.ndarray) -> np.ndarray | None:
    """Landmarks of the face as (row, column), shares of the picture; None without one."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    with FaceMesh(static_image_mode=True, max_num_faces=1, min_detection_confidence=0.3) as mesh:
        result: Any = mesh.process(view)  # its fields are made at run time
    found = result.multi_face_landmarks
    return np.array([(p.y, p.x) for p in found[0].landmark]) if found else None
