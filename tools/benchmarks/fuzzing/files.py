"""Request and project files: valid ones, then spoiled in their types, numbers, texts, depth, keys and bytes."""

from __future__ import annotations

import io
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from .case import VALUES, Case, spoiled_bytes, told

_FILM = ("--source", "portrait.png", "--audio", "voice.wav", "--max-seconds", "0.2")
_TEXTS = (
    "", "null", "[]", "{}", "NaN", '"text"', "\ufeff{}", "[" * 100_000, '{"a":' * 50_000, "9" * 5000, "-" * 10_000,
    "{", "\0",
    '{"format": 1}', '{"format": 1, "request": {}}', '{"format": 1e999}',
        "{\"format\": 1, \"format\": [], \"jobs\": 0}",
)  # fmt: skip


def spoiled_tree(tree: Any, random: Random) -> tuple[Any, str]:
    """A table with one node changed, and what was done; the table itself stays as it is."""
    tree = json.loads(json.dumps(tree))
    places = list(_places(tree))
    parent, key, path = random.choice(places)
    kind = random.choice(("replace",) * 6 + ("delete", "add", "wrap", "swap"))
    if kind == "delete":
        del parent[key]
        return tree, f"{path} left out"
    if kind == "wrap":
        parent[key] = [parent[key]]
        return tree, f"{path} in a list"
    if kind == "swap":
        other, other_key, other_path = random.choice(places)
        parent[key], other[other_key] = other[other_key], parent[key]
        try:
            json.dumps(tree)
        except (ValueError, RecursionError):  # one lay within the other
            parent[key] = None
        return tree, f"{path} and {other_path} exchanged"
    value = random.choice(VALUES)
    if kind == "add" and isinstance(parent, dict):
        name = random.choice(
            ("", "x", "mode", "file", "self", "cls", "__class__", "x" * 10_000, "\ud800", "where", "data")
        )
        parent[name] = value
        return tree, f"{told(name)}: {told(value)} added beside {path}"
    parent[key] = value
    return tree, f"{path} is {told(value)}"


def _places(tree: Any, path: str = ""):
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(pairs):
        yield tree, key, f"{path}/{key}"
        yield from _places(value, f"{path}/{key}")


def _spoiled_json(tree: Any, random: Random) -> tuple[bytes, str]:
    chance = random.random()
    if chance < 0.1:
        text = random.choice(_TEXTS)
        return text.encode("utf-8"), f"the file is {told(text)}"
    data = json.dumps(tree, indent=2).encode()
    if chance < 0.2:
        return spoiled_bytes(data, random, [data])
    if chance < 0.23:
        return data.decode().encode("utf-16"), "written as UTF-16"
    changed, what = spoiled_tree(tree, random)
    if random.random() < 0.15:
        changed, more = spoiled_tree(changed, random) if any(True for _ in _places(changed)) else (changed, "")
        what = f"{what}; {more}"
    return json.dumps(changed).encode(), what


# --- projects and queues ---------------------------------------------------------------------------------------------

_REQUEST_EXTRAS: tuple[dict[str, Any], ...] = (
    {},
    {"keyframes": [{"time_seconds": 0.1, "source_seconds": 0.0, "image": None}]},
    {"guides": [{"start_seconds": 0.0, "stop_seconds": 0.1, "prompt": "a", "reference_placement": "edge"}]},
    {"camera": {"path": "orbit", "amount": 1.0}},
    {"camera_control": {"path": "pan", "amount": 1.0, "strength": 1.0, "first": 0.0, "last": 1.0}},
    {"head": {"source": "lively", "amount": 1.0}},
    {"pose": {"mode": "unianimate", "source": "follow", "strength": 1.0, "first": 0.0, "last": 1.0}},
    {"composite": {"person": "1"}, "framing": "whole"},
    {"stages": {"vignette": {"strength": 0.5}}, "cuts": [0.1]},
    {"loras": [{"file": "a.safetensors", "scale": 1.0}]},
)
_TAKES = {"0": {"chosen": 1, "overrides": [{"seed": 3, "join": "blend", "over": 0}]}}
_ON_JOBS: tuple[Callable[[], list[str]], ...] = (
    lambda: ["resume", "jobs/a"],
    lambda: ["takes", "jobs/a"],
    lambda: ["takes", "jobs/a", "--json"],
    lambda: ["takes", "jobs/a", "--chunk", "0", "--use", "0"],
    lambda: ["retake", "jobs/a", "--chunk", "0", "--seed", "5"],
    lambda: ["overlay", "jobs/a"],
    lambda: ["queue", "--add", "jobs/a"],
    lambda: ["compare", "jobs/a", "film.mp4", "--output", "comparison.html"],
    lambda: ["resume", "jobs/a", "--relink", "."],
    lambda: ["plan", "--project", "jobs/a/project.json"],
    lambda: ["plan", "--project", "jobs/a/project.json", "--seed", "1", "--head", "none"],
    lambda: ["generate", "--project", "jobs/a/project.json", "--later", "--job-dir", "jobs/b"],
)


