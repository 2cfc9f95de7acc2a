"""The flags that say which film to make, and the request that they become."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config.camera import DEFAULT_DENOISING_STRENGTH, MOVEMENTS, SDEdit
from ..config.pose import FASTEST, POSE_MODES, SLOWEST, Pose
from ..config.request import (
    MAX_STEPS,
    OVERRIDABLE,
    REFERENCE_PLACEMENTS,
    GenerationRequest,
    parse_seed,
    read_project,
)
from ..config.settings import CHOICES
from ..config.shares import FOLLOW, MAX_CONTROL_STRENGTH, Choice, from_table
from ..errors import InputError
from .arguments import TakesFlags, add_flag, number_of
from .flag_values import (
    parse_camera,
    parse_camera_control,
    parse_composite,
    parse_guide,
    parse_head,
    parse_instant,
    parse_keyframe,
    parse_lora,
    parse_pose,
    parse_sdedit,
    parse_steps,
    parse_strength_guide,
)

# Fields of a request whose flag holds the field's text as it is, and those whose flag holds a number.
_TEXTS = (
    "source", "preset", "prompt", "negative_prompt", "arrangement", "short_source", "long_source", "output_rate",
    "size", "checkpoints_dir", *(name for name in OVERRIDABLE if name in CHOICES),
)  # fmt: skip
_NUMBERS = (
    "max_seconds", "background", *(name for name in OVERRIDABLE if name not in CHOICES and name != "loras"),
)  # fmt: skip
_CAMERA_FIELDS = ("camera", "camera_control", "sdedit")


def add_request(parser: argparse.ArgumentParser) -> TakesFlags:
    """Add the flags of a film in groups; returns the last group, which is of the output."""
    for title, add in (
        ("input", _add_input), ("speakers and audio", _add_speech), ("references", _add_references),
        ("guidance", _add_guidance), ("camera and head", _add_camera_and_head), ("pose", _add_pose),
        ("picture", _add_picture), ("machine", _add_machine),
    ):  # fmt: skip
        add(parser.add_argument_group(title))
    output = parser.add_argument_group("output")
    output.add_argument("--max-seconds", metavar="SECONDS", help="the film ends there")
    output.add_argument("--output-rate", metavar="25|source", help="frames per second: 25, or those of the source")
    return output


def _add_input(group: TakesFlags) -> None:
    group.add_argument("--source", metavar="FILE", help="picture or film of the person")
    group.add_argument("--project", metavar="FILE", help="a project.json; other flags override what it holds")
    group.add_argument(
        "--preset",
        metavar="NAME|FILE.yaml",
        help="such as auto, final+auto or draft+48gb; `infinitetalk presets` lists all (default: nano)",
    )
    group.add_argument(
        "--short-source", metavar="hold|ping-pong|stop", help="what follows when a film ends before the speech"
    )
    group.add_argument(
        "--long-source", metavar="trim|keep", help="when a film ends after the speech: trim it, or keep its rest as is"
    )
    group.add_argument(
        "--cut",
        action="append",
        metavar="SECONDS",
        help="a shot of the source begins there; repeatable, instead of the cuts found; none: no cuts",
    )


def _add_speech(group: TakesFlags) -> None:
    group.add_argument("--audio", metavar="FILE", help="the speech: a sound file, or a film's sound track")
    group.add_argument("--audio2", metavar="FILE", help="a second person's speech")
    group.add_argument("--arrangement", metavar="together|in-turn", help="how two voices meet")
    group.add_argument("--background", metavar="NUMBER", help="loudness of the source's own sound, 0 to 1 (default: 0)")


def _add_references(group: TakesFlags) -> None:
    group.add_argument(
        "--keyframe",
        action="append",
        metavar="T=FILE|T=SECONDS",
        help="the chunk at T seconds takes a picture, or an instant of the source, as its reference; repeatable",
    )
    add_flag(
        group,
        "--reference-placement",
        "--adherence",
        metavar="[START-STOP=]PLACEMENT",
        action="append",
        help=f"of a source film's pictures, everywhere or in a span of seconds; {_named(REFERENCE_PLACEMENTS)}",
    )


def _add_guidance(group: TakesFlags) -> None:
    group.add_argument("--prompt", metavar="TEXT", help="what happens in the picture, where the model reads a prompt")
    group.add_argument(
        "--negative-prompt", metavar="TEXT", help="what the picture must not show, where the model reads a prompt"
    )
    group.add_argument(
        "--prompt-at",
        metavar="START-STOP=TEXT",
        action="append",
        help="prompt of the chunks whose middle lies in that span of seconds; repeatable",
    )
    add_flag(group, "--guidance-scale", "--text-scale", metavar="NUMBER", help="guidance by the prompt")
    add_flag(group, "--audio-guidance-scale", "--audio-scale", metavar="NUMBER", help="guidance by the speech")
    group.add_argument("--steps", metavar="NUMBER", help=f"network steps per chunk, 1 to {MAX_STEPS}")
    group.add_argument("--shift", metavar="NUMBER", help="of the time schedule (default: the preset's for the size)")
    group.add_argument("--seed", metavar="NUMBER", help="of the noise, a whole number (default: 7)")


def _add_camera_and_head(group: TakesFlags) -> None:
    strongest = f"{MAX_CONTROL_STRENGTH:g}"
    group.add_argument(
        "--camera",
        metavar=f"MOVEMENT[:AMOUNT]|{FOLLOW}|FILE.json|none",
        help="finished pictures are reprojected along this camera path. A movement is one of "
        f"{', '.join(MOVEMENTS)}; {FOLLOW} takes the source film's path; the file is one of `infinitetalk camera`",
    )
    add_flag(
        group,
        "--camera-control",
        "--uni3c",
        metavar="STRENGTH[@FIRST-LAST]",
        help="the network Uni3C follows the path of --camera during generation, instead of the reprojection. "
        f"Strength of its control residuals: 0 to {strongest}, 1 as trained; first and last step as shares, such as "
        "0.8@0-0.6",
    )
    group.add_argument(
        "--sdedit",
        nargs="?",
        const="",
        metavar="DENOISING_STRENGTH|none",
        help="chunks start from the source's own frames; 1 starts from noise alone, 0 keeps the source "
        f"(default: {DEFAULT_DENOISING_STRENGTH:g})",
    )
    group.add_argument(
        "--head",
        metavar=f"lively|{FOLLOW}|FILM[:AMOUNT]|none",
        help=f"a head that moves as people do who talk, as in the source film ({FOLLOW}), or as in another film",
    )


def _add_pose(group: TakesFlags) -> None:
    strongest = f"{MAX_CONTROL_STRENGTH:g}"
    group.add_argument(
        "--pose",
        metavar=f"{FOLLOW}|FILM|SEQUENCE.npz[:STRENGTH]|none",
        help=f"the body follows the source film ({FOLLOW}), another film, or a sequence of `infinitetalk pose`, "
        f"through a control network. Strength of its control residuals: 0 to {strongest}, 1 as trained",
    )
    group.add_argument("--pose-by", metavar="NETWORK", help=_named(POSE_MODES))
    group.add_argument("--pose-start", metavar="SECONDS", help="where in that movement the film begins")
    group.add_argument("--pose-speed", metavar="NUMBER", help=f"speed of that movement, {SLOWEST:g} to {FASTEST:g}")
    group.add_argument("--pose-steps", metavar="FIRST-LAST", help="steps with control residuals, as shares: 0-0.7")
    group.add_argument("--pose-person", metavar="N|X,Y", help="choose the person: number from the left, or a point")
    add_flag(
        group,
        "--control-strength-at",
        "--steering-at",
        metavar="START-STOP=FACTOR",
        action="append",
        help=f"factor of the strengths of --pose and --camera-control in that span of seconds, 0 to {strongest}; "
        "repeatable",
    )


def _add_picture(group: TakesFlags) -> None:
    group.add_argument("--size", metavar="480p|720p", help="of the pictures; the preset's shift follows it")
    group.add_argument("--framing", metavar=_choices("framing"), help="cut the source to the face, or keep the whole")
    group.add_argument("--color-correction", metavar="NUMBER", help="match colours to the reference, 0 (off) to 1")
    group.add_argument(
        "--lora",
        action="append",
        metavar="FILE[:SCALE]",
        help="add a LoRA to the model, 1 as trained; repeatable, instead of the preset's own",
    )
    add_flag(
        group,
        "--composite",
        "--lock",
        nargs="?",
        const="",
        metavar="N|X,Y|none",
        help="background compositing: the source's own pixels stay around the person; of several people the N-th from "
        "the left, or the one at a point",
    )


def _add_machine(group: TakesFlags) -> None:
    group.add_argument("--checkpoints-dir", metavar="DIR", help="folder of weights that do not ship with the package")
    for name, text in (
        ("quantization", "number format of the transformer's weights"),
        ("offload", "weights wait in main memory and come in by block or by leaf module"),
        ("attention", "attention backend"),
        ("cache", "steps that are answered from the step before"),
    ):
        if name in OVERRIDABLE:
            group.add_argument(f"--{name}", metavar=_choices(name), help=f"{text} (default: the preset's)")
    group.add_argument(
        "--cache-threshold", metavar="NUMBER", help="change up to which the cache answers a step (default: the cache's)"
    )


def _choices(name: str) -> str:
    return "|".join(CHOICES[name])


def _named(choices: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {meaning}" for name, meaning in choices.items())


def read_request(options: argparse.Namespace) -> GenerationRequest:
    """The request that the flags make, over what `--project` holds.

    Raises:
        UserError: a flag or the project cannot be used.
    """
    data = _project_fields(Path(options.project)) if options.project else {}
    data |= {name: getattr(options, name) for name in _TEXTS if getattr(options, name) is not None}
    data |= _number_fields(options)
    data |= _input_fields(options)
    data |= _camera_fields(data, options)
    data |= _movement_fields(data, options)
    data |= _span_fields(options)
    if not data.get("source"):
        raise InputError("No picture or film was given; add --source portrait.png.")
    if not data.get("speakers"):
        raise InputError("No speech was given; add --audio speech.wav.")
    return GenerationRequest.from_dict(data, "the command line")


def _project_fields(path: Path) -> dict[str, Any]:
    """The request in a project file, with the paths in the project's folder made absolute."""
    from ..jobs.folder import check_format

    project = read_project(path)
    check_format(project, str(path))
    base = GenerationRequest.from_dict(project.get("request"), str(path))
    folder = path.absolute().parent
    return base.to_dict() | {
        "source": str(folder / base.source),
        "speakers": [{"audio": str(folder / s.audio), "box": s.box} for s in base.speakers],
        **{name: _in_folder(choice, folder) for name, choice in base.choices.items()},
        "keyframes": [
            dataclasses.asdict(k) | ({"image": str(folder / k.image)} if k.image else {}) for k in base.keyframes
        ],
    }


