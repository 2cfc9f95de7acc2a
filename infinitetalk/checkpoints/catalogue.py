"""What each preset needs and what of it is here: the answer to `checkpoints list` and to the page's model panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.presets import load_preset, preset_names
from ..errors import CheckpointError, InputError
from ..models.specs import SPECS, ModelSpec, get_spec
from . import locate
from .files import CONTROLS, LORAS, QUANTIZED, RemoteFile, bundle, kind_of, published_lora
from .formats.tensor_files import open_tensors
from .keys.lora import match_keys
from .sources import in_folder
from .verify import published_shapes

if TYPE_CHECKING:
    from ..config.settings import Lora


@dataclass(frozen=True)
class FileState:
    """One file: where it comes from, how large it is, whether and where it lies here."""

    repository: str
    path: str
    revision: str
    component: str
    bytes: int
    bytes_are_exact: bool
    licence: str
    present: bool
    where: str | None


@dataclass(frozen=True)
class Need:
    """What a preset or model needs. complete: all of it is here; folder: a converted one that holds the networks."""

    name: str
    model: str
    complete: bool
    bytes_total: int
    bytes_missing: int
    folder: str | None
    quantized: str | None
    files: tuple[FileState, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Target:
    """What a name on the command line stands for: a model with the LoRAs of a preset, or a published LoRA or control
    network alone.
    """

    name: str
    spec: ModelSpec | None
    loras: tuple[str, ...] = ()
    quantization: str = "none"
    controls: tuple[str, ...] = ()

    def files(self, quantized: str | None = None) -> tuple[RemoteFile, ...]:
        """Every published file of it.

        Raises:
            InputError: the model has none of that kind.
        """
        if self.spec is None:
            adapters = (file for name in self.loras if (file := published_lora(name)))
            return (*adapters, *(CONTROLS[name] for name in self.controls))
        if self.spec.shipped_in is not None:
            return ()
        if quantized is not None and (kind_of(self.spec.name), quantized) not in QUANTIZED:
            raise InputError(
                f"{self.spec.title} is not published as {quantized!r}; leave --quantized out (presets quantize the "
                "full files while loading)."
            )
        return bundle(self.spec.name, quantized=quantized, loras=self.loras)


def target(name: str) -> Target:
    """A preset, a model, a published LoRA or a control network by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name in preset_names() or name.endswith((".yaml", ".yml")):
        settings = load_preset(name)
        loras = tuple(lora.file for lora in settings.loras)
        return Target(name, get_spec(settings.model), loras, settings.quantization)
    if name in SPECS:
        return Target(name, get_spec(name))
    if published_lora(name) is not None:
        return Target(name, None, (name,))
    if name in CONTROLS:
        return Target(name, None, controls=(name,))
    known = ", ".join([*SPECS, *LORAS, *CONTROLS])
    raise InputError(
        f"There is no model, preset, LoRA or control network {name!r}; known are {known}, and every preset's name."
    )


def need_of(wanted: Target, checkpoints_dir: str | Path | None) -> Need:
    """What `wanted` needs and what of it is here; reads no weights."""
    folders = locate.folders_to_search(checkpoints_dir)
    located = None
    if wanted.spec is not None:
        located = locate.find(wanted.spec, checkpoints_dir, quantization=wanted.quantization, need_all=False)
    adapters = tuple(file for name in wanted.loras if (file := published_lora(name)))
    adapters += tuple(CONTROLS[name] for name in wanted.controls)
    networks = () if located is None or located.folder is not None else (*located.files, *located.missing)
    states = [_state(file, folders) for file in (*networks, *adapters)]
    missing = [state for state in states if not state.present]
    return Need(
        name=wanted.name,
        model=wanted.spec.name if wanted.spec is not None else "",
        complete=not missing and (located is None or located.complete),
        bytes_total=sum(state.bytes for state in states),
        bytes_missing=sum(state.bytes for state in missing),
        folder=str(located.folder) if located is not None and located.folder is not None else None,
        quantized=located.quantized if located is not None else None,
        files=tuple(states),
    )


def _state(file: RemoteFile, folders: Sequence[Path]) -> FileState:
    path = locate.find_file(file, folders)
    size = path.stat().st_size if path is not None else file.bytes_about
    return FileState(
        file.repository, file.path, file.revision, file.component, size, path is not None, file.licence,
        path is not None, None if path is None else str(path),
    )  # fmt: skip


def all_needs(checkpoints_dir: str | Path | None) -> list[Need]:
    """Of every preset, then of every model that no preset uses, then of every control network."""
    targets = [target(name) for name in preset_names()]
    used = {one.spec.name for one in targets if one.spec is not None}
    targets += [target(name) for name in (*SPECS, *CONTROLS) if name not in used]
    return [need_of(one, checkpoints_dir) for one in targets]


def check_loras(loras: Sequence[Lora], spec: ModelSpec, checkpoints_dir: str | Path | None) -> list[str]:
    """Whether LoRAs can be laid over a model, from names and shapes alone, before any weight is read.

    Returns:
        a note for each: what is applied, or that a published one is still to be fetched.
    Raises:
        CheckpointError: a file is not there, cannot be read, or does not fit the model.
    """
    notes = []
    for lora in loras:
        try:
            path = locate.find_lora(lora.file, checkpoints_dir)
        except CheckpointError as error:
            if published_lora(lora.file) is None:
                raise
            notes.append(str(error))
            continue
        with open_tensors(path) as file:
            shapes = {key: info.shape for key, info in file.infos.items()}
        match = match_keys(shapes, _network_shapes(spec, checkpoints_dir), source=path.name)
        notes.append(f"The LoRA {path.name} changes {len(match.parts)} weights at scale {lora.scale:g}.")
    return notes


def check_controls(names: Sequence[str], spec: ModelSpec, checkpoints_dir: str | Path | None) -> list[str]:
    """Whether control networks fit a model, from names and shapes alone, before any weight is read.

    Returns:
        a note for each that is still to be fetched.
    Raises:
        CheckpointError: a file cannot be read, or belongs to a model of other sizes.
    """
    from .controls import read_pose_adapter, read_pose_network, read_uni3c, read_vace

    notes = []
    for name in names:
        try:
            path = locate.find_control(name, checkpoints_dir, spec)
        except CheckpointError as error:
            notes.append(str(error))
            continue
        shapes = _network_shapes(spec, checkpoints_dir)
        width = shapes["scale_shift_table"][-1]
        if name == "uni3c" or spec.shares_control_network:
            read_uni3c(path, width=width)
        elif name == "vace":
            layers = {key.split(".")[1] for key in shapes if key.startswith("blocks.")}
            read_vace(path, width=width, num_layers=len(layers))
        else:
            read_pose_network(path, width=width)
            read_pose_adapter(path, shapes)
    return notes


def weights_note(spec: ModelSpec, checkpoints_dir: str | Path | None, quantization: str = "none") -> str | None:
    """A sentence if files of the model are missing: which, how large, and the command that fetches them."""
    located = locate.find(spec, checkpoints_dir, quantization=quantization, need_all=False)
    if located.complete:
        return None
    return locate.describe_missing(located, spec.title, locate.folders_to_search(checkpoints_dir))


def _network_shapes(spec: ModelSpec, checkpoints_dir: str | Path | None) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's transformer by our names: from its header where it ships or was converted, else from the
    manifests.
    """
    located = locate.find(spec, checkpoints_dir, need_all=False)
    if located.folder is None:
        return published_shapes()
    weights = in_folder(located.folder / "transformer")
    return {name: info.shape for name, info in weights.infos.items()}
