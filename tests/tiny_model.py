"""A model of the published architecture with tiny random networks, in the layout that generation reads."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionModel, UMT5EncoderModel

from infinitetalk.checkpoints.keys.transformer import to_official
from infinitetalk.models.audio_encoder import SpeechEncoder, speech_encoder_config
from infinitetalk.models.control import PoseEmbedding
from infinitetalk.models.image_encoder import image_encoder_config
from infinitetalk.models.text_encoder import text_encoder_config
from infinitetalk.models.transformer import InfiniteTalkTransformer
from infinitetalk.models.uni3c import Uni3CControl
from infinitetalk.models.vace import VaceBranch
from infinitetalk.models.vae import wan_vae

DIM = 32


def write_tiny_model(folder: Path) -> Path:
    """All networks of one model into `folder`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    torch.manual_seed(0)
    InfiniteTalkTransformer(
        text_len=96, dim=DIM, ffn_dim=64, freq_dim=16, text_dim=24, num_heads=2, num_layers=2, audio_blocks=2,
        audio_channels=32, intermediate_dim=32, output_dim=24, context_tokens=4, image_dim=16,
    ).save_pretrained(folder / "transformer")  # fmt: skip
    wan_vae({"dim": 8, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}).save_pretrained(folder / "vae")
    CLIPVisionModel(
        image_encoder_config(hidden_size=16, num_layers=2, num_heads=2, image_size=28, patch_size=14)
    ).save_pretrained(folder / "image_encoder")
    SpeechEncoder(
        speech_encoder_config(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            conv_dim=[16] * 7,
            num_conv_pos_embeddings=32,
            num_conv_pos_embedding_groups=8,
        )  # fmt: skip
    ).save_pretrained(folder / "audio_encoder")
    UMT5EncoderModel(
        text_encoder_config(vocab_size=16, hidden_size=24, attention_size=16, feed_forward_size=32, num_heads=2,
                            num_layers=1)
    ).save_pretrained(folder / "text_encoder")  # fmt: skip
    vocabulary = {"[pad]": 0, "[unk]": 1, "a": 2, "person": 3, "speaks": 4, "</s>": 5}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[unk]"))
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 5)])
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[pad]", unk_token="[unk]").save_pretrained(
        folder / "tokenizer"
    )
    return folder


def write_tiny_controls(folder: Path) -> Path:
    """Camera and pose networks for it, as they are published: torch files under the official names."""
    torch.manual_seed(1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Uni3C").mkdir()
    camera = Uni3CControl(36, 16, 64, 64, 1, 2, DIM, DIM, 16, 7)
    torch.save(_livelier(camera.state_dict()), folder / "Uni3C" / "controlnet.pth")
    pose = PoseEmbedding(DIM, 8)
    own = {f"pipe.dit.{name}": value for name, value in _livelier(pose.state_dict()).items()}
    for layer in ("self_attn.q", "ffn.0"):
        size = 2 * DIM if layer == "ffn.0" else DIM
        own[f"pipe.dit.blocks.0.{layer}.lora_A.default.weight"] = torch.randn(4, DIM)
        own[f"pipe.dit.blocks.0.{layer}.lora_B.default.weight"] = 0.1 * torch.randn(size, 4)
    torch.save(own, folder / "UniAnimate-Wan2.1-14B-Lora-12000.ckpt")
    save_file(official_vace(VaceBranch(DIM, 64, 1, (0, 1))), folder / "Wan2_1-VACE_module_14B_bf16.safetensors")
    return folder


def official_vace(branch: VaceBranch) -> dict[str, torch.Tensor]:
    """Its weights, livelier, under the names of the published file."""
    names = {"proj_in.": "before_proj.", "proj_out.": "after_proj."}
    named = {}
    for key, value in _livelier(branch.state_dict()).items():
        head, index, rest = key.split(".", 2) if key.startswith("vace_blocks.") else ("", "", key)
        if head:
            own = next((theirs for ours, theirs in names.items() if rest.startswith(ours)), None)
            rest = own + rest.split(".", 1)[1] if own else to_official(f"blocks.0.{rest}").removeprefix("blocks.0.")
        named[f"{head}.{index}.{rest}" if head else rest] = value.contiguous()
    return named


def _livelier(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights as they are made leave hardly anything of what goes in."""
    return {name: 2 * value if value.ndim > 1 else value for name, value in weights.items()}
