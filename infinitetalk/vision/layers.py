"""A picture as two layers, a person and what is behind, seen from a moving camera.

A film's finished frames are laid into the scene of their reference: the person stands upright at distance 1, everything
else on a wall behind. Each layer then moves by a homography, so a frame costs two small warps; what the person uncovers
is filled from around, what lies beyond the frame comes from the source picture, mirrored where that ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .camera_path import intrinsics

MARGIN = 0.4  # of the longer side, on each side: pan and pull out at amount 1 stay inside
_PERSON, _WALL = 1.0, 1.8  # distances, as of `depth.person_before_wall`
_SEAM = 0.03  # of the longer side, over which generated pixels pass into the source's around them
_SOFT_EDGE = 0.008
_PARTED = 0.012  # of the longer side, by which the layers must have parted before the invented wall is shown
_AROUND_PERSON = 0.03  # by which the wall is invented beyond the person's outline, where single hairs are
_FILL_SIDE = 160  # pixels of the picture in which the uncovered is invented; it is out of focus anyway


# Columns and rows as of `head_turn.HeadTurn.maps`; None where nobody moves.
Turn = Callable[[], tuple[np.ndarray, np.ndarray] | None]


def _rests() -> None:
    return None


def margin_pixels(height: int, width: int) -> int:
    return round(MARGIN * max(height, width))


class LayeredScene:
    """The scene of one reference picture; `scene_of` makes it.

    Args:
        canvas: uint8 [height + 2m, width + 2m, 3], the reference with its surroundings, m = `margin_pixels`.
        person: float32 of that size, 0 to 1. inside: bool of that size, where the canvas is not mirrored.
    """

    def __init__(self, canvas: np.ndarray, person: np.ndarray, inside: np.ndarray, height: int, width: int) -> None:
        import cv2

        self.height, self.width, self._margin = height, width, margin_pixels(height, width)
        assert canvas.shape[:2] == person.shape == (height + 2 * self._margin, width + 2 * self._margin), canvas.shape
        soft = max(1.0, _SOFT_EDGE * max(height, width))
        wide = 2 * round(_AROUND_PERSON * max(height, width)) + 1
        self._plate = _without_person(canvas, person)
        # Mirrored, the wall may go on, a person may not.
        self._canvas = np.where(inside[..., None], canvas, self._plate)
        person = np.where(inside, person, 0).astype(np.float32)
        self._person = cv2.GaussianBlur(person, (0, 0), soft)
        around = cv2.dilate(person, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)))
        self._around = cv2.GaussianBlur(around, (0, 0), 2 * soft)
        rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in (height, width))
        inward = np.minimum(rows[:, None], columns[None])
        self._seam = np.clip((inward + 1) / (_SEAM * max(height, width)), 0, 1).astype(np.float32)
        self._matrix = intrinsics(height, width)

    def moved(self, frames: np.ndarray, w2c: np.ndarray, turns: Sequence[Turn] | None = None) -> np.ndarray:
        """uint8 [F, height, width, 3] as cameras `w2c` [F, 4, 4] see them, counted from the reference's own camera.

        turns: for each frame where the person's pixels come from; read one by one, as the maps are large.
        """
        turns = [_rests] * len(frames) if turns is None else turns
        half = len(frames) // 2
        parts = [(each[:half], each[half:]) for each in (frames, w2c, turns)]
        with ThreadPoolExecutor(2) as pool:  # OpenCV and NumPy let go of the interpreter while they work
            return np.concatenate([part for part in pool.map(self._moved, *parts) if len(part)])

    def _moved(self, frames: np.ndarray, w2c: np.ndarray, turns: Sequence[Turn]) -> np.ndarray:
        import cv2

        m = self._margin
        inner = np.s_[m : m + self.height, m : m + self.width]
        shift = np.array([[1, 0, -m], [0, 1, -m], [0, 0, 1]], np.float64)  # from the canvas to the picture
        alpha, around = (np.ascontiguousarray(each[inner]) for each in (self._person, self._around))
        still, plate = (np.ascontiguousarray(each[inner]) for each in (self._canvas, self._plate))
        nothing = np.zeros_like(still)
        front = np.dstack([_mixed(self._canvas, np.zeros_like(self._canvas), self._person), _bytes(255 * self._person)])
        places = np.meshgrid(np.arange(self.width, dtype=np.float32), np.arange(self.height, dtype=np.float32))
        nearby = max(3, round(0.05 * max(self.height, self.width)))
        behind, parted_before = self._canvas.copy(), 0.0
        result = np.empty_like(frames)
        for index, (frame, matrix, look_up) in enumerate(zip(frames, w2c, turns, strict=True)):
            turn = look_up()
            rests = np.allclose(matrix, np.eye(4), atol=1e-7)
            if turn is None and rests:
                result[index] = frame
                continue
            planes = [self._homography(matrix, distance) for distance in (_WALL, _PERSON)]
            # As long as the layers lie on each other, what is behind is the picture itself, single hairs included.
            parted = np.float32(min(1.0, self._apart(*planes) / (_PARTED * max(self.height, self.width))))
            if parted != parted_before:
                behind, parted_before = _mixed(self._plate, self._canvas, parted * self._around), parted
            scene = _mixed(np.ascontiguousarray(frame), still, self._seam)
            person, cover, uncovered = scene, alpha, parted * around
            if turn is not None:
                moved = cv2.blur(cv2.magnitude(turn[0] - places[0], turn[1] - places[1]), (nearby, nearby))
                uncovered = np.maximum(parted, np.minimum(moved / (_PARTED * max(self.height, self.width)), 1)) * around
                person = cv2.remap(scene, *turn, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
                cover = cv2.remap(alpha, *turn, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            front[inner][..., 3] = _bytes(255 * cover)
            behind[inner] = _mixed(plate, scene, uncovered)
            front[inner][..., :3] = _mixed(person, nothing, cover)
            size = self.width, self.height
            far, near = (
                np.ascontiguousarray(layer[inner])
                if rests
                else cv2.warpPerspective(layer, plane @ shift, size, flags=how, borderMode=cv2.BORDER_REFLECT_101)
                for layer, plane, how in zip((behind, front), planes, (cv2.INTER_LINEAR, cv2.INTER_CUBIC))
            )
            cover = near[..., 3] * np.float32(1 / 255)
            result[index] = cv2.add(np.ascontiguousarray(near[..., :3]), _mixed(nothing, far, cover))
        return result

    def depth(self, w2c: np.ndarray) -> np.ndarray:
        """float32 [height, width]: how far away the scene is from a camera [4, 4]."""
        import cv2

        shift = np.array([[1, 0, -self._margin], [0, 1, -self._margin], [0, 0, 1]], np.float64)
        plane = self._homography(w2c, _PERSON) @ shift
        person = cv2.warpPerspective(self._person, plane, (self.width, self.height))
        wall, near = (float((w2c @ (0, 0, distance, 1))[2]) for distance in (_WALL, _PERSON))
        return np.where(person > 0.5, near, wall).astype(np.float32)

    def _apart(self, one: np.ndarray, other: np.ndarray) -> float:
        """Pixels by which two homographies differ at most, at the corners and in the middle."""
        h, w = self.height, self.width
        points = np.array([(0, 0, 1), (w, 0, 1), (0, h, 1), (w, h, 1), (w / 2, h / 2, 1)]).T
        places = [(plane @ points)[:2] / (plane @ points)[2] for plane in (one, other)]
        return float(np.abs(places[0] - places[1]).max())

    def _homography(self, w2c: np.ndarray, distance: float) -> np.ndarray:
        """Where pixels of the upright plane at `distance` arrive."""
        flat = w2c[:3, :3].copy()
        flat[:, 2] += w2c[:3, 3] / distance
        half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])  # OpenCV counts from the middle of a pixel
        return half @ self._matrix @ flat @ np.linalg.inv(self._matrix) @ np.linalg.inv(half)


def _mixed(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 3]: `share` [h, w] of `one`, the rest of `other`."""
    import cv2

    return cv2.blendLinear(one, other, share, 1 - share)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _without_person(canvas: np.ndarray, person: np.ndarray) -> np.ndarray:
    """uint8: the canvas with what is around the person spread over them."""
    import cv2

    height, width = person.shape
    scale = _FILL_SIDE / max(height, width)
    size = max(8, round(scale * width)), max(8, round(scale * height))
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    hole = (cv2.resize(person.astype(np.float32), size) > 0.05).astype(np.uint8)
    hole = cv2.dilate(hole, np.ones((7, 7), np.uint8))
    if hole.all():
        return canvas
    filled = cv2.inpaint(small, hole, 4, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    around = cv2.GaussianBlur(cv2.resize(hole.astype(np.float32), (width, height)), (0, 0), 1.5)[..., None]
    return _bytes(canvas + (filled - canvas) * np.clip(2 * around, 0, 1))


def scene_of(picture: np.ndarray, person: np.ndarray, place: tuple[float, float, float, float], size: tuple[int, int]):
    """The scene of a reference that is the part `place` (row, column, height, width) of a picture, `size` large.

    Args:
        picture: uint8 [H, W, 3], whole. person: float32 [H, W], 0 to 1.
        size: height and width of the film.
    """
    import cv2

    row, column, height, width = place
    m = margin_pixels(*size)
    scale = height / size[0], width / size[1]
    rows = row + (np.arange(size[0] + 2 * m) - m + 0.5) * scale[0] - 0.5
    columns = column + (np.arange(size[1] + 2 * m) - m + 0.5) * scale[1] - 0.5
    inside = ((columns >= 0) & (columns <= picture.shape[1] - 1))[None] & (rows >= 0)[:, None]
    rows = np.minimum(rows, picture.shape[0] - 1)  # a body that the lower edge cuts off goes on downwards
    maps = [axis.astype(np.float32) for axis in np.meshgrid(columns, rows)]

    def seen(image: np.ndarray) -> np.ndarray:
        blur = max(scale) / 4  # smaller, without aliasing
        image = cv2.GaussianBlur(image, (0, 0), blur) if blur > 0.4 else image
        return cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    return LayeredScene(seen(picture), seen(person), inside, *size)
