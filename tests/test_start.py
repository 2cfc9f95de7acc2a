"""start.py: what can be checked without setting up an environment of several GB."""

from __future__ import annotations

import ast
import hashlib
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
START = ROOT / "start.py"


@pytest.fixture
def start():
    spec = importlib.util.spec_from_file_location("start", START)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder


@pytest.fixture
def house(start, tmp_path, monkeypatch, empty_environment):
    """start.py over a house whose only package is a tiny one beside it; nothing is fetched.

    Environments are copies of one empty environment, which takes a tenth of the time of making them.
    """
    monkeypatch.setattr(start, "make_venv", lambda folder: shutil.copytree(empty_environment, folder, symlinks=True))
    _write_locks(tmp_path)
    monkeypatch.setattr(start, "HERE", str(tmp_path))
    monkeypatch.setattr(start, "CHECK_IMPORTS", "import small_package")
    monkeypatch.setenv("INFINITETALK_VENV", str(tmp_path / "venv"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path


def _write_locks(folder: Path) -> None:
    """The four lock files; the studio's names one package, the others none."""
    for name in ("requirements-dev.lock", "requirements-cpu.lock", "requirements-cuda.lock"):
        (folder / name).write_text("# nothing\n", encoding="utf-8")
    (folder / "requirements.lock").write_text(_locked_wheel(folder, "small_package"), encoding="utf-8")


def _locked_wheel(folder: Path, module: str, version: str = "1.0", pinned: bool = False) -> str:
    """A wheel of an empty module, as a line of a lock file: by its place, or by its version."""
    about = f"{module}-{version}.dist-info"
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", "")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        names = (f"{module}.py", f"{about}/METADATA", f"{about}/WHEEL", f"{about}/RECORD")
        archive.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in names))
    place = f"=={version}" if pinned else f" @ {path.as_uri()}"
    return f"{module}{place} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _tamper(folder: Path) -> None:
    """Every hash of the studio's lock file is another one."""
    lock = folder / "requirements.lock"
    lock.write_text(re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", lock.read_text(encoding="utf-8")), encoding="utf-8")


def test_needs_nothing_but_the_standard_library():
    for node in ast.walk(ast.parse(START.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module]
        for name in names:
            assert name.split(".")[0] in sys.stdlib_module_names


def test_an_old_python_can_read_it():
    ast.parse(START.read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("version", "supported"), [((3, 10, 9), False), ((3, 11, 0), True), ((3, 12, 7), True), ((3, 13, 0), False)]
)
def test_supported_versions_are_those_of_the_package(start, version, supported):
    assert start.is_supported(version) is supported
    requires = re.search(r'requires-python = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    assert requires == ">=3.11,<3.13"


def test_unsupported_python_gets_a_sentence(start, monkeypatch):
    monkeypatch.setattr(start, "find_supported_python", lambda: None)
    with pytest.raises(start.SetupError, match=r"needs Python 3\.11 or 3\.12"):
        start.run_with_supported_python()


def test_paths_of_both_kinds_of_system(start):
    assert start.venv_python("x", windows=True) == os.path.join("x", "Scripts", "python.exe")
    assert start.venv_python("x", windows=False) == os.path.join("x", "bin", "python")


def test_environment_variable_names_the_folder(start, monkeypatch, tmp_path):
    monkeypatch.setenv("INFINITETALK_VENV", str(tmp_path / "elsewhere"))
    assert start.venv_dir() == str(tmp_path / "elsewhere")
    monkeypatch.delenv("INFINITETALK_VENV")
    assert start.venv_dir() == str(ROOT / ".venv")


def test_set_up_is_done_once_and_again_when_a_lock_changes(start, house, capsys):
    python = start.set_up(start.RUNTIME_LOCKS)
    assert subprocess.run([python, "-c", "import small_package"]).returncode == 0
    assert "Installing packages" in capsys.readouterr().out

    assert start.set_up(start.RUNTIME_LOCKS) == python
    assert capsys.readouterr().out == ""

    (house / "requirements-cuda.lock").write_text("# changed\n", encoding="utf-8")
    start.set_up(start.RUNTIME_LOCKS)
    assert "Installing packages" in capsys.readouterr().out


def test_test_tools_include_what_the_studio_needs(start, house, capsys):
    start.set_up(start.TEST_LOCKS)
    capsys.readouterr()
    start.set_up(start.RUNTIME_LOCKS)
    assert capsys.readouterr().out == ""


def test_interrupted_set_up_starts_afresh(start, house, capsys, monkeypatch):
    folder = Path(start.venv_dir())
    start.set_up(start.RUNTIME_LOCKS)
    monkeypatch.undo()
    monkeypatch.setattr(start, "HERE", str(house))
    monkeypatch.setattr(start, "CHECK_IMPORTS", "import small_package")
    monkeypatch.setenv("INFINITETALK_VENV", str(folder))
    (folder / start.UNFINISHED_MARK).write_text("", encoding="utf-8")
    (folder / "half-unpacked").write_text("", encoding="utf-8")
    start.set_up(start.RUNTIME_LOCKS)
    assert "did not finish" in capsys.readouterr().out
    assert not (folder / "half-unpacked").exists()
    assert not (folder / start.UNFINISHED_MARK).exists()


def test_a_failed_install_is_one_sentence_and_leaves_no_stamp(start, house):
    line = f"a-package-that-does-not-exist==1 --hash=sha256:{'0' * 64}\n"
    (house / "requirements.lock").write_text(line, encoding="utf-8")
    with pytest.raises(start.SetupError, match="package index") as caught:
        start.set_up(start.RUNTIME_LOCKS)
    assert "\n" not in str(caught.value)
    assert start.read_stamps(start.venv_dir()) == set()


def test_a_package_with_another_hash_is_not_installed(start, house):
    _tamper(house)
    with pytest.raises(start.SetupError, match="its hash differs") as caught:
        start.set_up(start.RUNTIME_LOCKS)
    assert "\n" not in str(caught.value)
    folder = Path(start.venv_dir())
    assert start.read_stamps(folder) == set() and not list(folder.rglob("small_package*"))
    _write_locks(house)
    start.set_up(start.RUNTIME_LOCKS)


def test_a_package_without_a_hash_is_not_installed(start, house):
    lock = house / "requirements.lock"
    lock.write_text(lock.read_text(encoding="utf-8").partition(" --hash")[0] + "\n", encoding="utf-8")
    with pytest.raises(start.SetupError, match="its hash differs"):
        start.set_up(start.RUNTIME_LOCKS)


def test_another_hash_is_one_line_and_exit_code_1(tmp_path, empty_environment):
    """The command itself, beside lock files whose hashes are wrong."""
    shutil.copy(START, tmp_path)
    _write_locks(tmp_path)
    _tamper(tmp_path)
    shutil.copytree(empty_environment, tmp_path / "venv", symlinks=True)
    answer = subprocess.run(
        [sys.executable, str(tmp_path / "start.py"), "setup"],
        env={**os.environ, "INFINITETALK_VENV": str(tmp_path / "venv"), "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 1
    assert len(answer.stderr.splitlines()) == 1 and "its hash differs" in answer.stderr


@pytest.mark.parametrize(("build", "brings_cuda"), [("2.13.0", True), ("2.13.0+cpu", False), ("", False)])
def test_the_cuda_build_of_torch_gets_its_own_lock(start, house, monkeypatch, build, brings_cuda):
    monkeypatch.setattr(start.platform, "system", lambda: "Linux")
    monkeypatch.setattr(start, "torch_version", lambda python: build)
    (house / "requirements-cuda.lock").write_text(_locked_wheel(house, "cuda_package"), encoding="utf-8")
    python = start.set_up(start.RUNTIME_LOCKS)
    assert (subprocess.run([python, "-c", "import cuda_package"], capture_output=True).returncode == 0) is brings_cuda


@pytest.mark.parametrize("offered", [True, False], ids=["offered", "not offered"])
def test_the_cpu_build_of_torch_is_taken_where_an_index_has_it(start, house, monkeypatch, tmp_path_factory, offered):
    """A folder of wheels tells pip no hashes beforehand; the build is preferred all the same."""
    monkeypatch.setattr(start.platform, "system", lambda: "Linux")
    wheels = {name: tmp_path_factory.mktemp(name) for name in ("ordinary", "cpu")}
    ordinary = _locked_wheel(wheels["ordinary"], "torch", "2.0", pinned=True)
    (house / "requirements-cpu.lock").write_text(_locked_wheel(wheels["cpu"], "torch", "2.0+cpu", pinned=True))
    for name, line in (
        ("requirements.lock", ordinary),
        ("requirements-cuda.lock", _locked_wheel(house, "cuda_package")),
    ):
        with (house / name).open("a", encoding="utf-8") as lock:
            lock.write(line)
    monkeypatch.setenv("PIP_FIND_LINKS", " ".join(str(folder) for folder in list(wheels.values())[: 1 + offered]))
    python = start.set_up(start.RUNTIME_LOCKS)
    assert start.torch_version(python) == ("2.0+cpu" if offered else "2.0")
    has_cuda = subprocess.run([python, "-c", "import cuda_package"], capture_output=True).returncode == 0
    assert has_cuda is not offered
    assert not (Path(start.venv_dir()) / start.UNFINISHED_MARK).exists()


def test_packages_that_do_not_load_are_reported(start, house, monkeypatch):
    monkeypatch.setattr(start, "CHECK_IMPORTS", "raise ImportError('libGL.so.1: cannot open shared object file')")
    with pytest.raises(start.SetupError, match=r"libGL\.so\.1.*apt install libgl1"):
        start.set_up(start.RUNTIME_LOCKS)
    assert start.read_stamps(start.venv_dir()) == set()


def test_a_folder_that_is_no_environment_is_left_alone(start, tmp_path):
    folder = tmp_path / "venv"
    folder.mkdir()
    (folder / "letters.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(start.SetupError, match="no Python environment"):
        start.make_venv(str(folder))
    assert (folder / "letters.txt").read_text(encoding="utf-8") == "dear"


def test_full_disk_is_told_before_anything_is_fetched(start, house, monkeypatch):
    monkeypatch.setattr(start, "free_gb", lambda folder: 1.0)
    with pytest.raises(start.SetupError, match=r"needs about .* GB and 1\.0 GB are free"):
        start.set_up(start.RUNTIME_LOCKS)
    assert not Path(start.venv_dir()).exists()


def test_two_set_ups_of_one_folder_at_once(start, tmp_path):
    folder = str(tmp_path / "venv")
    with start.only_one(folder):
        with pytest.raises(start.SetupError, match="Another set-up"), start.only_one(folder):
            pass
        with start.only_one(str(tmp_path / "other")):
            pass
    with start.only_one(folder):
        pass


def test_python_without_venv_module(start, monkeypatch, tmp_path):
    monkeypatch.setattr(start.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(start.SetupError, match="no venv module"):
        start.make_venv(str(tmp_path / "venv"))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "disk filled up"),
        ("WARNING: NewConnectionError('Temporary failure in name resolution')\nERROR: No matching", "network"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))", "certificate"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no build"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "hash differs"),
        ("ERROR: something new", "something new.*pip.log"),
        ("Traceback (most recent call last):\nMemoryError\n", "MemoryError.*pip.log"),
        ("", "gave no reason.*pip.log"),
    ],
)
def test_trouble_of_pip_becomes_a_sentence(start, output, words):
    sentence, _ = start.explain(output, "pip.log")
    assert re.search(words, sentence)
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  Downloading numpy-1.26.4-cp311-cp311-any.whl (18.3 MB)", "  numpy-1.26.4-cp311-cp311-any.whl (18.3 MB)"),
        ("Processing /cache/torch-2.13.0-any.whl (from -r requirements.txt (line 4))", "  torch-2.13.0-any.whl"),
        ("Installing collected packages: a, b, c", "  unpacking 3 packages"),
        ("Requirement already satisfied: numpy", None),
        ("Processing ./folder", None),
    ],
)
def test_progress_without_a_terminal(start, line, shown):
    assert start.progress_line(line) == shown


