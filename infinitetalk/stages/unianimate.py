"""UniAnimate: pose tokens and a LoRA made for the image-to-video base (ali-vilab/UniAnimate-DiT)."""

from __future__ import annotations

from .pose import PoseStage


class UniAnimateStage(PoseStage):
    network = "unianimate"
    order = 120


STAGE = UniAnimateStage()
