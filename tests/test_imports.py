"""The shape of the house: imports point down one list of layers, and importing does no work."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "infinitetalk"
FILES = sorted(PACKAGE.rglob("*.py"))

# From the bottom up. A part (a module or package directly in `infinitetalk`) imports itself and parts that stand
# before it, at the top of a module and inside functions alike.
LAYERS = (
    "errors", "paths", "files", "config", "media", "vision", "models", "checkpoints", "audio", "sampling", "runtime",
    "events", "planning", "generation", "stages", "jobs", "pipeline", "comparison", "__init__", "training",
    "evaluation", "benchmarks", "ui", "commands", "__main__",
)  # fmt: skip
ONLY_COMMANDS_IMPORT = {"training", "evaluation", "benchmarks"}
# Known before any weight is read, so that the page and the command line answer at once.
LIGHT = ("errors", "events", "paths", "config.request", "planning.chunks", "pipeline", "commands.main", "models.specs")
HEAVY = ("torch", "diffusers", "transformers", "gradio", "mediapipe", "cv2", "av", "scipy")


def part_of(module: str) -> str:
    """'infinitetalk.media.probe' -> 'media'; the package itself -> '__init__'."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in FILES}


def imports_of(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Absolute names of all modules that `path` imports, but for those that only type checkers read."""
    package = module_name(path).split(".") if path.name == "__init__.py" else module_name(path).split(".")[:-1]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if top_level_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join(base + ([node.module] if node.module else []))
            for alias in node.names:
                module = f"{source}.{alias.name}"
                found.add(module if module in MODULES else source)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def own_imports(path: Path) -> set[str]:
    return {name for name in imports_of(path) if name in MODULES} - {module_name(path)}


def test_every_part_has_its_layer():
    assert {part_of(name) for name in MODULES} == set(LAYERS)


def test_imports_point_down():
    height = {part: index for index, part in enumerate(LAYERS)}
    wrong = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        for other in sorted(own_imports(path))
        if height[part_of(other)] > height[part_of(name)]
    ]
    assert not wrong, "\n".join(wrong)


def test_only_commands_import_what_stands_aside():
    wrong = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        for other in own_imports(path)
        if part_of(other) in ONLY_COMMANDS_IMPORT and part_of(name) not in {*ONLY_COMMANDS_IMPORT, "commands"}
    ]
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other():
    try:
        TopologicalSorter({name: own_imports(path) for name, path in MODULES.items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_commands_import_training_and_evaluation_when_they_run():
    for name in ("infinitetalk.commands.main", "infinitetalk.__main__"):
        late = {part_of(other) for other in imports_of(MODULES[name], top_level_only=True) if other in MODULES}
        assert not late & ONLY_COMMANDS_IMPORT


def test_gradio_lives_in_the_page_alone():
    for path in [*FILES, ROOT / "app.py", ROOT / "start.py"]:
        if any(name.split(".")[0] == "gradio" for name in imports_of(path)):
            assert path == ROOT / "app.py" or part_of(module_name(path)) == "ui", path


def test_packages_that_break_others_are_not_used():
    wrong = {"torchvision", "torchaudio", "librosa"}
    users = [path for path in FILES if {name.split(".")[0] for name in imports_of(path)} & wrong]
    assert not users


def work_on_import(path: Path) -> Iterator[str]:
    """What stands at module level besides definitions: every importer pays for it."""
    definitions = (
        ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign,
        ast.Assert, *([ast.TypeAlias] if sys.version_info >= (3, 12) else []),
    )  # fmt: skip
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_main_guard = isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
        is_choice_of_definition = isinstance(node, (ast.If, ast.Try)) and not any(
            isinstance(child, ast.Expr) for child in node.body
        )
        if not (is_docstring or is_main_guard or is_choice_of_definition or isinstance(node, definitions)):
            yield f"{path.relative_to(ROOT)}:{node.lineno} runs {ast.unparse(node)[:80]!r}"


def test_no_module_does_anything_when_imported():
    wrong = [line for path in FILES for line in work_on_import(path)]
    assert not wrong, "\n".join(wrong)


def run_python(code: str, folder: Path) -> str:
    """Standard output of a fresh interpreter whose working, home and temporary folder is the empty `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "TMPDIR": str(folder)}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_light_modules_bring_nothing_heavy(tmp_path):
    imports = "; ".join(f"import infinitetalk.{name}" for name in LIGHT)
    code = f"{imports}; import sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert run_python(code, tmp_path).split() == []


def test_importing_everything_leaves_no_trace(tmp_path):
    """No folders, no downloads, no device queries."""
    modules = [name for name, path in MODULES.items() if path.name != "__main__.py"]
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


@pytest.mark.parametrize(
    "start",
    [
        "import app; sys.argv = ['app.py', '--preset', 'no-such-preset']; app.main()",
        "from infinitetalk.commands.main import main; main(['presets']); import huggingface_hub, gradio",
        "import infinitetalk\ntry: infinitetalk.load_models(None)\nexcept Exception: import huggingface_hub, gradio",
        "from tests.conftest import pytest_configure; pytest_configure(); import huggingface_hub, gradio",
    ],
    ids=["app.py", "command", "library", "tests"],
)
def test_telemetry_is_off_before_gradio_and_the_hub_are_imported(tmp_path, start):
    """Every way in refuses it first, whatever the user's environment says; what they then hold is off as well."""
    code = f"""
import os, sys

class Watcher:
    seen = {{}}

    def find_spec(self, name, path=None, target=None):
        if name in ("gradio", "huggingface_hub"):
            self.seen[name] = [os.environ[key] for key in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY")]

os.environ.update(GRADIO_ANALYTICS_ENABLED="True", HF_HUB_DISABLE_TELEMETRY="0")
sys.meta_path.insert(0, Watcher())
exec({start!r})
assert Watcher.seen == {{"gradio": ["False", "1"], "huggingface_hub": ["False", "1"]}}, Watcher.seen
import gradio.analytics, huggingface_hub.constants
assert not gradio.analytics.analytics_enabled() and huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY
"""
    run_python(code, tmp_path)
