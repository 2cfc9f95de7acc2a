"""Writes the lock files that start.py installs from: every package the studio needs, with the hashes of its files.

    python tools/lock_requirements.py            write the lock files anew
    python tools/lock_requirements.py --check    say whether they are up to date; exit code 1 if not

Reads requirements.txt, requirements-dev.txt and constraints.txt, and asks the package indexes that pip is configured
with (PIP_INDEX_URL, pip.conf, …; pypi.org without any) which files each pinned version has and what it needs. Nothing
is resolved: whatever a package needs on one of the supported systems must be pinned, and what is not is an error.

    requirements.lock        what the studio runs on
    requirements-dev.lock    what the tests need beside it
    requirements-cpu.lock    PyTorch's CPU builds, which start.py prefers where an index has one
    requirements-cuda.lock   what PyTorch's CUDA build, the ordinary one on Linux, needs beside requirements.lock

A hash is recorded for every file that pip may choose with Python 3.11 or 3.12 on Linux (x86-64 and arm64), macOS or
64-bit Windows. Where an index gives no hash, the file is fetched and hashed. PyTorch's CPU builds for Linux and Windows
are on PyTorch's own index alone; tools/pytorch_cpu_wheels.txt keeps their hashes for machines that cannot reach it.
Standard library alone.
"""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import html.parser
import json
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from package_lists import (  # noqa: E402
    CONSTRAINTS,
    ROOT,
    STUDIO_LIST,
    TEST_LIST,
    allows,
    canonical_name,
    read_pins,
    version_key,
)

STUDIO_LOCK, TEST_LOCK = "requirements.lock", "requirements-dev.lock"
CPU_LOCK, CUDA_LOCK = "requirements-cpu.lock", "requirements-cuda.lock"
TITLES = {
    STUDIO_LOCK: "What the studio runs on, with the hashes of every file that pip may choose.",
    TEST_LOCK: "What the tests need beside requirements.lock.",
    CPU_LOCK: "PyTorch's CPU builds, which no index but PyTorch's own has to have; start.py prefers them.",
    CUDA_LOCK: "What PyTorch's CUDA build, the ordinary one on Linux, needs beside requirements.lock.",
}
PYPI = "https://pypi.org/simple"
PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PYTORCH_CPU_WHEELS = Path(__file__).resolve().with_name("pytorch_cpu_wheels.txt")
JSON_FIRST = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
TIMEOUT_SECONDS = 120
PYTHONS = ("3.11", "3.12")
_MINORS = tuple(int(version.split(".")[1]) for version in PYTHONS)
_PLATFORM = re.compile(r"any|(?:many)?linux.*_(?:x86_64|aarch64)|macosx_.*|win_(?:amd64|arm64)")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^]]*)\])?([^;]*)(?:;(.*))?", re.DOTALL)


class LockError(Exception):
    """The sentences to show."""


# ----------------------------------------------------------------------------------------------------------------------
# Systems, and the markers that tell them apart


@dataclass(frozen=True)
class System:
    """One kind of machine with one Python, as markers (PEP 508) describe it."""

    sys_platform: str
    platform_machine: str
    python_version: str

    def values(self) -> dict[str, str]:
        names = {"linux": ("Linux", "posix"), "darwin": ("Darwin", "posix"), "win32": ("Windows", "nt")}
        platform_system, os_name = names[self.sys_platform]
        return {
            "sys_platform": self.sys_platform,
            "platform_machine": self.platform_machine,
            "platform_system": platform_system,
            "os_name": os_name,
            "python_version": self.python_version,
            "python_full_version": self.python_version + ".9",
            "implementation_name": "cpython",
            "implementation_version": self.python_version + ".9",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_version": "",
        }


MACHINES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64"))
SYSTEMS = tuple(System(*machine, python) for machine in MACHINES for python in PYTHONS)


def holds(marker: str, system: System, extra: str = "") -> bool:
    """True if a marker, such as `sys_platform == "win32" and python_version < "3.12"`, is true of a system.

    Raises:
        LockError: it is written in a way that this function does not know.
    """
    values = {**system.values(), "extra": canonical_name(extra)}
    try:
        return _truth(ast.parse(marker.strip(), mode="eval").body, values)
    except (SyntaxError, KeyError, ValueError) as error:
        raise LockError(f"The marker {marker.strip()!r} is not understood ({error}).") from error


