"""Where a model's files lie on this machine.

Looked for in this order: a folder converted to the diffusers layout (`DIR/infinitetalk-14b-single/transformer/...`);
the published files below a folder in the official layout (`DIR/Wan2.1-I2V-14B-480P/...`, `DIR/InfiniteTalk/...`), or
loose in it; the cache of huggingface_hub. DIR is what the request says, or INFINITETALK_CHECKPOINTS, or `checkpoints`
in the user's cache folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from ..paths import cache_dir
from .files import CONTROLS, INFINITETALK, QUANTIZED, WAN, WAV2VEC2, RemoteFile, bundle, kind_of, published_lora

if TYPE_CHECKING:
    from ..models.specs import ModelSpec
    from .official import Component

ENVIRONMENT_VARIABLE = "INFINITETALK_CHECKPOINTS"
LORA_FOLDER = "loras"
SHIPPED_CONTROL = "control/uni3c.safetensors"  # below the folder of a model that ships
_FILES_NAMED = 3
_COMMON_NAMES = frozenset({
    "config.json", "model.safetensors", "preprocessor_config.json", "infinitetalk.safetensors", "controlnet.pth",
})  # fmt: skip


@dataclass(frozen=True)
class Located:
    """A model's files. Either `folder` is a converted one, or `files` holds the published ones that are there.

    quantized: the transformer is the published quantized one of this kind.
    """

    model: str
    folder: Path | None = None
    files: dict[RemoteFile, Path] = field(default_factory=dict)
    missing: tuple[RemoteFile, ...] = ()
    quantized: str | None = None

    @property
    def complete(self) -> bool:
        return self.folder is not None or not self.missing

    @property
    def bytes_missing(self) -> int:
        return sum(file.bytes_about for file in self.missing)

    @property
    def tokenizer(self) -> Path:
        if self.folder is not None:
            return self.folder / "tokenizer"
        return self._paths("tokenizer")[0].parent

    def component(self, name: str) -> Component:
        """The network called `name`, ready to be built and filled.

        Raises:
            CheckpointError: a file cannot be read or is another network's.
        """
        from . import official

        if self.folder is not None:
            from .diffusers_layout import folder_component

            return folder_component(self.folder / name)
        paths = self._paths(name)
        if name == "audio_encoder":
            return official.audio_encoder(paths[0], paths[1])
        if name != "transformer":
            return getattr(official, name)(paths[0])
        config, *weights = paths
        if self.quantized:
            return official.quantized_transformer(weights[0], weights[1], config)
        return official.transformer(weights, config)

    def _paths(self, component: str) -> list[Path]:
        return [path for file, path in self.files.items() if file.component == component]


def find(
    spec: ModelSpec, checkpoints_dir: str | Path | None, *, quantization: str = "none", need_all: bool = True
) -> Located:
    """Where the files of `spec` are.

    Args:
        quantization: where a published quantized transformer of this kind is present and the full one is not, it is
            taken.
        need_all: refuse what is not complete.
    Raises:
        CheckpointError: nothing is there, or not everything; says what is missing, how large it is and what to do.
    """
    if spec.shipped_in is not None:
        return Located(spec.name, folder=spec.weights_dir(None))
    folders = folders_to_search(checkpoints_dir)
    for folder in folders:
        for candidate in (folder / spec.name, folder):
            if (candidate / "transformer" / "config.json").is_file():
                return Located(spec.name, folder=candidate)
    located = find_published(spec.name, folders)
    if not located.complete and (kind_of(spec.name), quantization) in QUANTIZED:
        quantized = find_published(spec.name, folders, quantized=quantization)
        if quantized.complete:
            return quantized
    if need_all and not located.complete:
        raise CheckpointError(describe_missing(located, spec.title, folders))
    return located


def find_published(model: str, folders: Sequence[Path], *, quantized: str | None = None) -> Located:
    """The published files of a model as far as they are there."""
    files, missing = {}, []
    for file in bundle(model, quantized=quantized):
        path = find_file(file, folders)
        if path is None:
            missing.append(file)
        else:
            files[file] = path
    # The tokenizer's files repeat each other; any one that transformers can read is enough.
    if any(file.component == "tokenizer" and file.path.endswith(("tokenizer.json", "spiece.model")) for file in files):
        missing = [file for file in missing if file.component != "tokenizer"]
    missing = [file for file in missing if not file.path.endswith("preprocessor_config.json")]
    return Located(model, None, files, tuple(missing), quantized)


def find_file(file: RemoteFile, folders: Sequence[Path]) -> Path | None:
    """A published file in the folders, in the official layout or loose, or in the hub's cache."""
    name = file.path.rpartition("/")[2]
    # Names such as config.json or model.safetensors say nothing outside their own folder.
    is_telling = name not in _COMMON_NAMES
    for folder in folders:
        loose = [folder / name] if is_telling else []
        if is_telling or folder.name == file.folder:
            loose.append(folder / file.path)
        if file.component == "lora":
            loose.append(folder / LORA_FOLDER / name)
        for path in (folder / file.folder / file.path, *loose):
            if path.is_file():
                return path
    return _in_cache(file)


