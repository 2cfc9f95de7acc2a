"""Comparisons shared by the parity handlers; every failure names the tensor and the size of the error."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

_NUMBER = r"(\d+(?:\.\d+)?(?:e-?\d+)?)"


def bound_from_text(tolerance: str, *, default: float) -> float:
    """First `<= number` (or `+-number`) of a written tolerance, e.g. "max abs error <= 1e-4 * absmax" -> 1e-4."""
    found = re.search(r"(?:<=|\+-)\s*" + _NUMBER, tolerance)
    return float(found.group(1)) if found else default


def as_numpy(value: object) -> np.ndarray:
    """Detached numpy view of a torch tensor, or the array itself."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def max_error(actual: object, expected: object) -> tuple[float, float]:
    """(largest absolute difference, largest magnitude of `expected`), in float64. Shapes must agree."""
    actual_array, expected_array = as_numpy(actual), as_numpy(expected)
    assert actual_array.shape == expected_array.shape, f"shape {actual_array.shape}, expected {expected_array.shape}"
    if expected_array.size == 0:
        return 0.0, 0.0
    difference = np.abs(actual_array.astype(np.float64) - expected_array.astype(np.float64)).max()
    return float(difference), float(np.abs(expected_array.astype(np.float64)).max())


def assert_close(
    name: str, actual: object, expected: object, *, relative_to_absmax: float = 0.0, absolute: float = 0.0
) -> None:
    """Largest error at most `absolute + relative_to_absmax * max|expected|`; NaN never passes."""
    difference, scale = max_error(actual, expected)
    bound = absolute + relative_to_absmax * scale
    print(f"{name}: max abs error {difference:.3g} (absmax {scale:.4g}, allowed {bound:.3g})")
    assert difference <= bound, f"{name}: max abs error {difference:.3g} > {bound:.3g} (absmax {scale:.4g})"


def assert_equal(name: str, actual: object, expected: object) -> None:
    """Exact equality of shape and values, for indices, sizes and decisions."""
    actual_array, expected_array = as_numpy(actual), as_numpy(expected)
    assert actual_array.shape == expected_array.shape, f"{name}: {actual_array.shape} != {expected_array.shape}"
    differing = int(np.count_nonzero(actual_array != expected_array))
    assert differing == 0, f"{name}: {differing} of {expected_array.size} values differ"


def require(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """A named tensor of the case; its absence is a fault of the case folder."""
    assert name in tensors, f"io.safetensors has no tensor {name!r}; it has {sorted(tensors)}"
    return tensors[name]
