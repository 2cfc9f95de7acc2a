"""What the visitor has entered, and the request that it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..config.camera import MOVEMENTS
from ..config.former_names import with_current_names
from ..config.request import GenerationRequest, Keyframe, Speaker, load_preset, parse_seed
from ..errors import InputError
from ..models.specs import get_spec
from ..runtime.auto import on_this_machine
from .compositing import from_composite, to_composite
from .movement import (
    CAMERA_FIELDS,
    PATH,
    REPROJECTION,
    camera_fields,
    camera_of,
    from_request,
    to_camera,
    to_head,
)
from .movement import FIELDS as MOVEMENT_FIELDS
from .people.component import boxes_for, to_boxes
from .pose import FIELDS as POSE_FIELDS
from .pose import from_pose, to_pose
from .preset_choice import offered
from .source_options import SOURCE_OPTIONS
from .timeline.component import to_guides, to_keyframes

# What was done on the timeline: keyframes, stretches guided otherwise, the source's cuts where they are not as found,
# and how many edits that took.
NO_EDITS: dict[str, Any] = {"pins": [], "spans": [], "cuts": None, "revision": 0}


@dataclass(frozen=True)
class Form:
    """The page's inputs, in the order in which `page.py` passes them."""

    source: str | None = None
    voice: str | None = None
    two_voices: bool = False
    second_voice: str | None = None
    arrangement: str = "together"
    preset: str = "nano"
    seed: Any = "7"
    prompt: str = ""
    steps: float | None = None
    audio_guidance_scale: float | None = None
    framing: str | None = None
    short_source: str = "hold"
    long_source: str = "trim"
    reference_placement: str = "auto"
    background: float = 0.0
    output_rate: str = "25"
    camera: str | None = None  # how camera and head move: `ui.movement.FIELDS`
    movement: str | None = MOVEMENTS[0]
    amount: float = 1.0
    camera_file: str | None = None
    denoising_strength: float = 0.7
    camera_by: str | None = "reprojection"
    uni3c_strength: float = 1.0
    uni3c_last: float = 1.0
    head: str | None = None
    head_file: str | None = None
    head_amount: float = 1.0
    pose: str | None = None  # how the body moves: `ui.pose.FIELDS`
    pose_file: str | None = None
    pose_strength: float = 1.0
    pose_last: float = 1.0
    pose_start: float | None = 0.0
    pose_speed: float = 1.0
    pose_person: str | None = ""
    pose_by: str | None = "unianimate"
    composite: bool = False  # background compositing: `ui.compositing.FIELDS`
    composite_person: str | None = ""
    boxes: Any = None  # what `people.component.kept` remembers of the boxes around two speakers
    edits: Any = None  # of the timeline: `NO_EDITS` with "source", whose they are

    def missing(self) -> list[str]:
        """What has to be added before anything can be planned, in the page's words."""
        wanted = []
        if not self.source:
            wanted.append("a photo or video")
        if not self.voice:
            wanted.append("a voice")
        if self.two_voices and not self.second_voice:
            wanted.append("a second voice")
        return wanted

    def to_request(self) -> GenerationRequest:
        """Raises: UserError if something is missing or out of range."""
        if missing := self.missing():
            raise InputError(f"Something is missing: add {' and '.join(missing)}, then press Generate.")
        voices = [self.voice, self.second_voice] if self.two_voices else [self.voice]
        preset = on_this_machine(offered(self.preset))
        spec = get_spec(load_preset(preset).model)
        edits = self.own_edits()
        return GenerationRequest(
            source=self.source or "",
            speakers=tuple(Speaker(voice, box) for voice, box in zip(voices, self.own_boxes()) if voice),
            preset=preset,
            seed=parse_seed(self.seed),
            prompt=(self.prompt or "") if spec.takes_prompt else "",
            arrangement=self.arrangement,
            short_source=self.short_source,
            long_source=self.long_source,
            reference_placement=self.reference_placement,
            background=self.background,
            output_rate=self.output_rate,
            **camera_fields(to_camera(*(getattr(self, name) for name in CAMERA_FIELDS))),
            head=to_head(self.head, self.head_file, self.head_amount),
            composite=to_composite(self.composite, self.composite_person),
            pose=to_pose(*(getattr(self, name) for name in POSE_FIELDS)),
            steps=self.steps,
            audio_guidance_scale=self.audio_guidance_scale,
            framing=self.framing,
            keyframes=to_keyframes(edits["pins"]),
            guides=to_guides(edits["spans"]),
            cuts=edits["cuts"],
        )

    def own_boxes(self) -> Sequence[tuple[int, int, int, int] | None]:
        """A box for each voice; without any, each of two people has half of the picture."""
        boxes = to_boxes(self.boxes, self.source) if self.two_voices else None
        return boxes or (None, None)

    def own_edits(self) -> dict[str, Any]:
        """The timeline's edits, none if they were made for another source."""
        if isinstance(self.edits, dict) and self.edits.get("source") == self.source:
            return NO_EDITS | self.edits
        return NO_EDITS | {"source": self.source}


