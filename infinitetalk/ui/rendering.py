"""Events, plans and files as the HTML the page shows. Every function is plain: values in, a string out."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..config.constants import FRAMES_PER_SECOND
from ..events import ChunkFinished, Finished, Progress

if TYPE_CHECKING:
    import numpy as np

    from ..media.probe import MediaInfo
    from ..planning.chunks import Chunk

STAGES = {
    "loading": "Loading the model",
    "preparing": "Looking at the picture",
    "following": "Reading the movement to follow",
    "listening": "Listening to the voice",
    "denoising": "Drawing",
    "decoding": "Developing the frames",
    "finishing": "Writing the film",
}

MAX_BANDS = 400  # an hour of film has 1250 chunks; beyond this many they are shown in groups


def duration(seconds: float) -> str:
    """0.4 -> "0.4 s", 7.26 -> "7.3 s", 75 -> "1 min 15 s", 7260 -> "2 h 1 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(whole / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def span(low: float, high: float) -> str:
    """A range of times, one number where both read alike: "8 to 15 s"."""
    low, high = _rounded(low), _rounded(high)
    if duration(low) == duration(high):
        return duration(low)
    if high < 120:
        return f"{low:g} to {high:g} s"
    return f"{duration(low)} to {duration(high)}"


def _rounded(seconds: float) -> float:
    """To about two digits: an estimate is no stopwatch."""
    for limit, step in ((3, 0.5), (20, 1), (60, 5), (600, 15), (3600, 60)):
        if seconds < limit:
            return max(step, round(seconds / step) * step)
    return round(seconds / 300) * 300


def clock(seconds: float) -> str:
    """Where in a film: 75.4 -> "1:15"."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def size(megabytes: float) -> str:
    if megabytes < 1:
        return "under 1 MB"
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def counted(number: int, one: str) -> str:
    return f"{number} {one}" + ("" if number == 1 else "s")


# --- notices -------------------------------------------------------------------------------------------------------


def notice(message: str, kind: str = "error") -> str:
    """One sentence where it cannot be overlooked. kind: error | note; errors are read out at once."""
    role = "alert" if kind == "error" else "status"
    return f'<div class="notice {kind}" role="{role}">{_icon(kind)}<p>{escape(message)}</p></div>'


def _icon(kind: str) -> str:
    mark = {"error": "!", "warning": "!", "note": "i"}[kind]
    return f'<span class="mark" aria-hidden="true">{mark}</span>'


# --- the source ----------------------------------------------------------------------------------------------------


def source_preview(info: MediaInfo, picture: np.ndarray) -> str:
    """The picture (uint8 [height, width, 3]) as it will be used, with what the file is."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=82)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    facts = [("Photo" if info.kind == "image" else "Video"), f"{info.width} × {info.height}"]
    if info.kind == "video":
        facts.append(duration(info.duration_seconds or 0))
        if info.fps:
            facts.append(f"{info.fps:.4g} frames per second")
    return (
        f'<figure class="preview"><img src="data:image/jpeg;base64,{data}" alt="The chosen {facts[0].lower()}">'
        f"<figcaption>{escape(' · '.join(facts))}</figcaption></figure>"
    )


def movement_condition(pictures: np.ndarray, values: np.ndarray | None, label: str) -> str:
    """What camera and head will do to a picture, uint8 [N, height, width, 3] in a row, over the curve of the path.

    values: [n, 6] as of `CameraPath.at`, evenly over the time that the pictures show; None for a camera at rest.
    """
    from PIL import Image

    buffer = io.BytesIO()
    row = pictures.transpose(1, 0, 2, 3).reshape(pictures.shape[1], -1, 3)
    Image.fromarray(row).save(buffer, "JPEG", quality=82)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    curve, words = "", escape(label)
    if values is not None:
        kinds = (("sideways", [0, 3]), ("up and down", [1, 4]), ("towards the person", [2]), ("roll", [5]))
        lines = "".join(
            f'<polyline class="line-{number}" points="{_polyline(values[:, columns])}"/>'
            for number, (_, columns) in enumerate(kinds)
        )
        curve = (
            '<svg viewBox="0 0 120 24" preserveAspectRatio="none" role="img" aria-label="The path of the camera">'
            f"{lines}</svg>"
        )
        legend = ", ".join(f'<span class="line-{number}">{name}</span>' for number, (name, _) in enumerate(kinds))
        words += f"; below, how the camera moves {legend}"
    return (
        f'<figure class="movement-shown"><img src="data:image/jpeg;base64,{data}" alt="{escape(label)}">{curve}'
        f"<figcaption>{words}.</figcaption></figure>"
    )


