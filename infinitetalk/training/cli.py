"""`python -m infinitetalk train --stage audio|vae|decoder|transformer|all --data DIR --out DIR`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

STAGES = ("audio", "vae", "features", "transformer", "decoder")


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="python -m infinitetalk train", description="Train the nano model.")
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all", help="part to train; all = one by one")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and heldout/ clips")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights; stages/ in it for checkpoints")
    parser.add_argument("--seconds", type=float, default=None, help="time for the stage, instead of its default")
    parser.add_argument("--threads", type=int, default=None, help="processor threads (default: torch's choice)")
    parser.add_argument("--json", action="store_true", help="print the final figures as one JSON line")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Raises:
        InputError: the data folder lacks clips, or an earlier stage's weights are not there yet.
    """
    arguments = build_parser().parse_args(argv)
    import torch

    from .clips import open_clips

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)  # weights that start at zero pass through numbers that are slow to add
    clips = open_clips(arguments.data)
    print(f"{len(clips.split('train'))} clips to train on, {len(clips.split('test'))} held out", flush=True)
    figures = {}
    for stage in STAGES if arguments.stage == "all" else (arguments.stage,):
        figures[stage] = run_stage(stage, clips, arguments.out, arguments.seconds)
    if arguments.json:
        print(json.dumps(figures))
    return 0


def run_stage(stage: str, clips, out: Path, seconds: float | None) -> dict[str, float]:
    """Train one stage on a `ClipSet`; every stage continues from its own checkpoint in `out/stages`."""
    changes = {} if seconds is None else {"seconds": seconds}
    if stage == "audio":
        from .audio_stage import AudioTraining, train_audio

        return train_audio(clips, out, replace(AudioTraining(), **changes))
    if stage in ("vae", "decoder"):
        from .vae_stage import DECODER_TRAINING, VaeTraining, train_vae

        if stage == "vae":
            return train_vae(clips, out, replace(VaeTraining(), **changes))
        return train_vae(clips, out, replace(DECODER_TRAINING, **changes), start_from=_weights(out, "vae"))
    features = _features(clips, out)
    if stage == "features":
        return {"clips": float(clips.num_clips)}
    from .transformer_stage import TransformerTraining, train_transformer

    return train_transformer(clips, features, out, replace(TransformerTraining(), **changes))


def _features(clips, out: Path):
    from ..models.audio_encoder import SpeechEncoder
    from ..models.nano_vae import NanoVAE
    from .latents import compute_features

    vae = NanoVAE.from_pretrained(_weights(out, "vae")).eval()
    speech_encoder = SpeechEncoder.from_pretrained(_weights(out, "audio_encoder")).eval()
    return compute_features(clips, vae, speech_encoder, out / "stages" / "features")


def _weights(out: Path, component: str) -> Path:
    from ..errors import InputError

    if not (out / component / "config.json").exists():
        stage = "audio" if component == "audio_encoder" else component
        raise InputError(f"{out / component} does not exist; run `train --stage {stage}` with the same --out first.")
    return out / component


if __name__ == "__main__":
    raise SystemExit(main())
