"""The networks by name: what a model is made of and what it can do, readable without loading anything.

A sibling checkpoint of the same architecture is a new entry here, not new code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import CheckpointError, PresetError
from ..paths import assets_dir
from .latent_space import AbsoluteLatents, ReencodedContext, RelativeLatents, ReusedContext


@dataclass(frozen=True)
class ModelSpec:
    """One set of networks.

    prediction: what the transformer's output means; `velocity` as published, `sample` the clean latent.
    latents: where the transformer works. context: what a chunk hands to the one that follows (`latent_space.py`).
    second_reference: whether it knows what a picture for a chunk's end means.
    moves_head: whether a head moves with what it says; one that keeps still looks better turned (`config.head.Head`).
    sdedit: whether a chunk can start from the source's own pictures with noise over them.
    controls: control networks that can steer it (`checkpoints.files.CONTROLS`). shares_control_network: whether one
        network stands for all of them, and takes every motion target as a rendering.
    camera_reach: how far its camera network was trained to move a picture, as a share of its width; None: any way.
    components: folder of each network below the weights folder; a missing text encoder means an empty prompt.
    memory_mb: peak resident memory of the process while it generates, for the plan.
    evaluation_seconds, other_chunk_seconds: on two laptop cores, one evaluation of the transformer, and everything else
        that a chunk costs; the plan uses them until this machine has been timed.
    """

    name: str
    title: str
    prediction: Literal["velocity", "sample"] = "velocity"
    latents: AbsoluteLatents | RelativeLatents = AbsoluteLatents()
    context: ReencodedContext | ReusedContext = ReencodedContext()
    takes_prompt: bool = True
    num_speakers: int = 1
    second_reference: bool = True
    sdedit: bool = True
    controls: tuple[str, ...] = ("uni3c", "unianimate", "vace")
    shares_control_network: bool = False
    camera_reach: float | None = None
    moves_head: bool = True
    decoder_upscale: int = 1  # pixels of a finished picture per generated one, along each side
    any_length: bool = False  # trained on chunks of any length: the last one need not be longer than the film
    sizes: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    components: tuple[str, ...] = ("transformer", "vae", "image_encoder", "audio_encoder", "text_encoder", "tokenizer")
    shipped_in: str | None = None
    licence: str = "Apache-2.0"
    memory_mb: int = 0
    evaluation_seconds: float = 0.0
    other_chunk_seconds: float = 0.0

    def weights_dir(self, checkpoints_dir: str | Path | None) -> Path:
        """Folder of the weights in the diffusers layout (one sub-folder per component, config.json in each).

        Raises:
            CheckpointError: if the model does not ship with the package and no folder was given, or it is not there.
        """
        if self.shipped_in is not None:
            return assets_dir() / self.shipped_in
        if checkpoints_dir is None:
            raise CheckpointError(
                f"The weights of {self.title} do not ship with the package; give the folder that holds "
                f"{self.name}/ as checkpoints_dir, or choose the preset nano."
            )
        return Path(checkpoints_dir) / self.name


# Height and width by aspect ratio (height / width) as the official keys spell it. Nano was trained on one size.
NANO_SIZES = {"nano": {"1.00": (128, 128)}}

SPECS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="nano",
            title="nano",
            prediction="sample",
            latents=RelativeLatents(scale=0.6403, motion_region=(0.71, 0.50, 0.17, 0.17)),
            context=ReusedContext(fade_in_frames=7),
            takes_prompt=False,
            second_reference=False,
            moves_head=False,
            sdedit=False,  # of a picture framed on the face, all but the mouth fades into the reference
            controls=("uni3c", "unianimate"),
            shares_control_network=True,
            camera_reach=0.25,
            decoder_upscale=2,
            any_length=True,
            sizes=NANO_SIZES,
            components=("transformer", "vae", "image_encoder", "audio_encoder"),
            shipped_in="nano",
            memory_mb=1200,
            evaluation_seconds=0.25,
            other_chunk_seconds=1.0,
        ),
        ModelSpec(name="infinitetalk-14b-single", title="InfiniteTalk 14B"),
        ModelSpec(name="infinitetalk-14b-multi", title="InfiniteTalk 14B, two speakers", num_speakers=2),
    )
}


def get_spec(name: str) -> ModelSpec:
    """The spec called `name`.

    Raises:
        PresetError: if there is none.
    """
    try:
        return SPECS[name]
    except KeyError:
        raise PresetError(f"There is no model {name!r}; known are {', '.join(SPECS)}.") from None
