"""The panel that compares two films: its parts, what they do, and how they are wired."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from ...comparison.page import differences_table, player_script, player_style
from ...comparison.sides import Side
from ...errors import InputError
from .. import rendering
from ..components import Components
from ..jobs import failure
from ..served import new_served
from ..studio import Studio
from ..updates import Updates
from ..wiring import PRIVATE, QUICK, Wiring
from . import sides

CHOSEN = ("compare_first", "compare_second")

_TEMPLATE = '<div class="comparison"></div>'
_CONNECT = """
const players = window.mountComparison(element.querySelector('.comparison'));
const show = () => { if (props.value) players.show(...props.value); };
watch(['value'], show);
show();
"""
# The players' colours are the page's.
_COLORS = """
.cmp, .cmp-table {
  --cmp-ink: var(--body-text-color); --cmp-soft: var(--body-text-color-subdued); --cmp-accent: var(--color-accent);
  --cmp-line: var(--border-color-primary); --cmp-card: var(--button-secondary-background-fill);
}
#compare > button { font-weight: 600; }
"""


def compare_head() -> str:
    """The script, for the page's head."""
    return f"<script>{player_script()}</script>"


def compare_css() -> str:
    return player_style() + _COLORS


def panel(c: Components) -> None:
    """The panel's components."""
    with gr.Accordion("Compare two films", open=False, elem_id="compare", elem_classes="card") as c.compare:
        with gr.Row():
            c.compare_first = gr.Dropdown([], label="A", min_width=260, elem_id="compare-first")
            c.compare_second = gr.Dropdown([], label="B", min_width=260, elem_id="compare-second")
        c.compare_upload = gr.File(
            label="A film of your own to compare with (optional)", file_types=["video"], height=100,
            elem_id="compare-upload",
        )  # fmt: skip
        c.compare_notice = gr.HTML(elem_id="compare-notice")
        with gr.Column(visible=False) as c.compare_result:
            c.compare_players = gr.HTML(
                value=None, html_template=_TEMPLATE, js_on_load=_CONNECT, apply_default_css=False,
                elem_id="compare-players",
            )  # fmt: skip
            c.compare_table = gr.HTML(elem_id="compare-table")
            with gr.Row():
                c.compare_side = gr.Button("Save as a film, side by side", size="md", elem_id="compare-side")
                c.compare_wipe = gr.Button("Save as a film that wipes", size="md", elem_id="compare-wipe")
                c.compare_page = gr.Button("Save as a page to send", size="md", elem_id="compare-page")
            c.compare_progress = gr.HTML()
            c.compare_download = gr.DownloadButton(
                "Download the comparison", variant="primary", size="md", visible=False, elem_id="compare-download"
            )


# --- handlers --------------------------------------------------------------------------------------------------------


def offered(studio: Studio, mine: Any, job_id: Any, uploaded: Any, first: Any, second: Any) -> Updates:
    """What there is to choose from now; what was chosen stays where it can."""
    found = sides.choices(studio, mine, studio.find(job_id), uploaded)
    keys = [key for _, key in found]
    before = (first, second)
    if uploaded and sides.UPLOAD not in before:
        second = sides.UPLOAD
    chosen = [first if first in keys else next(iter(keys), None)]
    chosen.append(second if second in keys else next((key for key in keys if key != chosen[0]), None))
    words = "" if len(keys) > 1 else rendering.notice("Make a second film or take, or upload one, to compare.", "note")
    lists = {
        # A choice that stays is not sent: the visitor may have made another one meanwhile.
        name: gr.update(choices=found) if now == was else gr.update(choices=found, value=now)
        for name, now, was in zip(CHOSEN, chosen, before, strict=True)
    }
    return {**lists, "compare_notice": words} | ({} if len(keys) > 1 else {"compare_result": gr.update(visible=False)})


def shown(studio: Studio, mine: Any, job_id: Any, uploaded: Any, first: Any, second: Any) -> Updates:
    """Both films in the players, and what differs."""
    if not first or not second:
        return {}
    try:
        both = _both(studio, mine, job_id, uploaded, first, second)
        players = [{"url": sides.address(one), "label": one.label, "start": one.start_seconds} for one in both]
    except Exception as error:
        return {"compare_notice": rendering.notice(failure(error).message), "compare_result": gr.update(visible=False)}
    return {
        "compare_notice": "",
        "compare_result": gr.update(visible=True),
        "compare_players": gr.update(value=players),
        "compare_table": differences_table(*both),
        "compare_download": gr.update(visible=False),
    }


def export(
    studio: Studio, kind: str, mine: Any, job_id: Any, uploaded: Any, first: Any, second: Any
) -> Iterator[Updates]:
    """Write the comparison and offer it. kind: side, wipe or page."""
    from ...comparison.film import export_film
    from ...comparison.page import export_page

    yield {"compare_progress": _progress(0.0), "compare_download": gr.update(visible=False)}
    shares: queue.Queue[float | Exception | None] = queue.Queue()

    def work() -> None:
        try:
            both = _both(studio, mine, job_id, uploaded, first, second)
            if kind == "page":
                if export_page(*both, target)[1:]:
                    raise InputError("These films are too long for one page; save them as a film instead.")
            else:
                export_film(*both, target, layout=kind, report=shares.put)
            shares.put(None)
        except Exception as error:  # reported where the progress is
            shares.put(error)

    target = new_served("comparison.html" if kind == "page" else "comparison.mp4")
    threading.Thread(target=work, name="comparison", daemon=True).start()
    while isinstance(news := shares.get(), float):
        yield {"compare_progress": _progress(news)}
    if news is not None:
        yield {"compare_progress": "", "compare_notice": rendering.notice(failure(news).message)}
        return
    yield {"compare_progress": "", "compare_download": gr.update(value=str(target), visible=True)}


def _progress(share: float) -> str:
    return rendering.meter("Writing the comparison", f"{100 * share:.0f} %", share)


def _both(studio: Studio, mine: Any, job_id: Any, uploaded: Any, first: Any, second: Any) -> tuple[Side, Side]:
    job = studio.find(job_id)
    return tuple(sides.side(studio, mine, job, uploaded, key) for key in (first, second))


# --- wiring ----------------------------------------------------------------------------------------------------------


def wire(wiring: Wiring) -> None:
    """Connect the panel."""
    c, named, studio = wiring.components, wiring.named, wiring.studio
    known = named("mine", "job", "compare_upload", *CHOSEN)
    result = named("compare_notice", "compare_result", "compare_players", "compare_table", "compare_download")
    show = wiring.updates(partial(shown, studio))
    choices = wiring.updates(partial(offered, studio)), known, named(*CHOSEN, "compare_notice", "compare_result")
    for event in (c.compare.expand, c.compare_upload.change):
        event(*choices, **QUICK).then(show, known, result, **PRIVATE)
    # A film that was made, changed or opened while the panel is open.
    c.film.change(*choices, **QUICK).then(show, known, result, **PRIVATE)
    for choice in (c.compare_first, c.compare_second):
        choice.input(show, known, result, **PRIVATE)
    for kind, button in (("side", c.compare_side), ("wipe", c.compare_wipe), ("page", c.compare_page)):
        button.click(
            wiring.streamed(partial(export, studio, kind)), known,
            named("compare_progress", "compare_notice", "compare_download"), **PRIVATE, concurrency_limit=1,
            concurrency_id="comparison",
        )  # fmt: skip
