"""The fuzzer: its cases repeat, it finds every kind of fault that is planted, and a few real cases break nothing."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tools.benchmarks import fuzz, studio_server
from tools.benchmarks.fuzz import KINDS, OUTCOMES, Bench, cause_of, main

# A worker in which every command ends as its case's number says.
PLANTED_WORKER = """
import os, pathlib, sys, time
import infinitetalk.commands.main as commands
from tools.benchmarks.fuzzing import worker

def raises():
    raise ZeroDivisionError

def prints():
    print("Traceback (most recent call last)\\n  File \\"x.py\\", line 1, in f\\nKeyError: 1", file=sys.stderr)

def crashes():
    os.kill(os.getpid(), 11)

def hangs():
    time.sleep(600)

def eats():
    return len(bytearray(4 * 2**30))

FAULTS = {2: raises, 6: prints, 10: crashes, 14: hangs, 18: eats, 22: lambda: 3, 26: lambda: 1}

def planted(arguments):
    return FAULTS.get(int(pathlib.Path.cwd().parent.name), lambda: 0)()

commands._dispatch = planted
worker.main()
"""
PLANTED_STUDIO = """
import sys
sys.path.insert(0, {repository!r})
import app
from infinitetalk.ui import api

def planted(*_):
    raise ZeroDivisionError("planted")

api.request_from = planted
sys.exit(app.main())
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch) -> Path:
    """Stands for the job folders that the fuzzer lets the package make."""
    place = tmp_path / "job"
    place.mkdir()
    (place / "project.json").write_text(json.dumps({"format": 1, "request": {"source": "a.png", "seed": 7}}))
    monkeypatch.setattr(Bench, "_job", lambda *_: place)
    return place


def test_a_few_cases_break_nothing(tmp_path: Path):
    report = tmp_path / "report.json"
    code = main(["--cases", "12", "--kinds", "media", "flags", "--seed", "5", "--out", str(report)])
    said = json.loads(report.read_text(encoding="utf-8"))
    assert said["tried"] == {"media": 6, "flags": 6} and said["asked"] == 12
    assert code == 0, [(one["case"], one["mutation"], one["message"][-400:]) for one in said["failures"]]
    assert said["ended"]["exit code 1"] > 0 and said["largest_mb"] > 0


@pytest.mark.skipif(os.name == "nt", reason="signals and limits are POSIX")
def test_every_kind_of_planted_fault_is_found(tmp_path: Path, monkeypatch, job: Path):
    planted = tmp_path / "planted.py"
    planted.write_text(PLANTED_WORKER)
    monkeypatch.setattr(fuzz, "WORKER", (sys.executable, str(planted)))
    monkeypatch.setattr(fuzz, "START_SECONDS", 4.0)
    report = tmp_path / "report.json"
    arguments = ["--cases", "8", "--kinds", "flags", "--limit", "4", "--ceiling-mb", "2048", "--out", str(report)]
    assert main(arguments) == 1
    said = json.loads(report.read_text(encoding="utf-8"))
    assert said["counts"] == dict.fromkeys(OUTCOMES, 1)
    assert [one["case"] for one in said["failures"]] == [2, 6, 10, 14, 18, 22, 26]
    assert said["failures"][0]["cause"].startswith("internal error: ZeroDivisionError in ")
    assert all(one["mutation"] and one["argv"] for one in said["failures"])


def test_a_fault_planted_in_the_studio_is_found_and_replayed(tmp_path: Path, monkeypatch, capsys):
    planted = tmp_path / "planted.py"
    planted.write_text(PLANTED_STUDIO.format(repository=str(studio_server.REPOSITORY)))
    monkeypatch.setattr(studio_server, "COMMAND", (sys.executable, str(planted)))
    number = _a_plan_case(tmp_path)
    assert main(["--only", str(number), "--seed", "1"]) == 1
    said = capsys.readouterr().out
    assert "internal error" in said and "ZeroDivisionError: planted" in said


def _a_plan_case(folder: Path) -> int:
    bench = Bench(folder / "bench", 1, 60, 3072)
    return next(number for number in range(3, 400, 4) if "{steps: " in bench.make(number)[1].mutation)


def test_cases_follow_from_seed_and_number(tmp_path: Path, job: Path):
    benches = [Bench(tmp_path / name, seed, 60, 3072) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    mutations = Counter()
    for number in range(80):
        (kind, case, place), (_, again, other_place), (_, other, _) = (bench.make(number) for bench in benches)
        assert kind == KINDS[number % len(KINDS)] and case.mutation and "\n" not in case.mutation
        assert json.dumps([case.argv, case.http]) == json.dumps([again.argv, again.http])
        assert case.mutation == again.mutation
        for file in (file for file in place.rglob("*") if file.is_file()):
            assert file.read_bytes() == (other_place / file.relative_to(place)).read_bytes(), (number, file.name)
        mutations.update({case.mutation, other.mutation})
    assert len(mutations) > 140  # the other seed tries other things


def test_what_there_is_is_written_after_an_interruption(tmp_path: Path, monkeypatch):
    def interrupted(bench: Bench, number: int, tally: fuzz.Tally) -> None:
        tally.tried["media"] += 1
        if number == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Bench, "try_case", interrupted)
    assert main(["--cases", "9", "--out", str(tmp_path / "report.json")]) == 130
    said = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert said["interrupted"] and said["tried"] == {"media": 3} and said["asked"] == 9


def test_a_cause_names_the_exception_and_our_innermost_place():
    said = (
        'oops\nTraceback (most recent call last):\n  File "/a/infinitetalk/jobs/queue.py", line 3, in state\n    x\n'
        '  File "/usr/lib/python3.11/pathlib.py", line 9, in stat\n    y\nOSError: [Errno 36] File name too long\n'
    )
    assert cause_of(said) == "OSError in infinitetalk/jobs/queue.py:state (at lib/python3.11/pathlib.py)"
    assert cause_of("500\nERROR: KeyError: 99999\n") == "ERROR: KeyError: N"
