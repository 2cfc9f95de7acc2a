"""What is declared in one place is true in the others."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirement_lines(name: str) -> list[str]:
    lines = (line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


def requirements(lines: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def same(left: list[str], right: list[str]) -> bool:
    return {str(r) for r in requirements(left).values()} == {str(r) for r in requirements(right).values()}


def test_package_metadata_names_the_pins_of_the_lists():
    assert same(PROJECT["project"]["dependencies"], requirement_lines("requirements.txt"))
    assert same(PROJECT["project"]["optional-dependencies"]["dev"], requirement_lines("requirements-dev.txt"))


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "constraints.txt"])
def test_every_line_is_an_exact_pin_and_no_package_index_is_named(name):
    for requirement in requirements(requirement_lines(name)).values():
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("line", requirement_lines("requirements.txt") + requirement_lines("requirements-dev.txt"))
def test_this_environment_holds_the_pinned_version(line):
    requirement = Requirement(line)
    if requirement.marker is None or requirement.marker.evaluate():
        assert requirement.specifier.contains(version(requirement.name), prereleases=True)


def test_constraints_cover_everything_that_is_needed_in_turn():
    """Two set-ups a month apart are alike. What CUDA builds of torch bring along is torch's to pin."""
    direct = requirements(requirement_lines("requirements-dev.txt") + requirement_lines("requirements.txt"))
    pinned = requirements(requirement_lines("constraints.txt"))
    assert not set(direct) & set(pinned), "pinned twice"
    to_visit, needed = list(direct), set(direct)
    while to_visit:
        for text in requires(to_visit.pop()) or ():
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            if name in needed or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
                continue
            try:
                version(name)
            except PackageNotFoundError:
                continue  # belongs to an extra that nothing asked for
            needed.add(name)
            to_visit.append(name)
    unpinned = {n for n in needed - set(direct) - set(pinned) if not n.startswith(("nvidia-", "cuda-", "triton"))}
    assert unpinned <= {"setuptools", "pip"}


def test_readme_runs_as_a_space():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---")[1])
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == str(requirements(requirement_lines("requirements.txt"))["gradio"].specifier)[2:]
    assert (ROOT / front["app_file"]).is_file()
    assert f"{front['python_version']}" in ("3.11", "3.12")
    assert front["license"] == "apache-2.0"


def test_links_of_the_documents_lead_somewhere():
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_files_that_readme_names_in_its_tour_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:infinitetalk|presets|assets|docs|tests)/[\w./-]+)`", text)
    assert len(named) >= 6
    for name in named:
        assert (ROOT / name).exists(), name


def test_console_script_exists():
    module, function = PROJECT["project"]["scripts"]["infinitetalk"].split(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))
