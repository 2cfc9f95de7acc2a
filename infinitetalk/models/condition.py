"""What a chunk is generated from, once the network has read it: nothing here changes between denoising steps.

Letters of shapes: B batch, S speakers per item, T latent frames, h and w latent rows and columns, H heads, D channels
of a head, N = T * rows * columns tokens after patching.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch

from .control import Control


@dataclass(frozen=True)
class ConditionInputs:
    """Tensors handed to the network for one branch.

    Attributes:
        text: [B or 1, L, text_dim], L from 0 to the network's text_len.
        image: [B or 1, tokens, image_dim], the image encoder's output for the reference.
        audio: [B * S, frames, window, blocks, channels]; the speakers of one item stand together.
        reference: [B, 4 + 16, T, h, w], mask of known frames and encoded reference.
        speaker_masks: [3, h, w] (speaker one, speaker two, background), needed with two speakers only.
    """

    text: torch.Tensor
    image: torch.Tensor
    audio: torch.Tensor
    reference: torch.Tensor
    speaker_masks: torch.Tensor | None = None


KeysAndValues = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class ConditionTokens:
    """Projected inputs, before any block: text [B, L, dim], image [B, tokens, dim], audio [B, T, S * A, width]."""

    text: torch.Tensor
    image: torch.Tensor
    audio: torch.Tensor


@dataclass(frozen=True)
class BlockKeys:
    """Keys and values of one block: text, image [B, tokens, H, D]; audio [B, T, S * A, H, D]."""

    text: KeysAndValues
    image: KeysAndValues
    audio: KeysAndValues

    def on(self, device: torch.device, brought: dict[int, KeysAndValues] | None = None) -> BlockKeys:
        """On another device; what `brought` holds already, by identity, is not copied again.

        On their way from a graphics card they are put into pinned memory, from which they are copied back while the
        device computes. (Not called `to`: hooks of offloading would find it and move every block's keys at once.)
        """
        brought = {} if brought is None else brought
        pairs = (self.text, self.image, self.audio)
        for pair in pairs:
            if pair is not None and id(pair) not in brought:
                brought[id(pair)] = tuple(_moved(part, device) for part in pair)
        return BlockKeys(*(pair and brought[id(pair)] for pair in pairs))


def _moved(part: torch.Tensor, device: torch.device) -> torch.Tensor:
    if part.device == device:
        return part
    if part.device.type == "cuda" and device.type == "cpu":
        waiting = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
        return waiting.copy_(part)
    return part.to(device, non_blocking=True)


@dataclass(frozen=True)
class Condition:
    """One branch's encoded condition.

    Attributes:
        reference_tokens: [B, N, dim], share of the patch embedding that comes from the reference, bias included.
        blocks: one `BlockKeys` per block, or the same `ConditionTokens` for each when keys are not kept (each
            evaluation then projects them again: less memory, more arithmetic).
        shape: (T, rows, columns) of the tokens.
        num_speakers: speakers per item.
        speaker_tokens: [B, 3, rows * columns], each mask divided by its area; None for one speaker.
        tokens: the projected inputs, kept so that another condition can share them.
        inputs: what was encoded; lets another condition reuse what it shares with this one.
        control: what steers the branch from outside.
    """

    reference_tokens: torch.Tensor
    blocks: tuple[BlockKeys | ConditionTokens, ...]
    shape: tuple[int, int, int]
    num_speakers: int
    speaker_tokens: torch.Tensor | None = None
    tokens: ConditionTokens | None = None
    inputs: ConditionInputs | None = None
    control: Control | None = None

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Condition:
        """Apply `change` to every tensor once; what was shared stays shared, `inputs` and `tokens` are let go."""
        done: dict[int, torch.Tensor] = {}

        def once(value):
            if isinstance(value, torch.Tensor):
                if id(value) not in done:
                    done[id(value)] = change(value)
                return done[id(value)]
            if isinstance(value, tuple):
                return tuple(once(part) for part in value)
            if isinstance(value, (BlockKeys, ConditionTokens)):
                return type(value)(*(once(getattr(value, field.name)) for field in fields(value)))
            return value

        changed = {name: once(getattr(self, name)) for name in ("reference_tokens", "blocks", "speaker_tokens")}
        return replace(self, **changed, tokens=None, inputs=None)

    def moved(self, *args, **kwargs) -> Condition:
        """`torch.Tensor.to` for every tensor."""
        return self.map(lambda tensor: tensor.to(*args, **kwargs))

    def detach(self) -> Condition:
        """Cut from the graph that encoded it."""
        return self.map(torch.Tensor.detach)


def stack_conditions(conditions: Sequence[Condition]) -> Condition:
    """Several branches as one batch, for evaluating them together; their latents are repeated in the same order.

    All must have one geometry and one number of speakers (a branch with silenced audio has a single stream, so two
    speakers' branches cannot all be stacked), and batch sizes that agree.
    """
    first = conditions[0]
    for other in conditions[1:]:
        assert other.shape == first.shape and other.num_speakers == first.num_speakers, "branches differ in geometry"
        assert other.control is first.control, "branches are steered differently"
        assert other.reference_tokens.shape == first.reference_tokens.shape, "branches differ in batch size"
        batch = first.reference_tokens.shape[0]

    def join(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        if len(parts[0]) == 1 and all(part is parts[0] for part in parts):
            return parts[0]
        return torch.cat([part.expand(batch, *part.shape[1:]) for part in parts])

    def join_blocks(blocks):
        if isinstance(blocks[0], ConditionTokens):
            return ConditionTokens(*(join([getattr(b, f.name) for b in blocks]) for f in fields(ConditionTokens)))
        pairs = {}
        for field in fields(BlockKeys):
            kept = [getattr(block, field.name) for block in blocks]
            pairs[field.name] = (join([pair[0] for pair in kept]), join([pair[1] for pair in kept]))
        return BlockKeys(**pairs)

    return replace(
        first,
        reference_tokens=torch.cat([condition.reference_tokens for condition in conditions]),
        speaker_tokens=None if first.speaker_tokens is None else torch.cat([c.speaker_tokens for c in conditions]),
        blocks=tuple(join_blocks(blocks) for blocks in zip(*(c.blocks for c in conditions), strict=True)),
        tokens=None,
        inputs=None,
    )
