"""Files that gradio may hand out to the visitor who owns them."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from urllib.parse import unquote

from gradio.utils import get_upload_folder


def served(path: Path, name: str) -> str:
    """`path` under `name` where gradio may hand it out.

    A link where the disk allows it, so a long film is not stored twice.
    """
    target = new_served(name)
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
    return str(target)


def is_served(address: object, path: Path) -> bool:
    """Whether the browser's `address` shows the file as it is now, and not one that has been replaced since."""
    shown = unquote(str(address or "").partition("file=")[2])
    try:
        return bool(shown) and os.path.samefile(shown, path)
    except (OSError, ValueError):
        return False


def new_served(name: str) -> Path:
    """A path for a new file that gradio may hand out: in a folder that nobody can guess, with no other file of ours."""
    folder = Path(get_upload_folder()) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder / name
