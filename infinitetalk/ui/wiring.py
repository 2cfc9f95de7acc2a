"""How handlers, which know components by name, become gradio's events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from .components import Components
from .studio import Studio
from .updates import Updates

# How an event is served.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
QUICK = PRIVATE | {"queue": False}
LAST = PRIVATE | {"trigger_mode": "always_last"}
FILM = PRIVATE | {"concurrency_limit": None}  # the studio's own queue makes one film at a time

# What a film that is being made, opened or changed may change on the page.
FILM_OUTPUTS = (
    "notice", "progress", "strip", "facts", "generate", "cancel", "download", "players", "live", "film", "result",
    "overlay", "job", "mine", "timeline", "retake", "retake_chunk", "retake_take", "retake_prompt",
)  # fmt: skip


@dataclass(frozen=True)
class Wiring:
    """The page's components and the studio that serves it."""

    components: Components
    studio: Studio

    def named(self, *names: str) -> list[Block]:
        """Inputs or outputs of an event."""
        return self.components.named(names)

    def changes(self, *names: str) -> list[Any]:
        """The event `change` of each."""
        return [component.change for component in self.named(*names)]

    def answer(self, update: Updates) -> Any:
        """A handler's answer as gradio takes it."""
        if not update:
            return gr.skip()
        return dict(zip(self.components.named(update), update.values(), strict=True))

    def updates(self, handler: Callable[..., Updates]) -> Callable[..., Any]:
        """A handler that answers once."""
        return lambda *values: self.answer(handler(*values))

    def streamed(self, handler: Callable[..., Iterator[Updates]]) -> Callable[..., Iterator[Any]]:
        """A handler that answers several times."""

        def stream(*values: Any) -> Iterator[Any]:
            for update in handler(*values):
                yield self.answer(update)

        return stream
