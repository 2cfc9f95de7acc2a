"""The three attentions of a block, each through diffusers' dispatcher so that its backends apply.

Letters of shapes: B batch, N tokens = T latent frames * P tokens of a frame, H heads, D channels of a head, K keys.
Attention modules follow diffusers' names (to_q, to_k, ...), for which its Wan LoRA loaders and quantizers look.
"""

from __future__ import annotations

import torch
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import nn
from torch.nn import functional

from .condition import KeysAndValues
from .rotary import position_table, rotate

# Where the speakers stand on the axis that separates them: each owns a short stretch, the background the middle
# (wan/modules/attention.py, SingleStreamMutiAttention).
CLASS_RANGE = 24
CLASS_INTERVAL = 4


class AttentionDispatch:
    """diffusers' "processor": holds the backend that `set_attention_backend` chose, and calls it.

    query [B, N, H, D], key and value [B, K, H, D] -> [B, N, H, D].
    """

    def __init__(self) -> None:
        self._attention_backend = None
        self._parallel_config = None

    def __call__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, parallel: bool = False
    ) -> torch.Tensor:
        if key.shape[1] == 1:  # a single key gets all the attention (a model without a prompt has one text token)
            return value.expand_as(query)
        return dispatch_attention_fn(
            query,
            key,
            value,
            backend=self._attention_backend,
            parallel_config=self._parallel_config if parallel else None,
        )


