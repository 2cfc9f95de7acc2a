"""Pins against a small advisory database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_advisories import is_affected, main


@pytest.fixture
def database(tmp_path: Path) -> Path:
    folder = tmp_path / "database" / "vulns" / "some-package"
    folder.mkdir(parents=True)
    (folder / "PYSEC-1.yaml").write_text(
        "id: PYSEC-1\naliases: [CVE-1]\nsummary: Reads too much.\naffected:\n"
        "- package: {ecosystem: PyPI, name: Some_Package}\n"
        "  ranges:\n  - type: ECOSYSTEM\n    events: [{introduced: '0'}, {fixed: 1.2.0}]\n",
        encoding="utf-8",
    )
    (folder / "PYSEC-2.yaml").write_text(
        "id: PYSEC-2\nwithdrawn: 2026-01-01T00:00:00Z\naffected:\n"
        "- package: {ecosystem: PyPI, name: some-package}\n  versions: ['1.1']\n",
        encoding="utf-8",
    )
    return tmp_path / "database"


def pins(folder: Path, text: str) -> str:
    (folder / "list.txt").write_text(text, encoding="utf-8")
    return str(folder / "list.txt")


def test_a_version_before_the_fix_is_named(database, tmp_path, capsys) -> None:
    assert main([str(database), pins(tmp_path, "some_package==1.1\nother==3\n")]) == 1
    text = capsys.readouterr().out
    assert "some-package 1.1: PYSEC-1, CVE-1; fixed in 1.2.0. Reads too much." in text and "PYSEC-2" not in text


def test_a_fixed_version_is_fine(database, tmp_path, capsys) -> None:
    assert main([str(database), pins(tmp_path, "some-package==1.2\n")]) == 0
    assert "1 pinned packages, 1 of them with advisories on record" in capsys.readouterr().out


def test_what_was_accepted_is_said_and_no_failure(database, tmp_path, capsys) -> None:
    accepted = tmp_path / "accepted.txt"
    accepted.write_text("# why\nCVE-1  nothing here reads it\n", encoding="utf-8")
    arguments = [str(database), pins(tmp_path, "some-package==1.1\n"), "--accepted", str(accepted)]
    assert main(arguments) == 0
    assert "Accepted: some-package 1.1: PYSEC-1" in capsys.readouterr().out


def test_a_folder_of_something_else_is_refused(tmp_path, capsys) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no folder vulns" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "events", "affected"),
    [
        ("1.0", [{"introduced": "0"}], True),
        ("2.0", [{"introduced": "1.0"}, {"fixed": "2.0"}], False),
        ("0.9", [{"introduced": "1.0"}, {"fixed": "2.0"}], False),
        ("2.5", [{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.0"}, {"fixed": "3.0"}], True),
        ("2.0", [{"introduced": "0"}, {"last_affected": "2.0"}], True),
        ("2.0.1", [{"introduced": "0"}, {"last_affected": "2.0"}], False),
        ("2.7.0", [{"introduced": "0"}, {"fixed": "2.6.0-cu124"}], False),
    ],
)
def test_ranges(version: str, events: list, affected: bool) -> None:
    assert is_affected(version, {"ranges": [{"type": "ECOSYSTEM", "events": events}]}) is affected