def project_case(random: Random, folder: Path, job: Callable[[], Path]) -> Case:
    """A job folder whose project.json, or whose chunk's record, is spoiled, and a command on it."""
    shutil.copytree(job(), folder / "jobs" / "a")
    file = folder / "jobs" / "a" / "project.json"
    project = json.loads(file.read_text(encoding="utf-8"))
    project["request"] |= random.choice(_REQUEST_EXTRAS)
    if random.random() < 0.4:
        project["takes"] = _TAKES
    argv = random.choice(_ON_JOBS)()
    name = "project.json"
    if random.random() < 0.12:
        records = sorted((folder / "jobs" / "a").glob("chunks/*/*/take.json"))
        if records:
            file.write_text(json.dumps(project), encoding="utf-8")
            file, name = records[0], "take.json"
            project = json.loads(file.read_text(encoding="utf-8"))
    data, what = _spoiled_json(project, random)
    file.write_bytes(data)
    return Case(f"{name}: {what}", argv)


def queue_case(random: Random, folder: Path, job: Callable[[], Path]) -> Case:
    """A spoiled queue.json and a command on the queue."""
    shutil.copytree(job(), folder / "jobs" / "a")
    queue = {"format": 1, "paused": random.random() < 0.3, "jobs": [{"job": "a"}, {"job": "b", "failed": "why"},
                                                                  {"job": "c", "held": True}]}  # fmt: skip
    data, what = _spoiled_json(queue, random)
    (folder / "jobs" / "queue.json").write_bytes(data)
    flags = random.choice(([], ["--json"], ["--add", "jobs/a"], ["--pause"], ["--go-on"], ["--remove", "jobs/a"],
                           ["--move", "jobs/a=0"], ["--run"]))  # fmt: skip
    return Case(f"queue.json: {what}", ["queue", *flags])


# --- presets ---------------------------------------------------------------------------------------------------------

_YAML_VALUES = (
    "2001-01-01", "2001-01-01T00:00:00Z", "99999-99-99", "!!python/object/apply:os.getcwd []", "!!binary aGk=",
    "!!set {a, b}",
    "!!timestamp x", "!!omap [a: 1]", "!!int 1e5", "!!float .nan", ".nan", ".inf", "-.inf", "0o17", "0b1", "190:20:30",
    "1_000",
    "~", "yes", "[1, 2]", "{a: 1}", "&a [*a]", "*unknown", "{? [a] : b}", "'x'", '"\\ud800"', '"\\0"', "|\n  a\n  b",
    "9" * 400, "9" * 5000,
    "x" * 10_000, "[" * 2000 + "]" * 2000, "!<tag:yaml.org,2002:str> a", "<<", "{<<: 3}", "{<<: [1]}", "1e400", "- 1",
    "%", "@a", "\t1",
)  # fmt: skip
_YAML_FILES = (
    "", "- 1", "text", "null", "---\na: 1\n---\nb: 2\n", "&a {<<: *a}", "{? {a: 1} : 2}", "? [a, b]\n: 1\n",
    "2001-13-45: 1",
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nmodel: [*c,*c,*c,*c,*c,*c]",
    "model: nano\nmodel: nano", "1: 2", "null: 1", "true: 1", "[" * 5000, "\ufeffmodel: nano", "model: nano\n\0",
    "!!python/name:os.system",
    "%YAML 9.9\n---\na: 1", "date: 0000-00-00",
)  # fmt: skip


