"""What is known of a film before its chunks are planned; what checks and estimates look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from ..config.request import GenerationRequest
from ..config.settings import Settings
from ..media.video import Source
from ..models.specs import ModelSpec


@dataclass(frozen=True)
class SourceFacts:
    """height, width: of the finished pictures. duration_seconds: of the film. first_seconds: of the source's first
    picture that can be used."""

    settings: Settings
    spec: ModelSpec
    source: Source
    duration_seconds: float
    height: int
    width: int
    checkpoints_dir: str | None = None
    first_seconds: float = 0.0

    @property
    def picture_seconds(self) -> float:
        """The film's length times its area in pictures of 256 x 256 pixels."""
        return self.duration_seconds * self.height * self.width / 256**2


class Feature(Protocol):
    """What planning needs of a stage (`stages/base.py`)."""

    name: ClassVar[str]

    def is_on(self, request: GenerationRequest) -> bool: ...

    def check(self, request: GenerationRequest, facts: SourceFacts) -> list[str]: ...

    def estimate_seconds(self, request: GenerationRequest, facts: SourceFacts) -> float: ...


Features = Sequence[Feature]
