"""Package lists and versions as the tools of this folder read them: pins of requirements files, order of versions.

Standard library alone, so that the tools run before anything is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUDIO_LIST = "requirements.txt"
TEST_LIST = "requirements-dev.txt"
TRAINING_LIST = "requirements-train.txt"
CONSTRAINTS = "constraints.txt"

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*==\s*([^\s;\\]+)\s*(?:;\s*([^\\]+))?")
# PEP 440: epoch, release, pre-release, post-release, development release, local label.
_VERSION = re.compile(
    r"v?(?:(\d+)!)?(\d+(?:\.\d+)*)"
    r"(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?"
    r"(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?"
    r"(?:[-_.]?(dev)[-_.]?(\d*))?"
    r"(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
_PRE_RELEASES = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_FINAL = 3


def canonical_name(name: str) -> str:
    """A package's name as indexes compare it: lower case, dashes alone."""
    return re.sub(r"[-_.]+", "-", name).lower()


def version_key(version: str) -> tuple:
    """A version's place in the order of versions; a local label (`+cpu`) does not count.

    Raises:
        ValueError: if `version` is no version by PEP 440.
    """
    found = _VERSION.fullmatch(version.strip())
    if found is None:
        raise ValueError(f"{version!r} is no version.")
    epoch, release, pre, pre_number, post_number, post, other_post_number, dev, dev_number, _ = found.groups()
    numbers = [int(number) for number in release.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    is_post = post is not None or post_number is not None
    if pre:
        phase = _PRE_RELEASES[pre.lower()]
    else:  # a development release of a final one precedes its pre-releases
        phase = -1 if dev and not is_post else _FINAL
    return (
        int(epoch or 0),
        numbers,
        phase,
        int(pre_number or 0),
        int(post_number or other_post_number or 0) if is_post else -1,
        0 if dev else 1,
        int(dev_number or 0),
    )


def allows(specifier: str, version: str) -> bool:
    """True if a version fulfils a specifier such as `>=1.2,<2`; an empty one allows every version."""
    return all(_allows(part.strip(), version) for part in specifier.strip().strip("()").split(",") if part.strip())


def _allows(clause: str, version: str) -> bool:
    found = re.fullmatch(r"(===|==|!=|~=|<=|>=|<|>)\s*(\S+)", clause)
    if found is None:
        raise ValueError(f"{clause!r} is no condition on a version.")
    operator, wanted = found.groups()
    if operator == "~=":
        return _allows(f">={wanted}", version) and _allows(f"=={wanted.rpartition('.')[0]}.*", version)
    if wanted.endswith(".*"):
        parts = [int(part) for part in wanted[:-2].split(".")]
        release = [*version_key(version)[1], *[0] * len(parts)]
        return (release[: len(parts)] == parts) == (operator == "==")
    key, other = version_key(version), version_key(wanted)
    return {
        "===": key == other,
        "==": key == other,
        "!=": key != other,
        "<=": key <= other,
        ">=": key >= other,
        "<": key < other,
        ">": key > other,
    }[operator]


def read_pins(path: Path) -> dict[str, tuple[str, str]]:
    """{canonical name: (version, marker or an empty text)} of the lines `name==version; marker` of one list."""
    pins = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        found = _PIN.match(line)
        if found:
            pins[canonical_name(found[1])] = (found[2], (found[3] or "").strip())
    return pins


def all_pins(paths: Iterable[Path]) -> dict[str, str]:
    """{canonical name: version} of several lists.

    Raises:
        ValueError: if two lists pin one package differently.
    """
    versions: dict[str, str] = {}
    for path in paths:
        for name, (version, _) in read_pins(path).items():
            if versions.setdefault(name, version) != version:
                raise ValueError(f"{name} is pinned to {versions[name]} and, in {path.name}, to {version}.")
    return versions
