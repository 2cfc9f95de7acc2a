"""Give the command line, the files that it reads and the studio's API damaged and extreme input, and count what breaks.

    python -m tools.benchmarks.fuzz --cases 2000 --seed 1 --out report.json
    python -m tools.benchmarks.fuzz --seed 1 --only 137          # one case again, its files kept

Cases take turns: damaged and odd media, spoiled request and project files, command lines with extreme flags, and calls
of a server that runs all the while. What a case does follows from the seed and its number alone. Each runs in a worker
process with a time limit and a memory ceiling. Wrong input must end in one sentence: an apology for an error inside, a
traceback, a hang, too much memory, a crash, an exit code other than 0 and 1, or no sentence at all is a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from infinitetalk.errors import UserError
from infinitetalk.paths import assets_dir, presets_dir

from .fuzzing.api import api_case
from .fuzzing.case import Case
from .fuzzing.files import file_case
from .fuzzing.flags import flag_case
from .fuzzing.media import make_media, media_case
from .fuzzing.odd_media import make_odd_media
from .studio_server import REPOSITORY, StudioServer

KINDS = ("media", "files", "flags", "api")
WORKER = (sys.executable, "-m", "tools.benchmarks.fuzzing.worker")
LIMIT_SECONDS, CEILING_MB = 60.0, 3072
START_SECONDS = 30.0  # more for the first case of a worker, which imports the package
OUTCOMES = ("internal error", "traceback", "hang", "over memory", "crash", "odd exit code", "no sentence")
_WORKER_CASES = 150  # after so many a worker is replaced, so that what one case leaves behind does not add up
_INTERNAL = re.compile(r"Something went wrong inside|something went wrong on our side|Internal Server Error")
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|more memory than is free|can't allocate memory|Unable to allocate|Insufficient memory|bad_alloc"
)
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_LONGEST_LINE, _LONGEST_MESSAGE = 400, 8000  # characters of what was said that the report keeps
_SIGNATURE_TAIL = 3  # parts of a path that name a file


@dataclass(frozen=True)
class Failure:
    """One case that broke something. cause: the same where the same place breaks; message: all that was said."""

    case: int
    kind: str
    seed: int
    outcome: str
    mutation: str
    cause: str
    message: str
    argv: Sequence[str] = ()
    http: dict[str, Any] = field(default_factory=dict)


@dataclass
class Tally:
    """What a run has seen so far. ended: exit codes and answers, and how often."""

    failures: list[Failure] = field(default_factory=list)
    tried: Counter = field(default_factory=Counter)
    ended: Counter = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    slowest_case: int = -1
    largest_mb: int = 0
    server_mb: int = 0
    interrupted: bool = False

    def report(self, seed: int, asked: int) -> dict[str, Any]:
        """Ready for JSON."""
        counts = Counter(failure.outcome for failure in self.failures)
        causes: dict[str, list[int]] = {}
        for failure in self.failures:
            causes.setdefault(failure.cause, []).append(failure.case)
        rest = {name: value for name, value in asdict(self).items() if name not in ("failures", "tried", "ended")}
        return {
            "seed": seed, "asked": asked, "tried": dict(self.tried), "ended": dict(self.ended), **rest,
            "counts": {outcome: counts[outcome] for outcome in OUTCOMES},
            "causes": dict(sorted(causes.items(), key=lambda item: -len(item[1]))),
            "failures": [asdict(failure) for failure in self.failures],
        }  # fmt: skip


class Worker:
    """The process that tries cases, started anew after it broke."""

    def __init__(self, limit_seconds: float, ceiling_mb: int, log: Path) -> None:
        self.limit_seconds, self.ceiling_mb, self.log = limit_seconds, ceiling_mb, log
        self.process: subprocess.Popen | None = None
        self.done = 0

    def ask(self, task: dict[str, Any]) -> dict[str, Any]:
        """The worker's answer; {"hang": True} or {"signal": name, "err": ...} where there is none."""
        if self.process is None or self.process.poll() is not None or self.done >= _WORKER_CASES:
            self.close()
            self._start()
        process = self.process
        assert process is not None and process.stdin is not None and process.stdout is not None
        self.done += 1
        late = threading.Event()
        alarm = threading.Timer(self._patience(task), lambda: (late.set(), _kill_group(process)))
        alarm.start()
        try:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alarm.cancel()
        if line:
            return json.loads(line)
        if late.is_set():
            self.close()
            return {"hang": True}
        code = process.wait()
        self.close()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return {"signal": name, "err": self.log.read_text(encoding="utf-8", errors="replace")[-4000:]}

    def _patience(self, task: dict[str, Any]) -> float:
        """A new worker imports the package first; a request has a clock of its own in the worker."""
        return self.limit_seconds * (1.5 if task.get("http") else 1.0) + (START_SECONDS if self.done == 1 else 0.0)

    def _start(self) -> None:
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONFAULTHANDLER": "1"}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*WORKER, str(self.ceiling_mb), str(self.limit_seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, text=True, encoding="utf-8", env=environment, start_new_session=True,
            )  # fmt: skip
        self.done = 0

    def close(self) -> None:
        if self.process is not None:
            _kill_group(self.process)
            self.process.wait()
            self.process = None


