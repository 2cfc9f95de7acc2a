"""Small pictures of the sources that visitors chose, made when the timeline comes to show them.

A source is known to the browser by an unguessable word, so that no page can fetch another visitor's.
"""

from __future__ import annotations

import base64
import io
import secrets
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError

if TYPE_CHECKING:
    from ...media.video import Source

THUMBNAIL_PIXELS = 160
_MAX_SOURCES = 500
_MAX_OPEN = 4
_MAX_AT_ONCE = 32


class SourcePictures:
    """Thumbnails of sources by word and time. Safe to use from any thread; keeps a few files open."""

    def __init__(self) -> None:
        self._paths: OrderedDict[str, str] = OrderedDict()
        self._open: OrderedDict[str, Source] = OrderedDict()
        self._lock = threading.Lock()

    def word(self, path: str) -> str:
        """The word for a file; the same file has the same one."""
        path = str(Path(path).absolute())
        with self._lock:
            for word, known in self._paths.items():
                if known == path:
                    return word
            word = secrets.token_urlsafe(16)
            self._paths[word] = path
            while len(self._paths) > _MAX_SOURCES:
                oldest, _ = self._paths.popitem(last=False)
                self._close(oldest)
            return word

    def thumbnails(self, word: Any, times: Any) -> list[str | None]:
        """One `data:` address per instant (seconds of the source), None where there is no picture.

        Called by the browser: whatever is not a known word or a number gives nothing.
        """
        if not isinstance(word, str) or not isinstance(times, list):
            return []
        pictures: list[str | None] = []
        with self._lock:
            source = self._source(word)
            for time in times[:_MAX_AT_ONCE]:
                number = isinstance(time, (int, float)) and not isinstance(time, bool) and 0 <= time < 1e6
                pictures.append(self._draw(source, float(time)) if source is not None and number else None)
        return pictures

    def _source(self, word: str) -> Source | None:
        from ...media.video import open_source

        if word not in self._paths:
            return None
        if word not in self._open:
            try:
                self._open[word] = open_source(self._paths[word], max_side=THUMBNAIL_PIXELS)
            except (UserError, OSError):  # the file has gone since; the page says so when it plans
                return None
            while len(self._open) > _MAX_OPEN:
                self._close(next(iter(self._open)))
        self._open.move_to_end(word)
        return self._open[word]

    def _close(self, word: str) -> None:
        source = self._open.pop(word, None)
        if source is not None:
            source.close()

    @staticmethod
    def _draw(source: Source, seconds: float) -> str | None:
        from PIL import Image

        try:
            picture = source.frame_at(seconds)
        except UserError:
            return None
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=78)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
