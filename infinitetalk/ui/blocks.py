"""gradio's page, but for how a handler that answers several times sends the browser its changes."""

from __future__ import annotations

from typing import Any

import gradio as gr


class WholeAnswers(gr.Blocks):
    """Each component's answer is sent whole, or not at all where it is the one before.

    gradio sends edits of the answer before (`gradio.utils.diff`), key by key. A component that was left alone in one
    answer ({"__type__": "update"}) and is given a file in another then ends as a mixture of both, which nothing can
    read: a film that was to be used again was now and then not set in the form, and no plan was made from then on.
    """

    def handle_streaming_diffs(
        self, block_fn: Any, data: list, session_hash: str | None, run: str | None, final: bool,
        simple_format: bool = False,
    ) -> list:  # fmt: skip
        """As gradio's, with one edit at most for each output: the whole of it."""
        if session_hash is None or run is None:
            return data
        before = self.pending_diff_streams[session_hash].get(run)
        known = None if before is None else list(before)
        whole = list(data)
        answer = super().handle_streaming_diffs(block_fn, data, session_hash, run, final, simple_format)
        if known is None or final or simple_format:
            return answer
        return [
            [] if index < len(known) and known[index] == value else [["replace", [], value]]
            for index, value in enumerate(whole)
        ]
