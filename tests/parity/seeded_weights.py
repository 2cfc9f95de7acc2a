"""Deterministic random weights and inputs for the parity fixtures.

Nothing here depends on a deep-learning framework: values come from numpy's
counter-based Philox generator, keyed by (seed, crc32(name)), so every tensor
can be rebuilt on its own, in any order, on any machine.

    meta, weights, tensors = read_case("tests/parity/cases/dit_single")
    weights["dit"]["blocks.0.self_attn.q.weight"]   # numpy float32
    tensors["x"]                                     # stored or seeded input

The rules are part of the fixture format; changing them breaks the digests.
"""

import hashlib
import json
import math
import os
import zlib

import numpy as np


def _uniform(name, shape, seed):
    """float64 samples in [-1, 1), independent for every (seed, name)."""
    bits = np.random.Philox(key=[int(seed), zlib.crc32(name.encode("utf-8"))])
    return 2.0 * np.random.Generator(bits).random(tuple(shape)) - 1.0


def seeded_tensor(key, shape, seed):
    """One weight tensor (float32) for a checkpoint key.

    * last name part `gamma`, or a tensor of at most one axis whose last name
      part ends in `weight`: a norm gain          -> 1 + 0.1 u
    * any other tensor of at most one axis: a bias -> 0.05 u
    * `modulation` in the last name part           -> 0.3 u
    * everything else: a matrix or kernel          -> u * sqrt(3 / fan_in),
      fan_in = product of all axes but the first (unit output variance)
    """
    u = _uniform(key, shape, seed)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "gamma" or (len(shape) <= 1 and leaf.endswith("weight")):
        value = 1.0 + 0.1 * u
    elif len(shape) <= 1:
        value = 0.05 * u
    elif "modulation" in leaf:
        value = 0.3 * u
    else:
        value = u * math.sqrt(3.0 / math.prod(shape[1:]))
    return np.ascontiguousarray(value.astype(np.float32))


def seeded_state_dict(manifest, seed, scale=None):
    """manifest: iterable of (key, shape). Returns {key: float32 array}.

    scale: optional {key: factor}, multiplied in float32 after generation.
    """
    weights = {key: seeded_tensor(key, shape, seed) for key, shape in manifest}
    for key, factor in (scale or {}).items():
        weights[key] = weights[key] * np.float32(factor)
    return weights


def seeded_input(name, shape, seed, scale=1.0):
    """An input too large to store: scale * U(-1, 1), float32."""
    return np.ascontiguousarray((scale * _uniform("input:" + name, shape, seed)).astype(np.float32))


def digest(state_dict):
    """sha256 over name bytes then little-endian float32 bytes, sorted by name."""
    h = hashlib.sha256()
    for key in sorted(state_dict):
        h.update(key.encode("utf-8"))
        h.update(np.ascontiguousarray(state_dict[key], dtype="<f4").tobytes())
    return h.hexdigest()


def read_case(folder, check=True):
    """Return (case.json, {group: state dict}, {tensor name: array})."""
    from safetensors.numpy import load_file

    with open(os.path.join(folder, "case.json"), encoding="utf-8") as f:
        meta = json.load(f)
    weights = {}
    for group, spec in meta.get("weights", {}).items():
        if "keys" not in spec:  # stored as a file of its own
            continue
        weights[group] = seeded_state_dict(spec["keys"], spec["seed"], spec.get("scale"))
        if check and digest(weights[group]) != spec["sha256"]:
            raise ValueError(f"{folder}: weights of {group!r} differ from the recorded digest")
    tensors = load_file(os.path.join(folder, "io.safetensors"))
    for spec in meta.get("seeded_inputs", []):
        tensors[spec["name"]] = seeded_input(spec["name"], spec["shape"], spec["seed"], spec.get("scale", 1.0))
    return meta, weights, tensors
