"""Proxy settings that would end httpx, and with it the page, with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from infinitetalk.runtime.proxies import drop_unusable_proxies


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:9", None), ("all_proxy", "ftp://127.0.0.1:9", None),
        ("HTTPS_PROXY", "http://127.0.0.1:9", "http://127.0.0.1:9"), ("HTTP_PROXY", "127.0.0.1:9", "127.0.0.1:9"),
        ("HTTP_PROXY", "http://[::1", None),
        ("NO_PROXY", "localhost,fd00::/8,::1,10.0.0.0/8", "localhost,::1,10.0.0.0/8"),
    ],
)  # fmt: skip
def test_what_httpx_cannot_use_is_taken_out_and_named(monkeypatch, name, value, left) -> None:
    for other in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(other, raising=False)
        monkeypatch.delenv(other.lower(), raising=False)
    monkeypatch.setenv(name, value)
    notes = drop_unusable_proxies()
    assert os.environ.get(name) == left
    assert bool(notes) == (left != value) and all(name in note for note in notes)


@pytest.mark.parametrize(
    "setting", ["ALL_PROXY=socks5://127.0.0.1:9", "ALL_PROXY=socks://127.0.0.1:9", "NO_PROXY=fd00::/8"]
)
def test_httpx_starts_with_what_is_left(setting: str) -> None:
    name, _, value = setting.partition("=")
    code = (
        "from infinitetalk.runtime.proxies import drop_unusable_proxies; drop_unusable_proxies(); import httpx;"
        "httpx.Client().close()"
    )
    environment = {**os.environ, name: value}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
