"""The paper's ablation in small: M0 to M3, I2V and FL2V under one budget (InfiniteTalk, figures 5 and 6, table 4).

`python -m infinitetalk.training.ablation --data DIR --features DIR --vae DIR --out DIR`

Six small networks start from the same weights, see the same clips in the same order for the same number of steps, and
differ only in what they are given (`training.references`). The common start learns from references anywhere. Then each
dubs the same held-out clips with the speech of others, four chunks long, starting every chunk from what it made itself.
Writes `ablation.json`, `ablation.md` (a table) and contact sheets. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from .phases import Phase, TransformerTraining

if TYPE_CHECKING:
    from .clips import ClipSet
    from .latents import Features

VARIANTS = ("M0", "M1", "M2", "M3", "I2V", "FL2V")
CROPS = Phase("mouths", 0.6, 7, (8, 8), 16, 6.0, 1.0, 0.2, 0.5, moving_share=0.2)
WHOLE = Phase("chunks", 1.0, 11, None, 3, 6.0, 3.0, 0.2, 0.4, moving_share=0.6)


@dataclass(frozen=True)
class Ablation:
    """Budget and size: base_steps for the common start, steps for each of the six."""

    base_steps: int = 500
    steps: int = 400
    dim: int = 128
    num_layers: int = 4
    num_heads: int = 4
    clips_per_motion: int = 2
    audio_guidance_scale: float = 1.5
    sampling_steps: int = 2
    seed: int = 5


def training_of(variant: str, settings: Ablation) -> TransformerTraining:
    """How one variant is trained; `base` is the common start."""
    training = TransformerTraining(
        steps=settings.steps,
        rate=6e-4,
        dim=settings.dim,
        num_layers=settings.num_layers,
        num_heads=settings.num_heads,
        audio_pretraining_steps=0,
        average_decay=0.99,
        phases=(WHOLE,),
        report_seconds=1e9,
        seed=settings.seed,
    )
    if variant == "base":
        return replace(
            training, steps=settings.base_steps, rate=1.2e-3, audio_pretraining_steps=300, reference="any",
            phases=(CROPS, replace(WHOLE, share=0.4, moving_share=0.3)), report_seconds=180.0,
        )  # fmt: skip
    if variant in ("I2V", "FL2V"):
        return replace(training, conditioning=variant.lower())
    return replace(training, reference=variant)


def run_ablation(
    clips: ClipSet,
    features: Features,
    vae: torch.nn.Module,
    out: Path,
    settings: Ablation,
    start_from: Path | None = None,
) -> dict:
    """Train what is not trained yet, make and measure films, write the results; returns them by variant.

    start_from: exported networks that the common start begins with, instead of new ones.
    """
    from .networks import NanoNetworks
    from .transformer_stage import train_transformer

    features = _as_at_first(features, out / "finished.npy")
    for variant in ("base", *VARIANTS):
        folder = out / variant
        if (folder / "transformer" / "config.json").exists():
            continue
        if variant != "base":
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "stages").mkdir(exist_ok=True)
            shutil.copy(out / "base" / "stages" / "relative_scale.txt", folder / "stages")
        print(f"--- {variant}", flush=True)
        start = start_from if variant == "base" else out / "base"
        train_transformer(clips, features, folder, training_of(variant, settings), start_from=start)

    scale = float((out / "base" / "stages" / "relative_scale.txt").read_text())
    pairs = _pairs(clips, features, settings)
    results, films = {}, {}
    for variant in VARIANTS:
        networks = NanoNetworks.from_folder(out / variant).eval()
        films[variant] = _films(networks, vae, clips, features, pairs, variant, scale, settings)
    from .ablation_report import compare, contact_sheets, markdown_table

    results = compare(films, clips, pairs)
    (out / "ablation.json").write_text(json.dumps({"settings": settings.__dict__, "results": results}, indent=1) + "\n")
    (out / "ablation.md").write_text(markdown_table(results))
    contact_sheets(films, clips, pairs, out)
    return results


def _as_at_first(features: Features, file: Path) -> Features:
    """Features with the clips that were ready when the ablation began: each variant must see the same."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, features.finished)
    return replace(features, finished=np.load(file), folder=None)


def _pairs(clips: ClipSet, features: Features, settings: Ablation) -> list[tuple[int, int]]:
    """(source, speech) of held-out clips: some of every kind of motion, each dubbed with the next one's sound."""
    held_out = features.ready(clips.split("test"))
    kinds = [held_out[clips.motion[held_out] == kind][: settings.clips_per_motion] for kind in (0, 1, 2)]
    sources = [int(clip) for kind in kinds for clip in kind]
    return [(source, int(held_out[(np.flatnonzero(held_out == source)[0] + 1) % len(held_out)])) for source in sources]


@torch.inference_mode()
def _films(networks, vae, clips, features, pairs, variant: str, scale: float, settings: Ablation) -> list:
    from .ablation_stream import dub
    from .distill import Teaching

    training = training_of(variant, settings)
    teaching = Teaching(settings.audio_guidance_scale, settings.sampling_steps)
    return [
        dub(networks, vae, clips, features, source, speech, training.conditioning, scale, teaching)
        for source, speech in pairs
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infinitetalk.training.ablation", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and heldout/ clips")
    parser.add_argument("--features", type=Path, required=True, help="their features, of `train --stage features`")
    parser.add_argument("--vae", type=Path, required=True, help="the autoencoder that made them")
    parser.add_argument("--out", type=Path, required=True, help="for networks, figures and contact sheets")
    for name in ("base_steps", "steps", "dim", "num_layers", "num_heads", "clips_per_motion", "seed"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Ablation, name))
    parser.add_argument("--start-from", type=Path, help="exported networks that the common start begins with")
    arguments = parser.parse_args(argv)
    from .clips import open_clips
    from .latents import load_autoencoder, open_features
    from .loop import without_subnormals

    names = ("base_steps", "steps", "dim", "num_layers", "num_heads", "clips_per_motion", "seed")
    settings = Ablation(**{name: getattr(arguments, name) for name in names})
    vae = load_autoencoder(arguments.vae)
    clips, features = open_clips(arguments.data), open_features(arguments.features)
    with without_subnormals():
        run_ablation(clips, features, vae, arguments.out, settings, arguments.start_from)
    print((arguments.out / "ablation.md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