def _polyline(values: np.ndarray) -> str:
    """Shifts (distances to the subject) and turns (degrees; a radian counts as a distance) as one line of 120 x 24."""
    scale = (1.0, 0.0175)[: values.shape[1]] if values.shape[1] == 2 else (1.0,)
    height = 12 - 40 * (values * scale).sum(axis=1)
    count = max(1, len(values) - 1)
    return " ".join(f"{120 * i / count:.1f},{min(23.5, max(0.5, y)):.1f}" for i, y in enumerate(height))


# --- the plan ------------------------------------------------------------------------------------------------------


def plan_hint(missing: Sequence[str]) -> str:
    """What is still needed: "a photo or video", "a voice"."""
    wanted = " and ".join(missing)
    return f'<div class="plan empty"><p>Add {escape(wanted)} to see how long this will take.</p></div>'


def plan_problem(message: str) -> str:
    return f'<div class="plan problem" role="status">{_icon("warning")}<p>{escape(message)}</p></div>'


def plan_panel(plan: Any) -> str:
    """A `FilmPlan` as four facts and its warnings."""
    disk = f"{size(plan.disk_mb)} of disk"
    facts = (
        ("Film", duration(plan.duration_seconds), counted(plan.num_frames, "frame")),
        ("Time", span(plan.seconds_low, plan.seconds_high), f"first pictures after {_about(plan.first_chunk_seconds)}")
        if plan.seconds_high
        else ("Time", "Not known yet", "this model has made no chunk on this machine so far"),
        ("Chunks", str(len(plan.chunks)), "each plays as soon as it is done"),
        ("Needs", f"{size(plan.vram_mb)} on the card", f"{size(plan.memory_mb)} of memory, {disk}")
        if plan.vram_mb
        else ("Needs", size(plan.memory_mb), f"of memory, {disk}")
        if plan.memory_mb
        else ("Needs", size(plan.disk_mb), "of disk; its memory was not measured yet"),
    )
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(_unbroken(value))}<small>{escape(note)}</small></dd></div>"
        for name, value, note in facts
    )
    warnings = "".join(f"<li>{_icon('warning')}<span>{escape(text)}</span></li>" for text in plan.warnings)
    listed = f'<ul class="warnings" aria-label="Worth knowing">{warnings}</ul>' if warnings else ""
    return f'<div class="plan"><dl>{cells}</dl>{listed}</div>'


def _unbroken(text: str) -> str:
    """No line ends between a number and its unit."""
    return re.sub(r"(?<=\d) (?=[a-zA-Z])(?!to )", "\u00a0", text)


def _about(seconds: float) -> str:
    return f"about {duration(_rounded(seconds))}"


def model_panel(
    description: str, why: str, needs: str, machine: str, lacks: Sequence[str], files: Any, preset: str
) -> str:
    """A preset in a few lines: what it is, why it was chosen, whether it fits, and where its files are.

    files: a `checkpoints.catalogue.Need`, None for a model that ships with the package.
    """
    lines = [f'<p class="help">{escape(description)}</p>']
    if why:
        lines.append(f'<p class="help">{escape(why)}</p>')
    fits = "".join(f"<li>{_icon('warning')}<span>{escape(text)}</span></li>" for text in lacks)
    facts = [("Needs", needs), ("This machine", machine)]
    if files is not None:
        there = sum(state.present for state in files.files)
        where = files.folder or next((state.where for state in files.files if state.where), None)
        text = f"{there} of {len(files.files)} files here" if files.files else "here"
        if where:
            text += f", in {where if files.folder else where.rpartition('/')[0]}"
        if files.bytes_missing:
            text += f"; {size(files.bytes_missing / 1e6)} to fetch"
        facts.append(("Weights", text))
        licences = sorted({state.licence for state in files.files})
        if licences:
            facts.append(("Licences", ", ".join(licences)))
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(_unbroken(text))}</dd></div>" for name, text in facts)
    lines.append(f'<dl class="facts-list">{rows}</dl>')
    if fits:
        lines.append(f'<ul class="warnings" aria-label="Why it does not fit">{fits}</ul>')
    if files is not None and files.bytes_missing:
        command = f"python -m infinitetalk checkpoints download {preset}"
        lines.append(f'<p class="help">Fetch the weights: <code>{escape(command)}</code></p>')
    return f'<div class="model-panel">{"".join(lines)}</div>'


# --- a running job -------------------------------------------------------------------------------------------------


def waiting(place: int) -> str:
    """place: films that are made before this one."""
    text = "Starting" if place == 0 else f"Waiting: {counted(place, 'film')} before yours"
    return meter(text, "", None)


