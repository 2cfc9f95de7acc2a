"""`infinitetalk checkpoints list | locate | download | verify | convert`: the files of models that do not ship.

NAME is a preset, a model, a published LoRA or control network. With --json, one object (or, while something runs, one
per line).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..checkpoints import catalogue, locate
from ..config.settings import Lora
from ..errors import CheckpointError, InputError
from .arguments import CommandParser

_PART = re.compile(r"-\d{5}-of-\d{5}")
DTYPES = ("bfloat16", "float16", "float32")


def main(arguments: Sequence[str]) -> int:
    """Run one of the commands; returns the exit code.

    Raises:
        UserError: in one sentence, for whatever cannot be done.
    """
    options = _parser().parse_args(arguments)
    return options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="infinitetalk checkpoints", description="Find, fetch, check and convert model files.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=CommandParser, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str, named: bool = True):
        sub = commands.add_parser(name, help=text, description=text)
        if named:
            sub.add_argument("name", metavar="NAME", help="a preset, a model, a published LoRA or control network")
        sub.add_argument("--checkpoints-dir", metavar="DIR", help="folder of the files (default: "
                         f"${locate.ENVIRONMENT_VARIABLE}, or one in the user's cache)")  # fmt: skip
        sub.add_argument("--json", action="store_true", help="print JSON for machines")
        sub.set_defaults(run=run)
        return sub

    command("list", _list, "what each preset needs, what of it is here, licences and sources", named=False)
    command("locate", _locate, "where a model's files lie on this machine")
    download = command("download", _download, "fetch what is missing; goes on where it was interrupted")
    download.add_argument("--revision", metavar="REV", help="branch, tag or commit, for every repository")
    download.add_argument("--quantized", metavar="KIND", help="the published quantized transformer (fp8) instead of "
                          "the full one")  # fmt: skip
    verify = command("verify", _verify, "compare names, shapes and types of all weights with what they must be")
    verify.add_argument("--checksums", action="store_true", help="also whole files, with what the hub stated")
    convert = command("convert", _convert, "published files into a folder in the diffusers layout")
    convert.add_argument("--output", metavar="DIR", required=True, help="the model becomes a new folder in it")
    convert.add_argument("--dtype", default="bfloat16", help=f"of the weights: {', '.join(DTYPES)} (default: bfloat16)")
    convert.add_argument("--transformer", metavar="FILE", nargs="+", help="take the transformer from these files "
                         "instead (.safetensors, also with scaled fp8 weights, or .gguf; later files win)")  # fmt: skip
    return parser


def _list(options: argparse.Namespace) -> int:
    needs = catalogue.all_needs(options.checkpoints_dir)
    if options.json:
        print(json.dumps([need.to_dict() for need in needs], indent=2))
        return 0
    groups: dict[tuple, list[catalogue.Need]] = {}
    for need in needs:
        groups.setdefault((need.model, need.folder, need.files), []).append(need)
    for (_, folder, files), members in groups.items():
        first = members[0]
        state = "complete" if first.complete else f"{locate.gigabytes(first.bytes_missing)} missing"
        print(f"{', '.join(member.name for member in members)}\n  {first.model}: {state}"
              + (f", in {folder}" if folder else ""))  # fmt: skip
        for line in _rows(files):
            print("    " + line)
    return 0


def _rows(files: Sequence[catalogue.FileState]) -> list[str]:
    """One line for each file; the parts of a divided one share a line."""
    rows: dict[tuple, list[catalogue.FileState]] = {}
    for file in files:
        whole = _PART.sub("-*", file.path)
        rows.setdefault((file.repository, whole, file.present, file.licence), []).append(file)
    lines = []
    for (repository, path, is_present, licence), parts in rows.items():
        about = "" if all(part.bytes_are_exact for part in parts) else "about "
        total = sum(part.bytes for part in parts)
        size = about + locate.gigabytes(total) if total else "size not known"
        count = f" ({len(parts)} files)" if len(parts) > 1 else ""
        lines.append(f"{'here' if is_present else 'missing':7}  {size:>14}  {repository}/{path}{count}  ({licence})")
    return lines


def _locate(options: argparse.Namespace) -> int:
    need = catalogue.need_of(catalogue.target(options.name), options.checkpoints_dir)
    if options.json:
        print(json.dumps(need.to_dict(), indent=2))
    else:
        if need.folder:
            print(need.folder)
        for file in need.files:
            print(f"{file.repository}/{file.path}: {file.where or 'not here'}")
    return 0 if need.complete else 1


def _download(options: argparse.Namespace) -> int:
    from ..checkpoints.download import DownloadProgress, download

    wanted = catalogue.target(options.name)
    files = wanted.files(options.quantized)
    folder = locate.folders_to_search(options.checkpoints_dir)[0]
    line = _Line(options.json)

    def report(progress: DownloadProgress) -> None:
        done, total = progress.bytes_done, progress.bytes_total
        left = None if progress.seconds_left is None else round(progress.seconds_left)
        line.show(
            {"event": "progress", "file": progress.file.path, "bytes_done": done, "bytes_total": total,
             "seconds_left": left},
            f"{locate.gigabytes(done)} of {locate.gigabytes(total)}"
            + ("" if left is None else f", {_duration(left)} left") + f"  {progress.file.path}",
        )  # fmt: skip

    paths = download(files, folder, revision=options.revision, report=report)
    line.end()
    result = {str(file.repository + "/" + file.path): str(path) for file, path in zip(files, paths)}
    if options.json:
        print(json.dumps({"event": "finished", "files": result}))
    else:
        print(f"{len(paths)} files are here." if paths else f"{options.name} ships with the package.")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from ..checkpoints.verify import verify

    wanted = catalogue.target(options.name)
    if wanted.controls:
        return _verify_control(wanted.name, options)
    if wanted.spec is None:
        from ..models.specs import get_spec

        lora = Lora(wanted.name)
        locate.find_lora(lora.file, options.checkpoints_dir)
        notes = catalogue.check_loras([lora], get_spec("infinitetalk-14b-single"), options.checkpoints_dir)
        print(json.dumps({"ok": True, "notes": notes}) if options.json else notes[0])
        return 0
    located = locate.find(wanted.spec, options.checkpoints_dir, quantization=wanted.quantization, need_all=False)
    folder = locate.folders_to_search(options.checkpoints_dir)[0] if options.checksums else None
    results = verify(wanted.spec, located, checksums_in=folder)
    wrong = [result for result in results if result.problem is not None]
    if options.json:
        rows = [
            {"path": r.path, "component": r.component, "weights": r.num_weights, "problem": r.problem} for r in results
        ]
        print(json.dumps({"ok": not wrong, "files": rows}, indent=2))
    else:
        for result in results:
            state = "ok" if result.problem is None else "WRONG" if result.present else "missing"
            print(f"{state:7}  {result.path}"
                  + (f"  {result.num_weights} weights" if result.num_weights else ""))  # fmt: skip
    if wrong:
        more = f" ({len(wrong) - 1} more files are wrong or missing)" if len(wrong) > 1 else ""
        raise CheckpointError(wrong[0].problem + more)
    return 0


def _verify_control(name: str, options: argparse.Namespace) -> int:
    from ..models.specs import get_spec

    path = locate.find_control(name, options.checkpoints_dir)
    catalogue.check_controls([name], get_spec("infinitetalk-14b-single"), options.checkpoints_dir)
    print(json.dumps({"ok": True, "path": str(path)}) if options.json else f"ok       {path}")
    return 0


def _convert(options: argparse.Namespace) -> int:
    if options.dtype not in DTYPES:
        raise InputError(f"--dtype is {options.dtype!r}; choose one of {', '.join(DTYPES)}.")
    import torch

    from ..checkpoints.convert import ConvertProgress, convert
    from ..checkpoints.single_files import open_transformer

    wanted = catalogue.target(options.name)
    if wanted.spec is None or wanted.spec.shipped_in is not None:
        raise InputError(f"{options.name} needs no converting; name a model that does not ship, such as "
                         "infinitetalk-14b-single.")  # fmt: skip
    located = locate.find(wanted.spec, options.checkpoints_dir, need_all=options.transformer is None)
    if located.folder is not None:
        raise InputError(f"{located.folder} is converted already; use it as it is.")
    transformer = None
    if options.transformer:
        left = [file for file in located.missing if file.component != "transformer"]
        if left:
            raise CheckpointError(
                f"{wanted.spec.title} also needs {left[0].path} and is incomplete without it; fetch it with "
                f"`infinitetalk checkpoints download {wanted.spec.name}`."
            )
        config = next((path for file, path in located.files.items() if file.path == "config.json"
                       and file.component == "transformer"), None)  # fmt: skip
        transformer = open_transformer([Path(name) for name in options.transformer], config)
    line = _Line(options.json)

    def report(progress: ConvertProgress) -> None:
        done, total = progress.bytes_done, progress.bytes_total
        line.show(
            {"event": "progress", "component": progress.component, "bytes_done": done, "bytes_total": total},
            f"{locate.gigabytes(done)} of {locate.gigabytes(total)}  {progress.component}",
        )

    target = convert(wanted.spec, located, Path(options.output), dtype=getattr(torch, options.dtype),
                     transformer=transformer, report=report)  # fmt: skip
    line.end()
    print(json.dumps({"event": "finished", "folder": str(target)}) if options.json else target)
    return 0


class _Line:
    """Progress: JSON lines for machines, one redrawn line on a terminal, nothing in a pipe."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._drawn = False

    def show(self, data: dict, text: str) -> None:
        if self._as_json:
            print(json.dumps(data), flush=True)
        elif sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)
            self._drawn = True

    def end(self) -> None:
        if self._drawn:
            print(file=sys.stderr)


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
