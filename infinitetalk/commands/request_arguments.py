"""The flags that say which film to make, and the request that they become."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config.camera import MOVEMENTS, Camera
from ..config.composite import Composite
from ..config.head import LIVELY, Head
from ..config.pose import POSE_MODES, Pose
from ..config.request import REFERENCE_PLACEMENTS, GenerationRequest, Keyframe, parse_seed, preset_names, read_project
from ..config.settings import Lora
from ..config.shares import FOLLOW
from ..errors import InputError


def add_request(parser: argparse.ArgumentParser) -> None:
    """The flags of a film."""
    parser.add_argument("--source", metavar="FILE", help="picture or film of the person")
    parser.add_argument("--audio", metavar="FILE", help="the speech: a sound file, or a film's sound track")
    parser.add_argument("--audio2", metavar="FILE", help="a second person's speech")
    parser.add_argument("--project", metavar="FILE", help="a project.json; other flags override what it holds")
    parser.add_argument("--preset", help=f"one of {', '.join(preset_names())}, or a .yaml file (default: nano)")
    parser.add_argument("--seed", help="whole number (default: 7)")
    parser.add_argument("--prompt", help="what happens in the picture, where the model reads one")
    parser.add_argument("--arrangement", help="of two voices: together or in-turn")
    parser.add_argument("--short-source", help="when a film ends before the speech: hold, ping-pong or stop")
    parser.add_argument("--long-source", help="when a film ends after the speech: trim it, or keep its rest as it is")
    parser.add_argument("--output-rate", help="frames per second of the film: 25, or source for the source's own")
    parser.add_argument("--framing", help="face: cut to the face; whole: keep the picture")
    parser.add_argument(
        "--keyframe",
        action="append",
        metavar="T=FILE|T=SECONDS",
        default=None,
        help="guide the stretch at T seconds by a picture or by an instant of the source; repeatable",
    )
    parser.add_argument(
        "--reference_placement",
        metavar="[START-STOP=]LEVEL",
        action="append",
        default=None,
        help=f"to a source film, everywhere or in a span of seconds; {_named(REFERENCE_PLACEMENTS)}",
    )
    parser.add_argument(
        "--prompt-at",
        metavar="START-STOP=TEXT",
        action="append",
        default=None,
        help="prompt of the chunks whose middle lies in that span of seconds; repeatable",
    )
    parser.add_argument(
        "--cut",
        action="append",
        metavar="SECONDS",
        default=None,
        help="a shot of the source begins there; repeatable, instead of those found; none: no cuts",
    )
    parser.add_argument(
        "--lora",
        action="append",
        metavar="FILE[:SCALE]",
        default=None,
        help="lay a LoRA over the model, 1 as trained; repeatable, instead of the preset's own",
    )
    parser.add_argument("--checkpoints-dir", metavar="DIR", help="folder of weights that do not ship with the package")
    parser.add_argument(
        "--camera",
        metavar="MOVEMENT[:AMOUNT]|sdedit[:STRENGTH]|none",
        help=f"{', '.join(MOVEMENTS)}, {FOLLOW} (the source's own) or a path's .json; or sdedit: keep the source's",
    )
    parser.add_argument(
        "--uni3c",
        metavar="STRENGTH[@FIRST-LAST]",
        help="the camera's path is shown to the network Uni3C (1 as trained, 0 to 2), in all steps or in a share of "
        "them, instead of drawing finished pictures again",
    )
    parser.add_argument(
        "--pose",
        metavar="follow|FILM|SEQUENCE.npz[:STRENGTH]|none",
        help="the body moves as in the source film, another film, or what `infinitetalk pose` recorded, through the "
        "network UniAnimate (1 as trained, 0 to 2)",
    )
    parser.add_argument("--pose-by", metavar="NETWORK", help=_named(POSE_MODES))
    parser.add_argument("--pose-start", metavar="SECONDS", help="where in that movement the film begins")
    parser.add_argument("--pose-speed", metavar="NUMBER", help="of that movement, 0.25 to 4")
    parser.add_argument("--pose-steps", metavar="FIRST-LAST", help="steps in which the pose acts, as shares: 0-0.7")
    parser.add_argument("--pose-person", metavar="N|X,Y", help="whom of several people to follow")
    parser.add_argument(
        "--steering-at",
        metavar="START-STOP=FACTOR",
        action="append",
        default=None,
        help="of the strength of pose and Uni3C in that span of seconds, 0 to 2; repeatable",
    )
    parser.add_argument(
        "--head",
        metavar="lively|follow|FILM[:AMOUNT]|none",
        help="a head that moves: as people do who talk, as in the source film, or as in another film",
    )
    parser.add_argument(
        "--lock",
        nargs="?",
        const="",
        metavar="N|X,Y|none",
        help="around the person the source's own pixels stay; of several people the N-th from the left, or at a point",
    )
    for name, text in (
        ("steps", "network steps per chunk"),
        ("shift", "of the time schedule"),
        ("guidance-scale", "guidance by the prompt"),
        ("audio-guidance-scale", "guidance by the speech"),
        ("color-correction", "0 to 1"),
        ("max-seconds", "cut the film there"),
        ("background", "0 to 1: how loud the source's own sound stays under the speech"),
    ):
        parser.add_argument(f"--{name}", metavar="NUMBER", help=text)


def number_of(options: argparse.Namespace, name: str) -> float | int | None:
    """A flag's number, None where it was not given; `steps` is whole.

    Raises:
        InputError: it is no number.
    """
    text = getattr(options, name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"--{name.replace('_', '-')} is {text!r}; give a number.") from None
    return int(value) if value.is_integer() and name == "steps" else value


def _keyframe(text: str) -> Keyframe:
    time_text, _, target = text.partition("=")
    try:
        seconds = float(time_text)
    except ValueError:
        raise InputError(
            f"--keyframe is {text!r}; give TIME=PICTURE or TIME=SOURCE_SECONDS, such as 3.5=smile.png."
        ) from None
    try:
        return Keyframe(seconds, source_seconds=float(target))
    except InputError:
        raise
    except ValueError:
        return Keyframe(seconds, image=target or None)


def _named(choices: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {meaning}" for name, meaning in choices.items())


def _in_folder(choice: Camera | Head | Pose | None, folder: Path, name: str) -> Camera | Head | Pose | None:
    if choice is None or choice.file is None:
        return choice
    return dataclasses.replace(choice, **{name: str(folder / choice.file)})


def _instant(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--{name} is {text!r}; give seconds, such as 12.5.") from None


def _guide(text: str, name: str, key: str) -> dict[str, Any]:
    span, _, value = text.partition("=")
    start, _, stop = span.partition("-")
    try:
        return {"start_seconds": float(start), "stop_seconds": float(stop), key: value}
    except ValueError:
        raise InputError(f"--{name} is {text!r}; give START-STOP=VALUE in seconds, such as 3-7.5=...") from None


def _factor(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--steering-at gives the factor {text!r}; give a number from 0 to 2.") from None


def parse_lora(text: str) -> Lora:
    """`style.safetensors:0.8` or `style.safetensors`; what follows the last colon counts if it is a number.

    Raises:
        InputError: no file, or a scale that is not allowed.
    """
    file, _, number = text.rpartition(":")
    try:
        scale = float(number)
    except ValueError:  # no number: the colon, if there is one, belongs to the path
        file, scale = text, 1.0
    # A job may be continued from another folder; names of published files stay as they are.
    return Lora(str(Path(file).absolute()) if Path(file).is_file() else file or text, scale)


def parse_camera(text: str) -> Camera | None:
    """`push in`, `orbit:-0.5`, `path.json`, `follow`, `sdedit:0.4`, or `none`.

    Raises:
        InputError: no such movement, or a number out of range.
    """
    name, value = _with_number(text)
    if name.strip().lower() == "none":
        return None
    if name.strip().lower() == "sdedit":
        return Camera("sdedit", FOLLOW) if value is None else Camera("sdedit", FOLLOW, strength=value)
    path = str(Path(name).absolute()) if Path(name).is_file() else name
    return Camera(path=path) if value is None else Camera(path=path, amount=value)


def parse_head(text: str) -> Head | None:
    """`lively`, `follow:0.5`, `dance.mp4`, or `none`. Raises InputError."""
    name, value = _with_number(text)
    if name.strip().lower() == "none":
        return None
    word = name.strip().lower()
    source = word if word in (LIVELY, FOLLOW) else str(Path(name).absolute())
    return Head(source) if value is None else Head(source, value)


def with_uni3c(camera: Camera | None, text: str) -> Camera:
    """`1` or `0.8@0-0.6` laid over the camera's path. Raises InputError."""
    if camera is None or camera.mode == "sdedit":
        raise InputError("--uni3c needs a path to show; add --camera with a movement, follow or a path's .json.")
    strength, _, steps = text.partition("@")
    first, last = _shares("uni3c", steps) if steps else (0.0, 1.0)
    try:
        value = float(strength)
    except ValueError:
        raise InputError(f"--uni3c is {text!r}; give a strength such as 1, or 0.8@0-0.6.") from None
    return Camera("uni3c", camera.path, camera.amount, value, first, last)


