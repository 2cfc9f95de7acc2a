"""`infinitetalk train --stage ... --data DIR --out DIR`: one stage of nano's training, or all in order."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import CommandParser, add_flag

if TYPE_CHECKING:
    from ..models.audio_encoder import SpeechEncoder
    from ..training.audio_pretraining import SpeechWindows
    from ..training.clips import ClipSet
    from ..training.latents import Features
    from ..training.phases import TransformerTraining
    from ..training.speech_data import SpeechSet

# In the order in which `all` runs them, with their shares of `--hours`.
SHARES = {"audio": 0.10, "vae": 0.28, "features": 0.0, "transformer": 0.42, "distill": 0.08, "decoder": 0.12}
STAGES = (
    *SHARES, "articulation", "lip-reader", "pictures", "sharpen", "lips", "two-reference", "steer", "sync",
    "lora",
)  # fmt: skip
REFERENCES = ("M0", "M1", "M2", "M3")
CONDITIONINGS = ("sparse", "i2v", "fl2v")
PRECISIONS = ("no", "bf16", "fp16")


def _size(text: str) -> tuple[int, int]:
    """128x6 as channels and layers."""
    channels, _, layers = text.partition("x")
    if not (channels.isdigit() and layers.isdigit() and int(layers) > 0 and int(channels) % 16 == 0 < int(channels)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 128x6; channels come in sixteens")
    return int(channels), int(layers)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = CommandParser(
        prog="infinitetalk train",
        description="Train the nano model, or a LoRA of any model from your own films (--stage lora). Every stage "
        "continues from its newest checkpoint.",
    )
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all", help="part to train; all = one by one")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and heldout/ clips; lora: films")
    parser.add_argument("--speech", type=Path, help="folder of speech without pictures, for what listens")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights; stages/ in it for checkpoints")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--hours", type=float, help="time for all stages together, shared out among them")
    budget.add_argument("--seconds", type=float, help="time for each stage, instead of its default")
    budget.add_argument("--steps", type=int, help="steps of each stage, instead of a time")
    parser.add_argument("--fresh", action="store_true", help="forget the stage's checkpoints and start it anew")
    parser.add_argument("--threads", type=int, help="processor threads (default: torch's choice)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="what networks compute in (default: bf16 where the hardware has it)"
    )
    parser.add_argument("--seed", type=int, help="instead of each stage's own")
    parser.add_argument("--config", help="lora: a .yaml file, or a shipped one: lora-14b (default) or lora-nano")
    parser.add_argument("--json", action="store_true", help="print the final figures as one JSON line")
    add_flag(
        parser, "--audio-pretraining", "--hearing", type=_size, metavar="CxL",
        help="articulation: a new encoder of C channels, L layers",
    )  # fmt: skip
    add_flag(
        parser, "--viseme-gain", "--reach", type=float,
        help="articulation: mouth shapes so many times as far from their mean",
    )  # fmt: skip
    network = parser.add_argument_group("transformer, pictures, lips, two-reference, distill")
    network.add_argument("--reference", choices=REFERENCES, help="where references come from (default M3)")
    network.add_argument("--conditioning", choices=CONDITIONINGS, help="what is given of a chunk (default sparse)")
    network.add_argument("--dim", type=int, help="width of the transformer (default 192)")
    network.add_argument("--layers", type=int, help="its blocks (default 6)")
    network.add_argument("--heads", type=int, help="its attention heads (default 6)")
    network.add_argument("--batch-factor", type=int, help="times the usual batch sizes (default 1; on a GPU 8 or more)")
    network.add_argument("--trainable", help="only parameters whose name this regular expression is found in learn")
    network.add_argument(
        "--favour",
        type=Path,
        metavar="FILE",
        help="clips by number, one in each line, that are drawn as often as all others together",
    )
    network.add_argument("--start-from", type=Path, help="folder of exported networks to start from")
    network.add_argument("--teacher-steps", type=int, default=1, help="steps of the teacher in distill (default 1)")
    add_flag(
        network,
        "--audio-guidance-scale",
        "--audio-scale",
        type=float,
        default=2.0,
        help="guidance by the speech of the teacher in distill (default 2)",
    )
    network.add_argument("--truth", type=float, default=0.0, help="share of the clips' own latents in what distill "
                         "teaches (default 0)")  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Raises:
        InputError: the data folder lacks clips, or an earlier stage's weights are not there yet.
    """
    arguments = build_parser().parse_args(argv)
    import torch

    from ..training.loop import without_subnormals

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with without_subnormals():
        if arguments.stage == "lora":
            from ..training.lora.run import run_lora

            figures = {"lora": run_lora(arguments)}
        else:
            figures = _train_nano(arguments)
    if arguments.json:
        print(json.dumps(figures))
    return 0


