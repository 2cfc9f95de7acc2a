"""The whole loop: our engine's own chunk turn, with the recorded noise, text and image tokens put in."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from infinitetalk.audio.embeddings import StoredFeatures
from infinitetalk.checkpoints.keys import wan_vae as keys_wan_vae
from infinitetalk.checkpoints.loading import Models
from infinitetalk.checkpoints.strict import load_strictly
from infinitetalk.config.request import Settings
from infinitetalk.generation.conditions import TextPair, reference_latents
from infinitetalk.generation.generator import ChunkGenerator, ChunkInputs
from infinitetalk.generation.reference import ReferencePicture
from infinitetalk.media.framing import choose_bucket, person_masks, resize_and_crop, to_network_range
from infinitetalk.models.specs import ModelSpec
from infinitetalk.models.vae import encode_video, wan_vae
from infinitetalk.planning.chunks import plan_chunks
from tests.parity.comparison import assert_close, assert_equal, require
from tests.parity.handlers.infinitetalk_dit import build_transformer
from tests.parity.seeded_weights import read_case

BRANCHES = {
    "cond": "cond_text.audio",
    "drop_text": "null_text.audio",
    "uncond": "null_text.zero",
    "drop_audio": "cond_text.zero",
}


def run(folder: Path) -> None:
    meta, weights, tensors = read_case(folder)
    run_options = meta["run"]
    bound = float(re.search(r"latents.*?<=\s*([\d.e-]+)", meta["tolerance"]["float32"]).group(1))
    models = _models(meta, weights, folder)
    audio = [StoredFeatures(torch.from_numpy(require(tensors, name))) for name in run_options["audio_full"]]

    pictures = tensors["source_video_u8"] if "source_video_u8" in tensors else require(tensors, "source_image_u8")[None]
    size = choose_bucket(*pictures.shape[1:3], {k: tuple(v) for k, v in run_options["buckets"].items()})
    boxes = list(run_options["bbox"].values()) if "bbox" in run_options else None
    masks = torch.from_numpy(person_masks(len(audio), pictures.shape[1:3], size, boxes)).float()
    assert_equal("ref_target_masks", masks, tensors["ref_target_masks"])

    settings = Settings(
        model=models.spec.name,
        steps=run_options["steps"],
        shift=run_options["shift"],
        guidance_scale=run_options["text_guide_scale"],
        audio_guidance_scale=run_options["audio_guide_scale"],
        adaptive_guidance=run_options.get("use_apg", False),
        color_correction=run_options["color_correction_strength"],
    )
    text = TextPair(torch.from_numpy(tensors["context"]), torch.from_numpy(tensors["context_null"]))
    generator = ChunkGenerator(models, masks if len(audio) == 2 else None, run_options["motion_frame"])
    noises = [d["index"] for d in meta["recorded"]["draws"] if d["kind"] == "initial_noise"]
    # The reference ends with the speech of speaker one; ours with the longer one, so it is told this length.
    num_frames = min(run_options["max_frames_num"], audio[0].num_frames)
    chunks = plan_chunks(
        num_frames,
        num_chunk_frames=run_options["frame_num"],
        num_context_frames=run_options["motion_frame"],
    )
    assert len(chunks) == len(meta["recorded"]["chunks"]), f"{len(chunks)} chunks"

    film = []
    for chunk in chunks:
        # The fixture counts source frames in the source's own numbering, whatever its rate.
        picture = pictures[min(chunk.start_frame, len(pictures) - 1)]
        reference = torch.from_numpy(to_network_range(resize_and_crop(picture, size)))[None]
        windows = [a.window(chunk.start_frame, chunk.stop_frame, mirror_tail=chunk is chunks[-1]) for a in audio]
        heard = torch.stack(windows)
        check = _Checker(f"chunk{chunk.index}", tensors, bound)
        check("reference_frame", reference[0])
        check("audio_window_checksum", heard.mean(dim=(2, 3, 4)))
        with torch.no_grad():
            check("y_latent", reference_latents(models, reference, chunk.num_frames)[0, 4:])
            motion = generator.context.latents
            motion = encode_video(models.vae, reference[:, :, None]) if motion is None else motion
            check("motion_latent", motion[0])
            motion_frames = motion.shape[2]
        recorder = _Recorder(models.transformer)
        guide = ReferencePicture("", picture, None, picture, reference)
        made = generator.generate(
            ChunkInputs(
                chunk,
                settings,
                guide,
                heard,
                torch.from_numpy(tensors[f"draw.{noises[chunk.index]:02d}"])[None],
                text,
                image_tokens=torch.from_numpy(require(tensors, f"clip_fea.{chunk.index}")),
                ends_film=chunk is chunks[-1],
            )
        )
        generator.continue_from(chunk, guide, made.context)
        recorder.remove()
        for step, latents in enumerate(recorder.latents):
            check(f"model_input.step{step}", latents)
        for branch, velocity in recorder.first_outputs.items():
            # Of context frames the velocity is overwritten before anything reads it; ours is not computed.
            check(f"step0.velocity.{BRANCHES[branch]}", velocity, first=motion_frames)
        check("final_latent", made.latents[0])
        film.append(made.frames[:, chunk.num_context_frames :])

    video = torch.cat(film, dim=1)[:, : meta["recorded"]["frames_out"]]
    assert video.shape[1] == meta["recorded"]["frames_out"], video.shape
    frames = meta["recorded"]["fp32_frames"]
    assert_close("video_f32_frames", video[:, frames], tensors["video_f32_frames"], absolute=2 * bound)
    bytes_made = ((video + 1) * 127.5).round().clamp(0, 255).numpy()[:, :: run_options["u8_stride"]]
    difference = np.abs(bytes_made - tensors["video_u8"].astype(np.float32))
    share = float((difference <= 1).mean())
    print(f"video_u8: {share:.6f} of bytes within 1, largest difference {difference.max():.0f}")
    assert share >= 0.999, f"only {share:.4%} of the bytes are within 1"


def _models(meta: dict, weights: dict, folder: Path) -> Models:
    transformer = build_transformer(meta["config"]["dit"], weights["dit"], source=str(folder))
    vae = wan_vae(meta["config"]["vae"]).eval()
    load_strictly(vae, keys_wan_vae.convert({k: torch.from_numpy(v) for k, v in weights["vae"].items()}), folder)
    return Models(ModelSpec("fixture", "fixture"), transformer, vae, image_encoder=None, audio_encoder=None)


class _Checker:
    """Compares what the case holds of a chunk; what was left out of it (`drop`) is not compared."""

    def __init__(self, prefix: str, tensors: dict, bound: float) -> None:
        self.prefix, self.tensors, self.bound = prefix, tensors, bound

    def __call__(self, name: str, actual: torch.Tensor, first: int = 0) -> None:
        """first: axis 1 is compared from there on."""
        if (key := f"{self.prefix}.{name}") in self.tensors:
            expected = self.tensors[key]
            if first:
                actual, expected = actual[:, first:], expected[:, first:]
            assert_close(key, actual, expected, relative_to_absmax=self.bound)


class _Recorder:
    """Sees every evaluation of the transformer in passing."""

    def __init__(self, transformer: torch.nn.Module) -> None:
        self.latents: list[torch.Tensor] = []
        self.first_outputs: dict[str, torch.Tensor] = {}
        self._hook = transformer.register_forward_hook(self._see)

    def _see(self, module: torch.nn.Module, arguments: tuple, output: object) -> None:
        if arguments[0] is None:  # reading a condition, not an evaluation
            return
        self.latents.append(arguments[0][0].clone())
        if not self.first_outputs:
            self.first_outputs = {branch: velocity[0].clone() for branch, velocity in output.items()}

    def remove(self) -> None:
        self._hook.remove()
