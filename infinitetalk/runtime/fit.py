"""Fitting loaded networks to a machine, from outside: devices, offloading, visits, attention backend, compilation.

    models = fit(load(...), settings)

Everything here attaches to networks that know nothing of it.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..config.settings import Attention, Offload, Settings
from ..errors import InputError
from .process_group import share_tokens

if TYPE_CHECKING:
    from ..checkpoints.loading import Models

_PACKAGES = {"flash": "flash_attn", "_flash_3": "flash_attn_interface", "sage": "sageattention"}


def fit(models: Models, settings: Settings) -> Models:
    """Place the networks of one model as `settings` says; the same object.

    Raises:
        InputError: the device or a backend is not there.
    """
    device = checked_device(settings.device)
    set_attention(models.transformer, settings.attention, device)
    share_tokens(models.transformer, settings, device)
    if settings.compile:
        models.transformer.compile_repeated_blocks()
    if settings.offload == "none":
        models.transformer.to(device)
    else:
        offload(
            models.transformer,
            settings.offload,
            device,
            pinned_gb=settings.pinned_gb,
            resident_gb=settings.resident_gb,
        )
    for network in (models.camera, models.pose):
        if network is None:
            continue
        if settings.offload == "none":
            network.to(device)
        else:
            visit(network, device)
    models.vae.to(device)
    if settings.tile_vae and hasattr(models.vae, "enable_tiling"):
        models.vae.enable_tiling()
    for encoder in (models.image_encoder, models.audio_encoder, models.text_encoder):
        if encoder is None:
            continue
        if settings.encoders == "visit" and encoder is not models.audio_encoder:
            visit(encoder, device)
        else:
            encoder.to(device)
    return models


def checked_device(name: str) -> torch.device:
    """
    Raises:
        InputError: this machine, or this installation of torch, has no such device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        built = "is built for the CPU alone" if torch.version.cuda is None else "finds none that works"
        raise InputError(
            f"The preset needs an NVIDIA card, and torch {torch.__version__} {built}; choose the preset nano, or "
            "install a driver and torch for CUDA."
        )
    if name == "mps" and not torch.backends.mps.is_available():
        raise InputError("The preset needs an Apple graphics processor, which torch does not find; choose nano.")
    return torch.device(name)


def offload(
    network: nn.Module, kind: Offload, device: torch.device, *, pinned_gb: float = 0.0, resident_gb: float = 0.0
) -> None:
    """Keep a network's weights in main memory; `block`: one block at a time comes in, `leaf`: one layer.

    On CUDA the next block is copied on a second stream during the work. All weights wait in pinned memory where they
    are at most `pinned_gb`; else each block is pinned for its own way in. With `block`, the first blocks stay on the
    device as long as they take at most `resident_gb`.
    """
    network.to("cpu")
    streams = device.type == "cuda" and kind == "block"
    blocks = network.blocks
    sizes = [sum(part.nbytes for part in (*block.parameters(), *block.buffers())) for block in blocks]
    staying = 0
    while kind == "block" and staying < len(blocks) and sum(sizes[: staying + 1]) <= resident_gb * 2**30:
        staying += 1
    for block in blocks[:staying]:
        block.to(device)
    if staying == len(blocks):
        network.to(device)
        return
    network.blocks = nn.ModuleList(blocks[staying:])  # what diffusers sees is what it offloads
    try:
        network.enable_group_offload(
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type="block_level" if kind == "block" else "leaf_level",
            num_blocks_per_group=1 if kind == "block" else None,
            use_stream=streams,
            record_stream=streams,
            low_cpu_mem_usage=sum(sizes[staying:]) > pinned_gb * 2**30,
        )
    finally:
        network.blocks = blocks
    network.runs_on = device


def visit(network: nn.Module, device: torch.device) -> None:
    """Let a network that is used now and then wait in main memory, each part being on `device` only while it runs.

    A part is an element of a list of layers, or a module with weights outside such lists. In main memory its tensors
    stay as they are (mapped from a file, where loading mapped them), so going back is free.
    """
    elements = _elements(network)
    inside = {module for element in elements for module in element.modules()}
    for element in elements:
        _bring_for_calls(element, list(element.modules()), device)
    for module in network.modules():
        if module not in inside and (module._parameters or module._buffers):
            _bring_for_calls(module, [module], device)


def _bring_for_calls(part: nn.Module, owners: list[nn.Module], device: torch.device) -> None:
    """While `part` is called, the tensors that `owners` themselves own are on the device."""
    waiting: list[tuple[dict, str, torch.Tensor]] = []

    def moved(value):
        return value.to(device) if isinstance(value, torch.Tensor) else value

    def come(module: nn.Module, arguments: tuple, keywords: dict) -> tuple[tuple, dict]:
        for owner in owners:
            for held in (owner._parameters, owner._buffers):
                for name, tensor in held.items():
                    if tensor is not None:
                        waiting.append((held, name, tensor))
                        there = tensor.data.to(device, non_blocking=True)
                        held[name] = nn.Parameter(there, requires_grad=False) if held is owner._parameters else there
        return tuple(moved(v) for v in arguments), {name: moved(v) for name, v in keywords.items()}

    def leave(module: nn.Module, arguments: tuple, output: object) -> None:
        for held, name, tensor in waiting:
            held[name] = tensor
        waiting.clear()

    part.register_forward_pre_hook(come, with_kwargs=True)
    part.register_forward_hook(leave, always_call=True)


def _elements(network: nn.Module) -> set[nn.Module]:
    """Elements of the outermost lists of modules."""
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList)]
    inner = {element for outer in lists for element in outer for element in element.modules()}
    return {element for each in lists for element in each} - {
        element for each in lists if each in inner for element in each
    }


def set_attention(network: nn.Module, wanted: Attention, device: torch.device) -> str:
    """Choose the attention kernels by what is installed; returns diffusers' name of the choice.

    `auto` takes FlashAttention 3 on Hopper cards, FlashAttention 2 on others, and torch's own elsewhere. `sage`
    computes in eight bits and is therefore only the user's own choice.

    Raises:
        InputError: the wanted backend is not installed or needs a card.
    """
    name = "native"
    if wanted == "auto" and device.type == "cuda":
        hopper = torch.cuda.get_device_capability(device) == (9, 0)
        candidates = ["_flash_3", "flash"] if hopper else ["flash"]
        name = next((c for c in candidates if _installed(c) and network.dtype != torch.float32), "native")
    elif wanted in ("flash", "sage"):
        if device.type != "cuda":
            raise InputError(f"attention {wanted} works on NVIDIA cards only; choose auto.")
        if not _installed(wanted):
            raise InputError(
                f"attention {wanted} needs the package {_PACKAGES[wanted]}, which is not installed; choose auto or "
                "install it."
            )
        name = wanted
    network.set_attention_backend(name)
    return name


def _installed(backend: str) -> bool:
    return importlib.util.find_spec(_PACKAGES[backend]) is not None
