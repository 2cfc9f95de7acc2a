"""What is said of a request before its film is made, apart from the features that stages check themselves."""

from __future__ import annotations

from ..config.request import GenerationRequest
from ..errors import InputError
from ..media.images import load_image
from ..media.video import Source
from .facts import SourceFacts
from .sources import has_sound

_SHAPES_AGREE = 1.25  # ratio of two aspects up to which a crop takes little away


def check_request(request: GenerationRequest, facts: SourceFacts) -> list[str]:
    """Notes for the user.

    Raises:
        InputError: a keyframe or guide lies outside the film. MediaError: a keyframe's picture is damaged.
    """
    notes = _check_sound(request, facts) + _check_prompts(request, facts) + _check_placements(request, facts)
    for guide in request.guides:
        if guide.start_seconds >= facts.duration_seconds:
            raise InputError(
                f"A guide starts at {guide.start_seconds:g} s but the film lasts {facts.duration_seconds:.2f} s; move "
                "it or remove it."
            )
    return notes + _check_keyframes(request, facts)


def check_length(request: GenerationRequest, source: Source, speech_seconds: float) -> tuple[float, list[str]]:
    """The film's length, and a note where the source ends before the speech does."""
    duration = speech_seconds if request.max_seconds is None else min(speech_seconds, request.max_seconds)
    if duration <= source.duration_seconds:
        return duration, []
    ending = {
        "hold": "its last picture then stays",
        "ping-pong": "it then runs backwards and forwards",
        "stop": "the film stops there",
    }[request.short_source]
    note = f"The source lasts {source.duration_seconds:.1f} s and the speech {speech_seconds:.1f} s; {ending}."
    return (source.duration_seconds if request.short_source == "stop" else duration), [note]


def _check_sound(request: GenerationRequest, facts: SourceFacts) -> list[str]:
    notes = []
    if request.background and not has_sound(facts.source):
        notes.append("The source has no sound of its own, so there is nothing to keep under the speech.")
    if len(request.speakers) > facts.spec.num_speakers:
        notes.append(f"{facts.spec.title} animates one face; both voices move it.")
    return notes


def _check_prompts(request: GenerationRequest, facts: SourceFacts) -> list[str]:
    prompts = [request.prompt, *(guide.prompt for guide in request.guides)]
    if any(prompts) and not facts.spec.takes_prompt:
        return [f"{facts.spec.title} reads no prompt; yours has no effect."]
    return []


def _check_placements(request: GenerationRequest, facts: SourceFacts) -> list[str]:
    chosen = {request.reference_placement, *(guide.reference_placement for guide in request.guides)}
    chosen -= {None, "auto", "edge"}
    notes = []
    if chosen and facts.source.kind == "image":
        names = " and ".join(sorted(chosen))
        notes.append(f"The source is a picture, the same at every moment; reference placement {names} has no effect.")
    if "ends" in chosen and facts.source.kind != "image" and not facts.spec.second_reference:
        notes.append(
            f"{facts.spec.title} was not trained on a second reference; its chunks take their first picture alone."
        )
    return notes


def _check_keyframes(request: GenerationRequest, facts: SourceFacts) -> list[str]:
    notes = []
    for keyframe in request.keyframes:
        if keyframe.time_seconds >= facts.duration_seconds:
            raise InputError(
                f"A keyframe stands at {keyframe.time_seconds:g} s but the film lasts {facts.duration_seconds:.2f} s; "
                "move it or remove it."
            )
        if keyframe.image is not None:
            shape = load_image(keyframe.image).shape  # a damaged one is an error now
            if facts.settings.framing == "whole":
                notes += _shape_note(keyframe.image, shape, facts.source)
    return notes


def _shape_note(path: str, shape: tuple[int, ...], source: Source) -> list[str]:
    """Where a keyframe's picture is much wider or taller than the film."""
    ratio = shape[1] / shape[0] / (source.width / source.height)
    if 1 / _SHAPES_AGREE < ratio < _SHAPES_AGREE:
        return []
    return [
        f"The picture {base_name(path)} has {shape[1]} x {shape[0]} pixels and the source {source.width} x "
        f"{source.height}; of the picture only the middle is used."
    ]


def base_name(path: str) -> str:
    """A file's name, however its folders are separated."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]
