"""VACE: a side branch made for the text-to-video base (Wan2.1-VACE)."""

from __future__ import annotations

from .pose import PoseStage


class VaceStage(PoseStage):
    network = "vace"
    order = 121


STAGE = VaceStage()
