"""The served page, attacked: other names and sites, malformed calls, foreign files, signals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infinitetalk.paths import assets_dir
from tests.ui.conftest import REPOSITORY, wait_for

PORTRAIT, SPEECH = assets_dir() / "portrait.png", assets_dir() / "speech.wav"


class Server:
    """`python app.py` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.output = folder / "output.txt"
        environment = dict(os.environ, GRADIO_TEMP_DIR=str(folder / "cache"), OMP_NUM_THREADS="1")
        command = [sys.executable, "app.py", "--port", str(self.port), "--jobs-dir", str(folder / "jobs"), *arguments]
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        wait_for(f"http://127.0.0.1:{self.port}/", self.process, self.output)

    def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by lower-case name, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def upload(self, file: Path, **headers: str) -> tuple[int, Any]:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="files"; filename="' + file.name.encode()
            + b'"\r\nContent-Type: application/octet-stream\r\n\r\n' + file.read_bytes() + b"\r\n--b--\r\n"
        )  # fmt: skip
        kind = "multipart/form-data; boundary=b"
        status, _, answer = self.call("POST", "/gradio_api/upload", body, Content_Type=kind, **headers)
        return status, json.loads(answer) if status == 200 else answer.decode()

    def api(self, name: str, *data: Any) -> str:
        """The last event of a named function's answer: its type and data."""
        body = json.dumps({"data": data}).encode()
        status, _, answer = self.call("POST", f"/gradio_api/call/{name}", body, Content_Type="application/json")
        assert status == 200, answer
        _, _, events = self.call("GET", f"/gradio_api/call/{name}/{json.loads(answer)['event_id']}")
        return events.decode()

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Seconds until it has ended."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=20)
        return time.monotonic() - started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("server"))
    yield one
    if one.process.poll() is None:
        one.stop(signal.SIGKILL)


def _file(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_another_name_for_this_machine_is_not_answered(server: Server) -> None:
    """DNS rebinding: an attacker's name points at 127.0.0.1, so its page is of the same site."""
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", ""):
        status, _, body = server.call("GET", "/config", Host=host)
        assert status in (400, 421) and b"components" not in body, host
    assert server.call("GET", "/config", Host=f"localhost:{server.port}")[0] == 200


def test_another_site_can_neither_read_nor_upload_nor_frame(server: Server) -> None:
    status, headers, body = server.call("GET", "/config", Origin="http://evil.example")
    assert status == 403 and "access-control-allow-origin" not in headers and b"components" not in body
    for origin in ("http://evil.example", "null", f"http://localhost.evil.example:{server.port}"):
        assert server.upload(PORTRAIT, Origin=origin)[0] == 403, origin
    assert server.upload(PORTRAIT, Origin=f"http://127.0.0.1:{server.port}")[0] == 200
    _, headers, _ = server.call("GET", "/")
    assert headers["x-frame-options"] == "SAMEORIGIN" and "frame-ancestors 'self'" in headers["content-security-policy"]
    assert not [name for name in headers if name.startswith("access-control")]


def test_a_preset_is_a_name_and_never_a_file(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: hunter2\n")
    (source,), (voice,) = server.upload(PORTRAIT)[1], server.upload(SPEECH)[1]
    (uploaded,) = server.upload(secret)[1]
    for preset in (str(secret), uploaded, "../../etc/passwd", "/etc/passwd", "auto+/etc/passwd.yaml", "nano\0"):
        answer = server.api("plan", _file(source), _file(voice), None, preset, "7", "", None)
        assert "There is no preset" in answer and "hunter2" not in answer and "password" not in answer, answer


def test_files_of_the_server_are_no_inputs(server: Server, tmp_path: Path) -> None:
    (source,), (voice,) = server.upload(PORTRAIT)[1], server.upload(SPEECH)[1]
    place = tmp_path / "path.json"
    place.write_text("{}")
    for settings in (
        {"camera": {"path": str(place)}}, {"pose": {"source": "/etc/passwd"}}, {"head": {"source": "/etc/hostname"}},
        {"loras": [{"file": "/etc/passwd"}]}, {"checkpoints_dir": "/etc"}, {"keyframes": [{"image": "/etc/passwd"}]},
        {"source": "/etc/passwd"}, {"preset": "/etc/passwd"},
    ):  # fmt: skip
        answer = server.api("plan", _file(source), _file(voice), None, "nano", "7", "", settings)
        assert "event: error" in answer and "root:" not in answer, (settings, answer)
    for path in ("/etc/passwd", "/etc/hostname", str(server.folder / "jobs" / "studio.log")):
        assert server.call("GET", f"/gradio_api/file={path}")[0] in (403, 404)
        assert "event: error" in server.api("plan", _file(path), _file(voice), None, "nano", "7", "", None)


def test_a_malformed_call_is_one_line_in_the_log(server: Server) -> None:
    bad = [b"", b"no json", b"[]", b'{"data": 5}', b'{"data": [1, 2, 3]}', b'{"data": [{}, {}, {}, {}, {}, {}, {}]}',
           b'{"data": ["\\ud800", null, null, "\\u0000", 7, [], {}]}', b'{"fn_index": 999, "data": []}',
           b"[" * 100_000, b'{"data": ' + b"[" * 5000 + b"]" * 5000 + b"}"]  # fmt: skip
    for body in bad:
        for path in (
            "/gradio_api/call/plan",
            "/gradio_api/call/generate",
            "/gradio_api/queue/join",
            "/gradio_api/run/plan",
        ):
            status, _, answer = server.call("POST", path, body, Content_Type="application/json")
            assert b"Traceback" not in answer
            if status == 200 and b"event_id" in answer and "call" in path:
                server.call("GET", f"{path}/{json.loads(answer)['event_id']}")
    server.call("POST", "/gradio_api/upload", b"--x", Content_Type="multipart/form-data; boundary=aa")
    server.call("POST", "/gradio_api/upload", b"{}", Content_Type="application/json")
    server.call("GET", "/gradio_api/file=%00")
    surrogate = b'{"data": ["\\ud800"]}'
    assert server.call("POST", "/gradio_api/reset", surrogate, Content_Type="application/json")[0] == 400
    assert server.call("POST", "/gradio_api/call/plan", b"x" * 5_000_000, Content_Type="application/json")[0] == 413
    time.sleep(1.0)
    printed = server.output.read_text() + (server.folder / "jobs" / "studio.log").read_text()
    assert "Traceback" not in printed, printed[-3000:]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_at_once_and_a_film_can_be_resumed(tmp_path: Path, number: int) -> None:
    server = Server(tmp_path)
    if number == signal.SIGTERM:  # while a film is being made
        (source,), (voice,) = server.upload(PORTRAIT)[1], server.upload(SPEECH)[1]
        data = [_file(source), _file(voice), None, "nano", "7", "", {"max_seconds": 3.2}]
        body = json.dumps({"data": data}).encode()
        server.call("POST", "/gradio_api/call/generate", body, Content_Type="application/json")
        deadline = time.monotonic() + 90
        while not list(tmp_path.glob("jobs/*/project.json")) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert server.stop(number) < 5.0
    printed = server.output.read_text()
    assert printed.rstrip().endswith("films that were not finished can be resumed.") and "Traceback" not in printed
    if number == signal.SIGTERM:
        (job,) = [path.parent for path in tmp_path.glob("jobs/*/project.json")]
        command = [sys.executable, "-m", "infinitetalk", "resume", str(job)]
        assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=300).returncode == 0
