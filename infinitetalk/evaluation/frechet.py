"""Fréchet distance between two sets of features: are generated and true pictures alike as a crowd?

Fréchet (1957), Dowson and Landau (1982); Heusel et al. (2017) use it on Inception's features. Here the features are
others and always named with the number; values of different features, sample sizes or components do not compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frechet:
    """distance between generated and true features. floor: between the first
    and the second halves of the true clips, which a perfect model would reach.

    samples, true_samples: how many rows. components: principal components of the true features that were kept.
    """

    distance: float
    floor: float
    samples: int
    true_samples: int
    components: int


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between the Gaussians of two sets of features [N,D] and [M,D]: |m1-m2|² + tr(C1 + C2 - 2 (C1 C2)^1/2)."""
    mean = one.mean(axis=0) - other.mean(axis=0)
    a, b = np.atleast_2d(np.cov(one, rowvar=False)), np.atleast_2d(np.cov(other, rowvar=False))
    values, vectors = np.linalg.eigh(a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0)).sum()
    return float(max(0.0, mean @ mean + np.trace(a) + np.trace(b) - 2 * cross))


def measure_frechet(own: list[np.ndarray], true: list[np.ndarray], most_components: int = 16) -> Frechet:
    """Compare features [N_i,D] of films with those of true clips, after standardising by the true ones.

    Only the leading principal components of the true features are kept, a quarter of the rows at most: a covariance
    of more numbers than samples would measure the sample size.
    """
    everything, generated = np.concatenate(true), np.concatenate(own)
    center, spread = everything.mean(axis=0), everything.std(axis=0) + 1e-6
    standard = (everything - center) / spread
    components = max(1, min(most_components, everything.shape[1], len(everything) // 4, len(generated) // 4))
    _, _, axes = np.linalg.svd(standard, full_matrices=False)
    axes = axes[:components].T

    def project(rows: np.ndarray) -> np.ndarray:
        return (rows - center) / spread @ axes

    first = np.concatenate([rows[: len(rows) // 2] for rows in true])
    second = np.concatenate([rows[len(rows) // 2 :] for rows in true])
    floor = frechet_distance(project(first), project(second))
    return Frechet(
        frechet_distance(project(generated), project(everything)), floor, len(generated), len(everything), components
    )
