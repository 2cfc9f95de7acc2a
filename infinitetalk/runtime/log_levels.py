"""Notes of libraries about themselves, which a user can do nothing about."""

from __future__ import annotations

import logging

# Who says it, and what of.
_NOTES = {
    "bitsandbytes.backends.cpu.ops": "optional kernels for four bits on a processor",
    "diffusers.models.modeling_utils": "attention backends being experimental",
}


def limit_library_logs() -> None:
    """Let these libraries speak of errors only; to be called before they are imported."""
    for name in _NOTES:
        logging.getLogger(name).setLevel(logging.ERROR)
