"""Which requests the server answers, and in whose frames its page may stand.

Served to this machine alone, a name that an attacker points at 127.0.0.1 (DNS rebinding) is not answered. A page of
another site can neither upload nor start anything (cross-site request forgery), nor read an answer (no CORS headers).
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import printable
from .visitors import LEAST_FREE_BYTES, UploadAllowance, visitor_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BODY_BYTES = 4_000_000  # of a request that is no upload
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
log = logging.getLogger("infinitetalk.studio")
_DROPPED = (b"access-control-",)


class Access:
    """ASGI middleware around gradio's application.

    Args:
        shared: answers other machines; then any host name is answered, as proxies have many.
        jobs_dir: whose disk must not fill up.
    """

    def __init__(self, app: Any, *, shared: bool, jobs_dir: Path) -> None:
        self.app = app
        self.shared = shared
        self.jobs_dir = jobs_dir
        self.allowance = UploadAllowance()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _answer(scope, send, *refused)
            return
        most = self._most_bytes(scope, headers)
        if most is None:
            await _answer(scope, send, 429, "You have uploaded all that one visitor may in a day; come back tomorrow.")
            return
        if int(headers.get("content-length", "0") or 0) > most:
            await _answer(scope, send, 413, f"The request is larger than {most / 1e6:g} MB; send less.")
            return
        try:
            await self.app(scope, _bounded(receive, most), self._with_headers(send))
        except Exception as error:  # gradio's own answer has been sent; its server would print a traceback
            log.warning("a request could not be answered: %s", printable(f"{type(error).__name__}: {str(error)[:200]}"))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and sentence for a request that is not answered."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if str(scope.get("path", "")).startswith("/pwa_icon"):
            return 404, "There is no icon of another size."  # gradio makes them of pictures, the page's is a drawing
        if not self.shared and _name(f"//{host}") not in LOOPBACK:
            return 421, "This studio answers this machine alone; open it as http://127.0.0.1 with its port."
        if not headers.get("content-length", "0").isdigit():
            return 400, "The request's Content-Length is no number."
        if origin is None:
            return None
        if not self.shared and _name(origin) not in LOOPBACK:
            return 403, "Another site's page may not use this studio."
        method = scope.get("method", "GET")
        if method not in _SAFE_METHODS and not self._same_site(origin, host, headers):
            return 403, "Another site's page may not use this studio."
        return None

    @staticmethod
    def _same_site(origin: str, host: str, headers: dict[str, str]) -> bool:
        """Whether the page that asks is this server's own; proxies may have replaced the host, browsers then say it."""
        if headers.get("sec-fetch-site") == "same-origin":
            return True
        netloc = urlsplit(origin).netloc.lower()
        return bool(netloc) and netloc in (host.lower(), headers.get("x-forwarded-host", "").lower())

    def _most_bytes(self, scope: Scope, headers: dict[str, str]) -> int | None:
        """The most bytes that the request's body may have; None where the visitor has had his share."""
        if not str(scope.get("path", "")).rstrip("/").endswith("/upload"):
            return MOST_BODY_BYTES
        length = int(headers.get("content-length", "0") or 0)
        if not self.shared:
            return length or 2**63
        client = scope.get("client") or (None,)
        free = shutil.disk_usage(self.jobs_dir).free - LEAST_FREE_BYTES
        if not length or length > free or not self.allowance.take(visitor_of(client[0], headers), length):
            return None
        return length

    def _with_headers(self, send: Send) -> Send:
        """Security headers on every answer, and none that let other sites read it.

        What gradio answers with "Internal Server Error" is a request that it cannot read, which is the client's fault.
        """
        unreadable = False

        async def sent(message: Message) -> None:
            nonlocal unreadable
            if message["type"] == "http.response.start" and message["status"] == 500:
                unreadable = True
                await _answer({"type": "http"}, send, 400, "The request cannot be read; correct its data.")
            if unreadable:
                return
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if not pair[0].lower().startswith(_DROPPED)]
                message = {**message, "headers": [*kept, *_frame_headers()]}
            await send(message)

        return sent


def _frame_headers() -> list[tuple[bytes, bytes]]:
    headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
    if os.environ.get("SPACE_ID"):  # a Space stands in a frame of the hub's page
        return [*headers, (b"content-security-policy", b"frame-ancestors 'self' https://huggingface.co")]
    return [
        *headers, (b"content-security-policy", b"frame-ancestors 'self'"), (b"x-frame-options", b"SAMEORIGIN")
    ]  # fmt: skip


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _bounded(receive: Receive, most: int) -> Receive:
    """A body without a stated length ends at the bound as if the client had gone."""
    taken = 0

    async def received() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b"") or b"")
        return {"type": "http.disconnect"} if taken > most else message

    return received


async def _answer(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *_frame_headers()]})
    await send({"type": "http.response.body", "body": body})
