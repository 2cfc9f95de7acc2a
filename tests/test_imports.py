"""The shape of the house: imports point one way, and importing is free."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "infinitetalk"
FILES = sorted(PACKAGE.rglob("*.py"))

BASICS = {"arguments", "auto", "errors", "events", "machine", "paths", "presets", "request", "settings", "steering"}
WORKING = {"audio", "checkpoints", "control", "media", "models", "runtime", "sampling"}
ENGINE = BASICS | WORKING | {"streaming", "pipeline"}
ASIDE = {"benchmarks", "comparison", "evaluation", "training"}  # they look at the engine; the engine does not know them
# Part -> parts it may import (besides itself). A part is a module or package directly in `infinitetalk`.
MAY_IMPORT = {
    "errors": set(),
    "arguments": {"errors"},
    "events": {"control"},
    "paths": set(),
    "machine": set(),
    "settings": {"errors"},
    "steering": {"errors", "settings"},
    "presets": {"errors", "paths", "settings"},
    "auto": {"checkpoints", "errors", "machine", "models", "presets"},
    "request": {"auto", "errors", "presets", "settings", "steering"},
    **dict.fromkeys(WORKING, BASICS | WORKING),
    "streaming": BASICS | WORKING,
    "pipeline": BASICS | WORKING | {"streaming"},
    **dict.fromkeys(ASIDE, ENGINE | ASIDE),
    "ui": ENGINE | {"comparison"},
    "terminal": {"errors", "events", "runtime"},
    "request_arguments": {"errors", "request", "settings", "steering", "streaming"},
    "queue_cli": ENGINE | {"terminal"},
    "cli": ENGINE | ASIDE | {"queue_cli", "request_arguments", "terminal"},
    "__main__": {"cli"},
    "__init__": ENGINE,
}
# Known before any weight is read, so that the page and the command line answer at once.
LIGHT = (
    "auto", "errors", "events", "machine", "paths", "presets", "request", "settings", "steering", "streaming.plan",
    "pipeline", "cli", "models.specs",
)  # fmt: skip
HEAVY = ("torch", "diffusers", "transformers", "gradio", "mediapipe", "cv2", "av", "scipy")


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def for_type_checkers_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Absolute names of all modules that `path` imports, but for those that only type checkers read."""
    package = module_name(path).split(".") if path.name == "__init__.py" else module_name(path).split(".")[:-1]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if for_type_checkers_only(node):
            return
        if top_level_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + ([node.module] if node.module else [])
            if node.module:
                found.add(".".join(base))
            else:  # from . import a, b
                found.update(".".join([*base, alias.name]) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def own_parts(names: set[str]) -> set[str]:
    """'infinitetalk.media.probe' -> 'media'; the package itself -> '__init__'."""
    ours = [name.split(".") for name in names if name.split(".")[0] == "infinitetalk"]
    return {parts[1] if len(parts) > 1 else "__init__" for parts in ours}


def test_every_part_has_its_place():
    assert {part_of(path) for path in FILES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    part = part_of(path)
    foreign = own_parts(imports_of(path)) - {part}
    assert foreign <= MAY_IMPORT[part], f"{part} must not import {sorted(foreign - MAY_IMPORT[part])}"


def test_training_and_evaluation_are_imported_late():
    for path in (PACKAGE / "cli.py", PACKAGE / "__main__.py"):
        assert not own_parts(imports_of(path, top_level_only=True)) & ASIDE


def test_gradio_lives_in_the_page_alone():
    for path in [*FILES, ROOT / "app.py", ROOT / "start.py"]:
        if any(name.split(".")[0] == "gradio" for name in imports_of(path)):
            assert path == ROOT / "app.py" or part_of(path) == "ui", path


@pytest.mark.parametrize("forbidden", ["torchvision", "torchaudio", "librosa"])
def test_packages_that_break_others_are_not_used(forbidden):
    users = [p for p in FILES if any(name.split(".")[0] == forbidden for name in imports_of(p))]
    assert not users


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_does_anything_when_imported(path):
    """Definitions only: a bare call, loop or `with` at module level is work that every importer pays for."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_main_guard = isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
        allowed = (
            ast.Import,
            ast.ImportFrom,
            ast.FunctionDef,
            ast.AsyncFunctionDef,
            ast.ClassDef,
            ast.Assign,
            ast.AnnAssign,
            ast.Assert,
            ast.TypeAlias if sys.version_info >= (3, 12) else ast.Assign,
        )
        is_choice_of_definition = isinstance(node, (ast.If, ast.Try)) and not any(
            isinstance(child, ast.Expr) for child in node.body
        )
        assert is_docstring or is_main_guard or is_choice_of_definition or isinstance(node, allowed), (
            f"{path.name}:{node.lineno} runs {ast.unparse(node)[:80]!r} on import"
        )


def run_python(code: str, folder: Path) -> str:
    """Standard output of a fresh interpreter whose working, home and temporary folder is the empty `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "TMPDIR": str(folder)}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_bring_nothing_heavy(name, tmp_path):
    code = f"import infinitetalk.{name}, sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert run_python(code, tmp_path).split() == []


def test_importing_everything_leaves_no_trace(tmp_path):
    """No folders, no downloads, no device queries."""
    modules = [module_name(p) for p in FILES if p.name != "__main__.py"]
    code = f"""
import importlib, socket, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"importing reached for the network: {{arguments}}")

sys.addaudithook(refuse)
for name in {modules!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # What only making training data needs is not installed for everybody.
        assert name.startswith("infinitetalk.training") and not error.name.startswith("infinitetalk"), error
import torch
assert not torch.cuda.is_initialized()
assert torch.get_num_threads() == {os.environ.get("OMP_NUM_THREADS") or "torch.get_num_threads()"}
"""
    run_python(code, tmp_path)
    ours = [p for p in tmp_path.rglob("*") if "infinitetalk" in p.name or p.name in ("jobs", "outputs", "checkpoints")]
    assert not ours
