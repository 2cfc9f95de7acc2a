"""What the ablation's films are measured by, and how they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .ablation_stream import NUM_CHUNK_FRAMES, NUM_FILM_FRAMES

if TYPE_CHECKING:
    from .ablation_stream import AblationFilm
    from .clips import ClipSet

MESH_SIZE = 384  # pixels that pictures are enlarged to: the mesh wants a face of some size
NOSE, LEFT_EYE, RIGHT_EYE = 1, 33, 263  # face mesh landmarks: tip of the nose, outer corners
UPPER_LIP, LOWER_LIP, LEFT_CORNER, RIGHT_CORNER = 13, 14, 78, 308  # inner lips

COLUMNS = {
    "lips": "lips follow the new speech (correlation)",
    "lips_inside": "the same inside chunks",
    "old_lips": "lips follow the old speech (correlation)",
    "place_error": "face away from the source's (% of the picture)",
    "place_follows": "face moves with the source's (correlation)",
    "color_first": "colour error, first chunk (of 255)",
    "color_last": "colour error, last chunk (of 255)",
    "seam": "difference across borders over that inside",
    "copy_ends": "distance to the reference at a chunk's end, over its middle",
    "faces": "frames with a face (%)",
}


def compare(
    films: dict[str, list[AblationFilm]], clips: ClipSet, pairs: list[tuple[int, int]]
) -> dict[str, dict[str, float | list[float]]]:
    """Figures by variant, means over films; `source` is the source's own frames, measured alike."""
    sources = [np.array(clips.frames(source, 0, NUM_FILM_FRAMES)) for source, _ in pairs]
    true_faces = [face_points(frames) for frames in sources]
    results = {}
    for variant, made in films.items():
        rows = [
            film_figures(film, frames, faces, clips.jaw[speech, :NUM_FILM_FRAMES], clips.jaw[source, :NUM_FILM_FRAMES])
            for film, frames, faces, (source, speech) in zip(made, sources, true_faces, pairs, strict=True)
        ]
        results[variant] = {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}
        profile = np.mean([film.closeness[1:].mean(axis=0) for film in made], axis=0)
        results[variant]["closeness_by_latent_frame"] = [round(float(v), 4) for v in profile]
    return results


def film_figures(
    film: AblationFilm, source: np.ndarray, source_faces: np.ndarray, jaw: np.ndarray, old_jaw: np.ndarray
) -> dict[str, float]:
    """One film [F,S,S,3] against its source's frames and faces, the jaw of the new speech and that of the old."""
    faces = face_points(film.frames)
    seen = np.isfinite(faces).all(axis=(1, 2)) & np.isfinite(source_faces).all(axis=(1, 2))
    place, true_place = _place(faces), _place(source_faces)
    colors, true_colors = film.frames.mean(axis=(1, 2)), source.mean(axis=(1, 2))
    color_error = np.linalg.norm(colors - true_colors, axis=1)
    change = np.abs(np.diff(film.frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    borders = np.array(film.borders) - 1
    inside = np.setdiff1d(np.arange(len(change)), borders)
    middle = film.closeness.shape[1] // 2
    return {
        "lips": _correlation(_openness(faces)[seen], jaw[seen]),
        "lips_inside": _correlation(*(_less_chunk_means(each, film.borders)[seen] for each in (_openness(faces), jaw))),
        "old_lips": _correlation(_openness(faces)[seen], old_jaw[seen]),
        "place_error": 100 * float(np.linalg.norm(place - true_place, axis=1)[seen].mean()) if seen.any() else np.nan,
        "place_follows": float(np.mean([_correlation(place[seen, i], true_place[seen, i]) for i in (0, 1)])),
        "color_first": float(color_error[:NUM_CHUNK_FRAMES].mean()),
        "color_last": float(color_error[-(NUM_FILM_FRAMES - NUM_CHUNK_FRAMES) // 3 :].mean()),
        "seam": float(change[borders].mean() / max(change[inside].mean(), 1e-3)),
        "copy_ends": float(film.closeness[1:, -1].mean() / film.closeness[1:, middle - 1 : middle + 2].mean()),
        "faces": 100 * float(np.isfinite(faces).all(axis=(1, 2)).mean()),
    }


def face_points(frames: np.ndarray) -> np.ndarray:
    """[F,7,2] landmarks in shares of the picture: nose, eyes' corners, lips; NaN where no face is found."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    points = np.full((len(frames), 7, 2), np.nan)
    chosen = [NOSE, LEFT_EYE, RIGHT_EYE, UPPER_LIP, LOWER_LIP, LEFT_CORNER, RIGHT_CORNER]
    with FaceMesh(static_image_mode=True, max_num_faces=1, min_detection_confidence=0.4) as mesh:
        for index, frame in enumerate(frames):
            found = mesh.process(cv2.resize(frame, (MESH_SIZE, MESH_SIZE), interpolation=cv2.INTER_CUBIC))
            if found.multi_face_landmarks:
                landmarks = found.multi_face_landmarks[0].landmark
                points[index] = [(landmarks[i].x, landmarks[i].y) for i in chosen]
    return points


def _place(faces: np.ndarray) -> np.ndarray:
    """Middle of nose and eyes [F,2]."""
    return faces[:, :3].mean(axis=1)


def _openness(faces: np.ndarray) -> np.ndarray:
    """Distance of the inner lips over the mouth's width [F]."""
    return np.linalg.norm(faces[:, 3] - faces[:, 4], axis=1) / np.linalg.norm(faces[:, 5] - faces[:, 6], axis=1)


def _less_chunk_means(values: np.ndarray, borders: list[int]) -> np.ndarray:
    """Values [F] less the mean of each chunk: a chunk's reference may hold its mouth open or shut throughout."""
    parts = np.split(values, borders)
    return np.concatenate([part - (np.nanmean(part) if np.isfinite(part).any() else 0) for part in parts])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; NaN where one does not vary."""
    if len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def markdown_table(results: dict[str, dict]) -> str:
    """One row per figure, one column per variant."""
    lines = [f"| | {' | '.join(results)} |", "|---|" + "---|" * len(results)]
    for key, title in COLUMNS.items():
        values = " | ".join(f"{figures[key]:.2f}" for figures in results.values())
        lines.append(f"| {title} | {values} |")
    return "\n".join(lines) + "\n"


def contact_sheets(
    films: dict[str, list[AblationFilm]], clips: ClipSet, pairs: list[tuple[int, int]], out: Path
) -> None:
    """One sheet per film: the source above the variants, within chunks and on both sides of borders."""
    moments = [4, 24, 39, 40, 41, 42, 60, 71, 74, 90, 104, 106, 120, 136]
    for index, (source, _) in enumerate(pairs):
        rows = [np.concatenate([clips.frames(source, t, t + 1)[0] for t in moments], axis=1)]
        for variant, made in films.items():
            row = np.concatenate([made[index].frames[t] for t in moments], axis=1).copy()
            cv2.putText(row, variant, (6, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 0), 2)
            rows.append(row)
        sheet = np.concatenate(rows)[:, :, ::-1]
        half = cv2.resize(sheet, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(out / f"sheet-{index}.png"), half)
