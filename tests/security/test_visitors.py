"""A shared studio: strangers take turns, and nobody fills the line, the disk or the day."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinitetalk.errors import InputError
from infinitetalk.media import limits
from infinitetalk.ui.access import Access
from infinitetalk.ui.studio import Studio
from infinitetalk.ui.visitors import MOST_WAITING_FILMS, UploadAllowance, in_turn, visitor_of


@dataclass
class Film:
    visitor: str
    number: int = 0


def test_fifty_films_of_one_do_not_stand_before_anothers_first() -> None:
    line = [Film("anna", n) for n in range(50)] + [Film("ben"), Film("anna", 50), Film("ben", 1)]
    order = in_turn(line, running=Film("anna"))
    assert [film.visitor for film in order[:4]] == ["ben", "anna", "ben", "anna"]
    assert [film.number for film in order if film.visitor == "anna"] == list(range(51))


@given(st.lists(st.sampled_from("abcd"), max_size=40))
def test_turns_lose_nothing_and_keep_each_visitors_order(names: list[str]) -> None:
    line = [Film(name, index) for index, name in enumerate(names)]
    order = in_turn(line)
    assert sorted(film.number for film in order) == list(range(len(names)))
    for name in "abcd":
        own = [film.number for film in order if film.visitor == name]
        assert own == sorted(own)
    for place, film in enumerate(order):  # before anybody's n-th film stand at most n of each other visitor
        nth = sum(each.visitor == film.visitor for each in order[:place])
        for name in "abcd":
            assert sum(each.visitor == name for each in order[:place]) <= nth + 1


def test_a_day_of_uploads_has_an_end() -> None:
    allowance = UploadAllowance(most_bytes=100)
    assert allowance.take("a", 60) and not allowance.take("a", 60) and allowance.take("b", 100)
    assert allowance.take("a", 40) and not allowance.take("a", 1)


def test_behind_a_proxy_the_visitor_is_named_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"x-forwarded-for": "203.0.113.5, 10.0.0.1"}
    assert visitor_of("10.0.0.1", headers) == "10.0.0.1", "anybody can send that header to a server of his own"
    monkeypatch.setenv("SPACE_ID", "somebody/space")
    assert visitor_of("10.0.0.1", headers) == "203.0.113.5"


def test_a_full_line_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(tmp_path, shared=True)
    studio._waiting = [Film("anna") for _ in range(MOST_WAITING_FILMS)]  # type: ignore[list-item]
    studio._check_allowance("ben")
    with pytest.raises(InputError, match="your films are waiting"):
        studio._check_allowance("anna")
    alone = Studio(tmp_path, shared=False)
    alone._waiting = studio._waiting
    alone._check_allowance("anna")


def test_a_shared_server_reads_shorter_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_shared_seconds", None)
    assert limits.max_seconds() == limits.MAX_SECONDS
    limits.share_with_strangers(60.0)
    assert limits.max_seconds() == 60.0


def _asked(
    access: Access, path: str = "/config", method: str = "GET", **headers: str
) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of an answer."""
    sent: list[Any] = []
    scope = {
        "type": "http", "path": path, "method": method, "client": ("203.0.113.9", 4000),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(access(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_a_public_server_answers_its_own_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        echoed = [(b"access-control-allow-origin", b"http://evil"), (b"access-control-allow-credentials", b"true")]
        await send({"type": "http.response.start", "status": 200, "headers": echoed})
        await send({"type": "http.response.body", "body": b""})

    access = Access(app, shared=True, jobs_dir=tmp_path)
    status, headers = _asked(access, host="studio.example", origin="http://evil")
    assert status == 200 and not [name for name in headers if name.startswith(b"access-control")]
    assert headers[b"x-frame-options"] == b"SAMEORIGIN"
    assert _asked(access, method="POST", host="studio.example", origin="http://evil")[0] == 403
    assert _asked(access, method="POST", host="studio.example", origin="null")[0] == 403
    assert _asked(access, method="POST", host="studio.example", origin="https://studio.example")[0] == 200
    behind = {"host": "10.0.0.1:7860", "origin": "https://studio.example", "sec_fetch_site": "same-origin"}
    assert _asked(access, method="POST", **behind)[0] == 200
    assert _asked(access, "/upload", "POST", host="studio.example", content_length="100")[0] == 200
    assert _asked(access, "/upload", "POST", host="studio.example", content_length="9" * 12)[0] == 429
    assert _asked(access, "/upload", "POST", host="studio.example")[0] == 429, "of unknown length"
    assert _asked(access, method="POST", host="studio.example", content_length="x")[0] == 400
    monkeypatch.setenv("SPACE_ID", "somebody/space")
    _, headers = _asked(access, host="studio.example")
    assert b"x-frame-options" not in headers and b"huggingface.co" in headers[b"content-security-policy"]


def test_a_visitor_sees_the_films_that_its_browser_remembers_and_no_others(tmp_path: Path) -> None:
    names = ["20260101-120000-0123456789abcdef", "20260101-120001-fedcba9876543210"]
    for name in (*names, "mine"):
        (tmp_path / "jobs" / name).mkdir(parents=True)
        (tmp_path / "jobs" / name / "project.json").write_text("{}")
    (tmp_path / "project.json").write_text("{}")
    shared = Studio(tmp_path / "jobs", shared=True)
    assert [path.name for path in shared.folders([names[0], "../jobs/" + names[1], "..", "mine", None, 7])] == names[:1]
    assert shared.folders(None) == shared.folders("*") == shared.folders([[names[1]]]) == []
    for name in ("..", ".", "", "mine", "../" + names[0], names[0] + "/../" + names[1], names[0] + "\0", None, 5):
        assert shared.folder(name) is None, name
    assert len(Studio(tmp_path / "jobs", shared=False).folders(None)) == 3, "served to one person, it lists all"