def _train_nano(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run the stage or stages on rendered clips."""
    from ..training.clips import open_clips

    clips = open_clips(arguments.data)
    print(f"{len(clips.split('train'))} clips to train on, {len(clips.split('test'))} held out", flush=True)
    figures = {}
    for stage in SHARES if arguments.stage == "all" else (arguments.stage,):
        if arguments.fresh:
            shutil.rmtree(arguments.out / "stages" / stage, ignore_errors=True)
        figures[stage] = run_stage(stage, clips, arguments)
    return figures


@dataclass(frozen=True)
class _Stage:
    """One stage with its options. seconds: its time, None for its own default."""

    name: str
    clips: ClipSet
    arguments: argparse.Namespace
    seconds: float | None

    @property
    def out(self) -> Path:
        return self.arguments.out

    @property
    def budget(self) -> dict[str, Any]:
        """Settings that every stage has."""
        return {"seconds": self.seconds, "seed": self.arguments.seed, "num_steps": self.arguments.steps}

    @property
    def budget_and_precision(self) -> dict[str, Any]:
        return self.budget | {"precision": self.arguments.precision or default_precision()}

    @property
    def start_from(self) -> Path:
        """The folder of the networks that the stage starts from: as given, else what was trained before."""
        return self.arguments.start_from or _weights(self.out, "transformer").parent

    def vae(self) -> Any:
        from ..training.latents import load_autoencoder

        return load_autoencoder(_weights(self.out, "vae"))

    def features(self) -> Features:
        return _features(self.clips, self.out)


def run_stage(stage: str, clips: ClipSet, arguments: argparse.Namespace) -> dict[str, float]:
    """Train one stage; every stage continues from its own checkpoint in `out/stages`."""
    seconds = arguments.seconds
    if arguments.hours is not None:
        share = SHARES.get(stage, 1.0) if arguments.stage == "all" else 1.0
        seconds = 3600 * arguments.hours * share
    return _RUN[stage](_Stage(stage, clips, arguments, seconds))


def _audio(stage: _Stage) -> dict[str, float]:
    from ..training.audio_stage import AudioTraining, train_audio

    arguments = stage.arguments
    encoder = None if arguments.start_from is None else _weights(arguments.start_from, "audio_encoder")
    source = stage.clips if arguments.speech is None else _speech(arguments)
    return train_audio(source, stage.out, _changed(AudioTraining(), **stage.budget), start_from=encoder)


def _articulation(stage: _Stage) -> dict[str, float]:
    from ..training.articulation_stage import ArticulationTraining, train_articulation

    arguments = stage.arguments
    settings = _changed(
        ArticulationTraining(),
        viseme_gain=arguments.viseme_gain,
        new_encoder=arguments.audio_pretraining,
        **stage.budget,
    )
    if arguments.speech is None:
        raise InputError("Articulation is learnt from speech; give a folder of it with --speech.")
    encoder = _weights(arguments.start_from or stage.out, "audio_encoder")
    return train_articulation(_speech(arguments), stage.out, settings, encoder)


def _vae(stage: _Stage) -> dict[str, float]:
    from ..training.vae_stage import VaeTraining, train_vae

    return train_vae(stage.clips, stage.out, _changed(VaeTraining(), **stage.budget_and_precision))


def _decoder(stage: _Stage) -> dict[str, float]:
    from ..training.vae_stage import DECODER_TRAINING, train_vae

    settings = _changed(DECODER_TRAINING, **stage.budget_and_precision)
    return train_vae(stage.clips, stage.out, settings, start_from=_weights(stage.out, "vae"))


def _sync(stage: _Stage) -> dict[str, float]:
    from ..evaluation.sync_training import SyncTraining, train_sync

    return train_sync(stage.clips, stage.out, _changed(SyncTraining(), seconds=stage.seconds))


def _steer(stage: _Stage) -> dict[str, float]:
    from ..training.control_stage import ControlTraining, train_control
    from ..training.transformer_stage import known_scale

    start_from, out = stage.start_from, stage.out
    scale = known_scale(out / "stages", start_from)
    vae = stage.vae()
    settings = _changed(ControlTraining(), **stage.budget_and_precision)
    return train_control(stage.clips, vae, _speech_encoder(out), out, settings, start_from, scale)


def _compute_features(stage: _Stage) -> dict[str, float]:
    return {"clips": float(stage.features().finished.sum())}


def _lip_reader(stage: _Stage) -> dict[str, float]:
    from ..training.lip_reader import ReaderTraining, train_reader
    from ..training.transformer_stage import kept_scale

    features, clips = stage.features(), stage.clips
    settings = _changed(ReaderTraining(), **stage.budget)
    scale = kept_scale(stage.out, clips, features, features.ready(clips.split("train")), settings.seed)
    return train_reader(clips, features, stage.vae(), scale, stage.out, settings)


def _transformer(stage: _Stage) -> dict[str, float]:
    from ..training.transformer_stage import TransformerTraining, train_transformer

    features = stage.features()
    return train_transformer(
        stage.clips,
        features,
        stage.out,
        _transformer_settings(TransformerTraining(), stage),
        start_from=stage.arguments.start_from,
        speech=_heard(stage.arguments),
    )


def _lips(stage: _Stage) -> dict[str, float]:
    from ..training.transformer_stage import LIPS_TRAINING, train_transformer

    features = stage.features()
    return train_transformer(
        stage.clips,
        features,
        stage.out / stage.name,
        _transformer_settings(LIPS_TRAINING, stage),
        stage=stage.name,
        start_from=stage.start_from,
        speech=_heard(stage.arguments),
    )


def _pictures(stage: _Stage) -> dict[str, float]:
    from ..training.lip_reader import load_reader
    from ..training.transformer_stage import PICTURES_TRAINING, train_transformer

    features = stage.features()
    return train_transformer(
        stage.clips,
        features,
        stage.out / stage.name,
        _transformer_settings(PICTURES_TRAINING, stage),
        stage=stage.name,
        start_from=stage.start_from,
        vae=stage.vae(),
        reader=load_reader(stage.out),
        speech=_heard(stage.arguments),
    )


def _sharpen(stage: _Stage) -> dict[str, float]:
    from ..training.lip_reader import load_reader
    from ..training.sharpen_stage import SharpenTraining, train_sharpen

    features = stage.features()
    settings = _changed(SharpenTraining(), **stage.budget_and_precision)
    return train_sharpen(stage.clips, features, stage.out, settings, stage.start_from, load_reader(stage.out))


def _two_reference(stage: _Stage) -> dict[str, float]:
    from ..training.transformer_stage import TWO_REFERENCE_TRAINING, train_transformer

    features = stage.features()
    settings = replace(_transformer_settings(TWO_REFERENCE_TRAINING, stage), conditioning="two-reference")
    return train_transformer(
        stage.clips, features, stage.out / stage.name, settings, stage=stage.name, start_from=stage.start_from
    )


def _distill(stage: _Stage) -> dict[str, float]:
    from ..training.distill import DISTILL_TRAINING, Teaching, distill

    arguments = stage.arguments
    if not 0 <= arguments.truth <= 1:
        raise InputError(f"--truth is {arguments.truth:g}; give a share from 0 to 1.")
    if arguments.start_from is None:
        _weights(stage.out, "transformer")  # a lacking teacher is reported before features are computed
    features = stage.features()
    teaching = Teaching(arguments.audio_guidance_scale, arguments.teacher_steps, truth=arguments.truth)
    settings = _transformer_settings(DISTILL_TRAINING, stage)
    return distill(stage.clips, features, stage.out, settings, teaching, teacher_folder=arguments.start_from)


_RUN: dict[str, Callable[[_Stage], dict[str, float]]] = {
    "audio": _audio, "vae": _vae, "features": _compute_features, "transformer": _transformer, "distill": _distill,
    "decoder": _decoder, "articulation": _articulation, "lip-reader": _lip_reader, "pictures": _pictures,
    "sharpen": _sharpen, "lips": _lips, "two-reference": _two_reference, "steer": _steer, "sync": _sync,
}  # fmt: skip


def _changed(settings, **changes):
    """Settings with those of the changes that were given."""
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})


def _transformer_settings(settings: TransformerTraining, stage: _Stage) -> TransformerTraining:
    arguments = stage.arguments
    return _changed(
        settings,
        seconds=stage.seconds,
        seed=arguments.seed,
        steps=arguments.steps,
        reference=arguments.reference,
        conditioning=arguments.conditioning,
        dim=arguments.dim,
        num_layers=arguments.layers,
        num_heads=arguments.heads,
        batch_factor=arguments.batch_factor,
        trainable=arguments.trainable,
        favoured=favoured_clips(arguments),
        precision=arguments.precision or default_precision(),
    )


def favoured_clips(arguments: argparse.Namespace) -> tuple[int, ...] | None:
    """Clips by number, in the file's lines."""
    if arguments.favour is None:
        return None
    try:
        return tuple(int(line) for line in arguments.favour.read_text(encoding="utf-8").split())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{arguments.favour} cannot be used ({error}); give a file with a number in each line."
        ) from None