def _in_cache(file: RemoteFile) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(file.repository, file.path, revision=file.revision)
    return Path(path) if isinstance(path, str) else None


def folders_to_search(checkpoints_dir: str | Path | None) -> list[Path]:
    """The folder that was given, or else the one of the environment or the default; downloads go to the first.

    Where that is the folder of one repository, its siblings are looked for in the folder above.
    """
    chosen = checkpoints_dir or os.environ.get(ENVIRONMENT_VARIABLE)
    folder = Path(chosen).expanduser() if chosen else cache_dir() / "checkpoints"
    is_repository = folder.name in {name.rpartition("/")[2] for name in (WAN, INFINITETALK, WAV2VEC2)}
    return [folder, folder.parent] if is_repository else [folder]


def describe_missing(located: Located, title: str, folders: Sequence[Path]) -> str:
    """One sentence: what is missing, how large it is, where it was looked for, what to do."""
    missing = located.missing
    names = ", ".join(file.path for file in missing[:_FILES_NAMED])
    more = f" and {len(missing) - _FILES_NAMED} more" if len(missing) > _FILES_NAMED else ""
    exists = folders[0].is_dir()
    where = f"in {folders[0]} and the hub's cache" if exists else f"anywhere ({folders[0]} does not exist)"
    command = _download_command(located.model, folders)
    return (
        f"{title} needs {len(missing)} file{'s' if len(missing) > 1 else ''} of about "
        f"{gigabytes(located.bytes_missing)} that {'were' if len(missing) > 1 else 'was'} not found {where} ({names}"
        f"{more}); fetch {'them' if len(missing) > 1 else 'it'} with `{command}`, "
        "or take the preset nano, whose weights are here."
    )


def _download_command(name: str, folders: Sequence[Path]) -> str:
    flag = "" if folders == folders_to_search(None) else f" --checkpoints-dir {folders[0]}"
    return f"infinitetalk checkpoints download {name}{flag}"


def find_lora(name: str, checkpoints_dir: str | Path | None) -> Path:
    """The file of a LoRA: a path, a file below the checkpoints folder (or its `loras`), or a published one by name.

    Raises:
        CheckpointError: it is not there; says where it was looked for and what to do.
    """
    folders = folders_to_search(checkpoints_dir)
    published = published_lora(name)
    if published is not None and (found := find_file(published, folders)) is not None:
        return found
    candidates = [Path(name).expanduser()]
    candidates += [folder / below / name for folder in folders for below in ("", LORA_FOLDER)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if published is not None:
        command = _download_command(name, folders)
        raise CheckpointError(
            f"The LoRA {name} was not found on this machine; fetch it from {published.repository} with `{command}`."
        )
    raise CheckpointError(
        f"The LoRA {name} does not exist, nor in {folders[0]}; give the path of its .safetensors file."
    )


def find_control(name: str, checkpoints_dir: str | Path | None, spec: ModelSpec | None = None) -> Path:
    """The file of a control network, by its name in `CONTROLS`.

    Args:
        spec: the model; one that ships has a network of its own in its folder, which serves for all its `controls`.
            None: a published one.
    Raises:
        CheckpointError: it is not there; says what to do.
    """
    if spec is not None and spec.shipped_in is not None:
        path = spec.weights_dir(None) / SHIPPED_CONTROL
        if not path.is_file():
            raise CheckpointError(f"The package lacks {path}; install it again, or choose another way to steer.")
        return path
    folders, file = folders_to_search(checkpoints_dir), CONTROLS[name]
    path = find_file(file, folders)
    if path is None:
        raise CheckpointError(
            f"The control network {name} ({file.repository}/{file.path}) was not found in {folders[0]} and the hub's "
            f"cache; fetch it with `{_download_command(name, folders)}`, or choose another way to steer."
        )
    return path


def gigabytes(num_bytes: float) -> str:
    """65579515136 -> '65.6 GB', 5000 -> '0.1 MB'."""
    if num_bytes >= 1e9:
        return f"{num_bytes / 1e9:.1f} GB"
    return f"{max(num_bytes / 1e6, 0.1):.1f} MB" if num_bytes else "0 MB"
