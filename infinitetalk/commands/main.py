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

from ..config.request import GenerationRequest, Head, Speaker, load_preset, parse_seed, preset_names
from ..errors import InputError, OutputError, UserError
from ..models.specs import get_spec
from ..paths import assets_dir
from ..runtime.auto import on_this_machine
from ..runtime.log_levels import limit_library_logs
from .arguments import CommandParser
from .request_arguments import add_request, number_of, read_request
from .terminal import checked_output, render

INTERRUPTED = 130
# A usual shape of each size class, for what a preset needs before a source is known; height and width.
_LARGEST_SIZE = {"nano": (256, 256), "480p": (448, 896), "720p": (704, 1280)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    limit_library_logs()
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
    add_request(generate)
    _add_run(generate)
    plan = command("plan", _plan, "say what a film would take: chunks, time, memory, warnings; loads no weights")
    add_request(plan)
    resume = command("resume", _resume, "continue a job after a crash or cancel")
    resume.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    resume.add_argument(
        "--relink",
        action="append",
        metavar="NAME=FILE|FOLDER",
        default=[],
        help="give lost media back: a file, or a folder to look in; known by content; repeatable",
    )
    resume.add_argument("--output", metavar="FILE", help="also write the film here (.mp4)")
    retake = command("retake", _retake, "make one chunk of a finished job once more, with what is given changed")
    retake.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    retake.add_argument("--chunk", required=True, metavar="NUMBER", help="from 0, as `plan` and `takes` count")
    retake.add_argument("--seed", help="whole number (default: other noise than all takes so far)")
    retake.add_argument("--prompt", help="what happens in the picture, where the model reads one")
    retake.add_argument("--guidance-scale", metavar="NUMBER", help="guidance by the prompt")
    retake.add_argument("--audio-guidance-scale", metavar="NUMBER", help="guidance by the speech")
    retake.add_argument("--reference", metavar="FILE|SECONDS", help="a picture or an instant that guides it")
    retake.add_argument("--join", default="blend", help="blend: fade into what follows, which stays; ripple: make what "
                        "follows anew (default: blend)")  # fmt: skip
    retake.add_argument("--output", metavar="FILE", help="also write the film here (.mp4)")
    takes = command("takes", _takes, "list the takes of a job's chunks, or choose one")
    takes.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
    takes.add_argument("--chunk", metavar="NUMBER", help="with --use: which chunk")
    takes.add_argument("--use", metavar="TAKE", help="show this take of the chunk; 0 is the first")
    takes.add_argument("--output", metavar="FILE", help="also write the film here (.mp4)")
    asked = command("asked", _asked, "draw what was asked of camera, head and body over a job's film")
    asked.add_argument("job_dir", metavar="JOB_DIR", help="the job's folder")
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
        ("size", "480p", "480p or 720p"),
        ("quality", "final", "preset whose guidance is used"),
        ("quant", "none", "none, int8, fp8, int4, nf4 or llm-int8"),
        ("offload", "none", "none, block or leaf"),
        ("cache", "none", "none, teacache, first-block or mag; over all steps of the preset"),
        ("steps", "2", "measured steps"),
    ):
        bench.add_argument(f"--{name}", default=default, help=f"with --spec: {text} (default: {default})")
    bench.add_argument("--plain", action="store_true", help="with --spec: also time a plain way that keeps nothing")
    for name in _PASSED_ON:
        commands.add_parser(name, help=_PASSED_ON_HELP[name], add_help=False)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--later", action="store_true", help="only make the job's folder, for `queue` or `resume`")
    parser.add_argument("--job-dir", metavar="DIR", help="new folder for the job (default: a new one below jobs/)")
    parser.add_argument("--output", metavar="FILE", help="also write the film here (.mp4)")


def _generate(options: argparse.Namespace) -> int:
    return _run(read_request(options), options)


def _asked(options: argparse.Namespace) -> None:
    from ..jobs.folder import JobFolder
    from ..jobs.overlay import asked_film
    from .motion import Meter

    made = asked_film(JobFolder.open(options.job_dir), Meter("drawing", options.json))
    print(json.dumps({"film": str(made)}) if options.json else made)


def _demo(options: argparse.Namespace) -> int:
    request = GenerationRequest(
        source=str(assets_dir() / "portrait.png"),
        speakers=(Speaker(str(assets_dir() / "speech.wav")),),
        preset=options.preset,
        head=None if get_spec(load_preset(on_this_machine(options.preset)).model).moves_head else Head(),
    )
    options.output = options.output or _free_name(Path("infinitetalk-demo.mp4"))
    return _run(request, options)


