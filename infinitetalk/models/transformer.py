"""The InfiniteTalk diffusion transformer: Wan 2.1 image-to-video plus an audio attention in every block.

Letters of shapes: B batch, S speakers, T latent frames, h and w latent rows and columns, P = (h / 2) * (w / 2) tokens
of a frame, N = T * P tokens, L text tokens, dim model width. Sources: InfiniteTalk (arXiv 2508.14033), MultiTalk
(arXiv 2505.22647) section 3, official wan/modules/multitalk_model.py.

The network is used in two moves. `encode_condition` reads everything that stays the same while a chunk is denoised and
keeps every block's keys and values; `forward` evaluates the network at one time, for one branch or for several. Given
several, it walks the blocks once with all of them: what they share is computed once (the first block's self-attention
sees no condition), and offloaded weights travel once. Modules carry diffusers' Wan names, so that its LoRA loaders,
quantizers, casting and offloading apply; `checkpoints/keys/transformer.py` translates the official ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.attention import AttentionMixin
from diffusers.models.cache_utils import CacheMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from ..errors import InputError
from .attention import AudioAttention, CrossAttention, SelfAttention
from .audio_projection import AudioProjection
from .condition import BlockKeys, Condition, ConditionInputs, ConditionTokens, KeysAndValues
from .control import Control, Evaluation
from .layers import ConditionEmbedder, FeedForward, LayerNorm32, PatchEmbedding, gated_sum, modulated_norm
from .rotary import RotaryCache

# (walk, tokens by branch before the blocks, embedding [B, dim] and modulation [B, 6, dim] of the time) -> tokens after
# them; `walk` takes the names of branches and puts their tokens through all blocks.
AroundBlocks = Callable[
    [Callable[[Sequence[str]], dict[str, torch.Tensor]], Mapping[str, torch.Tensor], torch.Tensor, torch.Tensor],
    Mapping[str, torch.Tensor],
]


class InfiniteTalkBlock(nn.Module):
    """Self-attention, attention to text and image, attention to audio, MLP; the time modulates first and last."""

    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        num_heads: int,
        audio_dim: int,
        qk_norm: bool,
        cross_attn_norm: bool,
        norm_input_visual: bool,
        eps: float,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.attn1 = SelfAttention(dim, num_heads, qk_norm, eps)
        self.norm2 = LayerNorm32(dim, eps) if cross_attn_norm else nn.Identity()
        self.attn2 = CrossAttention(dim, num_heads, qk_norm, eps)
        self.norm_audio = LayerNorm32(dim, eps) if norm_input_visual else nn.Identity()
        self.audio_attn = AudioAttention(dim, num_heads, audio_dim)
        self.ffn = FeedForward(dim, ffn_dim)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(
        self,
        hidden_states: Sequence[torch.Tensor] | torch.Tensor | None,
        conditions: Sequence[BlockKeys | ConditionTokens],
        time: torch.Tensor | None = None,
        rotary: torch.Tensor | None = None,
        speaker_tokens: Sequence[torch.Tensor | None] = (),
        num_frames: int = 0,
        num_speakers: Sequence[int] = (),
        skip_tokens: int = 0,
        known: Sequence[str] = (),
        controls: Sequence[Control | None] = (),
        place: int = 0,
    ) -> list[torch.Tensor] | torch.Tensor | BlockKeys:
        """One [B, N, dim] per branch -> the same; or, without `hidden_states`, the keys and values of one condition.

        Branches equal so far carry the very same tensor and part at the first condition in which they differ. A single
        branch may come as a tensor and then leaves as one, as diffusers' caches, which stand around blocks, expect.
        Encoding comes through `forward` because hooks that bring offloaded weights in are attached to it.

        Args:
            time: [B, 6, dim]; rotary: [N, D / 2]; speaker_tokens: per branch [B, 3, P] or None.
            num_frames: latent frames of the tokens that come out.
            skip_tokens: leave out that many first tokens of the result; the others still attend to them.
            known: which of text, image and audio need not be encoded; they come back as None.
            controls: per branch, what is added to the result; place: the block's own, by which its share is found.
                Added here and not between blocks, so that a cache that stands in for the block stands in for both.
        """
        if hidden_states is None:
            return self._encode(conditions[0], num_speakers[0], dict.fromkeys(known))
        alone = isinstance(hidden_states, torch.Tensor)
        hidden_states = [hidden_states] if alone else hidden_states
        modulation = self.scale_shift_table.float() + time
        shift_in, scale_in, gate_in, shift_out, scale_out, gate_out = modulation.split(1, dim=1)
        keys = self._keys_of(conditions, num_speakers)
        # Branches with two speakers see the same picture, hence the same masks.
        pairs = zip(hidden_states, speaker_tokens, strict=True)
        masks = {id(tokens): mask for tokens, mask in pairs if mask is not None}
        attended: dict[int, tuple] = {}  # by the identity of what went in; all of it is alive until the end
        read: dict[tuple, torch.Tensor] = {}
        results = []
        for index, (tokens, condition, speakers) in enumerate(zip(hidden_states, keys, num_speakers, strict=True)):
            own = id(tokens)
            shared = any(own == id(later) for later in hidden_states[index + 1 :])  # else nothing of it is kept
            if own not in attended:
                normed = modulated_norm(tokens, shift_in, scale_in, self.eps)
                attention, speaker_map = self.attn1(normed, rotary, masks.get(own), skip_tokens)
                del normed
                attended[own] = gated_sum(tokens[:, skip_tokens:], attention, gate_in), speaker_map
                del attention
            tokens, speaker_map = attended[own] if shared else attended.pop(own)
            prompt = (own, id(condition.text[0]), id(condition.image[0]))
            if prompt not in read:
                read[prompt] = tokens + self.attn2(self.norm2(tokens), condition.text, condition.image)
            tokens = read[prompt] if shared else read.pop(prompt)
            tokens = tokens + self.audio_attn(
                self.norm_audio(tokens), condition.audio, num_frames, speaker_map if speakers == 2 else None
            )
            mixed = self.ffn(modulated_norm(tokens, shift_out, scale_out, self.eps))
            tokens = gated_sum(tokens, mixed, gate_out)
            control = controls[index] if controls else None
            results.append(tokens if control is None else control.after(place, tokens))
            del tokens, mixed
        return results[0] if alone else results

    def _keys_of(
        self, conditions: Sequence[BlockKeys | ConditionTokens], num_speakers: Sequence[int]
    ) -> list[BlockKeys]:
        """Keys of each branch, encoded now where only tokens were kept; branches share what they share in tokens."""
        keys: list[BlockKeys] = []
        device = self.scale_shift_table.device
        brought: dict[int, KeysAndValues] = {}  # by the identity of what waited elsewhere
        for index, condition in enumerate(conditions):
            if isinstance(condition, ConditionTokens):
                known = {}
                for earlier, earlier_keys in zip(conditions[:index], keys, strict=True):
                    for name in ("text", "image", "audio"):
                        if getattr(condition, name) is getattr(earlier, name, None):
                            known[name] = getattr(earlier_keys, name)
                condition = self._encode(condition, num_speakers[index], known)
            elif condition.text[0].device != device:
                condition = condition.on(device, brought)
            keys.append(condition)
        return keys

    def _encode(
        self, tokens: ConditionTokens, num_speakers: int, known: Mapping[str, KeysAndValues | None]
    ) -> BlockKeys:
        return BlockKeys(
            text=known["text"] if "text" in known else self.attn2.encode_text(tokens.text),
            image=known["image"] if "image" in known else self.attn2.encode_image(tokens.image),
            audio=known["audio"] if "audio" in known else self.audio_attn.encode(tokens.audio, num_speakers),
        )


class InfiniteTalkTransformer(ModelMixin, AttentionMixin, ConfigMixin, PeftAdapterMixin, CacheMixin):
    """Velocity (or clean latent, if so trained) of a noisy chunk, given text, image, speech and a reference.

    Arguments are the published ones; `audio_blocks`, `audio_channels` and `image_dim` describe the speech and image
    encoders, `output_dim` is the width of an audio token. `in_dim` counts latent, mask and reference channels.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["InfiniteTalkBlock"]
    _repeated_blocks = ["InfiniteTalkBlock"]
    _skip_layerwise_casting_patterns = ["patch_embedding", "condition_embedder", "audio_projection", "norm"]
    _keep_in_fp32_modules = ["time_embedder", "time_proj", "scale_shift_table", "norm_audio", "norm2"]

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        text_len: int = 512,
        in_dim: int = 36,
        dim: int = 5120,
        ffn_dim: int = 13824,
        freq_dim: int = 256,
        text_dim: int = 4096,
        out_dim: int = 16,
        num_heads: int = 40,
        num_layers: int = 40,
        eps: float = 1e-6,
        audio_window: int = 5,
        audio_blocks: int = 12,
        audio_channels: int = 768,
        intermediate_dim: int = 512,
        output_dim: int = 768,
        context_tokens: int = 32,
        vae_scale: int = 4,
        image_dim: int = 1280,
        qk_norm: bool = True,
        cross_attn_norm: bool = True,
        norm_input_visual: bool = True,
        norm_output_audio: bool = True,
    ) -> None:
        super().__init__()
        assert dim % num_heads == 0 and dim // num_heads % 2 == 0, "heads must divide dim into even parts"
        patch_size = tuple(patch_size)
        self.patch_embedding = PatchEmbedding(in_dim, dim, kernel_size=patch_size, stride=patch_size)
        self.condition_embedder = ConditionEmbedder(dim, freq_dim, text_dim, image_dim)
        self.audio_projection = AudioProjection(
            window=audio_window,
            scale=vae_scale,
            blocks=audio_blocks,
            channels=audio_channels,
            intermediate_dim=intermediate_dim,
            output_dim=output_dim,
            context_tokens=context_tokens,
            norm_output=norm_output_audio,
        )
        self.blocks = nn.ModuleList(
            InfiniteTalkBlock(dim, ffn_dim, num_heads, output_dim, qk_norm, cross_attn_norm, norm_input_visual, eps)
            for _ in range(num_layers)
        )
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        self.proj_out = nn.Linear(dim, out_dim * patch_size[0] * patch_size[1] * patch_size[2])
        self.rotary = RotaryCache(dim // num_heads)
        self.shares = None  # of the tokens, where several processes walk the blocks together (runtime/process_group.py)
        self.gradient_checkpointing = False

    # ---- Before the first step ---------------------------------------------------------------------------------

    def encode_condition(
        self,
        *,
        text: torch.Tensor,
        image: torch.Tensor,
        audio: torch.Tensor,
        reference: torch.Tensor,
        speaker_masks: torch.Tensor | None = None,
        reuse: Iterable[Condition] = (),
        keep_keys: bool = True,
        keys_device: torch.device | str | None = None,
    ) -> Condition:
        """Everything about one branch that does not change between steps. Shapes: see `ConditionInputs`.

        Batches: `reference` says how many items (B); `text` and `image` may have a batch of one for all; `audio` holds
        B * S streams. S = 1 is one speaker, S = 2 needs `speaker_masks` ([3, h, w], or [B, 3, h, w]).

        Args:
            reuse: conditions of the same chunk already encoded with the same weights; inputs equal to theirs are not
                encoded again. Not for training steps whose weights or graphs differ.
            keep_keys: hold each block's keys and values (at the published size about 1.1 GB a branch in bfloat16,
                less what branches share); otherwise they are computed from the tokens at each evaluation.
            keys_device: where they wait; each block brings its own in while it runs. None: where they were computed.

        Raises:
            InputError: if a shape does not fit the network or the other inputs.
        """
        inputs = ConditionInputs(text, image, audio, reference, speaker_masks)
        # Through forward, where hooks that bring offloaded weights in are attached.
        return self(None, None, inputs, reuse=tuple(reuse), keep_keys=keep_keys, keys_device=keys_device)

    def _encode(
        self, inputs: ConditionInputs, reuse: Sequence[Condition], keep_keys: bool, keys_device: torch.device | None
    ) -> Condition:
        shape, num_speakers = self._check(inputs)
        tokens, reference_tokens = self._encode_tokens(inputs, shape, num_speakers, reuse)
        if keep_keys:
            blocks = tuple(
                self._block_keys(index, block, tokens, num_speakers, reuse, keys_device)
                for index, block in enumerate(self.blocks)
            )
        else:
            blocks = (tokens,) * len(self.blocks)
        speaker_tokens = None
        if num_speakers == 2:
            masks = inputs.speaker_masks if inputs.speaker_masks.ndim == 4 else inputs.speaker_masks[None]
            masks = masks.to(device=reference_tokens.device, dtype=torch.float32)
            masks = (functional.interpolate(masks, size=shape[1:], mode="nearest") > 0).float().flatten(2)
            masks = masks / masks.sum(dim=2, keepdim=True).clamp(min=1)
            speaker_tokens = masks.expand(inputs.reference.shape[0], -1, -1)
        return Condition(reference_tokens, blocks, shape, num_speakers, speaker_tokens, tokens, inputs)

    def _encode_tokens(
        self, inputs: ConditionInputs, shape: tuple[int, int, int], num_speakers: int, reuse: Sequence[Condition]
    ) -> tuple[ConditionTokens, torch.Tensor]:
        def known(name: str) -> Condition | None:
            mine = getattr(inputs, name)
            for other in reuse:
                theirs = None if other.inputs is None else getattr(other.inputs, name)
                if theirs is not None and theirs.shape == mine.shape and (theirs is mine or torch.equal(theirs, mine)):
                    return other
            return None

        dtype = self.proj_out.weight.dtype
        if other := known("text"):
            text = other.tokens.text
        else:
            missing = self.config.text_len - inputs.text.shape[1]
            padded = functional.pad(inputs.text, (0, 0, 0, missing))
            text = self.condition_embedder.text_embedder(padded.to(dtype))
        image = (
            other.tokens.image
            if (other := known("image"))
            else self.condition_embedder.image_embedder(inputs.image.to(dtype))
        )
        other = known("audio")
        if other and other.num_speakers == num_speakers:
            audio = other.tokens.audio
        else:
            # Speakers of one item side by side: [B * S, T, A, width] -> [B, T, S * A, width].
            audio = self.audio_projection(inputs.audio.to(dtype)).unflatten(0, (-1, num_speakers))
            audio = audio.transpose(1, 2).flatten(2, 3)
        if other := known("reference"):
            reference_tokens = other.reference_tokens
        else:
            latent_channels = self.config.in_dim - inputs.reference.shape[1]
            reference_tokens = self.patch_embedding(inputs.reference, first_channel=latent_channels)
        return ConditionTokens(text, image, audio), reference_tokens

    def _block_keys(
        self,
        index: int,
        block: InfiniteTalkBlock,
        tokens: ConditionTokens,
        num_speakers: int,
        reuse: Sequence[Condition],
        keys_device: torch.device | None,
    ) -> BlockKeys:
        """Keys of one block, taken from another condition where the tokens are the very same."""
        found = {}
        for other in reuse:
            if other.tokens is None or not isinstance(other.blocks[index], BlockKeys):
                continue
            for name in ("text", "image", "audio"):
                if getattr(other.tokens, name) is getattr(tokens, name):
                    found[name] = getattr(other.blocks[index], name)
        if len(found) == 3:
            return BlockKeys(**found)
        # Only the names go in: hooks of offloading move every tensor among a block's arguments.
        keys = block(None, [tokens], num_speakers=[num_speakers], known=tuple(found))
        keys = keys if keys_device is None else keys.on(keys_device)
        return replace(keys, **found)

    def _check(self, inputs: ConditionInputs) -> tuple[tuple[int, int, int], int]:
        """Token grid (T, rows, columns) and speakers per item, or an InputError naming what does not fit."""
        config = self.config
        batch, channels, *size = inputs.reference.shape
        uneven = any(length % patch for length, patch in zip(size, config.patch_size, strict=True))
        if channels != config.in_dim - config.out_dim or uneven:
            raise InputError(
                f"The encoded reference has shape {tuple(inputs.reference.shape)}; expected [batch, "
                f"{config.in_dim - config.out_dim}, frames, rows, columns] with sizes that {config.patch_size} divides."
            )
        if inputs.text.shape[1] > config.text_len or inputs.text.shape[2] != config.text_dim:
            raise InputError(
                f"The encoded text has shape {tuple(inputs.text.shape)}; expected [batch, at most {config.text_len}, "
                f"{config.text_dim}]: shorten the prompt."
            )
        if inputs.image.shape[2] != config.image_dim:
            raise InputError(
                f"The encoded image has shape {tuple(inputs.image.shape)}; expected [batch, tokens, "
                f"{config.image_dim}]: use the image encoder of the same model."
            )
        num_speakers, left_over = divmod(inputs.audio.shape[0], batch)
        if left_over or num_speakers not in (1, 2):
            raise InputError(
                f"{inputs.audio.shape[0]} audio streams for {batch} items; expected one or two streams for each."
            )
        if num_speakers == 2 and inputs.speaker_masks is None:
            raise InputError("Two voices arrived without speaker masks; say where each person is in the picture.")
        expected_frames = 1 + (size[0] - 1) * config.vae_scale
        if inputs.audio.shape[1] != expected_frames:
            raise InputError(
                f"The audio has {inputs.audio.shape[1]} frames; {size[0]} latent frames need {expected_frames}."
            )
        grid = tuple(n // p for n, p in zip(size, config.patch_size, strict=True))
        return grid, num_speakers

    # ---- At every step -----------------------------------------------------------------------------------------

    def forward(
        self,
        latents: torch.Tensor | None,
        timestep: torch.Tensor | None,
        condition: Condition | Mapping[str, Condition] | ConditionInputs,
        *,
        skip_frames: int = 0,
        around_blocks: AroundBlocks | None = None,
        reuse: Sequence[Condition] = (),
        keep_keys: bool = True,
        keys_device: torch.device | str | None = None,
    ) -> torch.Tensor | dict[str, torch.Tensor] | Condition:
        """Evaluate the network at one time.

        Args:
            latents: [B, 16, T, h, w], noisy, context latents already in place.
            timestep: [B] (or [1]) in 0..1000.
            condition: of one branch, or of several by name, which are then evaluated side by side; each may carry what
                steers it from outside.
            skip_frames: first latent frames whose output nobody will read, as context frames are overwritten: the
                last block leaves them out, and they come back as zeros.
            around_blocks: decides for which branches the blocks are walked and stands in for them in the others; a
                step cache, for instance (`sampling/teacache.py`).

        Returns:
            [B, 16, T, h, w], the network's own output (of the published weights: noise minus clean); with several
            branches, one such tensor by name.
        """
        if isinstance(condition, ConditionInputs):
            return self._encode(condition, reuse, keep_keys, None if keys_device is None else torch.device(keys_device))
        branches = dict(condition) if isinstance(condition, Mapping) else {"": condition}
        shape = next(iter(branches.values())).shape
        assert all(other.shape == shape for other in branches.values()), "branches differ in geometry"
        embedding, time = self.condition_embedder(timestep)

        # What the first block sees is equal for all branches unless their references differ.
        embedded = self.patch_embedding(latents, with_bias=False)
        references = {id(c.reference_tokens): c.reference_tokens for c in branches.values()}
        summed = {key: embedded + tokens for key, tokens in references.items()}
        tokens = {name: summed[id(c.reference_tokens)] for name, c in branches.items()}
        del embedded, references, summed
        made: dict[tuple, Sequence[torch.Tensor | None]] = {}
        controls = {
            name: c.control.at(timestep, Evaluation(latents, embedding, time, tokens[name], c.tokens.text, shape), made)
            for name, c in branches.items() if c.control is not None
        }  # fmt: skip
        for name, control in controls.items():
            if control.tokens is not None:
                tokens[name] = tokens[name] + control.tokens.to(tokens[name].dtype)

        def walk(names: Sequence[str]) -> dict[str, torch.Tensor]:
            chosen = {name: branches[name] for name in names}
            # Without a cache nothing needs these tokens again, so they are let go.
            hidden = [tokens[name] if around_blocks else tokens.pop(name) for name in chosen]
            own = [controls.get(name) for name in chosen]
            walked = self._walk_blocks(hidden, list(chosen.values()), time, skip_frames, own)
            return dict(zip(chosen, walked, strict=True))

        hidden = walk(list(branches)) if around_blocks is None else around_blocks(walk, tokens, embedding, time)
        frames, rows, columns = shape
        shape = (frames - skip_frames, rows, columns)
        outputs = {name: self._project_out(hidden[name], embedding, shape) for name in branches}
        if skip_frames:
            missing = skip_frames * self.config.patch_size[0]
            outputs = {name: functional.pad(output, (0, 0, 0, 0, missing, 0)) for name, output in outputs.items()}
        return outputs if isinstance(condition, Mapping) else outputs[""]

    def _walk_blocks(
        self, hidden: list[torch.Tensor], conditions: Sequence[Condition], time: torch.Tensor, skip_frames: int,
        controls: Sequence[Control | None],
    ) -> list[torch.Tensor]:  # fmt: skip
        """[B, N, dim] per branch through every block; the last one leaves the first `skip_frames` frames out."""
        frames, rows, columns = shape = conditions[0].shape
        rotary = self.rotary.table(shape, hidden[0].device)
        masks = [c.speaker_tokens for c in conditions]
        num_speakers = [c.num_speakers for c in conditions]
        tokens_per_frame = rows * columns
        if self.shares is not None:
            controls = [c and self.shares.control(c, tokens_per_frame) for c in controls]
            hidden[:], rotary = self.shares.take(hidden, rotary, shape)
            tokens_per_frame //= self.shares.members.size
        # Without control every block is called alike, so that a compiled one serves for all.
        added = controls if any(control is not None for control in controls) else ()
        tokens = list(hidden) if len(hidden) > 1 else hidden[0]
        hidden.clear()
        for index, block in enumerate(self.blocks):
            skip = skip_frames if index == len(self.blocks) - 1 else 0
            keys = [c.blocks[index] for c in conditions]
            arguments = (tokens, keys, time, rotary, masks, frames - skip, num_speakers, skip * tokens_per_frame, (),
                         added, index if added else 0)  # fmt: skip
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                tokens = self._gradient_checkpointing_func(block, *arguments)
            else:
                tokens = block(*arguments)
        results = [tokens] if isinstance(tokens, torch.Tensor) else tokens
        if self.shares is not None:
            results = [self.shares.collect(each, frames - skip_frames) for each in results]
        return results

    def _project_out(self, tokens: torch.Tensor, embedding: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
        """[B, N, dim] -> [B, 16, T, h, w]."""
        shift, scale = (self.scale_shift_table.float() + embedding[:, None]).split(1, dim=1)
        patches = self.proj_out(modulated_norm(tokens, shift, scale, self.config.eps))
        # [B, T, rows, columns, pt, ph, pw, C] -> [B, C, T, pt, rows, ph, columns, pw]
        patches = patches.unflatten(1, shape).unflatten(-1, (*self.config.patch_size, -1))
        return patches.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)
