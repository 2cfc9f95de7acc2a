"""The published files: where each comes from, how large it is, under which licence, and which model needs it.

Nothing here is read from a network or a disk. The repositories' commits were not known when this was written, so a
first download takes `main` (or the revision named), notes the commit it got, and every file is checked against the
shipped manifests; later downloads into the same folder keep to that commit (`download.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WAN = "Wan-AI/Wan2.1-I2V-14B-480P"
INFINITETALK = "MeiGen-AI/InfiniteTalk"
WAV2VEC2 = "TencentGameMate/chinese-wav2vec2-base"
NUM_SHARDS = 7

_APACHE = "Apache-2.0"
_BY_ITS_PAGE = "as stated on its page"


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository.

    component: which network it belongs to, or `tokenizer`, `lora` or `control` (a control network). bytes_about:
    its size as far as it is known (from the number of weights, or as reported; 0 where it is not; the download asks the
    hub). manifest: what it must hold.
    """

    repository: str
    path: str
    component: str
    bytes_about: int
    licence: str = _APACHE
    revision: str = "main"
    manifest: str | None = None

    @property
    def folder(self) -> str:
        """Name of the folder that the official instructions give the repository."""
        return self.repository.rpartition("/")[2]


def _shards() -> tuple[RemoteFile, ...]:
    each = 4 * 16_394_878_784 // NUM_SHARDS  # float32
    return tuple(
        RemoteFile(
            WAN, f"diffusion_pytorch_model-{index:05d}-of-{NUM_SHARDS:05d}.safetensors", "transformer", each,
            manifest="transformer-base",
        )
        for index in range(1, NUM_SHARDS + 1)
    )  # fmt: skip


CONFIG = RemoteFile(WAN, "config.json", "transformer", 300)
SHARDS = _shards()
VAE = RemoteFile(WAN, "Wan2.1_VAE.pth", "vae", 4 * 126_892_531, manifest="vae")
IMAGE_ENCODER = RemoteFile(
    WAN, "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth", "image_encoder", 4_770_000_000,
    manifest="image-encoder",
)  # fmt: skip
TEXT_ENCODER = RemoteFile(
    WAN, "models_t5_umt5-xxl-enc-bf16.pth", "text_encoder", 2 * 5_680_910_336, manifest="text-encoder"
)
TOKENIZER = tuple(
    RemoteFile(WAN, f"google/umt5-xxl/{name}", "tokenizer", size)
    for name, size in (
        ("tokenizer.json", 17_000_000), ("tokenizer_config.json", 62_000), ("spiece.model", 4_600_000),
        ("special_tokens_map.json", 7_000),
    )
)  # fmt: skip
AUDIO_ENCODER = (
    RemoteFile(WAV2VEC2, "model.safetensors", "audio_encoder", 4 * 94_371_712, _BY_ITS_PAGE, "refs/pr/1",
               "audio-encoder"),
    RemoteFile(WAV2VEC2, "config.json", "audio_encoder", 2_000, _BY_ITS_PAGE),
    RemoteFile(WAV2VEC2, "preprocessor_config.json", "audio_encoder", 300, _BY_ITS_PAGE),
)  # fmt: skip
SPEECH = {
    kind: RemoteFile(INFINITETALK, f"{kind}/infinitetalk.safetensors", "transformer", 2 * 2_487_168_000,
                     manifest="transformer-speech")
    for kind in ("single", "multi")
}  # fmt: skip
# The complete transformer, quantized, with its map. Named by the official instructions for one speaker in fp8.
QUANTIZED = {
    ("single", "fp8"): (
        RemoteFile(INFINITETALK, "quant_models/infinitetalk_single_fp8.safetensors", "transformer", 19_500_000_000),
        RemoteFile(INFINITETALK, "quant_models/infinitetalk_single_fp8.json", "transformer", 50_000),
    )
}
LORAS = {
    "fusionx": RemoteFile(
        "vrgamedevgirl84/Wan14BT2VFusioniX", "FusionX_LoRa/Wan2.1_I2V_14B_FusionX_LoRA.safetensors", "lora",
        0, _BY_ITS_PAGE,
    ),
    "lightx2v": RemoteFile(
        "Kijai/WanVideo_comfy", "Wan21_T2V_14B_lightx2v_cfg_step_distill_lora_rank32.safetensors", "lora",
        307_000_000, _BY_ITS_PAGE,
    ),
}  # fmt: skip


# Control networks by the names that a request gives them (`GenerationRequest.controls`).
CONTROLS = {
    "uni3c": RemoteFile("ewrfcas/Uni3C", "controlnet.pth", "control", 4 * 1_165_741_824, _BY_ITS_PAGE,
                        manifest="uni3c"),
    "unianimate": RemoteFile("ZheWang123/UniAnimate-DiT", "UniAnimate-Wan2.1-14B-Lora-12000.ckpt", "control", 0,
                             _BY_ITS_PAGE),
    "vace": RemoteFile("Kijai/WanVideo_comfy", "Wan2_1-VACE_module_14B_bf16.safetensors", "control",
                       2 * 3_049_101_312, _BY_ITS_PAGE),
}  # fmt: skip


def kind_of(model: str) -> str:
    """`single` or `multi` of a model's name.

    Raises:
        KeyError: the model has no published files.
    """
    kind = model.rpartition("-")[2]
    if not model.startswith("infinitetalk-14b-") or kind not in SPEECH:
        raise KeyError(model)
    return kind


def bundle(model: str, *, quantized: str | None = None, loras: Sequence[str] = ()) -> tuple[RemoteFile, ...]:
    """Every file that a model needs.

    Args:
        quantized: take the published quantized transformer of this kind (fp8) instead of the full one.
        loras: files as a preset names them; those that are not published ones are left out.
    Raises:
        KeyError: the model has no published files, or none of that kind.
    """
    kind = kind_of(model)
    transformer = QUANTIZED[kind, quantized] if quantized else (*SHARDS, SPEECH[kind])
    adapters = tuple(file for file in map(published_lora, loras) if file is not None)
    return (CONFIG, *transformer, VAE, IMAGE_ENCODER, TEXT_ENCODER, *TOKENIZER, *AUDIO_ENCODER, *adapters)


def published_lora(name: str) -> RemoteFile | None:
    """The published LoRA called `name`, by its short name or its file's; None if it is not one."""
    for short, file in LORAS.items():
        if name in (short, file.path, file.path.rpartition("/")[2]):
            return file
    return None