class Attention(nn.Module, AttentionModuleMixin):
    """What the three have in common: heads, and the projection of the result."""

    _default_processor_cls = AttentionDispatch
    _available_processors = [AttentionDispatch]
    _supports_qkv_fusion = False

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.to_q = nn.Linear(dim, dim)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.set_processor(AttentionDispatch())

    def split(self, tokens: torch.Tensor) -> torch.Tensor:
        """[..., H * D] -> [..., H, D]."""
        return tokens.unflatten(-1, (self.num_heads, self.head_dim))

    def project(self, heads: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """[..., H, D] -> [..., H * D] through the output layer, in the dtype of `like`."""
        return self.to_out[0](heads.flatten(-2).to(like.dtype))


def match_batch(pair: KeysAndValues, batch: int) -> KeysAndValues:
    """Keys and values encoded once for a whole batch, expanded (not copied) to it."""
    return tuple(part if part.shape[0] == batch else part.expand(batch, *part.shape[1:]) for part in pair)


def query_key_norm(dim: int, eps: float, wanted: bool) -> nn.Module:
    """RMS norm over all heads together, as Wan has it."""
    return nn.RMSNorm(dim, eps=eps) if wanted else nn.Identity()


class SelfAttention(Attention):
    """Attention among latent tokens with rotary positions. forward: [B, N, dim] -> [B, N, dim] and the keys' map."""

    def __init__(self, dim: int, num_heads: int, qk_norm: bool, eps: float) -> None:
        super().__init__(dim, num_heads)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.norm_q = query_key_norm(dim, eps, qk_norm)
        self.norm_k = query_key_norm(dim, eps, qk_norm)

    def forward(
        self,
        tokens: torch.Tensor,
        rotary: torch.Tensor,
        speaker_tokens: torch.Tensor | None = None,
        skip_tokens: int = 0,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The attended tokens without the first `skip_tokens` and, given `speaker_tokens`, `speaker_map` [B, 3, N]."""
        # The map is scaled between its extremes over all tokens, so it needs the query of each.
        skip_query = skip_tokens if speaker_tokens is None else 0
        query = rotate(self.split(self.norm_q(self.to_q(tokens[:, skip_query:]))), rotary[skip_query:])
        key = rotate(self.split(self.norm_k(self.to_k(tokens))), rotary)
        value = self.split(self.to_v(tokens))
        wanted = query[:, skip_tokens - skip_query :]
        attended = self.project(self.processor(wanted, key, value, parallel=True), tokens)
        if speaker_tokens is None:
            return attended, None
        return attended, speaker_map(query, key, speaker_tokens)


def speaker_map(query: torch.Tensor, key: torch.Tensor, speaker_tokens: torch.Tensor) -> torch.Tensor:
    """How much each token attends to each person in the first latent frame: [B, 3, N].

    query, key: rotated [B, N, H, D]; speaker_tokens: [B, 3, P], masks divided by their areas. Averaged over heads in
    two equal halves as published, so an odd last head does not count (get_attn_map_with_target). It is an attention
    whose values are the masks, which spares the [N, P] weights of every head.
    """
    num_heads = query.shape[2] // 2 * 2 or query.shape[2]
    tokens_per_frame = speaker_tokens.shape[-1]
    query = query[:, :, :num_heads].transpose(1, 2)
    key = key[:, :tokens_per_frame, :num_heads].transpose(1, 2)
    masks = speaker_tokens.to(query.dtype).transpose(1, 2)
    # Padded to the width of a head: fused kernels want values as wide as keys.
    values = functional.pad(masks, (0, query.shape[-1] - masks.shape[-1]))
    values = values[:, None].expand(-1, num_heads, -1, -1)
    attended = functional.scaled_dot_product_attention(query, key, values)[..., : masks.shape[-1]]
    return attended.mean(dim=1).transpose(1, 2)


class CrossAttention(Attention):
    """Attention to text and to the image, summed before the output layer. forward: [B, N, dim] -> [B, N, dim]."""

    def __init__(self, dim: int, num_heads: int, qk_norm: bool, eps: float) -> None:
        super().__init__(dim, num_heads)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.add_k_proj = nn.Linear(dim, dim)
        self.add_v_proj = nn.Linear(dim, dim)
        self.norm_q = query_key_norm(dim, eps, qk_norm)
        self.norm_k = query_key_norm(dim, eps, qk_norm)
        self.norm_added_k = query_key_norm(dim, eps, qk_norm)

    def encode_text(self, text: torch.Tensor) -> KeysAndValues:
        """[B, L, dim] -> keys and values [B, L, H, D]."""
        return self.split(self.norm_k(self.to_k(text))), self.split(self.to_v(text))

    def encode_image(self, image: torch.Tensor) -> KeysAndValues:
        """[B, tokens, dim] -> keys and values [B, tokens, H, D]."""
        return self.split(self.norm_added_k(self.add_k_proj(image))), self.split(self.add_v_proj(image))

    def forward(self, tokens: torch.Tensor, text: KeysAndValues, image: KeysAndValues) -> torch.Tensor:
        query = self.split(self.norm_q(self.to_q(tokens)))
        attended = self.processor(query, *match_batch(text, len(tokens)))
        attended = attended + self.processor(query, *match_batch(image, len(tokens)))
        return self.project(attended, tokens)


class AudioAttention(Attention):
    """Attention of each latent frame's tokens to that frame's audio tokens. forward: [B, N, dim] -> [B, N, dim]."""

    def __init__(self, dim: int, num_heads: int, audio_dim: int) -> None:
        super().__init__(dim, num_heads)
        self.to_kv = nn.Linear(audio_dim, 2 * dim)

    def encode(self, audio: torch.Tensor, num_speakers: int) -> KeysAndValues:
        """[B, T, S * A, audio_dim] -> keys and values [B, T, S * A, H, D]; with two speakers, keys are rotated."""
        key, value = (self.split(half) for half in self.to_kv(audio).chunk(2, dim=-1))
        if num_speakers == 2:
            half = CLASS_INTERVAL / 2
            centres = torch.tensor([half, CLASS_RANGE - half], device=audio.device)
            key = rotate(key, position_table(centres.repeat_interleave(audio.shape[2] // 2), self.head_dim))
        return key, value

    def forward(
        self, tokens: torch.Tensor, audio: KeysAndValues, num_frames: int, speakers: torch.Tensor | None = None
    ) -> torch.Tensor:
        """`speakers` is `speaker_map`'s [B, 3, N]; given, tokens are placed nearer the person they attend to.

        Tokens and keys may be those of the last `num_frames` latent frames only.
        """
        query = self.split(self.to_q(tokens))
        if speakers is not None:
            positions = speaker_positions(speakers)[:, -tokens.shape[1] :]
            query = rotate(query, position_table(positions, self.head_dim))
        key, value = (part[:, -num_frames:].flatten(0, 1) for part in match_batch(audio, len(tokens)))
        attended = self.processor(query.unflatten(1, (num_frames, -1)).flatten(0, 1), key, value)
        return self.project(attended.view(query.shape), tokens)


def speaker_positions(speakers: torch.Tensor) -> torch.Tensor:
    """Place of each token on the speakers' axis: [B, 3, N] -> [B, N].

    A token belongs to the person it attends to most. Speaker one's stretch is [0, 4], speaker two's [20, 24], and the
    attention, scaled between its extremes, says where in the stretch; the background stands at 12.
    """
    speakers = speakers.float()
    lowest = speakers.amin(dim=2, keepdim=True)
    scaled = (speakers - lowest) / (speakers.amax(dim=2, keepdim=True) - lowest + 1e-8)
    starts = torch.tensor([0.0, CLASS_RANGE - CLASS_INTERVAL, CLASS_RANGE // 2], device=speakers.device)
    widths = torch.tensor([CLASS_INTERVAL, CLASS_INTERVAL, 0.0], device=speakers.device)
    places = scaled * widths[:, None] + starts[:, None]
    return places.gather(1, speakers.argmax(dim=1, keepdim=True)).squeeze(1)
