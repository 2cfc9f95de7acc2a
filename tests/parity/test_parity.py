"""Every parity case found in `cases/` and in the folders of INFINITETALK_PARITY_DIRS.

A case is a folder with a case.json; its `component` names the module of `handlers/` whose `run(folder)` must
pass without an assertion. See README.md for the format.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENVIRONMENT_VARIABLE = "INFINITETALK_PARITY_DIRS"


def find_cases(entry: Path) -> Iterator[Path]:
    """The case folder `entry` itself, or every case folder below it, in order of name."""
    if (entry / "case.json").is_file():
        yield entry
        return
    for description in sorted(entry.glob("**/case.json")):
        yield description.parent


def collect() -> list[object]:
    """One pytest parameter per case; a folder without any case becomes a case that fails."""
    entries = [HERE / "cases"]
    entries += [Path(part).expanduser() for part in os.environ.get(ENVIRONMENT_VARIABLE, "").split(os.pathsep) if part]
    parameters, seen = [], set()
    for entry in entries:
        folders = list(find_cases(entry)) or [entry]
        for folder in folders:
            resolved = folder.resolve()
            if resolved in seen:
                continue
            seen.add(resolved)
            name = folder.name if entry == HERE / "cases" else f"{entry.name}-{folder.relative_to(entry).as_posix()}"
            parameters.append(pytest.param(folder, id=name.removesuffix("-.")))
    return parameters


@pytest.mark.parametrize("folder", collect())
def test_case(folder: Path) -> None:
    description = folder / "case.json"
    assert description.is_file(), f"{folder} holds no parity case (no case.json in it or below it)"
    component = json.loads(description.read_text(encoding="utf-8")).get("component")
    assert isinstance(component, str) and component.isidentifier(), f"{description}: component is {component!r}"
    module_name = f"tests.parity.handlers.{component}"
    known = sorted(path.stem for path in (HERE / "handlers").glob("*.py") if path.stem != "__init__")
    assert component in known, f"{description}: unknown component {component!r}; handlers exist for {known}"
    importlib.import_module(module_name).run(folder)
