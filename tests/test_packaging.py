"""What is declared in one place is true in the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
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


def test_ranges_hold_the_versions_that_are_tested():
    optional = PROJECT["project"]["optional-dependencies"]
    stated = requirements([*PROJECT["project"]["dependencies"], *optional["studio"], *optional["cuda"]])
    pinned = requirements(requirement_lines("requirements.txt"))
    assert set(stated) == set(pinned)
    for extra in ("train", "evaluate"):
        stated |= requirements(optional[extra])
    pinned |= requirements(requirement_lines("requirements-train.txt"))
    assert set(stated) == set(pinned)
    for name, requirement in stated.items():
        (pin,) = pinned[name].specifier
        assert requirement.specifier.contains(pin.version, prereleases=True), f"{requirement} excludes {pin.version}"
        assert {"<", ">="} == {each.operator for each in requirement.specifier}, requirement


def test_the_tools_of_development_are_those_of_the_list():
    left, right = (
        {str(each) for each in requirements(lines).values()}
        for lines in (PROJECT["project"]["optional-dependencies"]["dev"], requirement_lines("requirements-dev.txt"))
    )
    assert left == right


def test_a_wheel_is_the_whole_package(tmp_path):
    """Built from this copy, installed alone: the console command lists the presets that lie inside it."""
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "installed"
    names = set(zipfile.ZipFile(wheel).namelist())
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-q", "--target"]
    subprocess.run([*install, str(target), str(wheel)], check=True, capture_output=True, timeout=300)
    for name in ("jobs/resolve.py", "stages/base.py", "py.typed", "shipped/presets/nano.yaml", "ui/static/studio.css"):
        assert f"infinitetalk/{name}" in names, name
    assert "synthetic_people/people.py" in names and not any(name.startswith("tests/") for name in names)
    (command,) = (target / "bin").glob("infinitetalk*")
    environment = {**os.environ, "PYTHONPATH": str(target)}
    answer = subprocess.run(
        [str(command), "presets", "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0 and '"nano"' in answer.stdout, answer.stderr


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