def _truth(node: ast.expr, values: dict[str, str]) -> bool:
    if isinstance(node, ast.BoolOp):
        parts = (_truth(part, values) for part in node.values)
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        raise ValueError(f"{ast.unparse(node)} is no comparison")
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    left, right = (
        values[side.id] if isinstance(side, ast.Name) else str(ast.literal_eval(side))
        for side in (node.left, node.comparators[0])
    )
    operator = type(node.ops[0])
    if operator in (ast.In, ast.NotIn):
        return (left in right) == (operator is ast.In)
    if "extra" in names:
        left, right = canonical_name(left), canonical_name(right)
    first, second = (
        (version_key(left), version_key(right))
        if names & {"python_version", "python_full_version", "implementation_version"}
        else (left, right)
    )
    comparisons = {
        ast.Eq: first == second,
        ast.NotEq: first != second,
        ast.Lt: first < second,
        ast.LtE: first <= second,
        ast.Gt: first > second,
        ast.GtE: first >= second,
    }
    return comparisons[operator]


def marker_for(systems: Iterable[System]) -> str:
    """The shortest marker that this module can tell for a set of systems; an empty text for all of them."""
    wanted = frozenset(systems)
    if wanted == frozenset(SYSTEMS):
        return ""
    choices = []
    for platform in dict.fromkeys(system.sys_platform for system in SYSTEMS):
        possible = {system for system in SYSTEMS if system.sys_platform == platform}
        if possible <= wanted:
            choices.append(f'sys_platform == "{platform}"')
            continue
        for system in sorted(possible & wanted, key=SYSTEMS.index):
            choices.append(
                f'(sys_platform == "{platform}" and platform_machine == "{system.platform_machine}"'
                f' and python_version == "{system.python_version}")'
            )
    for python in PYTHONS:
        if wanted == {system for system in SYSTEMS if system.python_version == python}:
            return f'python_version == "{python}"'
    return " or ".join(choices)


# ----------------------------------------------------------------------------------------------------------------------
# Package indexes


@dataclass(frozen=True)
class PackageFile:
    """One file of a package on an index. sha256: None where the index does not tell."""

    name: str
    url: str
    sha256: str | None

    @property
    def is_wheel(self) -> bool:
        return self.name.endswith(".whl")

    @cached_property
    def version(self) -> str | None:
        """What the name says; None if it names no file of a package."""
        if self.is_wheel:
            parts = self.name.split("-")
            return parts[1] if len(parts) in (5, 6) else None
        stem = re.sub(r"\.(tar\.gz|tar\.bz2|zip)$", "", self.name)
        return stem.rpartition("-")[2] if stem != self.name and "-" in stem else None

    def is_of(self, package: str, version: str) -> bool:
        """True if it is a file of `version` of `package`, a build with a local label (`+cpu`) included."""
        if self.version is None:
            return False
        own_name = self.name.split("-")[0] if self.is_wheel else self.name[: self.name.rindex(f"-{self.version}")]
        try:
            same = version_key(self.version) == version_key(version)
        except ValueError:
            return False
        return same and canonical_name(own_name) == package and ("+" not in version or self.version == version)

    def fits(self) -> bool:
        """True if pip may choose it with a supported Python on a supported system; a source package fits anywhere."""
        if not self.is_wheel:
            return True
        pythons, abis, platforms = self.name.removesuffix(".whl").split("-")[-3:]
        if not any(_PLATFORM.fullmatch(platform) for platform in platforms.split(".")):
            return False
        for python in pythons.split("."):
            found = re.fullmatch(r"(cp|py)(\d)(\d*)", python)
            if found is None or found[2] != "3":
                continue
            minor = int(found[3] or 0)
            if found[1] == "py" or "abi3" in abis.split(".") or "none" in abis.split("."):
                if minor <= max(_MINORS):
                    return True
            elif minor in _MINORS:
                return True
        return False


class _Links(html.parser.HTMLParser):
    """The links of a page of an index (PEP 503)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for key, value in attrs if tag == "a" and key == "href" and value]


class Fetcher:
    """Reads addresses, `file:` among them, with pip's certificates and with the user that an address names."""

    def __init__(self, certificates: str | None = None) -> None:
        context = ssl.create_default_context(cafile=certificates)
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    def read(self, url: str, accept: str = "*/*") -> tuple[bytes, str]:
        """(content, content type). Raises OSError if it cannot be read."""
        parts = urllib.parse.urlsplit(url)
        headers = {"Accept": accept, "User-Agent": "infinitetalk-studio lock"}
        if parts.scheme == "file":
            path = Path(urllib.request.url2pathname(parts.path))
            return (path / "index.html" if path.is_dir() else path).read_bytes(), "text/html"
        if parts.username:
            user = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
            url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        request = urllib.request.Request(url, headers=headers)
        with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.read(), answer.headers.get_content_type()


