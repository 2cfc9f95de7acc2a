"""The panel of films and the queue: its parts, what its buttons do, and how they are wired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ...errors import InputError
from ...events import ChunkFinished
from ...jobs.folder import JobFolder, given_name
from .. import film_handlers, handlers, rendering
from ..components import Components
from ..form import FORM_FIELDS, Form, filled
from ..jobs import Job, failure
from ..served import served
from ..studio import Studio
from ..timeline.state import with_work
from ..updates import Updates
from ..wiring import FILM, FILM_OUTPUTS, QUICK, Wiring
from .rows import film_list

_FOLDER = Path(__file__).resolve().parent
REFRESH_SECONDS = 2.0

_CONNECT = "window.mountFilms(element, (event) => trigger('select', event));"


def films_head() -> str:
    """The script, for the page's head."""
    return f"<script>{(_FOLDER / 'films.js').read_text(encoding='utf-8')}</script>"


def films_css() -> str:
    return (_FOLDER / "films.css").read_text(encoding="utf-8")


def panel(c: Components, studio: Studio) -> None:
    """The panel's components."""
    with gr.Accordion("Your films", open=False, elem_id="films-panel", elem_classes="card") as c.films_panel:
        c.films = gr.HTML("", js_on_load=_CONNECT, apply_default_css=False, elem_id="films")
        with gr.Row(visible=False, elem_id="removed-row") as c.removed_row:
            c.removed_words = gr.HTML()
            c.unremove = gr.Button("Undo: put it back", size="sm", elem_id="unremove")
        c.removed = gr.State(None)  # (name, whether it waited in the queue)
        c.films_drawn = gr.State("")
        gr.HTML(f'<p class="help">{_kept(studio)}</p>')
        c.films_clock = gr.Timer(REFRESH_SECONDS, active=False)


def _kept(studio: Studio) -> str:
    if studio.keep_hours is not None:
        hours = rendering.duration(3600 * studio.keep_hours)
        return f"Films are deleted {hours} after they were last changed; download what you want to keep."
    return "Films are kept until you remove them; a removed one can be put back for an hour."


# --- what the visitor owns -------------------------------------------------------------------------------------------


def _own(studio: Studio, mine: Any, name: Any) -> Path:
    """Raises: InputError if the film is gone or not this visitor's."""
    path = studio.folder(name)
    if path is None or path not in studio.folders(mine):
        raise InputError("This film is no longer there; reload the page.")
    return path


# --- handlers --------------------------------------------------------------------------------------------------------


def refresh(studio: Studio, mine: Any, job_id: Any, drawn: str | None = None) -> Updates:
    """The list as it is now; nothing if it is as `drawn`."""
    job = studio.find(job_id)
    now = film_list(studio, mine, None if job is None else job.directory)
    return {} if now == drawn else {"films": now, "films_drawn": now}


def later(studio: Studio, mine: Any, job_id: Any, *values: Any) -> Updates:
    """Put the film that is set up into the queue."""
    try:
        paused = studio.queue_state().paused or not studio.passed_over().isdisjoint(studio.queued(mine))
        job = studio.submit_later(Form(*values).to_request(), held=studio.shared and paused)
    except Exception as error:
        return {"notice": rendering.notice(failure(error).message)}
    place = studio.place(job)
    before = "it is next" if place == 0 else f"{rendering.counted(place, 'film')} before it"
    note = "The queue is paused." if paused else "It is made even if this page is closed."
    mine = film_handlers.remembered(mine, job.directory)
    return {
        "mine": mine,
        "notice": rendering.notice(f"In the queue, {before}. {note}", "note"),
        "films_panel": gr.update(open=True),
        "films_clock": gr.update(active=True),
    } | refresh(studio, mine, job_id)


