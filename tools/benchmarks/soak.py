"""Let one studio make film after film and see what it keeps: memory, open files, threads, disk.

    python -m tools.benchmarks.soak --films 200 --visitors 20 --out soak.json

One server process makes films of about a second of speech, each for another visitor who uploads a picture and a voice
of their own and fetches the film. After each the server is measured. What it needs for good it has after the first
films; from then on memory may grow by 50 MB, open files and threads not at all. Then visitors ask for a plan all at
once while a film is being made, and the slowest answer must come within 10 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infinitetalk.benchmarks.film import speech_of
from infinitetalk.errors import UserError
from infinitetalk.paths import assets_dir

from .studio_server import StudioServer, call, fetch, upload

WARM_FILMS = 20
MOST_GROWTH_MB = 50.0
FLAT = 2  # handles or threads by which two measurements differ where nothing is kept: a connection, an idle helper
MOST_SECONDS = 10.0  # until a visitor has the plan
_AROUND = 5  # measurements of which the middle one counts
_PATIENCE = 600.0  # seconds for one answer
_SPEECH_SECONDS = 1.0
_LONG_SPEECH_SECONDS = 90.0  # of the film that is made while visitors ask
_NUM_VISITORS = 7  # who take turns


@dataclass(frozen=True)
class Measured:
    """The server after one film. seconds: from the call to the finished file."""

    film: int
    seconds: float
    rss_mb: float
    handles: int
    threads: int
    jobs_bytes: int


@dataclass(frozen=True)
class Growth:
    """From the end of the first films to the end of all."""

    after_films: int
    rss_mb: float
    handles: int
    threads: int
    jobs_bytes_per_film: int

    @property
    def within(self) -> bool:
        return self.rss_mb <= MOST_GROWTH_MB and self.handles <= FLAT and self.threads <= FLAT


@dataclass(frozen=True)
class Visited:
    """Plans that visitors asked for while a film was made. film_ran: it was not finished before the last answer."""

    visitors: int
    slowest_seconds: float
    median_seconds: float
    refused: int
    film_ran: bool

    @property
    def within(self) -> bool:
        return self.slowest_seconds <= MOST_SECONDS and not self.refused and self.film_ran


class Visitor:
    """Somebody with a picture and a voice of their own, which no other visitor's upload equals."""

    def __init__(self, server: StudioServer, name: str, seconds: float) -> None:
        from PIL import Image, PngImagePlugin

        self.server, self.name = server, name
        folder = server.folder / "visitors"
        folder.mkdir(exist_ok=True)
        picture, voice = folder / f"{name}.png", folder / f"{name}.wav"
        text = PngImagePlugin.PngInfo()
        text.add_text("visitor", name)
        Image.open(assets_dir() / "portrait.png").save(picture, pnginfo=text)
        speech_of(seconds + 0.001 * (sum(name.encode()) % 40), voice)
        self.files = [{"path": self._upload(file), "meta": {"_type": "gradio.FileData"}} for file in (picture, voice)]
        picture.unlink()
        voice.unlink()

    def _upload(self, file: Path) -> str:
        path = upload(self.server.url, file, _PATIENCE)
        if path is None:
            raise UserError(f"The studio did not take the upload {file.name}.")
        return path

    def asks(self, what: str) -> Any:
        """The answer of /plan or /generate. Raises UserError where there is none."""
        data = [*self.files, None, "nano", "7", "", None]
        said = call(self.server.url, what, data, _PATIENCE, visitor=self.name)
        if "event: complete" not in said["answer"]:
            raise UserError(f"The studio refused {self.name}'s {what}: {said['status']} {said['answer'][-500:]}")
        return json.loads(said["answer"].partition("data:")[2])[0]

    def makes_film(self) -> None:
        """Let a film be made, and fetch it. Raises UserError."""
        film = self.asks("generate")
        status, data = fetch(self.server.url, "GET", f"gradio_api/file={film['path']}", None, {}, _PATIENCE)
        if status != 200 or b"ftyp" not in data[:32]:
            raise UserError(f"The studio did not hand out {self.name}'s film ({status}, {len(data)} bytes).")


def make_films(server: StudioServer, count: int, films: list[Measured], tell: Callable[[str], None]) -> None:
    """Add a measurement to `films` for each film. Raises UserError where one cannot be made."""
    begun = time.monotonic()
    for number in range(1, count + 1):
        visitor = Visitor(server, f"visitor-{number % _NUM_VISITORS}-film-{number}", _SPEECH_SECONDS)
        start = time.monotonic()
        visitor.makes_film()
        films.append(measured(server, number, time.monotonic() - start))
        now, left = films[-1], (time.monotonic() - begun) / number * (count - number)
        held = f"{now.rss_mb:.0f} MB, {now.handles} handles, {now.threads} threads"
        tell(f"{number}/{count} films, {held}, {left:.0f} s left")


