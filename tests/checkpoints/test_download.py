"""Real requests to a hub of our own: resuming after a kill, checksums, no network, no room."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infinitetalk.checkpoints.download import Wanted, check_room, part_of
from infinitetalk.checkpoints.files import LORAS, SHARDS
from infinitetalk.errors import CheckpointError

FILE = LORAS["lightx2v"]
COMMIT = "c0ffee" + "0" * 34
# The client writes pieces of ten megabytes; a smaller file would never be half there.
CONTENT = hashlib.shake_256(b"weights").digest(24_000_000)


class Hub(ThreadingHTTPServer):
    """Serves one file of one repository as the hub does; `stall_after` bytes it says nothing more."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stall_after: int | None = None
        self.stated_sha256 = hashlib.sha256(CONTENT).hexdigest()
        self.ranges: list[str | None] = []
        self.revisions: list[str] = []
        self.closing = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        hub = self.server
        if match := re.fullmatch(rf"/api/models/{FILE.repository}/revision/([^?]+)(\?.*)?", self.path):
            hub.revisions.append(match[1])
            lfs = {"sha256": hub.stated_sha256, "size": len(CONTENT), "pointerSize": 1}
            file = {"rfilename": FILE.path, "size": len(CONTENT), "lfs": lfs, "blobId": "0"}
            self.send(json.dumps({"id": FILE.repository, "sha": COMMIT, "siblings": [file]}).encode(), with_body)
        elif self.path == f"/{FILE.repository}/resolve/{COMMIT}/{FILE.path}":
            wanted = self.headers.get("Range")
            start = int(re.fullmatch(r"bytes=(\d+)-\d*", wanted)[1]) if wanted else 0
            if with_body:
                hub.ranges.append(wanted)
            self.send(CONTENT[start:], with_body, start)
        else:
            self.send_error(404)

    def send(self, body: bytes, with_body: bool, start: int = 0) -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{self.server.stated_sha256}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        if not with_body:
            return
        stall = self.server.stall_after
        self.wfile.write(body if stall is None else body[:stall])
        if stall is not None:
            self.wfile.flush()
            self.server.closing.wait()


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()


def command(folder: Path, endpoint: str, **environment: str) -> subprocess.Popen:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "INFINITE"))}
    return subprocess.Popen(
        [sys.executable, "-m", "infinitetalk", "checkpoints", "download", "lightx2v", "--json",
         "--checkpoints-dir", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        env=inherited | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1",
                         "HF_HUB_DISABLE_TELEMETRY": "1"} | environment,
    )  # fmt: skip


def address(hub: Hub) -> str:
    return f"http://127.0.0.1:{hub.server_port}"


def test_a_killed_download_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 12_000_000
    first = command(tmp_path, address(hub))
    deadline = time.monotonic() + 300
    while not any(path.stat().st_size >= 10_000_000 for path in tmp_path.rglob("*.part")):
        assert first.poll() is None and time.monotonic() < deadline, first.communicate()
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    hub.stall_after = None
    second = command(tmp_path, address(hub))
    output, errors = second.communicate(timeout=300)
    assert second.returncode == 0, errors
    events = [json.loads(line) for line in output.splitlines()]
    path = Path(events[-1]["files"][f"{FILE.repository}/{FILE.path}"])
    assert path == tmp_path / FILE.folder / FILE.path and path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == [FILE.path]
    assert hub.ranges[0] is None and int(re.fullmatch(r"bytes=(\d+)-.*", hub.ranges[-1])[1]) >= 10_000_000
    progress = [event for event in events if event["event"] == "progress"]
    assert progress[-1]["bytes_done"] == progress[-1]["bytes_total"] == len(CONTENT)
    note = json.loads((tmp_path / "infinitetalk-downloads.json").read_text())
    assert note["repositories"][f"{FILE.repository}@main"]["commit"] == COMMIT

    # A third run asks for nothing; without the file, it asks for the commit that was noted.
    asked = len(hub.ranges)
    assert command(tmp_path, address(hub)).wait(timeout=300) == 0 and len(hub.ranges) == asked
    path.unlink()
    assert command(tmp_path, address(hub)).wait(timeout=300) == 0
    assert hub.revisions == ["main", "main", COMMIT]


def failure(process: subprocess.Popen) -> str:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1 and len(errors.strip().splitlines()) == 1, errors
    return errors


def test_a_wrong_checksum_removes_the_file(hub: Hub, tmp_path: Path) -> None:
    hub.stated_sha256 = "0" * 64
    assert "another checksum than the hub states and was removed" in failure(command(tmp_path, address(hub)))
    assert list((tmp_path / FILE.folder).rglob("*")) == []


def test_no_network_and_no_permission_to_use_it_are_sentences(tmp_path: Path) -> None:
    assert "check the connection and run the command again" in failure(command(tmp_path, "http://127.0.0.1:9"))
    offline = failure(command(tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1"))
    assert re.search(r"1 files \(about 307\.0 MB\) are missing and HF_HUB_OFFLINE forbids", offline)


def test_room_is_checked_before_the_first_byte(tmp_path: Path) -> None:
    wanted = [Wanted(shard, COMMIT, 10**16, None) for shard in SHARDS[:2]]
    folder = tmp_path / "not" / "made" / "yet"
    with pytest.raises(CheckpointError, match=r"20000000\.0 GB are still to be fetched into .* the disk has \d"):
        check_room(wanted, folder)
    assert not folder.exists()
    check_room([Wanted(SHARDS[0], COMMIT, 1, None)], folder)


def test_what_was_begun_counts_as_room(tmp_path: Path) -> None:
    wanted = Wanted(SHARDS[0], COMMIT, 10**12, None)
    part = part_of(wanted, tmp_path)
    part.parent.mkdir(parents=True)
    with open(part, "wb") as file:
        file.truncate(10**12)  # takes no room itself
    check_room([wanted], tmp_path)
    with pytest.raises(CheckpointError, match="are still to be fetched"):
        check_room([Wanted(SHARDS[0], "another" + COMMIT, 10**12, None)], tmp_path)