def parse_pose(text: str) -> Pose | None:
    """`follow`, `dance.mp4:0.8`, `walk.npz`, or `none`. Raises InputError."""
    name, value = _with_number(text)
    word = name.strip().lower()
    if word == "none":
        return None
    source = word if word == FOLLOW else str(Path(name).absolute())
    return Pose(source=source) if value is None else Pose(source=source, strength=value)


def _shares(name: str, text: str) -> tuple[float, float]:
    first, _, last = text.partition("-")
    try:
        return float(first), float(last)
    except ValueError:
        raise InputError(f"--{name} names the steps {text!r}; give FIRST-LAST as shares, such as 0-0.7.") from None


def _over_pose(pose: Pose | None, options: argparse.Namespace) -> Pose | None:
    """With the flags that say more of a movement. Raises InputError."""
    told: dict[str, Any] = {}
    if options.pose_by is not None:
        told["mode"] = options.pose_by
    for name, field in (("pose_start", "offset_seconds"), ("pose_speed", "speed")):
        if (value := number_of(options, name)) is not None:
            told[field] = value
    if options.pose_steps is not None:
        told["first"], told["last"] = _shares("pose-steps", options.pose_steps)
    if options.pose_person is not None:
        told["person"] = options.pose_person
    if told and pose is None:
        raise InputError(
            "Where a movement starts, its speed, steps, person and network say nothing without one; add --pose."
        )
    return dataclasses.replace(pose, **told) if told else pose


