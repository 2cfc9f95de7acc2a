"""Lock files from an index that lies on the disk, and the lock files of this copy against its lists."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools import lock_requirements
from tools.lock_requirements import SYSTEMS, Indexes, Lock, LockError, PackageFile, holds, marker_for
from tools.package_lists import ROOT, allows, read_pins, version_key

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-cuda.lock")


def add_wheel(
    index: Path, name: str, *requires: str, version: str = "1.0", tag: str = "py3-none-any", with_hash: bool = True
) -> str:
    """A wheel on an index below `index`; its hash."""
    folder = index / "simple" / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
        archive.writestr(
            f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        )
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", f"Tag: {tag}\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    fragment = f"#sha256={digest}" if with_hash else ""
    with (folder / "index.html").open("a", encoding="utf-8") as page:
        page.write(f'<a href="{path.name}{fragment}">{path.name}</a>\n')
    return digest


def lock(folder: Path, studio: str, test: str = "", constraints: str = "") -> dict[str, str]:
    (folder / "requirements.txt").write_text(studio, encoding="utf-8")
    (folder / "requirements-dev.txt").write_text(test, encoding="utf-8")
    (folder / "constraints.txt").write_text(constraints, encoding="utf-8")
    return Lock(folder, Indexes([(folder / "simple").as_uri()])).write()


def test_every_file_that_fits_has_its_hash(tmp_path: Path) -> None:
    fits = [add_wheel(tmp_path, "a", tag=tag) for tag in ("cp311-cp311-manylinux_2_28_x86_64", "cp39-abi3-win_amd64")]
    fits.append(add_wheel(tmp_path, "a", tag="cp312-cp312-macosx_14_0_arm64", with_hash=False))
    others = [
        add_wheel(tmp_path, "a", tag="cp313-cp313-manylinux_2_28_x86_64"),
        add_wheel(tmp_path, "a", tag="cp311-cp311-musllinux_1_2_x86_64"),
        add_wheel(tmp_path, "a", version="2.0"),
    ]
    text = lock(tmp_path, "a==1.0\n")["requirements.lock"]
    assert sorted(re.findall("sha256:([0-9a-f]{64})", text)) == sorted(fits)
    assert not any(other in text for other in others)


def test_needs_are_followed_on_every_system(tmp_path: Path) -> None:
    add_wheel(tmp_path, "a", "b[fast]>=1; sys_platform == 'win32'", "c; python_version < '3.9'")
    add_wheel(tmp_path, "b", "d; extra == 'fast'")
    for name in "dt":
        add_wheel(tmp_path, name, "a")
    found = lock(tmp_path, "a==1.0\n", "t==1.0\n", "b==1.0\nd==1.0\n")
    assert re.findall(r"^\w==.*?(?= \\)", found["requirements.lock"], re.MULTILINE) == [
        "a==1.0",
        'b==1.0 ; sys_platform == "win32"',
        'd==1.0 ; sys_platform == "win32"',
    ]
    assert re.findall(r"^\w==", found["requirements-dev.lock"], re.MULTILINE) == ["t=="]


def test_what_is_not_pinned_or_pinned_wrongly_is_named(tmp_path: Path) -> None:
    add_wheel(tmp_path, "a", "b", "c>=2")
    add_wheel(tmp_path, "c")
    with pytest.raises(LockError, match=r"a needs b on .*\na needs c>=2 on"):
        lock(tmp_path, "a==1.0\n", constraints="c==1.0\n")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for place, needs in (("one", "b"), ("two", "c")):
        add_wheel(tmp_path / place, "a", needs)
    both = Indexes([(tmp_path / place / "simple").as_uri() for place in ("one", "two")])
    with pytest.raises(LockError, match="one of them was altered"):
        both.files("a", "1.0")


def test_a_build_with_a_label_counts_as_its_version(tmp_path: Path) -> None:
    add_wheel(tmp_path, "a", "cuda-package")
    add_wheel(tmp_path, "a", version="1.0+cpu")
    indexes = Indexes([(tmp_path / "simple").as_uri()])
    files = indexes.files("a", "1.0")
    assert [file.version for file in files] == ["1.0+cpu", "1.0"]
    assert indexes.needs(files) == ["cuda-package"], "the ordinary build's needs, which are more"
    assert PackageFile("a_b-1.0.tar.gz", "", None).is_of("a-b", "1.0")


def test_what_the_cuda_build_needs_is_a_list_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_requirements, "with_cpu_builds", lambda files, version, fetcher: files)
    ordinary = add_wheel(tmp_path, "torch", 'cuda; platform_system == "Linux"', "b")
    cpu = add_wheel(tmp_path, "torch", "b", version="1.0+cpu")
    for name in ("cuda", "b"):
        add_wheel(tmp_path, name)
    found = lock(tmp_path, "torch==1.0\n", constraints="cuda==1.0\nb==1.0\n")
    assert "cuda" not in found["requirements.lock"] and "b==1.0 \\" in found["requirements.lock"]
    assert 'cuda==1.0 ; sys_platform == "linux" \\' in found["requirements-cuda.lock"]
    assert ordinary in found["requirements.lock"] and cpu not in found["requirements.lock"]
    assert "torch==1.0+cpu ; " in found["requirements-cpu.lock"] and cpu in found["requirements-cpu.lock"]


@pytest.mark.parametrize(
    "marker",
    [
        'sys_platform == "win32"',
        "platform_system != 'Linux' and python_version >= '3.12'",
        "python_full_version < '3.11.4' or os_name == 'nt'",
        'extra == "a_b"',
        '"arm" in platform_machine',
        '(python_version < "3.9" and sys_platform == "darwin") or extra == "c"',
    ],
)
@pytest.mark.parametrize("extra", ["", "a-b"])
def test_markers_mean_what_pip_reads(marker: str, extra: str) -> None:
    for system in SYSTEMS:
        assert holds(marker, system, extra) is Marker(marker).evaluate({**system.values(), "extra": extra})


def test_the_marker_of_some_systems_holds_on_these_alone() -> None:
    for wanted in (SYSTEMS[:1], SYSTEMS[:3], SYSTEMS[2:], SYSTEMS[::2], SYSTEMS):
        marker = marker_for(wanted)
        assert {system for system in SYSTEMS if not marker or holds(marker, system)} == set(wanted), marker


def test_versions_have_the_order_of_pip() -> None:
    texts = ["1.0.dev1", "1.0a1", "1.0a2.dev3", "1.0b1", "1.0rc1", "1.0", "1.0.post1", "1.0.1", "1.10", "20.0", "1!0.1"]
    assert sorted(texts, key=version_key) == sorted(texts, key=Version)
    assert version_key("1.0+cpu") == version_key("1") == version_key("v1.0.0")
    for specifier in (">=1.0,<2", "==1.*", "!=1.0", "~=1.0", "<=1.0.1", ">1.0", "==1.0.1", ""):
        for text in ("1.0", "1.0.1", "1.10", "20.0"):
            assert allows(specifier, text) == SpecifierSet(specifier).contains(text), (specifier, text)


def test_the_locks_of_this_copy_hold_the_pins_of_its_lists() -> None:
    """Fails after a pin was changed; tools/lock_requirements.py then writes the lock files anew."""
    locked = {name: version for file in LOCKS for name, (version, _) in read_pins(ROOT / file).items()}
    pinned = {
        name: version
        for file in ("constraints.txt", "requirements-dev.txt", "requirements.txt")
        for name, (version, _) in read_pins(ROOT / file).items()
    }
    assert locked == pinned


def test_every_line_of_a_lock_has_hashes() -> None:
    for file in (*LOCKS, "requirements-cpu.lock"):
        text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", "")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert lines and all(re.search(r" --hash=sha256:[0-9a-f]{64}( |$)", line) for line in lines), file


def test_the_cpu_builds_of_torch_have_their_lock() -> None:
    text = (ROOT / "requirements-cpu.lock").read_text(encoding="utf-8")
    kept = (ROOT / "tools" / "pytorch_cpu_wheels.txt").read_text(encoding="utf-8").split("\n")
    version = read_pins(ROOT / "requirements.txt")["torch"][0]
    assert f"torch=={version}+cpu ; " in text
    for digest, name in (line.split() for line in kept if line):
        assert digest in text and f"-{version}+cpu-" in name
