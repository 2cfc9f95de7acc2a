"""What gradio and its server print when a call is malformed: one line each, and never a traceback."""

from __future__ import annotations

import logging
import sys
import traceback
from types import ModuleType
from typing import Any

from ..errors import printable

log = logging.getLogger("infinitetalk.studio")
_MODULES = ("gradio.routes", "gradio.route_utils", "gradio.queueing", "gradio.utils")
_LOGGERS = ("uvicorn.error", "uvicorn", "asyncio", "gradio", "starlette", "fastapi")


def print_one_line_errors() -> None:
    """From now on, in this process; gradio has to be imported."""
    for name in _MODULES:
        module = sys.modules.get(name)
        if module is not None and isinstance(getattr(module, "traceback", None), ModuleType):
            setattr(module, "traceback", _OneLine())  # noqa: B010 (a module's attribute of another type)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, _OneLineFilter) for each in logger.filters):
            logger.addFilter(_OneLineFilter())


class _OneLine:
    """Stands for the module `traceback` in gradio's modules; all but `print_exc` is the module's."""

    def print_exc(self, *arguments: Any, **options: Any) -> None:
        log.warning("a call was refused: %s", _described(sys.exc_info()[1]))

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)


class _OneLineFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
            record.msg, record.args = f"{str(record.msg).strip().splitlines()[0]} {_described(error)}", ()
            record.exc_info = record.exc_text = None
        return True


def _described(error: BaseException | None) -> str:
    text = " ".join(str(error).split())
    return printable(f"{type(error).__name__}: {text[:200]}")