def links_of(page: bytes, content_type: str, base: str) -> list[PackageFile]:
    """The files that a page of an index names: JSON (PEP 691) or HTML (PEP 503)."""
    if content_type.endswith("json"):
        return [
            PackageFile(entry["filename"], urllib.parse.urljoin(base, entry["url"]), entry["hashes"].get("sha256"))
            for entry in json.loads(page)["files"]
        ]
    parser = _Links()
    parser.feed(page.decode("utf-8", "replace"))
    files = []
    for link in parser.found:
        url, fragment = urllib.parse.urldefrag(urllib.parse.urljoin(base, link))
        hashes = dict(urllib.parse.parse_qsl(fragment))
        name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
        files.append(PackageFile(name, url, hashes.get("sha256")))
    return files


class Indexes:
    """All indexes that pip is configured with, as one."""

    def __init__(self, index_urls: Sequence[str], find_links: Sequence[str] = (), fetcher: Fetcher | None = None):
        self.index_urls = [url.rstrip("/") + "/" for url in index_urls]
        self.fetcher = fetcher or Fetcher()
        self._loose = [file for place in find_links for file in self._loose_files(place)]

    def files(self, package: str, version: str) -> list[PackageFile]:
        """The files of one version that pip may choose, hashes included, once each.

        Raises:
            LockError: no index has the package, or two of them have different files of one name.
        """
        found: dict[str, PackageFile] = {}
        for file in [*self._indexed_files(package), *self._loose]:
            if not (file.is_of(package, version) and file.fits()):
                continue
            known = found.get(file.name)
            if known is None:
                found[file.name] = self._hashed(file)
            elif file.sha256 and known.sha256 != file.sha256:
                raise LockError(f"{file.name} differs between {known.url} and {file.url}; one of them was altered.")
        if not found:
            raise LockError(f"No index has a file of {package} {version} that fits.")
        return [found[name] for name in sorted(found)]

    def needs(self, files: Sequence[PackageFile]) -> list[str]:
        """The lines `Requires-Dist` of a version's metadata; of the ordinary build where there are several."""
        wheels = [file for file in files if file.is_wheel]
        if not wheels:
            return []
        wheel = min(wheels, key=lambda file: ("+" in (file.version or ""), "manylinux" not in file.name, file.name))
        try:
            metadata, _ = self.fetcher.read(wheel.url + ".metadata")  # PEP 658
        except OSError:
            with zipfile.ZipFile(BytesIO(self.fetcher.read(wheel.url)[0])) as archive:
                name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
                metadata = archive.read(name)
        return HeaderParser().parsestr(metadata.decode("utf-8", "replace")).get_all("Requires-Dist") or []

    def _indexed_files(self, package: str) -> Iterator[PackageFile]:
        for index in self.index_urls:
            url = index + package + "/"
            try:
                page, content_type = self.fetcher.read(url, JSON_FIRST)
            except urllib.error.HTTPError as error:
                if error.code in (403, 404):
                    continue
                raise LockError(f"{url} answered {error.code} {error.reason}.") from error
            except FileNotFoundError:
                continue
            except OSError as error:
                raise LockError(f"{url} cannot be read ({error}).") from error
            yield from links_of(page, content_type, url)

    def _loose_files(self, place: str) -> list[PackageFile]:
        folder = Path(urllib.request.url2pathname(urllib.parse.urlsplit(place).path)) if "://" in place else Path(place)
        if not place.startswith("http") and folder.is_dir():
            return [PackageFile(path.name, path.resolve().as_uri(), None) for path in folder.iterdir()]
        try:
            page, content_type = self.fetcher.read(place, JSON_FIRST)
        except (OSError, ValueError) as error:
            raise LockError(f"{place} cannot be read ({error}).") from error
        return links_of(page, content_type, place)

    def _hashed(self, file: PackageFile) -> PackageFile:
        if file.sha256:
            return file
        content, _ = self.fetcher.read(file.url)
        return PackageFile(file.name, file.url, hashlib.sha256(content).hexdigest())


