"""Comparing files with what they must hold: every name, shape and type, from the headers alone.

Published files are compared with the shipped manifests, a converted folder with the networks that its configs describe.
Numbers are not looked at; `checksums_in` compares whole files with what the hub stated when they were downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from .download import sha256_of
from .files import RemoteFile
from .formats.tensor_files import TensorInfo, open_tensors
from .keys.transformer import to_official, to_ours
from .locate import Located
from .manifests import Manifest, read_manifest
from .notes import Notes

if TYPE_CHECKING:
    from ..models.specs import ModelSpec

_ANY_FLOAT = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class Checked:
    """One file (or folder of a component) and what was found. problem: a sentence, None if all is well."""

    path: str
    component: str
    num_weights: int = 0
    problem: str | None = None
    present: bool = True


def verify(spec: ModelSpec, located: Located, *, checksums_in: Path | None = None) -> list[Checked]:
    """Check every file of a model, missing ones included.

    Args:
        located: where they are. checksums_in: also compare whole files with the download notes in this folder.
    """
    if located.folder is not None:
        return [_check_folder(located.folder / name, name) for name in spec.components if name != "tokenizer"]
    results = [
        Checked(
            f"{file.repository}/{file.path}", file.component, present=False,
            problem=f"{file.repository}/{file.path} is missing; download it.",
        )
        for file in located.missing
    ]  # fmt: skip
    groups: dict[str, dict[RemoteFile, Path]] = {}
    for file, path in located.files.items():
        if file.manifest is None:
            results.append(_check_small(path, file.component))
        else:
            groups.setdefault(file.manifest, {})[file] = path
    for name, files in groups.items():
        complete = not any(file.manifest == name for file in located.missing)
        results += _check_group(read_manifest(name), files, complete)
    if checksums_in is not None:
        notes = Notes.read(checksums_in)
        results += [problem for file, path in located.files.items() if (problem := _check_sum(file, path, notes))]
    return results


def _check_group(manifest: Manifest, files: Mapping[RemoteFile, Path], complete: bool) -> list[Checked]:
    """Files that hold one network together. complete: none is missing, so that every weight must be there."""
    seen: set[str] = set()
    results = []
    for file, path in files.items():
        try:
            with open_tensors(path) as opened:
                infos = opened.infos
            seen |= check_infos(infos, manifest, str(path))
            results.append(Checked(str(path), file.component, len(infos)))
        except CheckpointError as error:
            results.append(Checked(str(path), file.component, problem=str(error)))
    lost = [key for key in manifest.shapes if key not in seen]
    if complete and lost and all(result.problem is None for result in results):
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        last = results[-1]
        problem = f"{last.path} lacks the weight {lost[0]!r}{more}; download it again."
        results[-1] = Checked(last.path, last.component, last.num_weights, problem)
    return results


def check_infos(infos: Mapping[str, TensorInfo], manifest: Manifest, source: str) -> set[str]:
    """Names of the manifest that a file holds.

    Raises:
        CheckpointError: a key is unexpected, or has another shape or type; names `source` and the first such key.
    """
    seen = set()
    for key, info in infos.items():
        name = manifest.plain(key)
        if name is None:
            continue
        shape = manifest.shapes.get(name)
        if shape is None:
            # The published speech file may repeat weights of the network it is laid over.
            shape = _base_shape(name) if manifest.name == "transformer-speech" else None
        if shape is None:
            raise CheckpointError(f"{source}: unexpected weight {key!r}; this is not the {_lower(manifest.title)}.")
        if info.shape != shape:
            raise CheckpointError(f"{source}: weight {key!r} has shape {list(info.shape)}; expected {list(shape)}.")
        allowed = _ANY_FLOAT if manifest.dtype is None else (manifest.dtype,)
        if info.dtype not in allowed:
            raise CheckpointError(f"{source}: weight {key!r} is of type {info.dtype}; expected {' or '.join(allowed)}.")
        seen.add(name)
    return seen


def _base_shape(name: str) -> tuple[int, ...] | None:
    return read_manifest("transformer-base").shapes.get(name)


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]


def _check_small(path: Path, component: str) -> Checked:
    """Configs, tokenizers and maps: there and not empty; what they say is checked when they are used."""
    if path.stat().st_size == 0:
        return Checked(str(path), component, problem=f"{path} is empty; download it again.")
    return Checked(str(path), component)


def _check_sum(file: RemoteFile, path: Path, notes: Notes) -> Checked | None:
    noted = notes.sha256(file)
    if noted is not None and sha256_of(path) != noted:
        problem = f"{path} has another checksum than the hub stated; download it again."
        return Checked(str(path), file.component, problem=problem)
    return None


def _check_folder(folder: Path, component: str) -> Checked:
    """A component in the diffusers layout against the network that its config describes."""
    from .diffusers_layout import folder_component
    from .fill import build_empty, expected_shapes

    try:
        if not folder.is_dir():
            raise CheckpointError(f"The folder {folder} does not exist; convert or download the model again.")
        found = folder_component(folder)
        network = build_empty(found.build)
        found.weights.check(expected_shapes(network, found.weights), title=type(network).__name__)
    except CheckpointError as error:
        return Checked(str(folder), component, problem=str(error))
    return Checked(str(folder), component, len(found.weights.entries))


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Shapes of the published transformer by our names, to match LoRAs with before any file is opened."""
    shapes = {**read_manifest("transformer-base").shapes, **read_manifest("transformer-speech").shapes}
    ours = {name: shape for key, shape in shapes.items() if (name := to_ours(key)) is not None}
    assert len(ours) == len(shapes) and all(to_official(name) for name in ours), (
        "a manifest names a weight we do not have"
    )
    return ours