def _run(request: GenerationRequest, options: argparse.Namespace) -> int:
    from ..pipeline import generate, load_models, plan, prepare_job
    from ..runtime.process_group import process_group

    output = checked_output(options.output)
    _keep_inputs(request, output)
    film = plan(request)
    if process_group().leads:
        for warning in film.warnings:
            print(f"Note: {warning}", file=sys.stderr)
    job_dir = Path(options.job_dir) if options.job_dir else new_job_dir(Path("jobs"), request.source)
    job_dir = Path(process_group().told(str(job_dir)))
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
    from ..pipeline import resume

    output = checked_output(options.output)
    if options.relink:
        from ..jobs.folder import JobFolder
        from ..jobs.relink import relink

        found = relink(JobFolder.open(options.job_dir), options.relink)
        print(f"Found again: {', '.join(found) or 'nothing'}.", file=sys.stderr)
    return render(resume(options.job_dir), output, options.json)


def _retake(options: argparse.Namespace) -> int:
    from ..jobs.retakes import TakeOverrides
    from ..pipeline import retake

    output = checked_output(options.output)
    reference: dict[str, Any] = {}
    if options.reference is not None:
        try:
            reference["reference_seconds"] = float(options.reference)
        except ValueError:
            reference["reference_image"] = str(Path(options.reference).absolute())
    recipe = TakeOverrides(
        seed=None if options.seed is None else parse_seed(options.seed),
        prompt=options.prompt,
        join=options.join,
        guidance_scale=number_of(options, "guidance_scale"),
        audio_guidance_scale=number_of(options, "audio_guidance_scale"),
        **reference,
    )
    return render(retake(options.job_dir, _whole(options, "chunk"), recipe), output, options.json)


def _takes(options: argparse.Namespace) -> int | None:
    from ..jobs.folder import JobFolder
    from ..jobs.retakes import ChunkTakes, read_takes
    from ..pipeline import choose_take, plan

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
    value = number_of(options, name)
    if value != int(value):
        raise InputError(f"--{name} is {value:g}; give a whole number.")
    return int(value)


def _plan(options: argparse.Namespace) -> None:
    from ..pipeline import plan

    film = plan(read_request(options))
    if options.json:
        print(json.dumps(film.to_dict(), indent=2))
    else:
        print(film.describe())


def _presets(options: argparse.Namespace) -> None:
    from ..models.specs import get_spec
    from ..runtime.auto import choose
    from ..runtime.machine import this_machine
    from ..runtime.memory import needs_of, shortfalls

    machine = this_machine()
    presets = {}
    for name in preset_names():
        settings = load_preset(name)
        needs = needs_of(get_spec(settings.model), settings, *_LARGEST_SIZE[settings.size])
        lacking = shortfalls(needs, machine, settings)
        presets[name] = dataclasses.asdict(settings) | {
            "needs": {"vram_mb": needs.vram_mb, "ram_mb": needs.ram_mb},
            "fits": not lacking,
            "lacks": lacking,
        }
        if not options.json:
            fit = "fits this machine" if not lacking else "does not fit this machine"
            print(f"{name:24} {settings.description}")
            print(
                f"{'':24} {settings.model}, {settings.steps} steps, shift {settings.shift:g}, "
                f"text {settings.guidance_scale:g}, audio {settings.audio_guidance_scale:g}; {needs.describe()}: {fit}"
            )
    chosen = choose()
    if options.json:
        print(json.dumps(presets, indent=2))
    else:
        print(f"{'auto':24} {chosen.sentence}")


def _bench(options: argparse.Namespace) -> None:
    if options.spec is not None:
        _bench_model(options)
        return
    from ..benchmarks.film import bench

    seconds = number_of(options, "seconds")
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
    from ..benchmarks.model import ModelBench, bench_model, table

    if not options.random_weights:
        raise InputError("bench --spec measures with random weights; add --random-weights to say so.")
    steps = number_of(options, "steps")
    if not 1 <= steps <= 40 or steps != int(steps):
        raise InputError(f"--steps is {steps:g}; give a whole number from 1 to 40.")
    result = bench_model(
        ModelBench(
            options.spec,
            options.size,
            options.quality,
            options.quant,
            options.offload,
            options.cache,
            int(steps),
            options.plain,
        )
    )
    print(json.dumps(result, indent=2) if options.json else table([result]))


def _train(arguments: list[str]) -> int | None:
    from .train import main as train

    return train(arguments)


def _evaluate(arguments: list[str]) -> int | None:
    from .evaluate import main as evaluate

    return evaluate(arguments)


def _compare(arguments: list[str]) -> int:
    from .compare import main as compare

    return compare(arguments)


def _checkpoints(arguments: list[str]) -> int | None:
    from .checkpoints import main as checkpoints

    return checkpoints(arguments)


def _queue(arguments: list[str]) -> int:
    from .queue import main as queue

    return queue(arguments)


def _pose(arguments: list[str]) -> int:
    from .motion import pose_main as pose

    return pose(arguments)


def _camera(arguments: list[str]) -> int:
    from .motion import camera_main as camera

    return camera(arguments)


def _lock(arguments: list[str]) -> int:
    from .composite import lock_main as lock

    return lock(arguments)


def _followed(arguments: list[str]) -> int:
    from .tracking import followed_main as followed

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