def preset_case(random: Random, folder: Path, preset: str) -> Case:
    """A spoiled preset file for `plan`."""
    lines = preset.splitlines() + ["cache: none", "quantization: none", "loras: []", "pinned_gb: 0", "tile_vae: false"]
    chance = random.random()
    if chance < 0.25:
        text = random.choice(_YAML_FILES)
        data, what = text.encode("utf-8"), f"the file is {told(text)}"
    elif chance < 0.35:
        data, what = spoiled_bytes("\n".join(lines).encode(), random, [preset.encode()])
    else:
        number = random.randrange(len(lines))
        key = lines[number].partition(":")[0]
        value = random.choice(_YAML_VALUES)
        lines[number] = f"{key}: {value}"
        data, what = "\n".join(lines).encode("utf-8"), f"{key} is {told(value)}"
    (folder / "bad.yaml").write_bytes(data)
    size = random.choice(([], [], ["--size", "720p"]))
    return Case(f"preset: {what}", ["plan", *_FILM, "--preset", "bad.yaml", *size])


# --- camera paths, poses, LoRAs --------------------------------------------------------------------------------------


def camera_case(random: Random, folder: Path) -> Case:
    """A spoiled camera path for a film or the `camera` command."""
    path = {"version": 1, "name": "a", "read_from": "", "points": [
        {"seconds": 0.0, "x": 0.0, "y": 0.0, "z": 0.0, "yaw": 0.0, "pitch": 0.0, "roll": 0.0},
        {"seconds": 0.1, "x": 0.1, "yaw": 3.0}, {"seconds": 0.2, "z": 0.1}]}  # fmt: skip
    data, what = _spoiled_json(path, random)
    (folder / "bad.json").write_bytes(data)
    argv = random.choice((
        ["plan", *_FILM, "--camera", "bad.json"],
        ["plan", *_FILM, "--camera", "bad.json", "--camera-control", "1"],
        ["camera", "bad.json", "--picture", "portrait.png", "--seconds", "0.2"],
        ["tracking", "film.mp4", "--camera", "bad.json"],
        ["generate", *_FILM, "--camera", "bad.json", "--steps", "1", "--job-dir", "job"],
    ))  # fmt: skip
    return Case(f"camera path: {what}", argv)


def pose_case(random: Random, folder: Path, num_joints: int) -> Case:
    """A spoiled recorded pose for a film or the `pose` command."""
    import numpy as np

    frames = 6
    arrays: dict[str, Any] = {
        "version": np.int32(1), "joints": np.full((frames, num_joints, 2), 40, np.float32),
        "confidence": np.ones((frames, num_joints), np.float32), "filled": np.zeros((frames, num_joints), bool),
        "size": np.array([128, 128], np.int32), "source": np.array("a.mp4"),
    }  # fmt: skip
    chance = random.random()
    what = ""
    if chance < 0.6:
        name = random.choice(sorted(arrays))
        what, arrays = _spoiled_array(name, arrays, random)
    stored = io.BytesIO()
    np.savez(stored, **arrays)
    data = stored.getvalue()
    if chance >= 0.6:
        data, what = _spoiled_npy_header(data, random) if chance < 0.75 else spoiled_bytes(data, random, [data])
    (folder / "bad.npz").write_bytes(data)
    argv = random.choice((
        ["plan", *_FILM, "--pose", "bad.npz"],
        ["pose", "bad.npz", "--seconds", "0.2"],
        ["pose", "bad.npz"],
        ["pose", "bad.npz", "--fit-to", "portrait.png", "--seconds", "0.2"],
        ["tracking", "film.mp4", "--pose", "bad.npz"],
        ["generate", *_FILM, "--pose", "bad.npz", "--steps", "1", "--job-dir", "job"],
    ))  # fmt: skip
    return Case(f"pose: {what}", argv)