def measured(server: StudioServer, film: int, seconds: float) -> Measured:
    """The server as it is now."""
    import psutil

    assert server.process is not None
    process = psutil.Process(server.process.pid)
    handles = process.num_handles() if sys.platform == "win32" else process.num_fds()
    disk = sum(path.stat().st_size for path in server.jobs.rglob("*") if path.is_file())
    memory = process.memory_info().rss / 2**20
    return Measured(film, round(seconds, 3), round(memory, 1), handles, process.num_threads(), disk)


def growth(films: Sequence[Measured]) -> Growth | None:
    """What was added after the first films, by the middle one of a few measurements; None of fewer than two films."""
    if len(films) < 2:
        return None
    warm = min(WARM_FILMS, len(films) // 2)
    around = max(1, min(_AROUND, warm, len(films) - warm))
    first, last = films[warm - around : warm], films[-around:]

    def grown(name: str) -> float:
        return statistics.median(getattr(one, name) for one in last) - statistics.median(
            getattr(one, name) for one in first
        )

    disk = (films[-1].jobs_bytes - films[warm - 1].jobs_bytes) // (len(films) - warm)
    return Growth(warm, round(grown("rss_mb"), 1), round(grown("handles")), round(grown("threads")), disk)


def let_visitors_plan(server: StudioServer, count: int, seconds: float = _LONG_SPEECH_SECONDS) -> Visited:
    """Have `count` visitors ask for a plan at once while a film of `seconds` is being made."""
    visitors = [Visitor(server, f"planner-{number}", 7.0) for number in range(count)]
    maker = Visitor(server, "maker", seconds)
    known = set(server.jobs.glob("*/project.json"))
    film = threading.Thread(target=_ignoring_end, args=(maker,), daemon=True)
    film.start()
    deadline = time.monotonic() + _PATIENCE
    while not set(server.jobs.glob("*/project.json")) - known:
        if time.monotonic() > deadline or not film.is_alive():
            raise UserError("The film that was to run beside the visitors did not begin.")
        time.sleep(0.05)
    with ThreadPoolExecutor(count) as pool:
        waited = list(pool.map(_timed_plan, visitors))
    running = film.is_alive()
    answered = [seconds for seconds in waited if seconds is not None]
    slowest, middle = (max(answered), statistics.median(answered)) if answered else (0.0, 0.0)
    return Visited(count, round(slowest, 3), round(middle, 3), count - len(answered), running)


def _ignoring_end(maker: Visitor) -> None:
    """The film's visitor; the server may be stopped before the film is finished."""
    try:
        maker.makes_film()
    except (OSError, ValueError, UserError):
        pass


def _timed_plan(visitor: Visitor) -> float | None:
    start = time.monotonic()
    try:
        visitor.asks("plan")
    except (UserError, OSError):
        return None
    return time.monotonic() - start


def summary(films: Sequence[Measured], grown: Growth | None, visited: Visited | None, passed: bool) -> str:
    """One line."""
    parts = [f"{len(films)} films"]
    if grown is not None:
        parts.append(
            f"{grown.rss_mb:+.0f} MB, {grown.handles:+d} handles, {grown.threads:+d} threads after the first "
            f"{grown.after_films}, {grown.jobs_bytes_per_film / 1e6:.2f} MB of disk a film"
        )
    if visited is not None:
        beside = "" if visited.film_ran else ", the film was finished before them"
        slowest = f"{visited.visitors} visitors' plans within {visited.slowest_seconds:.1f} s"
        parts.append(f"{slowest}, {visited.refused} refused{beside}")
    return f"{'; '.join(parts)}: {'passed' if passed else 'FAILED'}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=200, help="to make one after another (default: 200; 0: none)")
    parser.add_argument("--visitors", type=int, default=20, help="who ask for plans at once (default: 20; 0: none)")
    parser.add_argument("--out", type=Path, help="write all measurements here, as JSON")
    options = parser.parse_args(arguments)
    films: list[Measured] = []
    visited: Visited | None = None
    fault = ""
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="infinitetalk-soak-", ignore_cleanup_errors=True) as folder:
        try:
            with StudioServer(Path(folder)) as server:
                make_films(server, options.films, films, lambda line: print(line, file=sys.stderr, flush=True))
                if options.visitors:
                    visited = let_visitors_plan(server, options.visitors)
        except (UserError, OSError) as error:
            fault = str(error)
        except KeyboardInterrupt:
            interrupted = True
    grown = growth(films)
    passed = not fault and (grown is None or grown.within) and (visited is None or visited.within)
    if options.out:
        report = {
            "passed": passed, "fault": fault, "interrupted": interrupted,
            "growth": None if grown is None else asdict(grown),
            "visitors": None if visited is None else asdict(visited),
            "films": [asdict(film) for film in films],
        }  # fmt: skip
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if fault:
        print(fault, file=sys.stderr)
    print(summary(films, grown, visited, passed))
    return 1 if not passed else 130 if interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