def test_flags_for_pip_are_taken_out_and_the_rest_goes_to_the_studio(start):
    flags = ["--port", "7861", "--extra-index-url", "file:///w", "--no-browser", "--index-url=file:///a", "--share"]
    options, browser, rest = start.split_flags(flags)
    assert options == ["--extra-index-url", "file:///w", "--index-url=file:///a"]
    assert browser is False
    assert rest == ["--port", "7861", "--share"]
    with pytest.raises(start.SetupError, match="--index-url needs"):
        start.split_flags(["--index-url"])


@pytest.mark.parametrize(
    ("flags", "url"),
    [
        ([], "http://127.0.0.1:7860"),
        (["--port", "8000"], "http://127.0.0.1:8000"),
        (["--port=8000", "--host", "0.0.0.0"], "http://127.0.0.1:8000"),
        (["--host=192.168.0.5"], "http://192.168.0.5:7860"),
    ],
)
def test_address_of_the_page(start, monkeypatch, flags, url):
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)
    assert start.studio_url(flags) == url


def test_no_browser_where_nobody_sees_it(start, monkeypatch):
    for name in ("CI", "SPACE_ID", "SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(start.platform, "system", lambda: "Linux")
    assert not start.browser_makes_sense()
    monkeypatch.setenv("DISPLAY", ":0")
    assert start.browser_makes_sense()
    monkeypatch.setenv("CI", "true")
    assert not start.browser_makes_sense()


def test_a_taken_port_is_told_before_the_studio_starts(start):
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with pytest.raises(start.SetupError, match="already answers"):
            start.run_studio(sys.executable, ["--port", str(server.server_port)], browser=False)
    finally:
        server.shutdown()
        server.server_close()


def test_exit_code_of_the_program_is_passed_on(start):
    code = "import os, signal, sys; {}"
    run = lambda text: start._wait(subprocess.Popen([sys.executable, "-c", code.format(text)]))  # noqa: E731
    assert run("sys.exit(3)") == 3
    if os.name != "nt":
        assert run("os.kill(os.getpid(), signal.SIGKILL)") == 137


def test_unknown_command_is_one_sentence():
    answer = subprocess.run([sys.executable, str(START), "dance"], capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.strip() == "'dance' is no command of start.py; there are demo, test, setup, or none."
