"""A studio's server in a process of its own, and its API over plain HTTP, for measurements that need a real one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infinitetalk.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "app.py")
START_SECONDS = 120.0
JSON = {"Content-Type": "application/json"}


class StudioServer:
    """`python app.py` on a free port, with its jobs and its output in `folder`; stopped when the block ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"
        self.output = folder / "server.txt"
        self.url = ""
        self.process: subprocess.Popen | None = None
        self._seen: dict[Path, int] = {}

    def __enter__(self) -> StudioServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, and wait until the page is there. Raises UserError if it does not come."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {
            **os.environ,
            "GRADIO_TEMP_DIR": str(self.folder / "uploads"),
            "GRADIO_ANALYTICS_ENABLED": "False",
        }
        command = [*COMMAND, "--port", str(port), "--jobs-dir", str(self.jobs)]
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self.url = f"http://127.0.0.1:{port}/"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if fetch(self.url, "GET", "robots.txt", None, {}, 5.0)[0] == 200:
                    return
            time.sleep(0.2)
        self.stop()
        raise UserError(f"The studio did not start; it said: {self.output.read_text(errors='replace')[-1000:]}")

    def stop(self) -> None:
        """End the process; nothing if it has ended."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def news(self) -> str:
        """What the server has printed and logged since the last call."""
        said = ""
        for file in (self.output, self.jobs / "studio.log"):
            if file.exists():
                data = file.read_bytes()
                said += data[self._seen.get(file, 0) :].decode("utf-8", "replace")
                self._seen[file] = len(data)
        return said


def call(url: str, name: str, data: Any, patience: float, visitor: str | None = None) -> dict[str, Any]:
    """Call a function of the studio's API as a visitor.

    Returns:
        status: of the answer. answer: its last event, `complete` or `error` with data; or why there was none.
    """
    body = json.dumps({"data": data} | ({"session_hash": visitor} if visitor else {})).encode()
    status, answer = fetch(url, "POST", f"gradio_api/call/{name}", body, JSON, patience)
    if status != 200 or b"event_id" not in answer:
        return {"status": status, "answer": answer.decode("utf-8", "replace")}
    event = json.loads(answer)["event_id"]
    status, told = events(url, f"gradio_api/call/{name}/{event}", ("event: complete", "event: error"), patience)
    return {"status": status, "answer": told}


def upload(url: str, file: Path, patience: float) -> str | None:
    """The path of a file on the server after its upload; None where the server does not take it."""
    bound = uuid.uuid4().hex
    head = f'--{bound}\r\nContent-Disposition: form-data; name="files"; filename="{file.name}"\r\n\r\n'
    body = head.encode() + file.read_bytes() + f"\r\n--{bound}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={bound}"}
    status, answer = fetch(url, "POST", "gradio_api/upload", body, headers, patience)
    return json.loads(answer)[0] if status == 200 else None


def fetch(
    url: str, method: str, path: str, body: bytes | None, headers: dict[str, str], patience: float
) -> tuple[int, bytes]:
    """Status and body of an answer. Raises OSError or HTTPException where there is none."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=patience)
    with contextlib.closing(connection):
        connection.request(method, f"/{path}", body, headers)
        response = connection.getresponse()
        return response.status, response.read()


def events(url: str, path: str, last: tuple[str, ...], patience: float) -> tuple[int, str]:
    """A stream of events until one of `last` and its data. Raises TimeoutError after `patience` seconds."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=patience)
    deadline = time.monotonic() + patience
    with contextlib.closing(connection):
        connection.request("GET", f"/{path}")
        response = connection.getresponse()
        kept, ended = [], False
        while line := response.readline().decode("utf-8", "replace"):
            kept.append(line)
            if ended and line.startswith("data:"):
                break
            ended = ended or any(word in line for word in last)
            if ended and line.startswith("data:"):
                break
            if time.monotonic() > deadline:
                raise TimeoutError
        return response.status, "".join(kept[-2:])