def pip_indexes() -> tuple[list[str], list[str], str | None]:
    """(addresses of indexes, places of loose files, file of certificates) as pip on this machine is configured."""
    answer = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    values: dict[str, str] = {}
    # Later lines are stronger: pip lists files first and then the environment, ":env:".
    for line in sorted(answer.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        scope, _, option = key.rpartition(".")
        if scope in ("global", "install", ":env:"):
            values[option] = str(ast.literal_eval(value))
    main = values.get("index-url", PYPI)
    certificates = values.get("cert")
    return [main, *values.get("extra-index-url", "").split()], values.get("find-links", "").split(), certificates


# ----------------------------------------------------------------------------------------------------------------------
# The lock files


@dataclass(frozen=True)
class Package:
    """One pinned package: its files and what it needs."""

    name: str
    version: str
    files: tuple[PackageFile, ...]
    requires: tuple[str, ...]

    def needed_on(self, system: System, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str], str]]:
        """(name, extras, condition on the version) of what it needs on one system with some of its extras."""
        for line in self.requires:
            found = _REQUIREMENT.fullmatch(line)
            if found is None:
                raise LockError(f"{self.name} needs {line!r}, which is not understood.")
            name, wanted, condition, marker = found.groups()
            if not marker or any(holds(marker, system, extra) for extra in ("", *extras)):
                yield canonical_name(name), frozenset(_extras(wanted)), condition.strip()


def _extras(text: str | None) -> Iterator[str]:
    yield from (canonical_name(part.strip()) for part in (text or "").split(",") if part.strip())


class Lock:
    """Which packages are needed where, from pins and an index."""

    def __init__(self, folder: Path, indexes: Indexes) -> None:
        self.studio = read_pins(folder / STUDIO_LIST)
        self.test = read_pins(folder / TEST_LIST)
        self.constraints = read_pins(folder / CONSTRAINTS)
        self.indexes = indexes
        pins = {**self.constraints, **self.test, **self.studio}
        self.versions = {name: version for name, (version, _) in pins.items()}
        self.package = cache(self._package)

    def write(self) -> dict[str, str]:
        """{file name: text} of the lock files.

        Raises:
            LockError: a package is not pinned or has no file; every such package has its line.
        """
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.package, self.versions))  # asked at once; read from the cache below
        missing: dict[str, str] = {}
        studio = self._closure(self.studio, missing, cuda=False)
        test = self._closure({**self.studio, **self.test}, missing, cuda=False)
        cuda = self._closure(self.studio, missing, cuda=True)
        if missing:
            raise LockError("\n".join(["The lists pin none or another version of these:", *sorted(missing.values())]))
        unused = sorted(set(self.versions) - set(test) - set(cuda))
        if unused:
            print(f"Nothing needs these pins of {CONSTRAINTS}: {', '.join(unused)}", file=sys.stderr)
        return {
            STUDIO_LOCK: self._text(STUDIO_LOCK, studio),
            TEST_LOCK: self._text(TEST_LOCK, _beyond(test, studio)),
            CPU_LOCK: self._cpu_text(),
            CUDA_LOCK: self._text(CUDA_LOCK, _beyond(cuda, studio)),
        }

    def _package(self, name: str) -> Package:
        files = self.indexes.files(name, self.versions[name])
        if name == "torch":
            files = with_cpu_builds(files, self.versions[name], self.indexes.fetcher)
        return Package(name, self.versions[name], tuple(files), tuple(self.indexes.needs(files)))

    def _closure(
        self, roots: dict[str, tuple[str, str]], missing: dict[str, str], *, cuda: bool
    ) -> dict[str, set[System]]:
        """{name: systems that need it}. cuda: with what PyTorch's Linux build needs beside what the others need."""
        found: dict[str, set[System]] = {}
        for system in SYSTEMS:
            plain = next(other for other in SYSTEMS if other.sys_platform == "win32")
            waiting = [
                (name, frozenset()) for name, (_, marker) in roots.items() if not marker or holds(marker, system)
            ]
            seen = set(waiting)
            while waiting:
                name, extras = waiting.pop()
                found.setdefault(name, set()).add(system)
                package = self.package(name)
                for other, wanted, condition in package.needed_on(
                    plain if name == "torch" and not cuda else system, extras
                ):
                    if other not in self.versions or not allows(condition, self.versions[other]):
                        missing[other] = f"{name} needs {other}{condition} on {system.sys_platform}"
                    elif (other, wanted) not in seen:
                        seen.add((other, wanted))
                        waiting.append((other, wanted))
        return found

    def _text(self, file: str, needed: dict[str, set[System]]) -> str:
        entries = []
        for name in sorted(needed):
            files = self.package(name).files
            pinned = self.versions[name].partition("+")[2]
            ordinary = [each for each in files if (each.version or "").partition("+")[2] == pinned]
            entries.append(_entry(name, self.versions[name], needed[name], ordinary or files))
        return _head(file) + "".join(entries)

    def _cpu_text(self) -> str:
        """The lock of PyTorch's CPU builds; of nothing where PyTorch is not pinned."""
        if "torch" not in self.studio:
            return _head(CPU_LOCK)
        version = f"{self.versions['torch']}+cpu"
        builds = [file for file in self.package("torch").files if file.version == version]
        if not builds:
            raise LockError(f"No hash of torch {version} is known; run this where {PYTORCH_CPU_INDEX} can be reached.")
        systems = {system for system in SYSTEMS if system.sys_platform != "darwin"}
        return _head(CPU_LOCK) + _entry("torch", version, systems, builds)

    def without_wheel(self) -> list[str]:
        """Packages that pip would have to build from their sources on all systems."""
        return [name for name in sorted(self.versions) if not any(file.is_wheel for file in self.package(name).files)]