def _kill_group(process: subprocess.Popen) -> None:
    """End a process and what it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):
        process.kill()


class Bench:
    """Folders, valid files and processes that all cases share; what only some need is made when the first one does."""

    def __init__(self, folder: Path, seed: int, limit_seconds: float, ceiling_mb: int) -> None:
        self.folder, self.seed = folder, seed
        self.limit_seconds, self.ceiling_mb = limit_seconds, ceiling_mb
        self.worker = Worker(limit_seconds, ceiling_mb, folder / "worker.txt")
        self.server = StudioServer(folder / "server")
        self.media = make_media(folder / "media", assets_dir() / "portrait.png")
        self.odd = make_odd_media(folder / "odd", assets_dir() / "portrait.png")
        self.preset = (presets_dir() / "nano.yaml").read_text(encoding="utf-8")

    def close(self) -> None:
        self.worker.close()
        self.server.stop()

    def make(self, number: int) -> tuple[str, Case, Path]:
        """The kind, the case of that number, and its folder with what its command reads."""
        from infinitetalk.vision.pose import NUM_JOINTS

        kind, random = KINDS[number % len(KINDS)], Random(f"{self.seed}-{number}")
        place = self.folder / "cases" / str(number) / "work"
        shutil.rmtree(place.parent, ignore_errors=True)
        self._stock(place)
        if kind == "media":
            return kind, media_case(random, self.media, self.odd, place), place
        if kind == "files":
            job = self.finished_job if random.random() < 0.5 else self.new_job
            return kind, file_case(random, place, job=job, preset=self.preset, num_joints=NUM_JOINTS), place
        if kind == "flags":
            return kind, flag_case(random, place, lambda target: _copied(self.new_job(), target)), place
        return kind, api_case(random, place, self.media), place

    def _stock(self, place: Path) -> None:
        place.mkdir(parents=True)
        for ending, name in (("png", "portrait.png"), ("wav", "voice.wav"), ("mp4", "film.mp4")):
            shutil.copyfile(self.media[ending], place / name)

    def new_job(self) -> Path:
        """A job folder of which nothing is made."""
        return self._job("new", ["--later"])

    def finished_job(self) -> Path:
        """A job folder with its film."""
        return self._job("finished", ["--steps", "1"])

    def _job(self, name: str, flags: Sequence[str]) -> Path:
        place = self.folder / name / "work"
        if not (place / "job").exists():
            self._stock(place)
            film = ["--source", "portrait.png", "--audio", "voice.wav", "--max-seconds", "0.2"]
            answer = self.worker.ask({"folder": str(place), "argv": ["generate", *film, "--job-dir", "job", *flags]})
            if answer.get("code") != 0:
                raise UserError(f"The job to start from could not be made: {answer.get('err', answer)}")
        return place / "job"

    def try_case(self, number: int, tally: Tally) -> Failure | None:
        """Run one case; its failure, if it is one."""
        kind, case, place = self.make(number)
        task: dict[str, Any] = {"folder": str(place), "argv": list(case.argv)}
        if case.http:
            self._serve()
            task |= {"http": case.http, "url": self.server.url}
        answer = self.worker.ask(task)
        tally.tried[kind] += 1
        tally.ended[f"HTTP {answer.get('status', '')}" if case.http else f"exit code {answer.get('code', '')}"] += 1
        tally.largest_mb = max(tally.largest_mb, answer.get("peak_mb", 0))
        if answer.get("seconds", 0.0) > tally.slowest_seconds:
            tally.slowest_seconds, tally.slowest_case = answer["seconds"], number
        outcome, message = self._judged_request(answer, tally) if case.http else self._judged(answer)
        if outcome is None:
            shutil.rmtree(place.parent, ignore_errors=True)
            return None
        cause = f"{outcome}: {cause_of(message)}"
        message = "\n".join(line[:_LONGEST_LINE] for line in message.splitlines())[-_LONGEST_MESSAGE:]
        return Failure(number, kind, self.seed, outcome, case.mutation, cause, message, case.argv, case.http)

    def _serve(self) -> None:
        if self.server.process is None or self.server.process.poll() is not None:
            self.server.start()
            self.server.news()

    def _broken(self, answer: dict[str, Any]) -> tuple[str | None, str]:
        if answer.get("hang"):
            return "hang", f"no end after {self.limit_seconds:g} s"
        if "signal" in answer:
            said = answer["err"]
            return ("over memory" if _OUT_OF_MEMORY.search(said) else "crash"), f"{said}\n{answer['signal']}"
        return None, ""

    def _judged(self, answer: dict[str, Any]) -> tuple[str | None, str]:
        """(outcome, what was said) of a command line; (None, ...) where all is well."""
        outcome, message = self._broken(answer)
        if outcome:
            return outcome, message
        said = "\n".join(filter(None, [answer["err"].strip(), answer["log"].strip()]))
        code = answer["code"]
        if _OUT_OF_MEMORY.search(said) or answer["peak_mb"] > self.ceiling_mb:
            return "over memory", f"{said}\npeak of {answer['peak_mb']} MB"
        if _INTERNAL.search(answer["err"]):
            return "internal error", said
        if "Traceback (most recent call last)" in answer["err"] or code == "escaped":
            return "traceback", said
        if code not in (0, 1):
            return "odd exit code", f"{said}\nexit code {code}"
        return ("no sentence", answer["out"]) if code == 1 and not answer["err"].strip() else (None, said)

    def _judged_request(self, answer: dict[str, Any], tally: Tally) -> tuple[str | None, str]:
        """The same of a request, after a look at the server."""
        import psutil

        outcome, message = self._broken(answer)
        server = self.server.process
        assert server is not None
        code = server.poll()
        if code is not None:
            news = self.server.news()
            return "crash", f"{news[-3000:]}\nthe server ended with {code}"
        used = psutil.Process(server.pid).memory_info().rss // 2**20
        tally.server_mb = max(tally.server_mb, used)
        news = self.server.news()
        if outcome is None and answer["err"] == "no answer in time":
            outcome, message = "hang", answer["err"]
        if outcome == "hang":
            self.server.stop()  # the next case gets a new one
            return outcome, message
        said = f"{answer.get('status')} {answer.get('answer', '')[-1000:]}\n{news}"
        if outcome is None and (used > self.ceiling_mb or _OUT_OF_MEMORY.search(said)):
            self.server.stop()
            return "over memory", f"the server holds {used} MB\n{said}"
        if outcome is None and (_INTERNAL.search(said) or answer["status"] >= 500):
            outcome = "internal error"
        elif outcome is None and "Traceback (most recent call last)" in news:
            outcome = "traceback"
        return outcome, said


def _copied(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


def cause_of(message: str) -> str:
    """The exception that a message tells of, and the innermost place of ours in its last traceback, else any place."""
    text = message[message.rfind("Traceback (most recent call last)") :] if "Traceback" in message else message
    frames = _FRAME.findall(text)
    own = [frame for frame in frames if "/infinitetalk/" in frame[0]]
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"^[A-Za-z_.]*(Error|Exception|Interrupt|Warning|Exit|Bomb)\b", line)]
    if not frames:
        return re.sub(r"\d+", "N", (errors or lines or ["nothing was said"])[-1]).strip()[:100]
    said = (errors or lines)[-1].split(":")[0].strip()[:100]
    file, _, function = (own or frames)[-1]
    inner = f" (at {'/'.join(Path(frames[-1][0]).parts[-_SIGNATURE_TAIL:])})" if own and frames[-1] != own[-1] else ""
    return f"{said} in {'/'.join(Path(file).parts[-_SIGNATURE_TAIL:])}:{function}{inner}"


def numbers_of(count: int, kinds: Sequence[str]) -> Iterator[int]:
    """The first `count` case numbers of these kinds."""
    number = given = 0
    while given < count:
        if KINDS[number % len(KINDS)] in kinds:
            yield number
            given += 1
        number += 1


def fuzz(numbers: Sequence[int], bench: Bench, tell: Callable[[str], None]) -> Tally:
    """Try these cases; Ctrl-C ends it with what there is."""
    tally = Tally()
    started = told = time.monotonic()
    try:
        for done, number in enumerate(numbers, start=1):
            if failure := bench.try_case(number, tally):
                tally.failures.append(failure)
            now = time.monotonic()
            if now - told >= 2 or done == len(numbers) or failure:
                told = now
                left = (now - started) / done * (len(numbers) - done)
                tell(f"{done}/{len(numbers)} cases, {len(tally.failures)} failures, {_time(left)} left")
    except KeyboardInterrupt:
        tally.interrupted = True
    return tally


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000, help="how many (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="of all cases (default: 1)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="only these (default: all)")
    parser.add_argument(
        "--only", type=int, metavar="N", help="only case N; prints all that was said and keeps its files"
    )
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds of a case (default: 60)")
    parser.add_argument("--ceiling-mb", type=int, default=CEILING_MB, help="memory of a case (default: 3072)")
    parser.add_argument("--out", type=Path, help="write the report here, as JSON")
    options = parser.parse_args(arguments)
    numbers = [options.only] if options.only is not None else list(numbers_of(options.cases, options.kinds))
    folder = Path(tempfile.mkdtemp(prefix="infinitetalk-fuzz-"))
    bench = Bench(folder, options.seed, options.limit, options.ceiling_mb)
    try:
        tally = fuzz(numbers, bench, _tell)
    finally:
        bench.close()
    report = tally.report(options.seed, len(numbers))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for failure in tally.failures if options.only is not None else ():
        print(f"\n{failure.outcome}: {failure.mutation}\n{list(failure.argv) or failure.http}\n{failure.message}")
    if options.only is not None:
        print(f"files in {folder / 'cases' / str(options.only) / 'work'}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"\n{sum(tally.tried.values())} cases tried, {len(tally.failures)} failures of {len(report['causes'])} causes"
    )
    for cause, cases in report["causes"].items():
        print(f"{len(cases):5d}  {cause}  (case {cases[0]})")
    return 1 if tally.failures else 130 if tally.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
