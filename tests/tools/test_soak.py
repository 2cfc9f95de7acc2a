"""The soak: a studio is measured film after film, and one that keeps something is found."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tools.benchmarks import soak, studio_server
from tools.benchmarks.soak import Measured, Visited, growth, main, summary

# Speaks as much of the studio's API as the soak uses, and keeps files open.
PLANTED_STUDIO = """
import http.server, os, sys

kept = []

class Studio(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if "/call/" in self.path:
            self.say(b'event: complete\\ndata: [{"path": "film.mp4"}]\\n\\n')
        else:
            self.say(b"0000ftyp")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("generate"):
            kept.extend(open(os.devnull) for _ in range(40))
        self.say(b'["a.png"]' if self.path.endswith("upload") else b'{"event_id": "1"}')

    def say(self, answer):
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Studio).serve_forever()
"""
FILM = Measured(film=1, seconds=1.0, rss_mb=800.0, handles=14, threads=9, jobs_bytes=1_000_000)


def test_two_films_and_two_visitors_are_measured(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(soak, "MOST_GROWTH_MB", 1000.0)  # of two films the second still belongs to the warming up
    monkeypatch.setattr(soak, "FLAT", 8)
    monkeypatch.setattr(soak, "_SPEECH_SECONDS", 0.4)
    report = tmp_path / "soak.json"
    code = main(["--films", "2", "--visitors", "2", "--out", str(report)])
    said = json.loads(report.read_text(encoding="utf-8"))
    assert code == 0 and said["passed"], said
    assert [film["film"] for film in said["films"]] == [1, 2]
    assert all(film["rss_mb"] > 100 and film["handles"] > 3 and film["threads"] > 1 for film in said["films"])
    assert said["films"][1]["jobs_bytes"] > said["films"][0]["jobs_bytes"] > 0
    assert said["visitors"]["film_ran"] and 0 < said["visitors"]["slowest_seconds"] <= 10
    assert capsys.readouterr().out.count("\n") == 1


def test_a_studio_that_keeps_files_open_is_found(tmp_path: Path, monkeypatch, capsys):
    planted = tmp_path / "planted.py"
    planted.write_text(PLANTED_STUDIO)
    monkeypatch.setattr(studio_server, "COMMAND", (sys.executable, str(planted)))
    assert main(["--films", "30", "--visitors", "0", "--out", str(tmp_path / "soak.json")]) == 1
    said = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))["growth"]
    assert said["after_films"] == 15 and said["handles"] >= 10 * 40 and said["threads"] == 0
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "step", "within"),
    [("rss_mb", 0.2, True), ("rss_mb", 1.0, False), ("handles", 0, True), ("handles", 1, False), ("threads", 1, False)],
)
def test_growth_counts_after_the_first_films(name: str, step: float, within: bool):
    films = [replace(FILM, film=number) for number in range(1, 101)]
    films = [replace(film, **{name: getattr(film, name) + step * film.film}) for film in films]
    films[0] = replace(films[0], rss_mb=100.0)  # before anything was loaded
    grown = growth(films)
    assert grown is not None and grown.after_films == 20 and grown.within == within
    assert getattr(grown, name) == pytest.approx(80 * step, abs=0.5)


def test_one_odd_measurement_does_not_count():
    films = [replace(FILM, film=number) for number in range(1, 61)]
    films[-1] = replace(films[-1], rss_mb=2000.0, handles=100)
    grown = growth(films)
    assert grown is not None and grown.within and growth(films[:1]) is None


@pytest.mark.parametrize(
    "visited", [Visited(20, 10.5, 3.0, 0, True), Visited(20, 2.0, 1.0, 1, True), Visited(20, 2.0, 1.0, 0, False)]
)
def test_late_refused_and_idle_answers_fail(visited: Visited):
    assert not visited.within and Visited(20, 9.9, 3.0, 0, True).within
    assert "20 visitors" in summary([FILM], None, visited, False) and "FAILED" in summary([FILM], None, visited, False)