def _spoiled_array(name: str, arrays: dict[str, Any], random: Random) -> tuple[str, dict[str, Any]]:
    import numpy as np

    array = np.asarray(arrays[name])
    changes: dict[str, Callable[[], Any]] = {
        "left out": lambda: None,
        "of objects": lambda: np.array([{}, None], dtype=object),
        "empty": lambda: np.zeros((0,), np.float32),
        "a number": lambda: np.float32(3),
        "float64": lambda: array.astype(np.float64) if array.dtype.kind in "fib" else array,
        "complex": lambda: array.astype(complex) if array.dtype.kind in "fib" else array,
        "texts": lambda: array.astype(str),
        "nan": lambda: np.full_like(array, np.nan) if array.dtype.kind == "f" else np.float32(np.nan),
        "infinite": lambda: np.full_like(array, np.inf) if array.dtype.kind == "f" else np.array([np.inf, np.inf]),
        "1e38": lambda: np.full_like(array, -1e38) if array.dtype.kind == "f" else np.array([2**31 - 1, 2**31 - 1]),
        "turned": lambda: array.T,
        "one frame": lambda: array[:1],
        "negative": lambda: -array.astype(np.int64) if array.dtype.kind in "fib" else array,
        "a structure": lambda: np.zeros(3, dtype=[("a", "f4"), ("b", "U5")]),
        "a long text": lambda: np.array("x" * 100_000),
        "dates": lambda: np.array(["2001-01-01"], dtype="datetime64[D]"),
    }
    change = random.choice(sorted(changes))
    value = changes[change]()
    rest = {key: one for key, one in arrays.items() if key != name}
    return f"{name} is {change}", rest if value is None else rest | {name: value}


def _spoiled_npy_header(data: bytes, random: Random) -> tuple[bytes, str]:
    """An array in the stored .npz that says it is far larger, or something else, than it is; zip checks are undone."""
    place = data.find(b"'shape': (")
    places = []
    while place >= 0:
        places.append(place)
        place = data.find(b"'shape': (", place + 1)
    at = random.choice(places) + len(b"'shape': (")
    end = data.find(b")", at)
    value = random.choice(
        (b"9" * (end - at), b"-1".ljust(end - at), b"".ljust(end - at), b"1e9"[: end - at].ljust(end - at))
    )
    return data[:at] + value + data[end:], f"an array's shape is ({value.decode().strip()})"


def lora_case(random: Random, folder: Path) -> Case:
    """A spoiled LoRA of the small network for `plan` or a film."""
    width = 192
    layer = "diffusion_model.blocks.0.attn1.to_k"
    tensors = {f"{layer}.lora_A.weight": ((2, width), "F32"), f"{layer}.lora_B.weight": ((width, 2), "F32"),
               f"{layer}.alpha": ((1,), "F32")}  # fmt: skip
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, (shape, dtype) in tensors.items():
        size = 4 * (shape[0] * shape[1] if len(shape) == 2 else shape[0])
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(body), len(body) + size]}
        body += struct.pack("<f", 0.01) * (size // 4)
    chance = random.random()
    what = ""
    if chance < 0.55:
        header, what = spoiled_tree(header, random)
    elif chance < 0.7:
        fill, what = random.choice(
            ((b"\0\0\xc0\x7f", "all nan"), (b"\0\0\x80\x7f", "all infinite"), (b"\xff\xff\x7f\x7f", "all 3e38"))
        )
        body = fill * (len(body) // 4)
    text = json.dumps(header).encode()
    length = len(text)
    if 0.7 <= chance < 0.8:
        length = random.choice((0, 1, 2**31, 2**63, 2**64 - 1, len(text) + 8, 10**8))
        what = f"the header is {length} bytes long"
    data = struct.pack("<Q", length) + text + body
    if chance >= 0.8:
        data, what = spoiled_bytes(data, random, [data])
    (folder / "bad.safetensors").write_bytes(data)
    scale = random.choice(("", ":1", ":-10"))
    name = f"bad.safetensors{scale}"
    if random.random() < 0.5:
        return Case(f"LoRA: {what}", ["plan", *_FILM, "--lora", name])
    return Case(f"LoRA: {what}", ["generate", *_FILM, "--lora", name, "--steps", "1", "--job-dir", "job"])


def file_case(random: Random, folder: Path, *, job: Callable[[], Path], preset: str, num_joints: int) -> Case:
    """One spoiled file of any of these kinds."""
    kind = random.choice(("project",) * 4 + ("preset",) * 2 + ("queue", "camera", "pose", "lora"))
    if kind == "project":
        return project_case(random, folder, job)
    if kind == "queue":
        return queue_case(random, folder, job)
    if kind == "preset":
        return preset_case(random, folder, preset)
    if kind == "camera":
        return camera_case(random, folder)
    return pose_case(random, folder, num_joints) if kind == "pose" else lora_case(random, folder)