def default_precision() -> str:
    """bf16 where the GPU, or without one the processor, has instructions for it, else what the weights have."""
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    return "bf16" if torch.cpu.get_capabilities().get("avx512_bf16") else "no"


def _features(clips: ClipSet, out: Path) -> Features:
    from ..training.latents import compute_features, load_autoencoder

    vae = load_autoencoder(_weights(out, "vae"))
    return compute_features(clips, vae, _speech_encoder(out), out / "stages" / "features")


def _speech_encoder(out: Path) -> SpeechEncoder:
    from ..models.audio_encoder import SpeechEncoder

    return SpeechEncoder.from_pretrained(_weights(out, "audio_encoder")).eval()


def _heard(arguments: argparse.Namespace) -> SpeechWindows | None:
    from ..training.audio_pretraining import hear_speech

    return None if arguments.speech is None else hear_speech(_speech(arguments), _speech_encoder(arguments.out))


def _speech(arguments: argparse.Namespace) -> SpeechSet:
    from ..training.speech_data import open_speech

    return open_speech(arguments.speech)


def _weights(out: Path, component: str) -> Path:
    if not (out / component / "config.json").exists():
        stage = "audio" if component == "audio_encoder" else component
        raise InputError(f"{out / component} does not exist; run `train --stage {stage}` with the same --out first.")
    return out / component


if __name__ == "__main__":
    raise SystemExit(main())