def _with_number(text: str) -> tuple[str, float | None]:
    """`orbit:-0.5` as (orbit, -0.5); what follows the last colon counts if it is a number."""
    name, _, given = text.rpartition(":")
    try:
        return (name, float(given)) if name else (text, None)
    except ValueError:
        return text, None


def read_request(options: argparse.Namespace) -> GenerationRequest:
    """The request that the flags make, over what `--project` holds.

    Raises:
        UserError: a flag or the project cannot be used.
    """
    from ..jobs.folder import check_format

    data: dict[str, Any] = {}
    if options.project:
        path = Path(options.project)
        project = read_project(path)
        check_format(project, str(path))
        base = GenerationRequest.from_dict(project.get("request"), str(path))
        folder = path.absolute().parent
        data = base.to_dict() | {
            "source": str(folder / base.source),
            "speakers": [{"audio": str(folder / s.audio), "box": s.box} for s in base.speakers],
            "camera": _in_folder(base.camera, folder, "path"),
            "head": _in_folder(base.head, folder, "source"),
            "pose": _in_folder(base.pose, folder, "source"),
            "keyframes": [
                dataclasses.asdict(k) | ({"image": str(folder / k.image)} if k.image else {}) for k in base.keyframes
            ],
        }
    for name in (
        "source", "preset", "prompt", "arrangement", "short_source", "long_source", "output_rate", "framing",
        "checkpoints_dir",
    ):  # fmt: skip
        if getattr(options, name) is not None:
            data[name] = getattr(options, name)
    for name in (
        "steps", "shift", "guidance_scale", "audio_guidance_scale", "color_correction", "max_seconds", "background",
    ):  # fmt: skip
        if (value := number_of(options, name)) is not None:
            data[name] = value
    if options.seed is not None:
        data["seed"] = parse_seed(options.seed)
    if options.audio is not None or options.audio2 is not None:
        data["speakers"] = [{"audio": audio} for audio in (options.audio, options.audio2) if audio is not None]
    if options.camera is not None:
        data["camera"] = parse_camera(options.camera)
    if options.head is not None:
        data["head"] = parse_head(options.head)
    if options.uni3c is not None:
        data["camera"] = with_uni3c(Camera.of(data.get("camera")), options.uni3c)
    if options.pose is not None:
        data["pose"] = parse_pose(options.pose)
    data["pose"] = _over_pose(Pose.of(data.get("pose")), options)
    if options.lock is not None:
        data["lock"] = None if options.lock.strip().lower() == "none" else Composite(options.lock)
    if options.lora is not None:
        data["loras"] = [dataclasses.asdict(parse_lora(text)) for text in options.lora]
    guides = [_guide(text, "prompt-at", "prompt") for text in options.prompt_at or ()]
    for text in options.steering_at or ():
        guide = _guide(text, "steering-at", "steering")
        guides.append(guide | {"steering": _factor(guide["steering"])})
    for text in options.reference_placement or ():
        if "=" in text:
            guides.append(_guide(text, "reference_placement", "reference_placement"))
        else:
            data["reference_placement"] = text
    if guides:
        data["guides"] = guides
    if options.keyframe is not None:
        data["keyframes"] = [dataclasses.asdict(_keyframe(text)) for text in options.keyframe]
    if options.cut is not None:
        data["cuts"] = [] if options.cut == ["none"] else [_instant("cut", text) for text in options.cut]
    if not data.get("source"):
        raise InputError("No picture or film was given; add --source portrait.png.")
    if not data.get("speakers"):
        raise InputError("No speech was given; add --audio speech.wav.")
    return GenerationRequest.from_dict(data, "the command line")
