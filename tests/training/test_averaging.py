"""Means of exported networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from infinitetalk.errors import InputError
from infinitetalk.training.averaging import COMPONENTS, average_networks, main


def exported(folder: Path, value: float, size: int = 3) -> Path:
    for component in COMPONENTS:
        (folder / component).mkdir(parents=True)
        (folder / component / "config.json").write_text("{}")
        save_file({"a.weight": torch.full((size,), value)}, folder / component / "model.safetensors")
    return folder


def test_the_mean_is_weighted(tmp_path: Path) -> None:
    tuned, before = exported(tmp_path / "tuned", 1.0), exported(tmp_path / "before", 3.0)
    assert main([str(tmp_path / "out"), f"{tuned}=0.75", f"{before}=0.25"]) == 0
    for component in COMPONENTS:
        weights = load_file(tmp_path / "out" / component / "model.safetensors")
        torch.testing.assert_close(weights["a.weight"], torch.full((3,), 1.5))
        assert (tmp_path / "out" / component / "config.json").exists()


def test_mistakes_are_said(tmp_path: Path) -> None:
    one, other = exported(tmp_path / "one", 1.0), exported(tmp_path / "other", 1.0, size=4)
    with pytest.raises(InputError, match="sum to 1.5"):
        average_networks({one: 1.0, other: 0.5}, tmp_path / "out")
    with pytest.raises(InputError, match="differs in its layers"):
        average_networks({one: 0.5, other: 0.5}, tmp_path / "out")
    with pytest.raises(InputError, match="holds no weights"):
        average_networks({tmp_path / "nothing": 1.0}, tmp_path / "out")
