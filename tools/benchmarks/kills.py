"""Kill a job at random moments, resume it, and compare its film with one that nobody disturbed.

    python -m tools.benchmarks.kills --count 40 --out kills.json

Every job is killed once with SIGKILL, at a moment drawn evenly from the time an undisturbed job takes, and then
resumed. Each run is a process of its own, forked from one that has loaded the networks and done nothing else, so that
a kill costs no start-up. The pictures are compared packet by packet, as they are encoded, and decoded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infinitetalk.benchmarks.film import speech_of
from infinitetalk.config.request import GenerationRequest, Speaker
from infinitetalk.errors import InputError, UserError
from infinitetalk.paths import assets_dir

if TYPE_CHECKING:
    from infinitetalk.checkpoints.loading import Models


@dataclass(frozen=True)
class Kill:
    """One killed job. chunks_kept: takes on disk when it died. half_written: files or folders it left unfinished.

    resumed: `resume` could go on; False where it died before there was a job to speak of, and was begun again.
    """

    after_seconds: float
    chunks_kept: int
    half_written: int
    resumed: bool
    identical: bool


def kill_often(count: int, seconds: float, folder: Path, *, seed: int = 0, tell: Callable[[str], None]) -> list[Kill]:
    """Kill `count` jobs of `seconds` of speech, each once, below `folder`.

    Raises:
        UserError: the system cannot fork, or a run failed without being killed.
    """
    from infinitetalk.pipeline import generate, load_models, resume

    if not hasattr(os, "fork"):
        raise InputError("Killing jobs needs a system that can fork, such as Linux.")
    speech = speech_of(seconds, folder / "speech.wav")
    request = GenerationRequest(str(assets_dir() / "portrait.png"), (Speaker(str(speech)),))
    models: Models = load_models(request)
    start = time.perf_counter()
    _finish(_fork(lambda: _exhaust(generate(request, models, folder / "whole"))), "The undisturbed run")
    whole_seconds = time.perf_counter() - start
    wanted = pictures_digest(folder / "whole" / "output.mp4")
    tell(f"undisturbed: {whole_seconds:.1f} s")
    moments = random.Random(seed)
    kills = []
    for number in range(count):
        job = folder / f"killed-{number:02d}"
        moment = moments.uniform(0, whole_seconds)
        child = _fork(lambda job=job: _exhaust(generate(request, models, job)))
        _kill_after(child, moment)
        there = (job / "project.json").exists()
        kept = len(list(job.glob("chunks/*/take-[0-9][0-9]/take.json")))
        halves = len([*job.rglob("*.partial"), *job.rglob(".*.part")])
        again = (lambda job=job: resume(job, models)) if there else (lambda job=job: generate(request, models, job))
        _finish(_fork(lambda again=again: _exhaust(again())), f"The run after kill {number}")
        same = pictures_digest(job / "output.mp4") == wanted
        kills.append(Kill(round(moment, 3), kept, halves, there, same))
        tell(f"{number + 1}/{count} {asdict(kills[-1])}")
    return kills


def pictures_digest(film: Path) -> str:
    """A hash of a film's encoded and of its decoded pictures."""
    import av

    digest = hashlib.sha256()
    with av.open(str(film)) as container:
        for packet in container.demux(video=0):
            digest.update(bytes(packet))
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            digest.update(frame.to_ndarray(format="rgb24").tobytes())
    return digest.hexdigest()


def _exhaust(events) -> None:
    for _ in events:
        pass


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        work()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _kill_after(child: int, seconds: float) -> None:
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            return  # faster than the undisturbed run: it is finished, and resuming must change nothing
        time.sleep(min(0.005, max(0.0, deadline - time.perf_counter())))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _finish(child: int, name: str) -> None:
    _, status = os.waitpid(child, 0)
    if status:
        raise UserError(f"{name} failed by itself (status {status}); its message is above.")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="jobs to kill (default: 40)")
    parser.add_argument("--seconds", type=float, default=6.5, help="of speech in each (default: 6.5, three chunks)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--out", type=Path, help="write the table here, as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="infinitetalk-kills-") as folder:
        kills = kill_often(
            options.count, options.seconds, Path(folder), seed=options.seed, tell=lambda line: print(line, flush=True)
        )
    identical = sum(kill.identical for kill in kills)
    print(f"{identical} of {len(kills)} films identical after a kill and a resume")
    if options.out:
        options.out.write_text(json.dumps([asdict(kill) for kill in kills], indent=2) + "\n", encoding="utf-8")
    return 0 if identical == len(kills) else 1


if __name__ == "__main__":
    sys.exit(main())
