"""The motion targets of earlier stages as control inputs, and what is checked for every control network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..checkpoints.catalogue import check_controls
from ..config.request import GenerationRequest
from ..errors import InputError
from ..generation.control_inputs import MotionTargets, conditioner_for
from ..generation.job import ChunkJob
from ..planning.film import SourceFacts
from .base import FilmStage, Stage, StageFilm

if TYPE_CHECKING:
    from ..generation.generator import ChunkInputs


def check_network(name: str, facts: SourceFacts) -> list[str]:
    """Notes on one control network.

    Raises:
        InputError: the model has no such network. CheckpointError: its file is damaged or for another model.
    """
    spec = facts.spec
    if name not in spec.controls:
        raise InputError(
            f"{spec.title} has no control network {name}; choose one of {', '.join(spec.controls)}, or a preset of the "
            "14B model."
        )
    if facts.settings.framing != "whole" and not spec.latents.steers_framed_faces:
        raise InputError("Pose and camera networks take whole pictures; set framing to whole.")
    return check_controls((name,), spec, facts.checkpoints_dir)


class ControlNetworksStage(Stage):
    name = "control_networks"
    order = 190  # after the stages that state motion targets

    def is_on(self, request: GenerationRequest) -> bool:
        return bool(request.controls)

    def prepare(self, film: StageFilm) -> FilmStage:
        return _FilmControl(film)


class _FilmControl(FilmStage):
    def __init__(self, film: StageFilm) -> None:
        self._conditioner = conditioner_for(film.film.spec, film.inputs.frame)

    def before(self, job: ChunkJob, inputs: ChunkInputs) -> ChunkInputs:
        if inputs.targets == MotionTargets():
            return inputs
        control = self._conditioner.control_inputs(job.chunk, inputs.targets, inputs.reference)
        return replace(inputs, control=control)


STAGE = ControlNetworksStage()
