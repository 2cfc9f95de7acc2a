"""DWPose (IDEA-Research, Apache-2.0; `dw-ll_ucoco_384.onnx`), used where the file and onnxruntime are present.

The published pose modules were trained on its joints. Input: the person's box at 288 x 384, ImageNet's mean and spread.
Output: for each of 133 whole-body joints of COCO a distribution over half pixels in x and in y (SimCC).
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from .people import Person
from .pose import LEFT_HAND, NUM_BODY, NUM_JOINTS, RIGHT_HAND

FILE_NAME = "dw-ll_ucoco_384.onnx"
_WIDTH, _HEIGHT, _STEPS_PER_PIXEL = 288, 384, 2
_MEAN, _STD = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
_MARGIN = 1.25  # of the box, as in its training
_COCO = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3, -2, -3)  # in the order of `pose.BODY`
_LEFT_TOES, _RIGHT_TOES = (17, 18), (20, 21)
_LEFT_HAND_FROM, _RIGHT_HAND_FROM = 91, 112


def dwpose_file(folder: str | os.PathLike | None) -> Path | None:
    """The file below `folder`, or None where it or onnxruntime is missing."""
    if folder is None or importlib.util.find_spec("onnxruntime") is None:
        return None
    places = (Path(folder) / FILE_NAME, Path(folder) / "dwpose" / FILE_NAME)
    return next((path for path in places if path.is_file()), None)


class DWPoseReader:
    """One person's joints by DWPose; the box is the person's where a face was found, else the whole picture.

    Raises:
        CheckpointError: the file is not DWPose's network.
    """

    name = "DWPose"
    needs_box = True

    def __init__(self, file: Path) -> None:
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
        except Exception as error:  # onnxruntime's own errors share no base class
            raise CheckpointError(
                f"{file} cannot be read as an ONNX network; download it again or remove it, and mediapipe is used."
            ) from error
        self._file = file

    def __call__(self, frame: np.ndarray, person: Person | None) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [height, width, 3] → joints [62, 2] in pixels, confidence [62]."""
        import cv2

        to_network = box_transform(frame.shape[0], frame.shape[1], person)
        view = cv2.warpAffine(frame, to_network, (_WIDTH, _HEIGHT), flags=cv2.INTER_LINEAR)
        pixels = ((view.astype(np.float32) - _MEAN) / _STD).transpose(2, 0, 1)[None]
        columns, rows = self._session.run(None, {self._input: pixels})[:2]
        if columns.shape[1] != 133 or rows.shape[1] != 133:
            raise CheckpointError(
                f"{self._file} gives {columns.shape[1]} joints, DWPose has 133; put DWPose's file there or remove it."
            )
        points, confidence = decode(columns[0], rows[0])
        back = cv2.invertAffineTransform(to_network)
        return to_sequence(points @ back[:, :2].T + back[:, 2], confidence)

    def close(self) -> None:
        """The session ends with the object."""


def box_transform(height: int, width: int, person: Person | None) -> np.ndarray:
    """[2, 3]: picture to the network's view of the person's box, its shape kept."""
    top, left, bottom, right = person.box if person is not None else (0.0, 0.0, 1.0, 1.0)
    x, y = (left + right) / 2 * width, (top + bottom) / 2 * height
    scale = min(_WIDTH / ((right - left) * width), _HEIGHT / ((bottom - top) * height)) / _MARGIN
    return np.float64([[scale, 0, _WIDTH / 2 - scale * x], [0, scale, _HEIGHT / 2 - scale * y]])


def decode(columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SimCC: [133, 576] and [133, 768] → points [133, 2] in pixels of the view, confidence [133]."""
    points = np.stack([columns.argmax(1), rows.argmax(1)], axis=1) / _STEPS_PER_PIXEL
    return points.astype(np.float32), np.minimum(columns.max(1), rows.max(1)).clip(0, 1).astype(np.float32)


def to_sequence(points: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO's 133 joints as the 62 of `pose`; neck and toes lie between two joints and need both."""
    joints, sure = np.zeros((NUM_JOINTS, 2), np.float32), np.zeros(NUM_JOINTS, np.float32)
    pairs = {-1: (5, 6), -2: _LEFT_TOES, -3: _RIGHT_TOES}
    for joint, coco in enumerate(_COCO):
        indices = list(pairs.get(coco, (coco,)))
        joints[joint], sure[joint] = points[indices].mean(0), confidence[indices].min()
    assert len(_COCO) == NUM_BODY
    for part, first in ((LEFT_HAND, _LEFT_HAND_FROM), (RIGHT_HAND, _RIGHT_HAND_FROM)):
        joints[part], sure[part] = points[first : first + 21], confidence[first : first + 21]
    return joints, sure