def _in_folder(choice: Choice, folder: Path) -> Choice:
    """The choice with the file that it names, if any, below `folder`."""
    if choice.file is None:
        return choice
    named = [f.name for f in dataclasses.fields(choice) if getattr(choice, f.name) == choice.file]
    return dataclasses.replace(choice, **dict.fromkeys(named, str(folder / choice.file)))


def _number_fields(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: value for name in _NUMBERS if (value := number_of(options, name)) is not None}
    if "steps" in given and given["steps"].is_integer():
        given["steps"] = int(given["steps"])
    return given


def _input_fields(options: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if options.seed is not None:
        given["seed"] = parse_seed(options.seed)
    if options.audio is not None or options.audio2 is not None:
        given["speakers"] = [{"audio": audio} for audio in (options.audio, options.audio2) if audio is not None]
    if options.lora is not None:
        given["loras"] = [dataclasses.asdict(parse_lora(text)) for text in options.lora]
    if options.keyframe is not None:
        given["keyframes"] = [dataclasses.asdict(parse_keyframe(text)) for text in options.keyframe]
    if options.cut is not None:
        given["cuts"] = [] if options.cut == ["none"] else [parse_instant("cut", text) for text in options.cut]
    return given


def _camera_fields(data: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The three ways to move the camera. What flags choose takes the place of what a project holds."""
    given = {name: data.get(name) for name in _CAMERA_FIELDS}
    if options.camera is not None:
        choice = parse_camera(options.camera)
        given = dict.fromkeys(_CAMERA_FIELDS) | {"sdedit" if isinstance(choice, SDEdit) else "camera": choice}
    if options.camera_control is not None:
        path = given["camera"] or given["camera_control"]
        given |= {"camera": None, "camera_control": parse_camera_control(options.camera_control, path)}
    if options.sdedit is not None:
        choice = parse_sdedit(options.sdedit)
        if choice is not None and options.camera is None and options.camera_control is None:
            given = dict.fromkeys(_CAMERA_FIELDS)
        given |= {"sdedit": choice}
    return given


def _movement_fields(data: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if options.head is not None:
        given["head"] = parse_head(options.head)
    if options.composite is not None:
        given["composite"] = parse_composite(options.composite)
    pose = parse_pose(options.pose) if options.pose is not None else from_table(Pose, data.get("pose"), "pose")
    return given | {"pose": _over_pose(pose, options)}


def _over_pose(pose: Pose | None, options: argparse.Namespace) -> Pose | None:
    """The pose with the values of the other --pose flags. Raises InputError."""
    given: dict[str, Any] = {}
    if options.pose_by is not None:
        given["mode"] = options.pose_by
    for name, field in (("pose_start", "offset_seconds"), ("pose_speed", "speed")):
        if (value := number_of(options, name)) is not None:
            given[field] = value
    if options.pose_steps is not None:
        given["first"], given["last"] = parse_steps("pose-steps", options.pose_steps)
    if options.pose_person is not None:
        given["person"] = options.pose_person
    if given and pose is None:
        raise InputError("A flag such as --pose-speed was given without a movement to change; add --pose.")
    return dataclasses.replace(pose, **given) if given else pose


def _span_fields(options: argparse.Namespace) -> dict[str, Any]:
    """What differs in single spans, and the placement that counts everywhere."""
    given: dict[str, Any] = {}
    guides = [parse_guide("prompt-at", text, "prompt") for text in options.prompt_at or ()]
    guides += [parse_strength_guide("control-strength-at", text) for text in options.control_strength_at or ()]
    for text in options.reference_placement or ():
        if "=" in text:
            guides.append(parse_guide("reference-placement", text, "reference_placement"))
        else:
            given["reference_placement"] = text
    return given | {"guides": guides} if guides else given