def filled(request: GenerationRequest, serve: Callable[[str], str]) -> dict[str, Any]:
    """The fields of a form that asks for this film again.

    Args:
        serve: from a file of the film to a copy that the browser may have.
    """
    settings = request.resolve()
    source, voices = serve(request.source), [serve(speaker.audio) for speaker in request.speakers]
    boxes = [speaker.box for speaker in request.speakers]
    edits = {
        "source": source,
        "revision": 1,
        "cuts": None if request.cuts is None else list(request.cuts),
        "pins": [_pin(keyframe, serve) for keyframe in request.keyframes],
        "spans": [
            {"start": guide.start_seconds, "stop": guide.stop_seconds, "prompt": guide.prompt,
             "reference_placement": guide.reference_placement, "control_strength": guide.control_strength}
            for guide in request.guides
        ],
    }  # fmt: skip
    return {
        "source": source, "voice": voices[0], "two_voices": len(voices) == 2,
        "second_voice": voices[1] if len(voices) == 2 else None, "arrangement": request.arrangement,
        "preset": request.preset, "seed": str(request.seed), "prompt": request.prompt, "steps": settings.steps,
        "audio_guidance_scale": settings.audio_guidance_scale, "framing": settings.framing, "edits": edits,
        "boxes": boxes_for(source, boxes) if len(boxes) == 2 and None not in boxes else None,
    } | {name: getattr(request, name) for name in SOURCE_OPTIONS} | from_request(
        camera_of(request), request.head, serve
    ) | from_pose(request.pose, serve) | from_composite(request.composite)  # fmt: skip


def _pin(keyframe: Keyframe, serve: Callable[[str], str]) -> dict[str, Any]:
    image = None if keyframe.image is None else serve(keyframe.image)
    url = None if image is None else f"gradio_api/file={image}"
    return {"time": keyframe.time_seconds, "source": keyframe.source_seconds, "image": image, "url": url}


FORM_FIELDS = tuple(field.name for field in fields(Form))
REMEMBERED = (
    "arrangement", "preset", "seed", "prompt", "steps", "audio_guidance_scale", "framing", "composite", *SOURCE_OPTIONS,
    *(name for name in (*MOVEMENT_FIELDS, *POSE_FIELDS) if not name.endswith(("_file", "_person", "_start"))),
)  # fmt: skip


def with_current_fields(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that a browser remembers from an earlier version of the page, under today's names."""
    fields_now = with_current_names(stored)
    former = {("camera", "redraw"): PATH, ("camera_by", "redraw"): REPROJECTION}
    for name in ("camera", "camera_by"):
        value = fields_now.get(name)
        fields_now[name] = former.get((name, value), value) if isinstance(value, str) else value
    kept_share = fields_now.pop("camera_strength", None)  # what SDEdit kept of the source
    if isinstance(kept_share, (int, float)):
        fields_now.setdefault("denoising_strength", round(1 - kept_share, 9))
    return fields_now
