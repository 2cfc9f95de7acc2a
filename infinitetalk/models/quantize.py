"""Linear layers whose weights are kept in eight or four bits.

Formats and arithmetic are those of the known libraries (optimum-quanto's qint8 and qfloat8, bitsandbytes' nf4 and
LLM.int8()), the layer is our own: it keeps plain tensors, which diffusers' group offloading can move (it cannot move
the tensor subclasses of quanto and torchao), which map from a file as they are, and which `.to(dtype)` leaves alone. A
layer is turned back into full precision when it is reached (but for LLM.int8(), which multiplies integers); at a
chunk's tens of thousands of tokens that costs a hundredth of its product.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError

if TYPE_CHECKING:
    from ..config.settings import Quantization

_ROWS_AT_A_TIME = 4096
GROUP = 128  # input channels that share a scale in int4, as quanto has it
NF4_BLOCK = 64  # weights that share a scale in nf4, as bitsandbytes has it


@dataclass(frozen=True)
class Format(ABC):
    """How one weight matrix is kept. bits: per weight, scales included, for estimates; tensors: names and dtypes."""

    name: str
    bits: float
    tensors: Mapping[str, torch.dtype]

    @abstractmethod
    def shapes(self, out_features: int, in_features: int) -> dict[str, tuple[int, ...]]:
        """Of the tensors that stand for an [out, in] matrix."""

    @abstractmethod
    def quantize(self, weight: Tensor) -> dict[str, Tensor]:
        """[out, in] -> the tensors that stand for it."""

    @abstractmethod
    def dequantize(self, kept: Mapping[str, Tensor], shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
        """The inverse, as nearly as the format can."""

    def multiply(self, tokens: Tensor, kept: Mapping[str, Tensor]) -> Tensor | None:
        """[..., in] times the transposed matrix, where the format multiplies without turning weights back; or None."""
        return None


class _EightBits(Format):
    """One value of eight bits per weight, one scale per output channel: quanto's qint8 and qfloat8_e4m3fn."""

    kind: torch.dtype
    largest: float

    def shapes(self, out_features: int, in_features: int) -> dict[str, tuple[int, ...]]:
        return {"weight_data": (out_features, in_features), "weight_scale": (out_features, 1)}

    def quantize(self, weight: Tensor) -> dict[str, Tensor]:
        weight = weight.float()
        scale = weight.abs().amax(dim=1, keepdim=True) / self.largest
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        values = weight / scale
        if self.kind == torch.int8:
            values = values.round()
        data = values.clamp(-self.largest, self.largest).to(self.kind)
        return {"weight_data": data.view(torch.int8), "weight_scale": scale}

    def dequantize(self, kept: Mapping[str, Tensor], shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
        return kept["weight_data"].view(self.kind).to(dtype) * kept["weight_scale"].to(dtype)


class _Int8(_EightBits):
    kind, largest = torch.int8, 127.0


class _LlmInt8(_Int8):
    """bitsandbytes' LLM.int8(): tokens become eight bits too, a scale for each, and integers are multiplied.

    A column of tokens with an outlier keeps more bits there by a threshold; the published network's tokens are normed
    before every layer, so none is used here.
    """

    def multiply(self, tokens: Tensor, kept: Mapping[str, Tensor]) -> Tensor:
        library = bitsandbytes("llm-int8").functional
        weight, scale = kept["weight_data"], kept["weight_scale"].float().flatten()
        rows = tokens.reshape(-1, tokens.shape[-1])
        result = rows.new_empty(len(rows), len(weight))
        for start in range(0, len(rows), _ROWS_AT_A_TIME):  # sums are held in 32 bits
            part = rows[start : start + _ROWS_AT_A_TIME]
            integers, largest, _ = library.int8_vectorwise_quant(part.half())
            sums = library.int8_linear_matmul(integers, weight)
            result[start : start + len(part)] = sums * (largest.float()[:, None] / 127) * scale
        return result.view(*tokens.shape[:-1], len(weight))


class _Fp8(_EightBits):
    """Kept as int8, so that a conversion of floating-point tensors passes it by."""

    kind, largest = torch.float8_e4m3fn, 448.0


class _Int4(Format):
    """Sixteen even levels between the lowest and highest weight of a group of input channels; two weights a byte."""

    def _group(self, in_features: int) -> int:
        return GROUP if in_features % GROUP == 0 else in_features

    def shapes(self, out_features: int, in_features: int) -> dict[str, tuple[int, ...]]:
        groups = (out_features, in_features // self._group(in_features), 1)
        return {"weight_data": (out_features, -(-in_features // 2)), "weight_scale": groups, "weight_lowest": groups}

    def quantize(self, weight: Tensor) -> dict[str, Tensor]:
        groups = weight.float().unflatten(1, (-1, self._group(weight.shape[1])))
        lowest, highest = groups.amin(dim=2, keepdim=True), groups.amax(dim=2, keepdim=True)
        scale = (highest - lowest) / 15
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        levels = ((groups - lowest) / scale).round().clamp(0, 15).to(torch.uint8).flatten(1)
        levels = functional.pad(levels, (0, levels.shape[1] % 2))
        return {
            "weight_data": levels[:, ::2] | (levels[:, 1::2] << 4),
            "weight_scale": scale.half(),
            "weight_lowest": lowest.half(),
        }

    def dequantize(self, kept: Mapping[str, Tensor], shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
        packed = kept["weight_data"]
        levels = torch.stack([packed & 15, packed >> 4], dim=2).flatten(1)[:, : shape[1]]
        groups = levels.to(dtype).unflatten(1, (-1, self._group(shape[1])))
        return torch.addcmul(kept["weight_lowest"].to(dtype), groups, kept["weight_scale"].to(dtype)).flatten(1)


class _Nf4(Format):
    """bitsandbytes' nf4: sixteen levels spaced as a normal distribution's quantiles, a scale for 64 weights.

    Its functions do both ways; where it is not installed the sentence says so.
    """

    def shapes(self, out_features: int, in_features: int) -> dict[str, tuple[int, ...]]:
        count = out_features * in_features
        return {"weight_data": (-(-count // 2), 1), "weight_scale": (-(-count // NF4_BLOCK),)}

    def quantize(self, weight: Tensor) -> dict[str, Tensor]:
        library = bitsandbytes()
        packed, state = library.functional.quantize_4bit(weight.contiguous(), blocksize=NF4_BLOCK, quant_type="nf4")
        return {"weight_data": packed, "weight_scale": state.absmax.float()}

    def dequantize(self, kept: Mapping[str, Tensor], shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
        library = bitsandbytes()
        state = library.functional.QuantState(
            absmax=kept["weight_scale"].float(), shape=torch.Size(shape), dtype=dtype, blocksize=NF4_BLOCK,
            code=library.functional.get_4bit_type("nf4", device=kept["weight_data"].device), quant_type="nf4",
        )  # fmt: skip
        return library.functional.dequantize_4bit(kept["weight_data"], state).view(shape)


_SCALES = {"weight_scale": torch.float32}
FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        _Int8("int8", 8.0, {"weight_data": torch.int8, **_SCALES}),
        _LlmInt8("llm-int8", 8.0, {"weight_data": torch.int8, **_SCALES}),
        _Fp8("fp8", 8.0, {"weight_data": torch.int8, **_SCALES}),
        _Int4(
            "int4",
            4 + 32 / GROUP,
            {"weight_data": torch.uint8, "weight_scale": torch.float16, "weight_lowest": torch.float16},
        ),
        _Nf4("nf4", 4 + 32 / NF4_BLOCK, {"weight_data": torch.uint8, **_SCALES}),
    )
}


class QuantizedLinear(nn.Linear):
    """`nn.Linear` with its weight in a `Format`. Made without values; `quantize_` or loading fills it.

    It is an `nn.Linear` so that whatever looks for one (offloading by leaves, LoRA) finds it; `weight` is computed.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool, format: Format, dtype: torch.dtype, device="meta"
    ) -> None:
        nn.Module.__init__(self)  # not Linear's, which would make a weight
        self.in_features, self.out_features = in_features, out_features
        self.format, self.dtype = format, dtype
        for name, shape in format.shapes(out_features, in_features).items():
            # Parameters, though nothing learns them: diffusers' offloading leaves buffers on the device.
            self._keep(name, torch.empty(shape, dtype=format.tensors[name], device=device))
        empty = nn.Parameter(torch.empty(out_features, dtype=dtype, device=device), requires_grad=False)
        self.register_parameter("bias", empty if bias else None)

    @torch.no_grad()
    def quantize_(self, weight: Tensor) -> None:
        """Take over an [out, in] matrix, on whatever device it lies."""
        for name, tensor in self.format.quantize(weight).items():
            self._keep(name, tensor.contiguous())

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.register_parameter(name, nn.Parameter(tensor, requires_grad=False))

    @property
    def kept(self) -> dict[str, Tensor]:
        """The tensors that stand for the weight."""
        return {name: getattr(self, name) for name in self.format.tensors}

    @property
    def weight(self) -> Tensor:
        """[out, in] in the layer's dtype, made anew at each use."""
        return self.format.dequantize(self.kept, (self.out_features, self.in_features), self.dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        product = self.format.multiply(tokens, self.kept)
        if product is not None:
            return product if self.bias is None else product + self.bias
        return functional.linear(tokens, self.weight.to(tokens.dtype), self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, format={self.format.name}"


def quantizable(network: nn.Module) -> list[str]:
    """Names of the linear layers inside the network's repeated blocks; everything else keeps its precision."""
    blocks = tuple(getattr(network, "_repeated_blocks", ()) or ())
    inside = [name for name, module in network.named_modules() if type(module).__name__ in blocks]
    return [
        f"{block}.{name}"
        for block in inside
        for name, module in network.get_submodule(block).named_modules()
        if isinstance(module, nn.Linear)
    ]


def prepare(network: nn.Module, formats: Mapping[str, str], dtype: torch.dtype) -> None:
    """Replace the named linear layers by empty quantized ones. formats: layer -> name in `FORMATS`."""
    for name, format in formats.items():
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Linear), f"{name} is a {type(layer).__name__}"
        device = layer.weight.device
        empty = QuantizedLinear(
            layer.in_features, layer.out_features, layer.bias is not None, FORMATS[format], dtype, device
        )
        if layer.bias is not None and device.type != "meta":
            empty.bias.data.copy_(layer.bias)
        parent, _, leaf = name.rpartition(".")
        owner = network.get_submodule(parent)
        if isinstance(owner, nn.ModuleList):
            owner[int(leaf)] = empty
        else:
            setattr(owner, leaf, empty)


@torch.no_grad()
def quantize_network(network: nn.Module, kind: Quantization) -> None:
    """Quantize a network that is already in memory, layer by layer."""
    check_available(kind)
    dtype = network.proj_out.weight.dtype if hasattr(network, "proj_out") else next(network.parameters()).dtype
    for name in quantizable(network):
        weight = network.get_submodule(name).weight.detach()
        prepare(network, {name: kind}, dtype)
        network.get_submodule(name).quantize_(weight)


def quantized_layers(network: nn.Module) -> Iterator[tuple[str, QuantizedLinear]]:
    """Every quantized layer and its name."""
    for name, module in network.named_modules():
        if isinstance(module, QuantizedLinear):
            yield name, module


def check_available(kind: Quantization) -> None:
    """
    Raises:
        InputError: if this machine lacks what the kind needs.
    """
    if kind in ("nf4", "llm-int8"):
        bitsandbytes(kind)


def bitsandbytes(wanted_for: str = "nf4"):
    """The library, imported when it is needed.

    Raises:
        InputError: if it is not installed or does not work here.
    """
    try:
        import bitsandbytes
    except (ImportError, OSError, RuntimeError) as error:
        raise InputError(
            f"quantization {wanted_for} needs bitsandbytes, which cannot be used here ({str(error).splitlines()[0]}); "
            f"install it (pip install bitsandbytes) or choose {'int4' if wanted_for == 'nf4' else 'int8'}."
        ) from error
    return bitsandbytes
