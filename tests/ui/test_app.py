"""`python app.py` as a command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.ui.conftest import REPOSITORY


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    command = [sys.executable, "app.py", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120)


def test_building_the_page_imports_no_network_library(tmp_path: Path) -> None:
    """What keeps the start fast: torch and friends are read in the background once the page is up."""
    code = (
        "import sys; from pathlib import Path; from infinitetalk.ui import page, studio; "
        f"page.build_page(studio.Studio(Path({str(tmp_path)!r})), 'nano'); "
        "print([m for m in ('torch', 'diffusers', 'transformers', 'mediapipe', 'cv2', 'av') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_an_unknown_preset_is_a_sentence_and_exit_code_1(tmp_path: Path) -> None:
    done = _run("--preset", "huge", "--jobs-dir", str(tmp_path))
    assert done.returncode == 1
    assert "There is no preset 'huge'" in done.stderr and "Traceback" not in done.stderr


def test_a_taken_port_is_a_sentence_and_exit_code_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = _run("--port", port, "--jobs-dir", str(tmp_path))
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr and "Traceback" not in done.stderr


def test_a_jobs_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _run("--jobs-dir", str(tmp_path / "file" / "jobs"))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1 and "choose another place" in done.stderr
