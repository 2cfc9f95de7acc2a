"""Other takes of single chunks: how each differs from the film's own settings, which is chosen, where the film goes on.

project.json holds, next to the request, for every chunk that has more than one take

    "takes": {"3": {"chosen": 1, "overrides": [{"seed": 11, "join": "blend"}, ...]}}

Take 0 is the film's own; take n is made with overrides n - 1. A take's pictures are found on disk by the hash of
everything they follow from (`resolve.py`), so choosing is free, and going back finds what was made before.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ..config.former_names import with_current_names, with_former_names
from ..config.request import path_text
from ..config.settings import Settings, known_keys, number, quoted
from ..errors import InputError, JobError
from ..media.probe import probe
from ..planning.chunks import Chunk, Reference
from .folder import JobFolder, file_digest, write_json

Join = Literal["blend", "ripple"]


@dataclass(frozen=True)
class TakeOverrides:
    """What one more take of a chunk does otherwise; None and "" leave the film's own.

    seed: of the noise; without one every take gets noise of its own. reference_seconds: an instant of the source, or
    reference_image: a picture, to guide it.
    join: `blend` fades into take `over`, with which what follows goes on unchanged; `ripple` makes what follows anew.
    """

    seed: int | None = None
    prompt: str | None = None
    guidance_scale: float | None = None
    audio_guidance_scale: float | None = None
    reference_seconds: float | None = None
    reference_image: str | None = None
    join: Join = "blend"
    over: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("seed", 0, 2**63 - 1), ("guidance_scale", 0, 50), ("audio_guidance_scale", 0, 50),
            ("reference_seconds", 0, 1e6), ("over", 0, 10_000),
        ):  # fmt: skip
            if getattr(self, name) is not None:
                number(name, getattr(self, name), low, high)
        if self.prompt is not None and not isinstance(self.prompt, str):
            raise InputError(f"prompt is {quoted(self.prompt)}; give a text.")
        object.__setattr__(self, "reference_image", path_text(self.reference_image) or None)
        if self.reference_seconds is not None and self.reference_image is not None:
            raise InputError("A take is guided by an instant of the source or by a picture; give one of them.")
        if self.join not in get_args(Join):
            raise InputError(f"join is {quoted(self.join)}; choose blend or ripple.")

    def guided(self, chunk: Chunk) -> Chunk:
        """The chunk with this take's reference."""
        if self.reference_image is not None:
            return replace(chunk, reference=replace(chunk.reference, image=self.reference_image))
        if self.reference_seconds is not None:
            return replace(chunk, reference=Reference(self.reference_seconds))
        return chunk

    def settings(self, settings: Settings) -> Settings:
        """The film's settings with this take's guidance."""
        scales = {name: getattr(self, name) for name in ("guidance_scale", "audio_guidance_scale")}
        return replace(settings, **{name: value for name, value in scales.items() if value is not None})

    def fingerprint(self) -> dict[str, Any]:
        """All that its pictures follow from; a picture by its content, not its name."""
        described = with_former_names(asdict(self))
        if self.reference_image is not None:
            described["reference_image"] = file_digest(self.reference_image)
        return described


@dataclass(frozen=True)
class ChunkTakes:
    """The overrides of a chunk's takes, and which take is chosen, 0 being the film's own."""

    chosen: int = 0
    overrides: tuple[TakeOverrides, ...] = field(default=())

    def overrides_of(self, take: int) -> TakeOverrides | None:
        """None for take 0."""
        return self.overrides[take - 1] if take else None


def read_takes(job: JobFolder) -> dict[int, ChunkTakes]:
    """The takes that project.json speaks of, by chunk.

    Raises:
        JobError: what it says of them cannot be used.
    """
    where = str(job.path / "project.json")
    stored = job.project().get("takes", {})
    try:
        if not isinstance(stored, Mapping):
            raise InputError(f"takes is {quoted(stored)}; it is a table by number of chunk.")
        return {int(chunk): _chunk_takes(job, data, where) for chunk, data in stored.items()}
    except (InputError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise JobError(
            f"{where} speaks of takes in a way that cannot be used ({error}); mend or remove them."
        ) from error


def add_take(job: JobFolder, chunk: int, overrides: TakeOverrides) -> int:
    """Write down one more take of a chunk and choose it; returns its number. A picture is copied into the job.

    Raises:
        InputError: there is no such picture, or it is none; nothing has been written then.
    """
    takes = read_takes(job)
    own = takes.get(chunk, ChunkTakes())
    if overrides.reference_image is not None:
        source = Path(overrides.reference_image)
        if probe(source, "a picture").kind != "image":
            raise InputError(f"{source.name} is no picture; give the path of a picture, or the second of the source.")
        kept = job.path / "inputs" / f"take-{chunk}-{len(own.overrides) + 1}{source.suffix[:8]}"
        shutil.copyfile(source, kept)
        overrides = replace(overrides, reference_image=str(kept))
    overrides = replace(overrides, over=own.chosen)
    takes[chunk] = ChunkTakes(len(own.overrides) + 1, (*own.overrides, overrides))
    write_takes(job, takes)
    return takes[chunk].chosen


def choose_take(job: JobFolder, chunk: int, take: int) -> None:
    """Have the film show another take of a chunk.

    Raises:
        InputError: the chunk has no such take.
    """
    takes = read_takes(job)
    own = takes.get(chunk, ChunkTakes())
    if not 0 <= take <= len(own.overrides):
        raise InputError(
            f"Chunk {chunk} has no take {take}; it has take 0, the first"
            + (f", and {len(own.overrides)} more." if own.overrides else ", alone.")
        )
    takes[chunk] = replace(own, chosen=take)
    write_takes(job, takes)


def write_takes(job: JobFolder, takes: Mapping[int, ChunkTakes]) -> None:
    """Put the takes into project.json, atomically; pictures of takes that are no more are removed."""
    stored, pictures = {}, set()
    for chunk, own in sorted(takes.items()):
        listed = []
        for overrides in own.overrides:
            data = {key: value for key, value in asdict(overrides).items() if value is not None}
            if overrides.reference_image is not None:
                data["reference_image"] = Path(overrides.reference_image).relative_to(job.path).as_posix()
                pictures.add(data["reference_image"])
            listed.append(data)
        stored[str(chunk)] = {"chosen": own.chosen, "overrides": listed}
    write_json(job.path / "project.json", {**job.project(), "takes": stored})
    for left in (job.path / "inputs").glob("take-*-*"):
        if left.relative_to(job.path).as_posix() not in pictures:
            left.unlink(missing_ok=True)


def _chunk_takes(job: JobFolder, data: Mapping[str, Any], where: str) -> ChunkTakes:
    listed = []
    for given in with_current_names(data)["overrides"]:
        known = dict(known_keys(TakeOverrides, given, where))
        if image := known.get("reference_image"):
            known["reference_image"] = job.inside(image)
        listed.append(TakeOverrides(**known))
    chosen = int(data["chosen"])
    if not 0 <= chosen <= len(listed):
        raise InputError(f"take {chosen} is chosen of {len(listed) + 1}")
    for index, overrides in enumerate(listed):
        if overrides.over > index:
            raise InputError(f"take {index + 1} fades into take {overrides.over}, which is not an earlier one")
    return ChunkTakes(chosen, tuple(listed))


TAKE_OVERRIDE_KEYS = tuple(each.name for each in fields(TakeOverrides))
