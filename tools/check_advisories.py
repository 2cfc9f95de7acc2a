"""Compares the pinned packages with a copy of PyPI's advisory database (github.com/pypa/advisory-database).

    python tools/check_advisories.py DATABASE_FOLDER [LIST ...]

Lists every pinned package with a published advisory that its version does not fix, and the versions that fix it. The
lists are those of this repository unless others are named. tools/accepted_advisories.txt names the advisories that do
not concern the studio, with the reason. Exit code: 1 if there is any other, 2 if DATABASE_FOLDER is no advisory
database. Nothing is sent anywhere. Needs PyYAML.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))
from package_lists import (  # noqa: E402
    CONSTRAINTS,
    ROOT,
    STUDIO_LIST,
    TEST_LIST,
    TRAINING_LIST,
    all_pins,
    canonical_name,
    version_key,
)

LISTS = (STUDIO_LIST, TEST_LIST, TRAINING_LIST, CONSTRAINTS)
ACCEPTED = Path(__file__).resolve().with_name("accepted_advisories.txt")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Finding:
    """One advisory about one pinned package."""

    package: str
    version: str
    identifier: str
    aliases: list[str] = field(default_factory=list)
    fixed_in: list[str] = field(default_factory=list)
    summary: str = ""

    def __str__(self) -> str:
        names = ", ".join([self.identifier, *self.aliases])
        fixes = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no fixed version is known"
        return f"{self.package} {self.version}: {names}; {fixes}. {self.summary}".rstrip()


def is_affected(version: str, affected: dict) -> bool:
    """True if one `affected` entry of an advisory covers `version`: by its list of versions or by a range."""
    key = version_key(version)
    for listed in affected.get("versions") or []:
        try:
            if version_key(str(listed)) == key:
                return True
        except ValueError:
            continue
    ranges = [r for r in affected.get("ranges") or [] if r.get("type") in ("ECOSYSTEM", "SEMVER")]
    return any(_in_range(key, entry.get("events") or []) for entry in ranges)


def _in_range(key: tuple, events: list[dict]) -> bool:
    """True if the last event at or before a version's key says that it is affected."""
    steps = [
        (_lenient_key(str(version)), kind)
        for event in events
        for kind, version in event.items()
        if kind in ("introduced", "fixed", "last_affected")
    ]
    inside = False
    for step, kind in sorted(steps):
        if step < key or (step == key and kind != "last_affected"):
            inside = kind == "introduced"
    return inside


def _lenient_key(version: str) -> tuple:
    """A version's key; a few advisories append a label that is none by PEP 440 (`2.6.0-cu124`), which is dropped."""
    try:
        return version_key(version)
    except ValueError:
        release = re.match(r"\d+(\.\d+)*", version)
        return version_key(release[0] if release else "0")


def fixed_versions(affected: dict) -> list[str]:
    """The versions that fix one `affected` entry, oldest first."""
    found = {
        str(event["fixed"])
        for entry in affected.get("ranges") or []
        if entry.get("type") in ("ECOSYSTEM", "SEMVER")
        for event in entry.get("events") or []
        if "fixed" in event
    }
    return sorted(found, key=_lenient_key)


def findings(database: Path, pins: dict[str, str]) -> Iterator[Finding]:
    """The advisories of `database` that the pinned versions do not fix."""
    for package, version in sorted(pins.items()):
        for path in sorted((database / "vulns" / package).glob("*.yaml")):
            advisory = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)
            if advisory.get("withdrawn"):
                continue
            entries = [
                entry
                for entry in advisory.get("affected") or []
                if canonical_name(entry.get("package", {}).get("name", "")) == package and is_affected(version, entry)
            ]
            if entries:
                text = str(advisory.get("summary") or advisory.get("details") or "")
                fixes = {fix for entry in entries for fix in fixed_versions(entry)}
                yield Finding(
                    package,
                    version,
                    str(advisory.get("id") or path.stem),
                    [str(alias) for alias in advisory.get("aliases") or []],
                    sorted(fixes, key=_lenient_key),
                    " ".join(text.split())[:160],
                )


def read_accepted(path: Path) -> set[str]:
    """The identifiers in a list of lines `IDENTIFIER  reason`; lines that begin with # are words to the reader."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {line.split()[0] for line in lines if line and not line.startswith("#")}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path, help="folder of a copy of github.com/pypa/advisory-database")
    parser.add_argument("lists", nargs="*", type=Path, help="lists of pinned packages")
    parser.add_argument("--accepted", type=Path, default=ACCEPTED, help="list of advisories that do not count")
    options = parser.parse_args(arguments)
    if not (options.database / "vulns").is_dir():
        print(f"{options.database} has no folder vulns; name a copy of PyPI's advisory database.", file=sys.stderr)
        return 2
    pins = all_pins(options.lists or [ROOT / name for name in LISTS])
    accepted = read_accepted(options.accepted)
    found = []
    for finding in findings(options.database, pins):
        if accepted & {finding.identifier, *finding.aliases}:
            print(f"Accepted: {finding}")
        else:
            print(finding)
            found.append(finding)
    known = sum((options.database / "vulns" / package).is_dir() for package in pins)
    packages = len({finding.package for finding in found})
    print(
        f"{len(pins)} pinned packages, {known} of them with advisories on record; {len(found)} advisories about "
        f"{packages} packages are not fixed by the pinned versions."
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