def _head(file: str) -> str:
    return (
        f"# {TITLES[file]}\n"
        f"# Written by tools/lock_requirements.py from {STUDIO_LIST}, {TEST_LIST} and {CONSTRAINTS}.\n"
        "# After a change of these run it again instead of editing here (docs/security.md, Supply chain).\n"
    )


def _entry(name: str, version: str, systems: set[System], files: Sequence[PackageFile]) -> str:
    """One requirement of a lock file with the hashes of its files."""
    marker = marker_for(systems)
    lines = [f"{name}=={version}" + (f" ; {marker}" if marker else "")]
    lines += [f"    --hash=sha256:{digest}" for digest in sorted({str(file.sha256) for file in files})]
    return " \\\n".join(lines) + "\n"


def _beyond(needed: dict[str, set[System]], base: dict[str, set[System]]) -> dict[str, set[System]]:
    """What is needed where the base does not hold it yet."""
    rest = {name: systems - base.get(name, set()) for name, systems in needed.items()}
    return {name: systems for name, systems in rest.items() if systems}


def with_cpu_builds(files: list[PackageFile], version: str, fetcher: Fetcher) -> list[PackageFile]:
    """PyTorch's files and those of its CPU builds, from its own index or, where that cannot be reached, as kept."""
    try:
        found = Indexes([PYTORCH_CPU_INDEX], fetcher=fetcher).files("torch", version)
        builds = {file.name: str(file.sha256) for file in found if file.version and "+" in file.version}
        text = "".join(f"{digest}  {name}\n" for name, digest in sorted(builds.items()))
        PYTORCH_CPU_WHEELS.write_text(text, encoding="utf-8")
    except LockError as error:
        builds = dict(reversed(line.split()) for line in PYTORCH_CPU_WHEELS.read_text(encoding="utf-8").splitlines())
        print(f"{error} Using the hashes kept in {PYTORCH_CPU_WHEELS.name}.", file=sys.stderr)
    known = {file.name: file for file in files}
    for name, digest in builds.items():
        file = PackageFile(name, f"{PYTORCH_CPU_INDEX}/{urllib.parse.quote(name)}", digest)
        if not (file.is_of("torch", version) and file.fits()):
            continue
        if known.setdefault(name, file).sha256 != digest:
            raise LockError(f"{name} differs between {known[name].url} and PyTorch's index; one of them was altered.")
    return [known[name] for name in sorted(known)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a lock file is out of date")
    parser.add_argument("--index-url", action="append", metavar="URL", help="instead of pip's indexes; may be repeated")
    options = parser.parse_args(arguments)
    try:
        index_urls, find_links, certificates = pip_indexes()
        if options.index_url:
            index_urls, find_links = options.index_url, []
        lock = Lock(ROOT, Indexes(index_urls, find_links, Fetcher(certificates)))
        texts = lock.write()
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    if sources := lock.without_wheel():
        print(f"Built from their sources everywhere: {', '.join(sources)}", file=sys.stderr)
    stale = []
    for name, text in texts.items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not options.check:
                path.write_text(text, encoding="utf-8", newline="\n")
    done = "are out of date" if options.check else "written"
    print(f"{', '.join(stale)} {done}." if stale else "The lock files are up to date.")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
