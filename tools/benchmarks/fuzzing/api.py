"""What is sent to the studio's server: API calls with wrong fields, calls of the page's functions, malformed HTTP."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from random import Random
from typing import Any

from .case import NUMBERS, VALUES, WORDS, Case, spoiled_bytes, told

FIELDS = ("source", "voice", "second_voice", "preset", "seed", "prompt", "settings")
UPLOAD = (
    "upload:"  # in front of a file's name: the worker uploads the file and puts what the server answers in its place
)
# Values of `settings` that work, one of which is spoiled.
SETTINGS: dict[str, Any] = {
    "steps": 1, "audio_guidance_scale": 1.0, "guidance_scale": 1.0, "shift": 1.0, "framing": "face",
    "arrangement": "together",
    "max_seconds": 0.2, "cuts": [0.1], "camera": {"path": "orbit", "amount": 1.0},
    "camera_control": {"path": "pan", "amount": 1.0, "strength": 1.0}, "sdedit": {"denoising_strength": 0.5},
    "head": {"source": "lively", "amount": 1.0}, "pose": {"mode": "unianimate", "source": "follow", "person": "1"},
    "composite": {"person": "1"}, "short_source": "hold", "long_source": "trim", "reference_placement": "auto",
    "background": 0.0, "output_rate": "25",
}  # fmt: skip
_PATHS = (
    "/etc/passwd",
    "../../etc/passwd",
    "",
    ".",
    "a\0b",
    "x" * 10_000,
    "/tmp",
    "http://127.0.0.1:9/a.png",
    "\ud800",
    "/dev/null",
)
_PLAN = {"data": [None, None, None, "nano", "7", "", None]}
_JSON = "application/json"


def api_case(random: Random, folder: Path, media: dict[str, Path]) -> Case:
    """One call or one request."""
    chance = random.random()
    if chance < 0.68:
        return _field_case(random, folder, media)
    return _handler_case(random) if chance < 0.75 else _http_case(random)


def _field_case(random: Random, folder: Path, media: dict[str, Path]) -> Case:
    fields: dict[str, Any] = {"source": f"{UPLOAD}portrait.png", "voice": f"{UPLOAD}voice.wav", "second_voice": None,
                              "preset": "nano", "seed": "7", "prompt": "",
                              "settings": {"max_seconds": 0.2}}  # fmt: skip
    said = []
    for _ in range(random.choice((1, 1, 1, 2))):
        name = random.choice((*FIELDS, "settings", "settings", "settings"))
        if name == "settings":
            fields[name], what = _settings(random)
        elif name in ("source", "voice", "second_voice"):
            fields[name], what = _file(random, folder, media)
        else:
            fields[name] = random.choice((*VALUES, *NUMBERS, *WORDS))
            what = told(fields[name])
        said.append(f"{name} is {what}")
    call = random.choice(("plan", "plan", "plan", "generate"))
    if random.random() < 0.06:
        data, what = random.choice((([], "no fields"), (list(fields.values())[:3], "three fields"),
                                    ([*fields.values(), 1, 2], "two fields more"), (fields, "a table of fields"),
                                    (None, "null"), ("text", "a text")))  # fmt: skip
        return Case(f"/{call} with {what}", http={"call": call, "data": data})
    return Case(f"/{call}: {', '.join(said)}", http={"call": call, "data": list(fields.values())})


def _settings(random: Random) -> tuple[Any, str]:
    if random.random() < 0.12:
        value = random.choice(VALUES)
        return value, told(value)
    name = random.choice((*SETTINGS, *SETTINGS, "shoes", "", "source", "seed", "loras", "checkpoints_dir", "__class__"))
    whole = SETTINGS.get(name)
    value = random.choice(VALUES)
    what = f"{{{name}: {told(value)}}}"
    if isinstance(whole, dict) and random.random() < 0.7:
        key = random.choice((*whole, *whole, "first", "last", "mode", "strength", "speed", "offset_seconds", "x"))
        value, what = whole | {key: value}, f"{{{name}: {{{key}: {told(value)}}}}}"
    return {"max_seconds": 0.2} | {name: value}, what


def _file(random: Random, folder: Path, media: dict[str, Path]) -> tuple[Any, str]:
    chance = random.random()
    if chance < 0.35:
        value = random.choice((*VALUES, *WORDS))
        return value, told(value)
    if chance < 0.65:
        path = random.choice(_PATHS)
        value = {"path": path, "meta": {"_type": "gradio.FileData"}}
        key, wrong = random.choice((("path", path), ("url", random.choice(_PATHS)), ("size", random.choice(VALUES)),
                                    ("orig_name", random.choice(_PATHS)), ("meta", random.choice(VALUES)),
                                    ("is_stream", True)))  # fmt: skip
        return value | {key: wrong}, f"a file of path {told(path)}, {key} {told(wrong)}"
    ending = random.choice(sorted(media))
    data, what = spoiled_bytes(media[ending].read_bytes(), random, [media["wav"].read_bytes()])
    name = f"bad.{ending}"
    (folder / name).write_bytes(data)
    return f"{UPLOAD}{name}", f"an upload: a {ending}, {what}"


def _handler_case(random: Random) -> Case:
    """A function of the page itself, as a browser calls it, with fields of any kind."""
    number = random.randrange(200)  # the worker takes it modulo how many there are
    values = [random.choice(VALUES) for _ in range(12)]
    return Case(f"function {number} of the page with {', '.join(map(told, values[:3]))}, ...",
                http={"function": number, "values": values})  # fmt: skip


# --- malformed HTTP --------------------------------------------------------------------------------------------------

_BODIES = (
    b"", b"{", b"null", b"[]", b'"text"', b"{}", b'{"data": null}', b'{"data": {}}', b'{"data": [NaN]}',
    b'{"data": [1e999]}',
    b"[" * 100_000, b'{"data":' + b"[" * 50_000, b'{"data": "\xff\xfe"}', b"\0", b"a=b&c=d",
    b'{"data": [], "fn_index": "x"}',
    b'{"data": [], "fn_index": -1, "session_hash": "a"}', b'{"data": [], "fn_index": 99999, "session_hash": "a"}',
    b'{"data": [], "session_hash": null, "event_data": []}', b'{"data": [], "trigger_id": {}}', b"9" * 100_000,
    b'{"data": ["\\ud800"]}', b'{"data": [' + b"1," * 50_000 + b"1]}",
)  # fmt: skip
_GETS = (
    "/", "/config", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=../../etc/passwd",
    "/gradio_api/file=%2e%2e%2f%2e%2e%2fetc/passwd", "/gradio_api/file=%00", "/gradio_api/file=" + "a" * 5000,
    "/gradio_api/file=",
    "/gradio_api/proxy=http://127.0.0.1:9/", "/gradio_api/stream/a/b/c/playlist.m3u8", "/gradio_api/stream/a/1/2/3.ts",
    "/gradio_api/stream/a/1/2/playlist-file", "/gradio_api/custom_component/a/client/b/..%2f..%2fx",
    "/static/../../../etc/passwd",
    "/assets/..%2f..%2fetc%2fpasswd", "/gradio_api/call/plan/gone", "/gradio_api/call/nosuch/x",
    "/gradio_api/queue/data",
    "/gradio_api/queue/data?session_hash=" + "a" * 5000, "/gradio_api/upload_progress?upload_id=gone",
    "/gradio_api/component_server",
    "/pwa_icon/x", "/pwa_icon/99999999999", "/manifest.json", "/theme.css", "/monitoring", "/monitoring/x", "/%ff%fe",
    "/" + "a/" * 3000,
    "/gradio_api/deep_link", "/?deep_link=x", "/?__theme=%00", "/svelte/..%2f..%2fx", "/login_check",
    "/gradio_api/queue/status",
    "/gradio_api/token", "/gradio_api/app_id", "/robots.txt",
)  # fmt: skip
_POSTS = (
    "/gradio_api/call/plan", "/gradio_api/call/generate", "/gradio_api/call/presets", "/gradio_api/call/nosuch",
    "/gradio_api/call/v2/plan",
    "/gradio_api/run/plan", "/gradio_api/run/presets", "/gradio_api/api/plan", "/gradio_api/queue/join",
    "/gradio_api/upload",
    "/gradio_api/component_server", "/gradio_api/reset", "/gradio_api/cancel", "/gradio_api/stream/x",
    "/gradio_api/stream/x/close",
    "/gradio_api/process_recording", "/login", "/",
)  # fmt: skip
_HEADERS: tuple[dict[str, str], ...] = (
    {}, {}, {}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"},
    {"Content-Type": "application/json; charset=x"},
    {"Content-Type": "multipart/form-data; boundary=" + "a" * 5000}, {"Content-Type": ""}, {"Content-Length": "-1"},
    {"Content-Length": "99999999999"}, {"Content-Length": "x"}, {"Transfer-Encoding": "chunked"},
    {"Transfer-Encoding": "x"},
    {"Range": "bytes=-"}, {"Range": "bytes=9999999999-"}, {"Range": "bytes=5-1,2-1"}, {"Host": ""}, {"Host": "x" * 300},
    {"Host": "evil.example:99999"}, {"Origin": "http://evil.example"}, {"Origin": "null"},
    {"Cookie": "a=" + "b" * 20_000},
    {"Cookie": "\x80=\xff"}, {"Accept-Language": "x" * 5000}, {"X-Forwarded-Host": "a b"},
    {"X-Forwarded-Proto": "javascript"},
    {"X-Forwarded-For": "::::"}, {"X-Gradio-User": "x"}, {"Authorization": "Basic ::"},
    {"Authorization": "Bearer " + "a" * 5000},
    {"Upgrade": "websocket", "Connection": "Upgrade"}, {"Expect": "100-continue"}, {"Referer": "http://[::1"},
    {"x" * 5000: "y"},
    {"Accept-Encoding": "gzip;q=nan"}, {"If-Modified-Since": "yesterday"}, {"If-Range": "x"},
)  # fmt: skip
_METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "get", "X" * 100, "")
_WIRE = (
    b"", b"\r\n\r\n", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
    b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data;"
    b" boundary=a\r\nContent-Length: 20\r\n\r\n--a\r\nContent-Disposi", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /gradio_api/call/plan HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n{",
)  # fmt: skip


def _http_case(random: Random) -> Case:
    kind = random.choice(("get", "get", "post", "post", "post", "method", "wire", "multipart", "spoiled"))
    if kind == "wire":
        wire = random.choice(_WIRE)
        return Case(f"the bytes {told(wire)}", http=_raw(wire))
    headers = dict(random.choice(_HEADERS))
    body = b""
    method, path = "GET", random.choice(_GETS)
    if kind == "method":
        method, path = random.choice(_METHODS), random.choice((*_GETS, *_POSTS))
    elif kind != "get":
        method, path, body = "POST", random.choice(_POSTS), random.choice(_BODIES)
        headers = {"Content-Type": _JSON} | headers
    if kind == "spoiled":
        body, _ = spoiled_bytes(json.dumps(_PLAN | {"fn_index": 1, "session_hash": "a"}).encode(), random, [b"x"])
    if kind == "multipart":
        path = random.choice(
            ("/gradio_api/upload", "/gradio_api/upload?upload_id=a", "/gradio_api/upload", "/gradio_api/call/plan")
        )
        headers["Content-Type"] = "multipart/form-data; boundary=aa"
        body = _multipart(random)
    said = f"{method[:10]} {path[:60]}, headers {told(headers)}, body {told(body)}"
    return Case(said, http=_raw(_request(method, path, headers, body)))


def _multipart(random: Random) -> bytes:
    name = random.choice(
        (b"a.png", b"../../a.png", b"", b"/etc/a", b"a\0b", b"x" * 5000, b"\xff\xfe", b"con", b"a\\b", b".", b"..")
    )
    field = random.choice((b"files", b"file", b"", b"files"))
    end = random.choice((b"--aa--\r\n", b"", b"--aa", b"--bb--\r\n"))
    disposition = random.choice((b"form-data", b"attachment", b""))
    return (b"--aa\r\nContent-Disposition: " + disposition + b'; name="' + field + b'"; filename="' + name
            + b'"\r\nContent-Type: image/png\r\n\r\nabc\r\n' + end)  # fmt: skip


def _request(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = (
        {"Host": "127.0.0.1", "Connection": "close"} | ({"Content-Length": str(len(body))} if body else {}) | headers
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1", "replace") + body


def _raw(wire: bytes) -> dict[str, str]:
    return {"raw": base64.b64encode(wire).decode()}
