"""One film by several processes, a GPU each, as `torchrun --nproc-per-node N -m infinitetalk generate ...` starts them.

Every process holds the networks and does all of a chunk but the transformer's blocks. There each computes its share of
every latent frame's tokens; for self-attention, tokens are exchanged for heads (Ulysses, arXiv 2309.14509, by
diffusers' `ContextParallelConfig`). Sharing within frames rather than along the film keeps audio with its tokens.

The first process leads: it alone owns the job's folder, writes files and reports. All decide together when to stop.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..config.settings import Settings
    from ..models.control import Control
    from ..models.transformer import InfiniteTalkTransformer


@dataclass(frozen=True)
class ProcessGroup:
    """rank: of this process, 0 leads. size: how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def any(self, wish: bool) -> bool:
        """Whether one of the processes wishes it; all must call this. Waits for the others."""
        if self.size == 1:
            return wish
        import torch

        wishes = torch.tensor([wish], dtype=torch.int32)
        torch.distributed.all_reduce(wishes, op=torch.distributed.ReduceOp.MAX)
        return bool(wishes.item())

    def wait(self) -> None:
        """Until all processes are here."""
        self.any(False)

    def broadcast(self, text: str) -> str:
        """The leader's text in every process."""
        if self.size == 1:
            return text
        import torch

        letters = torch.zeros(4096, dtype=torch.uint8)
        if self.leads:
            encoded = text.encode()
            letters[: len(encoded)] = torch.frombuffer(bytearray(encoded), dtype=torch.uint8)
        torch.distributed.broadcast(letters, src=0)
        return bytes(letters.tolist()).rstrip(b"\0").decode()


@functools.cache
def process_group() -> ProcessGroup:
    """This process's place among those that `torchrun` started; alone without it. The first call joins the others.

    Each process sees one card only, its own, so that everything else may speak of "the" card.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if size == 1:
        return ProcessGroup()
    local = int(os.environ.get("LOCAL_RANK", rank))
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[local] if local < len(visible) else str(local)
    import torch

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend)
    atexit.register(torch.distributed.destroy_process_group)
    if rank:  # the leader speaks for all
        logging.disable(logging.WARNING)
    return ProcessGroup(rank, size)


def share_tokens(transformer: InfiniteTalkTransformer, settings: Settings, device: torch.device) -> None:
    """Have the team's processes compute the blocks together; nothing changes for one process.

    Raises:
        InputError: the network's heads or the settings cannot be shared out.
    """
    members = process_group()
    if members.size == 1:
        return
    heads = transformer.config.num_heads
    if heads % members.size:
        raise InputError(
            f"{members.size} processes cannot share {heads} attention heads evenly; start a number of processes that "
            f"divides {heads}."
        )
    if settings.cache in ("first-block", "mag"):
        raise InputError(
            f"cache {settings.cache} decides by what a process sees of a picture, and {members.size} processes see "
            "different parts; choose teacache or none."
        )
    import torch
    from diffusers import ContextParallelConfig, ParallelConfig

    config = ParallelConfig(context_parallel_config=ContextParallelConfig(ulysses_degree=members.size))
    # What `enable_parallelism` does, which however counts cards even where there are none.
    mesh = torch.distributed.device_mesh.init_device_mesh(
        device.type, config.context_parallel_config.mesh_shape,
        mesh_dim_names=config.context_parallel_config.mesh_dim_names,
    )  # fmt: skip
    config.setup(members.rank, members.size, device, mesh=mesh)
    for block in transformer.blocks:
        block.attn1.processor._parallel_config = config
    transformer.shares = TokenShares(members)


@dataclass(frozen=True)
class TokenShares:
    """This process's tokens: an even stretch of every latent frame's."""

    members: ProcessGroup

    def take(
        self, tokens: Sequence[Tensor], rotary: Tensor, shape: tuple[int, int, int]
    ) -> tuple[list[Tensor], Tensor]:
        """Own tokens of each branch's [B,N,dim], the same tensor where branches had the same, and own rotary [N,D/2].

        Raises:
            InputError: a frame's tokens cannot be shared out evenly.
        """
        size, per_frame = self.members.size, shape[1] * shape[2]
        if per_frame % size:
            raise InputError(
                f"{size} processes cannot share {per_frame} tokens of a frame evenly; choose another size or number of "
                "processes."
            )
        own = {id(each): self._own(each, 1, per_frame) for each in tokens}
        return [own[id(each)] for each in tokens], self._own(rotary, 0, per_frame)

    def control(self, control: Control, per_frame: int) -> Control:
        """Of residuals [B,N,dim], which every process makes whole, own tokens each."""
        added = (replace(each, residuals=_OwnResiduals(self, each.residuals, per_frame)) for each in control.added)
        return replace(control, added=tuple(added))

    def collect(self, tokens: Tensor, num_frames: int) -> Tensor:
        """Everyone's tokens [B,N/size,dim] of `num_frames` frames together, [B,N,dim]."""
        import torch

        parts = [torch.empty_like(tokens) for _ in range(self.members.size)]
        torch.distributed.all_gather(parts, tokens.contiguous())
        frames = [part.unflatten(1, (num_frames, -1)) for part in parts]
        return torch.cat(frames, dim=2).flatten(1, 2)

    def _own(self, values: Tensor, axis: int, per_frame: int) -> Tensor:
        frames = values.unflatten(axis, (-1, per_frame))
        return frames.chunk(self.members.size, dim=axis + 1)[self.members.rank].flatten(axis, axis + 1)


@dataclass(frozen=True)
class _OwnResiduals(Sequence):
    shares: TokenShares
    made: Sequence[Tensor | None]
    per_frame: int

    def __len__(self) -> int:
        return len(self.made)

    def __getitem__(self, index: int) -> Tensor | None:
        made = self.made[index]
        return None if made is None else self.shares._own(made, 1, self.per_frame)
