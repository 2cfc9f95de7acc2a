"""The comparison as one HTML file that can be sent to anybody: films, linked players and settings, no network."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..errors import writing_failed
from .sides import Side, differences

EMBED_BELOW_BYTES = 40_000_000  # both films together; larger ones become files next to the page

_STATIC = Path(__file__).resolve().parent / "static"


def export_page(first: Side, second: Side, output: Path) -> list[Path]:
    """Write the page; returns every file that belongs to it, the page first.

    Raises:
        OutputError: if it cannot be written.
    """
    output = Path(output)
    sides = (first, second)
    embedded = sum(side.film.stat().st_size for side in sides) < EMBED_BELOW_BYTES
    files = [output]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        addresses = []
        for side, name in zip(sides, ("first", "second"), strict=True):
            if embedded:
                data = base64.b64encode(side.film.read_bytes()).decode("ascii")
                addresses.append(f"data:video/mp4;base64,{data}")
            else:
                copy = output.with_name(f"{output.stem}-{name}{side.film.suffix}")
                shutil.copyfile(side.film, copy)
                files.append(copy)
                addresses.append(copy.name)
        partial = output.with_name(output.name + ".partial")
        partial.write_text(_page(sides, addresses), encoding="utf-8")
        os.replace(partial, output)
    except OSError as error:
        raise writing_failed(str(output), error) from error
    return files


def player_style() -> str:
    """Of the players alone; the colours `--cmp-*` come from whoever shows them."""
    return (_STATIC / "comparison.css").read_text(encoding="utf-8")


def player_script() -> str:
    """Defines `mountComparison`."""
    return (_STATIC / "comparison.js").read_text(encoding="utf-8")


def differences_table(first: Side, second: Side) -> str:
    """What the settings of the two differ in, as HTML."""
    rows = differences(first, second)
    if first.request is None or second.request is None:
        return '<p class="soft">One of the films is not a job of the studio, so its settings are not known.</p>'
    if not rows:
        return '<p class="soft">Both were made with the same settings.</p>'
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    heads = "".join(f"<th>{escape(text)}</th>" for text in ("What differs", f"A: {first.label}", f"B: {second.label}"))
    return f'<table class="cmp-table"><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table>'


def _page(sides: Sequence[Side], addresses: Sequence[str]) -> str:
    title = " against ".join(escape(side.label) for side in sides)
    films = [
        {"url": address, "label": side.label, "start": side.start_seconds}
        for side, address in zip(sides, addresses, strict=True)
    ]
    data = json.dumps(films).replace("<", "\\u003c")  # a name must not end the script
    style = (_STATIC / "page.css").read_text(encoding="utf-8") + player_style()
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head>
<body><main>
<h1>{title}</h1>
<div id="comparison"></div>
{differences_table(*sides)}
<p class="soft">Space plays, arrows step one frame, Shift steps a second, W wipes. Made with InfiniteTalk Studio.</p>
</main><script>{player_script()}
const players = mountComparison(document.getElementById("comparison"));
players.show(...{data});
document.addEventListener("keydown", (event) => {{ if (!event.defaultPrevented) players.key(event); }});
</script></body></html>
"""
