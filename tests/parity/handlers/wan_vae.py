"""Video autoencoder: encoding, decoding, and the shortened encoding of a reference against the full one."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from infinitetalk.checkpoints.keys import wan_vae as keys_wan_vae
from infinitetalk.checkpoints.strict import load_strictly
from infinitetalk.models.vae import decode_video, encode_reference, encode_video, wan_vae
from tests.parity.comparison import assert_close, require
from tests.parity.seeded_weights import read_case


def run(folder: Path) -> None:
    meta, weights, tensors = read_case(folder)
    bounds = re.findall(r"<=\s*([\d.e-]+)", meta["tolerance"]["float32"])
    latent_bound, frame_bound = float(bounds[0]), float(bounds[-1])
    vae = wan_vae(meta["config"]).eval()
    converted = keys_wan_vae.convert({key: torch.from_numpy(value) for key, value in weights["vae"].items()})
    load_strictly(vae, converted, folder)
    for call in meta["calls"]:
        given = torch.from_numpy(require(tensors, call["in"]))[None]
        expected = require(tensors, call["out"])
        with torch.no_grad():
            if call["op"] == "encode":
                video = given.float() / 127.5 - 1.0 if call["in"].endswith("_u8") else given
                assert_close(call["out"], encode_video(vae, video)[0], expected, relative_to_absmax=latent_bound)
            else:
                video = decode_video(vae, given)[0]
                kept = video[:, call["frames"]] if "frames" in call else video
                assert_close(call["out"], kept, expected, absolute=frame_bound)
    _reference(vae, given=next(iter(_videos(meta, tensors))), bound=latent_bound)


def _videos(meta: dict, tensors: dict) -> list[torch.Tensor]:
    return [torch.from_numpy(tensors[call["in"]])[None] for call in meta["calls"] if call["op"] == "encode"]


def _reference(vae: torch.nn.Module, given: torch.Tensor, bound: float) -> None:
    video = torch.zeros(1, 3, 81, *given.shape[-2:])
    video[:, :, 0] = given[:, :, 0].float().clamp(-1, 1)
    with torch.no_grad():
        full, short = encode_video(vae, video), encode_reference(vae, video[:, :, 0], 81)
    assert_close("encode_reference", short, full, relative_to_absmax=bound)
