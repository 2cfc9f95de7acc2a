"""What was downloaded: the commit of each repository, and every file's size and checksum as the hub stated them.

The note lies in the folder of the files. A later download keeps to the commit that is noted, so that a model's files
always come from one state of their repository; `checkpoints verify --checksums` compares with the sums.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import writing_failed
from .files import RemoteFile

NAME = "infinitetalk-downloads.json"


@dataclass
class Notes:
    """The contents of one note. repositories: by `repository@revision`: commit, files (by path: bytes, sha256)."""

    path: Path
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Notes:
        """What is noted in a folder; nothing where there is no readable note."""
        path = folder / NAME
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            repositories = {key: dict(value) for key, value in data["repositories"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            repositories = {}
        return cls(path, repositories)

    def commit(self, file: RemoteFile) -> str | None:
        """The commit that the file's repository is pinned to."""
        return self.repositories.get(f"{file.repository}@{file.revision}", {}).get("commit")

    def sha256(self, file: RemoteFile) -> str | None:
        """The file's checksum; None where the hub states none."""
        noted = self.repositories.get(f"{file.repository}@{file.revision}", {}).get("files", {})
        return noted.get(file.path, {}).get("sha256")

    def add(self, file: RemoteFile, commit: str, num_bytes: int, sha256: str | None) -> None:
        """Note a finished file, on disk at once."""
        entry = self.repositories.setdefault(f"{file.repository}@{file.revision}", {})
        if entry.get("commit") != commit:
            entry.clear()
        entry["commit"] = commit
        entry.setdefault("files", {})[file.path] = {"bytes": num_bytes, "sha256": sha256}
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"repositories": self.repositories}, indent=1) + "\n", encoding="utf-8")
            os.replace(temporary, self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise writing_failed(str(self.path), error) from error
