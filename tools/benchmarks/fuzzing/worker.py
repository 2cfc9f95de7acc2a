"""The process that tries cases: one JSON line in for each, one out; it may be killed, crash or hang.

In: {"folder": where the case's files lie, "argv": a command line}, or {"folder", "url": of the server, "http": ...}.
Out: {"code": exit code, "out", "err": what was printed, "log": the traceback that the command kept, "seconds",
"peak_mb"}; for HTTP {"answer": what the server said, "status": its number, "err": why there is no answer}.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import sys
import tempfile
import time
import traceback
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..studio_server import JSON, call, events, fetch, upload
from .api import UPLOAD

MOST_TEXT = 20_000  # characters of an answer or of output that are handed on
QUIET_SECONDS = 3.0  # a raw request is answered when nothing more has come for so long


def main() -> None:
    """Serve until standard input ends. Arguments: the memory ceiling in MB, the seconds that a request may take."""
    limit_memory(int(sys.argv[1]))
    patience = float(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    questions = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for line in questions:
        task = json.loads(line)
        os.chdir(task["folder"])
        result = _requested(task, patience) if task.get("http") else _commanded(task)
        print(json.dumps(result), file=answers, flush=True)


def limit_memory(megabytes: int) -> None:
    """What this process may hold, where the system can say so."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 2**20, megabytes * 2**20))


# --- command lines ---------------------------------------------------------------------------------------------------


def _commanded(task: dict[str, Any]) -> dict[str, Any]:
    from infinitetalk.commands.main import main as command

    logs = Path(task["folder"]).parent / "temporary"
    logs.mkdir(exist_ok=True)
    tempfile.tempdir = str(logs)
    _forget_peak()
    start = time.perf_counter()
    with _redirected(logs / "out.txt", logs / "err.txt"):
        try:
            code: Any = command(task["argv"])
        except SystemExit as stopped:  # argparse after --help
            code = stopped.code or 0
        except BaseException:
            traceback.print_exc()
            code = "escaped"
    seconds = time.perf_counter() - start
    os.chdir(task["folder"])
    kept = "\n".join(_text(log) for log in sorted(logs.glob("infinitetalk-*.log")))
    return {"code": code, "out": _text(logs / "out.txt"), "err": _text(logs / "err.txt"), "log": kept[-MOST_TEXT:],
            "seconds": round(seconds, 3), "peak_mb": _peak_mb()}  # fmt: skip


@contextlib.contextmanager
def _redirected(out: Path, err: Path):
    """Both streams into files at the level of descriptors: libraries print past Python."""
    saved = os.dup(1), os.dup(2)
    try:
        for descriptor, file in ((1, out), (2, err)):
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(opened, descriptor)
            os.close(opened)
        yield
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        for descriptor, old in zip((1, 2), saved):
            os.dup2(old, descriptor)
            os.close(old)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")[-MOST_TEXT:]


def _forget_peak() -> None:
    """Let the peak begin anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> int:
    with contextlib.suppress(OSError, StopIteration, ValueError):
        status = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) // 1024
    from infinitetalk.benchmarks.film import peak_rss_mb

    return round(peak_rss_mb())


# --- requests --------------------------------------------------------------------------------------------------------


def _requested(task: dict[str, Any], patience: float) -> dict[str, Any]:
    start = time.perf_counter()
    result: dict[str, Any] = {"answer": "", "status": 0, "err": ""}
    try:
        result |= _send(task["url"], task["http"], Path(task["folder"]), patience)
    except TimeoutError:
        result["err"] = "no answer in time"
    except (OSError, http.client.HTTPException) as error:
        result["err"] = f"{type(error).__name__}: {error}"
    result["answer"] = result["answer"][-MOST_TEXT:]
    return result | {"seconds": round(time.perf_counter() - start, 3)}


def _send(url: str, request: dict[str, Any], folder: Path, patience: float) -> dict[str, Any]:
    if "raw" in request:
        answer = _exchange(url, base64.b64decode(request["raw"]), patience)
        alive = fetch(url, "GET", "robots.txt", None, {}, patience)[0]
        status = answer[9:12]
        return {"answer": answer.decode("utf-8", "replace"), "status": int(status) if status.isdigit() else alive}
    if "function" in request:
        return _call_function(url, request, patience)
    data = request["data"]
    if isinstance(data, list):
        data = [_uploaded(url, one, folder, patience) for one in data]
    return call(url, request["call"], data, patience)


def _call_function(url: str, request: dict[str, Any], patience: float) -> dict[str, Any]:
    _, page = fetch(url, "GET", "config", None, {}, patience)
    functions = json.loads(page)["dependencies"]
    function = functions[request["function"] % len(functions)]
    values = request["values"]
    data = [values[index % len(values)] for index in range(len(function["inputs"]))]
    session = uuid.uuid4().hex
    body = json.dumps({"data": data, "fn_index": function["id"], "session_hash": session}).encode()
    status, answer = fetch(url, "POST", "gradio_api/queue/join", body, JSON, patience)
    if status != 200:
        return {"status": status, "answer": answer.decode("utf-8", "replace")}
    status, told = events(url, f"gradio_api/queue/data?session_hash={session}", ('"process_completed"',), patience)
    return {"status": status, "answer": told}


def _uploaded(url: str, value: Any, folder: Path, patience: float) -> Any:
    """What gradio wants in place of a file."""
    if not isinstance(value, str) or not value.startswith(UPLOAD):
        return value
    path = upload(url, folder / value.removeprefix(UPLOAD), patience)
    return path if path is None else {"path": path, "meta": {"_type": "gradio.FileData"}}


def _exchange(url: str, wire: bytes, patience: float) -> bytes:
    """Send bytes as they are; what comes back, until nothing has come for a while. A stream may never end."""
    place = urlsplit(url)
    with socket.create_connection(
        (place.hostname or "", place.port or 80), timeout=min(QUIET_SECONDS, patience)
    ) as line:
        answer = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            line.sendall(wire)
            line.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + patience
            while len(answer) < MOST_TEXT and time.monotonic() < deadline and (piece := line.recv(65536)):
                answer += piece
        return answer


if __name__ == "__main__":
    main()
