"""Numbered headings of the page's cards."""

from __future__ import annotations


def heading(number: int, title: str, help_text: str = "") -> str:
    below = f'<p class="help">{help_text}</p>' if help_text else ""
    return f'<h2><span class="number" aria-hidden="true">{number}</span>{title}</h2>{below}'