def progress(event: Progress, preview: bytes | None = None) -> str:
    """Stage, chunk and step above a bar, times at its side; below it the chunk as it looks now (a JPEG)."""
    title = STAGES.get(event.stage, event.stage.capitalize())
    if event.chunk is not None and event.num_chunks:
        title += f", chunk {event.chunk + 1} of {event.num_chunks}"
    if event.step is not None and event.num_steps:
        title += f", step {event.step + 1} of {event.num_steps}"
    times = f"{duration(event.seconds_elapsed)} so far"
    if event.chunk_seconds_left is not None and event.num_chunks and event.num_chunks > 1:
        times += f" · this chunk {duration(_rounded(event.chunk_seconds_left))}"
    if event.seconds_left is not None:
        times += f" · about {duration(_rounded(event.seconds_left))} left"
    strip = ""
    if preview:
        data = base64.b64encode(preview).decode()
        strip = f'<img class="latent-strip" alt="The chunk as it looks now" src="data:image/jpeg;base64,{data}">'
    return meter(title, times, event.fraction) + strip


def stopping() -> str:
    return meter("Stopping after this step; finished chunks are kept", "", None)


def meter(title: str, times: str, fraction: float | None) -> str:
    """A bar with its words; without a fraction it only moves."""
    if fraction is None:
        bar = '<div class="bar" role="progressbar" aria-label="Progress"><i class="unknown"></i></div>'
    else:
        percent = round(100 * min(1.0, max(0.0, fraction)))
        bar = (
            f'<div class="bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
        )
    return (
        f'<div class="meter"><div class="words"><span>{escape(title)}</span><span class="times">{escape(times)}</span>'
        f"</div>{bar}</div>"
    )


def ago(changed: float) -> str:
    """How long ago, from a file's time."""
    seconds = time.time() - changed
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"{counted(int(seconds // length), unit)} ago"
    return "just now"


def chunk_strip(chunks: Sequence[Chunk], finished: Iterable[ChunkFinished], running: int | None = None) -> str:
    """The film as bands, one a chunk, as wide as it is long; a finished one is a button that plays it."""
    done = {event.index: event for event in finished}
    poorly_tracked = {
        index: one.sentence for index, event in done.items() for one in event.tracking.values() if not one.good
    }
    group = -(-len(chunks) // MAX_BANDS)
    bands = []
    for first in range(0, len(chunks), group):
        members = chunks[first : first + group]
        start, stop = members[0].start_seconds, members[-1].stop_seconds
        name = f"Chunk {first + 1}" if group == 1 else f"Chunks {first + 1} to {first + len(members)}"
        label = f"{name}, {clock(start)} to {clock(stop)}"
        text = [one.sentence for chunk in members if chunk.index in done
                for one in done[chunk.index].tracking.values()]  # fmt: skip
        about = escape(f"{label}. {text[0]}" if len(text) == 1 else label)
        missed = " missed" if any(chunk.index in poorly_tracked for chunk in members) else ""
        width = f'style="flex-grow:{stop - start:.2f}"'
        if all(chunk.index in done for chunk in members):
            bands.append(
                f'<button type="button" class="band done{missed}" {width} data-start="{start:.2f}" '
                f'title="Play {about}" '
                f'aria-label="Play {about}"></button>'
            )
        else:
            state = "running" if running is not None and first <= running < first + group else "planned"
            bands.append(f'<span class="band {state}" {width} title="{label}: {state}"></span>')
    count = f"{len(done)} of {counted(len(chunks), 'chunk')} finished"
    return (
        f'<div class="strip"><div class="bands" role="group" aria-label="Chunks of the film">{"".join(bands)}</div>'
        f'<div class="words"><span>{count}</span><span class="times">{clock(0)} to '
        f"{clock(chunks[-1].stop_seconds)}</span></div>{_missed(poorly_tracked)}</div>"
    )


def _missed(sentences: Mapping[int, str]) -> str:
    """Of chunks whose tracking score is low, the first with what to try."""
    if not sentences:
        return ""
    first = min(sentences)
    others = f" So do {counted(len(sentences) - 1, 'other chunk')}." if len(sentences) > 1 else ""
    return notice(f"Chunk {first + 1}: {sentences[first]}{others}", "warning")


def film_facts(event: Finished, seed: int, num_bytes: int, seconds_elapsed: float) -> str:
    """One line under the finished film."""
    length = duration(event.num_frames / FRAMES_PER_SECOND)
    facts = [length, counted(event.num_frames, "frame"), size(num_bytes / 1e6), f"seed {seed}"]
    if seconds_elapsed:
        facts.append(f"made in {duration(seconds_elapsed)}")
    title = "Your film" if event.complete else "Your film so far"
    return f'<p class="facts"><strong>{title}</strong> {escape(" · ".join(facts))}</p>'