def pressed(studio: Studio, mine: Any, job_id: Any, event: Any) -> Iterator[Updates]:
    """A button of the list. event: {"action", "film"} as the page sends it."""
    yield {}
    try:
        action = event.get("action") if isinstance(event, dict) else None
        if action in ("pause", "go-on"):
            studio.pause(action == "pause", mine)
        elif action in ("up", "down"):
            studio.move(_own(studio, mine, event.get("film")), -1 if action == "up" else 1, mine)
        elif action == "rename":
            JobFolder.open(_own(studio, mine, event.get("film"))).rename(str(event.get("name") or ""))
        elif action == "cancel":
            if (job := studio.working_on(_own(studio, mine, event.get("film")))) is not None:
                studio.cancel(job)
        elif action == "remove":
            path = _own(studio, mine, event.get("film"))
            queued = studio.remove(path)
            yield {
                "removed": (path.name, queued), "removed_row": gr.update(visible=True),
                "removed_words": rendering.notice("The film was removed.", "note"),
            }  # fmt: skip
        elif action == "again":
            yield {
                **_form(_own(studio, mine, event.get("film"))),
                "notice": rendering.notice("Everything is set as it was for that film; change what you like.", "note"),
            }  # fmt: skip
        elif action in ("open", "watch", "resume"):
            yield from _show(studio, mine, _own(studio, mine, event.get("film")), action)
            return
    except Exception as error:
        yield {"notice": rendering.notice(failure(error).message)}
    yield refresh(studio, mine, job_id)


def _form(path: Path, work: Sequence[str] = ()) -> Updates:
    """The form that makes this film again. work: the status of each chunk, shown until the timeline is edited."""
    form = filled(JobFolder.open(path).request, lambda file: served(Path(file), given_name(file)))
    form["edits"]["work"] = list(work)
    return form | {"preset_help": handlers.model_panel(form["preset"])}


def _show(studio: Studio, mine: Any, path: Path, action: str) -> Iterator[Updates]:
    job: Job | None = studio.working_on(path)
    if job is None:
        job = studio.resume(path) if action == "resume" else studio.opened(path)
    if not job.ended:
        if action == "resume":
            yield _form(path)
        yield film_handlers.started() | {"job": job.id, "film": gr.update(value=None), "live": gr.update(value=None)}
        yield refresh(studio, mine, job.id)
        yield from film_handlers.watch(studio, job)
        yield refresh(studio, mine, job.id)
        return
    yield {"job": job.id, "live": gr.update(value=None), "notice": "", "players": gr.update(selected="film")}
    yield refresh(studio, mine, job.id)
    yield from film_handlers.watch(studio, job)
    yield _form(path, _work(job))


def _work(job: Job) -> list[str]:
    """The status of each chunk of a film that is there."""
    if not job.ended:
        return []
    return with_work(job.plan.chunks, (event.index for event in job.follow() if isinstance(event, ChunkFinished)), None)


def put_back(studio: Studio, mine: Any, job_id: Any, removed: Any) -> Updates:
    """The film that was removed last, as it was."""
    try:
        name, queued = removed if isinstance(removed, list | tuple) and len(removed) == 2 else (None, False)
        back = studio.put_back(name, bool(queued))
    except Exception as error:
        return {"notice": rendering.notice(failure(error).message)}
    notice = "" if back else rendering.notice("The film could not be put back; it is gone.")
    return {"removed_row": gr.update(visible=False), "notice": notice} | refresh(studio, mine, job_id)


# --- wiring ----------------------------------------------------------------------------------------------------------


def wire(wiring: Wiring) -> None:
    """Connect the panel."""
    c, named, updates, studio = wiring.components, wiring.named, wiring.updates, wiring.studio
    known = named("mine", "job")
    listed = ("films", "films_drawn")
    c.films_clock.tick(
        updates(partial(refresh, studio)), [*known, c.films_drawn], named(*listed), **QUICK, trigger_mode="once"
    )
    # A hidden list is not refreshed.
    c.films_panel.expand(
        updates(lambda mine, job_id: refresh(studio, mine, job_id) | {"films_clock": gr.update(active=True)}),
        known, named(*listed, "films_clock"), **QUICK,
    )  # fmt: skip
    c.films_panel.collapse(
        updates(lambda: {"films_clock": gr.update(active=False)}), None, named("films_clock"), **QUICK
    )
    c.later.click(
        updates(partial(later, studio)), [*known, *named(*FORM_FIELDS)],
        named("mine", "notice", "films_panel", "films_clock", *listed), **QUICK,
    )  # fmt: skip
    c.unremove.click(
        updates(partial(put_back, studio)), [*known, c.removed], named("removed_row", "notice", *listed), **QUICK
    )

    def chosen(mine: Any, job_id: Any, event: gr.EventData) -> Iterator[Any]:
        yield from wiring.streamed(lambda: pressed(studio, mine, job_id, getattr(event, "_data", None)))()

    changing = named(*FILM_OUTPUTS, *FORM_FIELDS, "preset_help", *listed, "removed", "removed_row", "removed_words")
    c.films.select(chosen, known, changing, trigger_mode="multiple", **FILM)
