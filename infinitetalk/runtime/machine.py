"""What this machine has to work with, read without loading torch."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from dataclasses import dataclass

_ASKING_SECONDS = 10  # a driver that hangs must not hang us


@dataclass(frozen=True)
class Machine:
    """Sizes in MiB. gpu_name is empty without a graphics card; compute is CUDA's capability, such as 8.9."""

    ram_mb: int
    ram_free_mb: int
    cores: int
    gpu_name: str = ""
    gpu_mb: int = 0
    gpu_free_mb: int = 0
    compute: float = 0.0

    def describe(self) -> str:
        """'NVIDIA GeForce RTX 4090 with 24 GB, 64 GB of memory'."""
        memory = f"{self.ram_mb / 1024:.0f} GB of memory"
        if not self.gpu_name:
            return f"no NVIDIA card, {memory}"
        return f"{self.gpu_name} with {self.gpu_mb / 1024:.0f} GB, {memory}"


def this_machine() -> Machine:
    """Read from the system and NVIDIA's tool; of several cards the first visible one."""
    import psutil

    memory = psutil.virtual_memory()
    limit = _container_limit_mb()
    total, free = memory.total >> 20, memory.available >> 20
    if limit is not None and limit < total:
        total, free = limit, min(free, limit)
    return Machine(total, free, os.cpu_count() or 1, *_card())


def _container_limit_mb() -> int | None:
    """Memory a container may use, where it is less than the machine's (control groups, version 2 and 1)."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, encoding="ascii") as file:
                return int(file.read()) >> 20
        except (OSError, ValueError):  # another system, or "max"
            continue
    return None


def _card() -> tuple[str, int, int, float]:
    tool = shutil.which("nvidia-smi")
    if tool is None or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "", 0, 0, 0.0
    fields = "index,name,memory.total,memory.free,compute_cap"
    try:
        answer = subprocess.run(
            [tool, f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=_ASKING_SECONDS, check=True,
        ).stdout  # fmt: skip
        cards = {row[0].strip(): row for row in csv.reader(answer.splitlines())}
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
        _, name, total, free, compute = cards.get(visible) or next(iter(cards.values()))
        return name.strip(), int(total), int(free), float(compute)
    except (OSError, subprocess.SubprocessError, ValueError, StopIteration):
        return "", 0, 0, 0.0  # a driver that does not answer cannot be used
