"""The command line: a table of commands, each in a module of its own, which is imported when it is called.

Exit code 0 means done; 1 means not done, with one sentence on stderr; 130 means interrupted by the user.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence

from ..errors import UserError, system_refusal
from ..runtime.log_levels import limit_library_logs
from ..runtime.proxies import drop_unusable_proxies
from ..runtime.telemetry import refuse_telemetry
from .arguments import CommandParser

INTERRUPTED = 130

# Name, which is also that of the module with its `main`, and what `infinitetalk --help` says of it.
COMMANDS = {
    "generate": "make a film from a picture or film and new speech",
    "plan": "say what a film would take: chunks, time, memory, warnings; loads no weights",
    "resume": "continue a job after a crash or cancel",
    "retake": "make one chunk of a finished job once more, with what is given changed",
    "takes": "list the takes of a job's chunks, or choose one",
    "overlay": "draw the motion targets of camera, head and body over a job's film",
    "demo": "make the bundled portrait say the bundled sentence",
    "presets": "list the presets and what they set",
    "bench": "measure speed and memory on this machine",
    "queue": "films to make one after another: add, reorder, pause, run",
    "pose": "read a person's movement from a film, and see the skeletons that a control network gets",
    "camera": "see a camera path over a picture, ready-made or followed from a film",
    "composite": "keep the source's own pixels around the person who speaks",
    "tracking": "score how well a film follows a pose or a camera path",
    "compare": "show two films against each other, as a film or a page to share",
    "checkpoints": "list, locate, download, verify and convert models that do not ship",
    "train": "train the small model, or a LoRA",
    "evaluate": "measure the small model against the truth",
}
# Spellings of earlier versions, which no help shows.
FORMER_COMMANDS = {"asked": "overlay", "lock": "composite", "followed": "tracking"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    refuse_telemetry()
    limit_library_logs()
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show is written with escapes
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for note in drop_unusable_proxies():
        print(f"Note: {note}", file=sys.stderr)
    arguments = list(sys.argv[1:] if argv is None else argv)
    return _guarded(lambda: _dispatch(arguments))


def _dispatch(arguments: list[str]) -> int | None:
    name = FORMER_COMMANDS.get(arguments[0], arguments[0]) if arguments else None
    if name not in COMMANDS:
        name = _parser().parse_args(arguments).command  # shows the help, or says what is wrong
        raise AssertionError(f"the parser knows a command that the table lacks: {name}")
    return importlib.import_module(f".{name}", __package__).main(arguments[1:])


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="infinitetalk",
        description="New speech in, the whole person moves in time with it.",
        epilog="`infinitetalk COMMAND --help` lists a command's flags.",
    )
    commands = parser.add_subparsers(dest="command", required=True, parser_class=CommandParser, metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


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
    except Exception as error:
        if (refusal := system_refusal(error)) is not None:
            return _fail(str(refusal))
        # Ours to mend: the traceback is kept for a report, and a sentence shown.
        with tempfile.NamedTemporaryFile("w", prefix="infinitetalk-", suffix=".log", delete=False) as log:
            traceback.print_exc(file=log)
        return _fail(f"Something went wrong inside ({type(error).__name__}); the details are in {log.name}.")


def _fail(sentence: str) -> int:
    print(" ".join(sentence.split()), file=sys.stderr)
    return 1
