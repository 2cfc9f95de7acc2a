"""The command line: flags into one `GenerationRequest`; `terminal.py` shows what becomes of it.

Exit code 0 means done; 1 means not done, with one sentence on stderr; 130 means interrupted by the user.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .arguments import CommandParser
from .errors import InputError, OutputError, UserError
from .paths import assets_dir
from .request import (
    ADHERENCES,
    GenerationRequest,
    Keyframe,
    Speaker,
    load_preset,
    parse_seed,
    preset_names,
    read_project,
)
from .runtime.quiet import quiet_libraries
from .settings import Lora
from .terminal import checked_output, render

INTERRUPTED = 130
# A usual shape of each size class, for what a preset needs before a source is known; height and width.
_LARGEST_SIZE = {"nano": (256, 256), "480p": (448, 896), "720p": (704, 1280)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    quiet_libraries()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in _PASSED_ON:  # these have a command line of their own
        return _guarded(lambda: _PASSED_ON[arguments[0]](arguments[1:]))
    return _guarded(lambda: _dispatch(arguments))


def _guarded(command: Callable[[], int | None]) -> int:
    """Turn every way to fail into one sentence and an exit code."""
    try:
        return command() or 0
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # ours to mend: keep the traceback for a report, show a sentence
        with tempfile.NamedTemporaryFile("w", prefix="infinitetalk-", suffix=".log", delete=False) as log:
            traceback.print_exc(file=log)
        return _fail(f"Something went wrong inside ({type(error).__name__}); the details are in {log.name}.")


def _fail(sentence: str) -> int:
    print(" ".join(sentence.split()), file=sys.stderr)
    return 1


def _dispatch(arguments: list[str]) -> int | None:
    options = _parser().parse_args(arguments)
    return options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="infinitetalk", description="New speech in, the whole person moves in time with it.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=CommandParser, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--json", action="store_true", help="print JSON for machines")
        sub.set_defaults(run=run)
        return sub

    generate = command("generate", _generate, "make a film from a picture or film and new speech")
    _add_request(generate)
    _add_run(generate)
    plan = command("plan", _plan, "say what a film would take: chunks, time, memory, warnings; loads no weights")
    _add_request(plan)
    resume = command("resume", _resume, "continue a job after a crash or cancel")
    resume.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    resume.add_argument("--relink", action="append", metavar="NAME=FILE|FOLDER", default=[],
                        help="give lost media back: a file, or a folder to look in; known by content; repeatable")
    resume.add_argument("--output", metavar="FILE", help="also write the film here (.mp4)")
    retake = command("retake", _retake, "make one chunk of a finished job once more, with what is given changed")
    retake.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    retake.add_argument("--chunk", required=True, metavar="NUMBER", help="from 0, as `plan` and `takes` count")
    retake.add_argument("--seed", help="whole number (default: other noise than all takes so far)")
    retake.add_argument("--prompt", help="what happens in the picture, where the model reads one")
    retake.add_argument("--text-scale", metavar="NUMBER", help="guidance by the prompt")
    retake.add_argument("--audio-scale", metavar="NUMBER", help="guidance by the speech")
    retake.add_argument("--reference", metavar="FILE|SECONDS", help="a picture or an instant that guides it")
    retake.add_argument("--join", default="blend", help="blend: fade into what follows, which stays; ripple: make what "
                        "follows anew (default: blend)")  # fmt: skip
    retake.add_argument("--output", metavar="FILE", help="also write the film here (.mp4)")
    takes = command("takes", _takes, "list the takes of a job's chunks, or choose one")
    takes.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    takes.add_argument("--chunk", metavar="NUMBER", help="with --use: which chunk")
    takes.add_argument("--use", metavar="TAKE", help="show this take of the chunk; 0 is the first")
    takes.add_argument("--output", metavar="FILE", help="also write the film here (.mp4)")
    demo = command("demo", _demo, "make the bundled portrait say the bundled sentence")
    demo.add_argument("--preset", default="nano", help="default: nano")
    _add_run(demo)
    command("presets", _presets, "list the presets and what they set")
    bench = command("bench", _bench, "measure speed and memory on this machine")
    bench.add_argument("--preset", default="nano", help="default: nano")
    bench.add_argument("--seconds", default="10", help="length of the speech (default: 10)")
    bench.add_argument("--skip-comparison", action="store_true", help="do not time the plain transformer")
    bench.add_argument("--spec", help="instead of a film: a network of this size with random weights (14b or mid)")
    bench.add_argument("--random-weights", action="store_true", help="needed with --spec")
    for name, default, text in (
        ("size", "480p", "480p or 720p"), ("quality", "final", "preset whose guidance is used"),
        ("quant", "none", "none, int8, fp8, int4, nf4 or llm-int8"), ("offload", "none", "none, block or leaf"),
        ("cache", "none", "none, teacache, first-block or mag; over all steps of the preset"),
        ("steps", "2", "measured steps"),
    ):
        bench.add_argument(f"--{name}", default=default, help=f"with --spec: {text} (default: {default})")
    bench.add_argument("--plain", action="store_true", help="with --spec: also time a plain way that keeps nothing")
    for name in _PASSED_ON:
        commands.add_parser(name, help=_PASSED_ON_HELP[name], add_help=False)
    return parser


def _add_request(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument("--keyframe", action="append", metavar="T=FILE|T=SECONDS", default=None,
                        help="guide the stretch at T seconds by a picture or by an instant of the source; repeatable")
    parser.add_argument("--adherence", metavar="[START-STOP=]LEVEL", action="append", default=None,
                        help=f"to a source film, everywhere or in a span of seconds; {'; '.join(_adherences())}")
    parser.add_argument("--prompt-at", metavar="START-STOP=TEXT", action="append", default=None,
                        help="prompt of the chunks whose middle lies in that span of seconds; repeatable")
    parser.add_argument("--lora", action="append", metavar="FILE[:SCALE]", default=None,
                        help="lay a LoRA over the model, 1 as trained; repeatable, instead of the preset's own")
    parser.add_argument("--checkpoints-dir", metavar="DIR", help="folder of weights that do not ship with the package")
    for name, text in (("steps", "network steps per chunk"), ("shift", "of the time schedule"),
                       ("text-scale", "guidance by the prompt"), ("audio-scale", "guidance by the speech"),
                       ("color-correction", "0 to 1"), ("max-seconds", "cut the film there"),
                       ("background", "0 to 1: how loud the source's own sound stays under the speech")):
        parser.add_argument(f"--{name}", metavar="NUMBER", help=text)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--later", action="store_true", help="only make the job's folder, for `queue` or `resume`")
    parser.add_argument("--job-dir", metavar="DIR", help="new folder for the job (default: a new one below jobs/)")
    parser.add_argument("--output", metavar="FILE", help="also write the film here (.mp4)")


def _number(options: argparse.Namespace, name: str) -> float | int | None:
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


def _adherences() -> list[str]:
    return [f"{name}: {meaning}" for name, meaning in ADHERENCES.items()]


def _guide(text: str, name: str, key: str) -> dict[str, Any]:
    span, _, value = text.partition("=")
    start, _, stop = span.partition("-")
    try:
        return {"start_seconds": float(start), "stop_seconds": float(stop), key: value}
    except ValueError:
        raise InputError(f"--{name} is {text!r}; give START-STOP=VALUE in seconds, such as 3-7.5=...") from None


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


def _request(options: argparse.Namespace) -> GenerationRequest:
    from .streaming.job import check_format

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
            "keyframes": [dataclasses.asdict(k) | ({"image": str(folder / k.image)} if k.image else {})
                          for k in base.keyframes],
        }
    for name in (
        "source", "preset", "prompt", "arrangement", "short_source", "long_source", "output_rate", "framing",
        "checkpoints_dir",
    ):  # fmt: skip
        if getattr(options, name) is not None:
            data[name] = getattr(options, name)
    for name in (
        "steps", "shift", "text_scale", "audio_scale", "color_correction", "max_seconds", "background",
    ):  # fmt: skip
        if (value := _number(options, name)) is not None:
            data[name] = value
    if options.seed is not None:
        data["seed"] = parse_seed(options.seed)
    if options.audio is not None or options.audio2 is not None:
        data["speakers"] = [{"audio": audio} for audio in (options.audio, options.audio2) if audio is not None]
    if options.lora is not None:
        data["loras"] = [dataclasses.asdict(parse_lora(text)) for text in options.lora]
    guides = [_guide(text, "prompt-at", "prompt") for text in options.prompt_at or ()]
    for text in options.adherence or ():
        if "=" in text:
            guides.append(_guide(text, "adherence", "adherence"))
        else:
            data["adherence"] = text
    if guides:
        data["guides"] = guides
    if options.keyframe is not None:
        data["keyframes"] = [dataclasses.asdict(_keyframe(text)) for text in options.keyframe]
    if not data.get("source"):
        raise InputError("No picture or film was given; add --source portrait.png.")
    if not data.get("speakers"):
        raise InputError("No speech was given; add --audio speech.wav.")
    return GenerationRequest.from_dict(data, "the command line")


def _generate(options: argparse.Namespace) -> int:
    return _run(_request(options), options)


def _demo(options: argparse.Namespace) -> int:
    request = GenerationRequest(
        source=str(assets_dir() / "portrait.png"),
        speakers=(Speaker(str(assets_dir() / "speech.wav")),),
        preset=options.preset,
    )
    options.output = options.output or _free_name(Path("infinitetalk-demo.mp4"))
    return _run(request, options)


def _run(request: GenerationRequest, options: argparse.Namespace) -> int:
    from .pipeline import generate, load_models, plan, prepare_job
    from .runtime.team import team

    output = checked_output(options.output)
    _keep_inputs(request, output)
    film = plan(request)
    if team().leads:
        for warning in film.warnings:
            print(f"Note: {warning}", file=sys.stderr)
    job_dir = Path(options.job_dir) if options.job_dir else new_job_dir(Path("jobs"), request.source)
    job_dir = Path(team().told(str(job_dir)))
    if options.later:
        print(prepare_job(request, job_dir).path)
        return 0
    return render(generate(request, load_models(request), job_dir), output, options.json)


def _keep_inputs(request: GenerationRequest, output: Path | None) -> None:
    """Refuse an output that would take the place of an input."""
    keyframes = [keyframe.image for keyframe in request.keyframes if keyframe.image]
    for name in (request.source, *(speaker.audio for speaker in request.speakers), *keyframes):
        if output is not None and output.exists() and Path(name).exists() and output.samefile(name):
            raise OutputError(f"The output {output.name} is the source or speech itself; choose another name for it.")


def _resume(options: argparse.Namespace) -> int:
    from .pipeline import resume

    output = checked_output(options.output)
    if options.relink:
        from .streaming.job import JobFolder
        from .streaming.relink import relink

        found = relink(JobFolder.open(options.job_dir), options.relink)
        print(f"Found again: {', '.join(found) or 'nothing'}.", file=sys.stderr)
    return render(resume(options.job_dir), output, options.json)


def _retake(options: argparse.Namespace) -> int:
    from .pipeline import retake
    from .streaming.retakes import Recipe

    output = checked_output(options.output)
    reference: dict[str, Any] = {}
    if options.reference is not None:
        try:
            reference["reference_seconds"] = float(options.reference)
        except ValueError:
            reference["reference_image"] = str(Path(options.reference).absolute())
    recipe = Recipe(
        seed=None if options.seed is None else parse_seed(options.seed), prompt=options.prompt, join=options.join,
        text_scale=_number(options, "text_scale"), audio_scale=_number(options, "audio_scale"), **reference,
    )
    return render(retake(options.job_dir, _whole(options, "chunk"), recipe), output, options.json)


def _takes(options: argparse.Namespace) -> int | None:
    from .pipeline import choose_take, plan
    from .streaming.job import JobFolder
    from .streaming.retakes import ChunkTakes, read_takes

    if (options.use is None) != (options.chunk is None):
        raise InputError("takes chooses with --chunk and --use together, such as --chunk 3 --use 1.")
    if options.use is not None:
        events = choose_take(options.job_dir, _whole(options, "chunk"), _whole(options, "use"))
        return render(events, checked_output(options.output), options.json)
    job = JobFolder.open(options.job_dir)
    known = read_takes(job)
    listed = []
    for chunk in plan(job.request).chunks:
        own = known.get(chunk.index, ChunkTakes())
        recipes = [{}, *({k: v for k, v in dataclasses.asdict(r).items() if v is not None} for r in own.recipes)]
        listed.append({"chunk": chunk.index, "start_seconds": chunk.start_seconds, "stop_seconds": chunk.stop_seconds,
                       "chosen": own.chosen, "takes": recipes})  # fmt: skip
        if options.json:
            continue
        print(f"{chunk.index:4d}  {chunk.start_seconds:8.2f} to {chunk.stop_seconds:8.2f} s")
        for take, recipe in enumerate(recipes if own.recipes else ()):
            described = ", ".join(f"{key} {value}" for key, value in recipe.items()) or "the film's own"
            print(f"      {'*' if take == own.chosen else ' '} take {take}: {described}")
    if options.json:
        print(json.dumps(listed, indent=2))
    return None


def _whole(options: argparse.Namespace, name: str) -> int:
    value = _number(options, name)
    if value != int(value):
        raise InputError(f"--{name} is {value:g}; give a whole number.")
    return int(value)


def _plan(options: argparse.Namespace) -> None:
    from .pipeline import plan

    film = plan(_request(options))
    if options.json:
        print(json.dumps(film.to_dict(), indent=2))
    else:
        print(film.describe())


def _presets(options: argparse.Namespace) -> None:
    from .auto import choose
    from .machine import this_machine
    from .models.specs import get_spec
    from .runtime.memory import needs_of, shortfalls

    machine = this_machine()
    presets = {}
    for name in preset_names():
        settings = load_preset(name)
        needs = needs_of(get_spec(settings.model), settings, *_LARGEST_SIZE[settings.size])
        lacking = shortfalls(needs, machine, settings)
        presets[name] = dataclasses.asdict(settings) | {
            "needs": {"vram_mb": needs.vram_mb, "ram_mb": needs.ram_mb}, "fits": not lacking, "lacks": lacking
        }
        if not options.json:
            fit = "fits this machine" if not lacking else "does not fit this machine"
            print(f"{name:24} {settings.description}")
            print(f"{'':24} {settings.model}, {settings.steps} steps, shift {settings.shift:g}, "
                  f"text {settings.text_scale:g}, audio {settings.audio_scale:g}; {needs.describe()}: {fit}")
    chosen = choose()
    if options.json:
        print(json.dumps(presets, indent=2))
    else:
        print(f"{'auto':24} {chosen.sentence}")


def _bench(options: argparse.Namespace) -> None:
    if options.spec is not None:
        _bench_model(options)
        return
    from .benchmarks.film import bench

    seconds = _number(options, "seconds")
    if not 0 < seconds <= 36_000:
        raise InputError(f"--seconds is {seconds:g}; give a length from 0.1 to 36000.")
    load_preset(options.preset)  # a wrong name is told here and not by the measuring process
    result = bench(options.preset, seconds, compare=not options.skip_comparison)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name:36} {value:.3f}" if isinstance(value, float) else f"{name:36} {value}")


def _bench_model(options: argparse.Namespace) -> None:
    from .benchmarks.model import ModelBench, bench_model, table

    if not options.random_weights:
        raise InputError("bench --spec measures with random weights; add --random-weights to say so.")
    steps = _number(options, "steps")
    if not 1 <= steps <= 40 or steps != int(steps):
        raise InputError(f"--steps is {steps:g}; give a whole number from 1 to 40.")
    result = bench_model(
        ModelBench(
            options.spec, options.size, options.quality, options.quant, options.offload, options.cache, int(steps),
            options.plain,
        )
    )
    print(json.dumps(result, indent=2) if options.json else table([result]))


def _train(arguments: list[str]) -> int | None:
    from .training.cli import main as train

    return train(arguments)


def _evaluate(arguments: list[str]) -> int | None:
    from .evaluation.cli import main as evaluate

    return evaluate(arguments)


def _compare(arguments: list[str]) -> int:
    from .comparison.cli import main as compare

    return compare(arguments)


def _checkpoints(arguments: list[str]) -> int | None:
    from .checkpoints.cli import main as checkpoints

    return checkpoints(arguments)


def _queue(arguments: list[str]) -> int:
    from .queue_cli import main as queue

    return queue(arguments)


def _pose(arguments: list[str]) -> int:
    from .control.cli import pose_main as pose

    return pose(arguments)


def _camera(arguments: list[str]) -> int:
    from .control.cli import camera_main as camera

    return camera(arguments)


def _lock(arguments: list[str]) -> int:
    from .control.lock_cli import lock_main as lock

    return lock(arguments)


def _followed(arguments: list[str]) -> int:
    from .control.followed_cli import followed_main as followed

    return followed(arguments)


_PASSED_ON: dict[str, Callable[[list[str]], int | None]] = {
    "train": _train, "evaluate": _evaluate, "checkpoints": _checkpoints, "compare": _compare,
    "queue": _queue,
    "pose": _pose, "camera": _camera, "lock": _lock, "followed": _followed,
}  # fmt: skip
_PASSED_ON_HELP = {
    "queue": "films to make one after another: add, reorder, pause, run",
    "train": "train the small model",
    "evaluate": "measure the small model against the truth",
    "pose": "read a person's movement from a film, and see the skeleton that would steer",
    "camera": "see a camera movement over a picture, ready-made or followed from a film",
    "lock": "keep the source's own pixels around the person who speaks",
    "followed": "how well a film follows a pose or a camera path",
    "compare": "show two films against each other, as a film or a page to share",
    "checkpoints": "list, locate, download, verify and convert models that do not ship",
}


def new_job_dir(parent: Path, source: str) -> Path:
    """A folder name below `parent` that nothing uses yet: source name and local time."""
    return _free_name(parent / f"{Path(source).stem[:40]}-{time.strftime('%Y%m%d-%H%M%S')}")


def _free_name(path: Path) -> Path:
    candidate, number = path, 2
    while candidate.exists():
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return candidate
