"""Strict loading of weights: a missing, unexpected or misshapen key is an error naming the file and the key.

Files are memory-mapped and their tensors become the network's parameters themselves, so weights are never held twice.
Nothing in a file is ever executed: pickled files are read with torch's restricted unpickler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from accelerate import init_empty_weights
from torch import Tensor, nn

from ..errors import CheckpointError
from .formats.tensor_files import open_tensors

_KEYS_NAMED = 4  # in one message

# From a file's own key names to those of our network; keys that it does not know pass through and are then refused.
KeyConverter = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors or pickled torch file under the file's own names, memory-mapped where possible.

    Raises:
        CheckpointError: the file is missing, damaged, not a flat table of tensors, or holds anything but data.
    """
    with open_tensors(path) as file:
        return {key: file.map(key) for key in file.infos}


def load_strictly(network: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Make `weights` (names of the network) the parameters and buffers of `network`, all of them and nothing else.

    Args:
        source: the file they came from, for messages.
    Raises:
        CheckpointError: naming the file and the first keys that do not fit.
    """
    expected = network.state_dict()
    missing = [key for key in expected if key not in weights]
    unexpected = [key for key in weights if key not in expected]
    if missing or unexpected:
        problems = [f"lacks {_listed(missing)}"] if missing else []
        problems += [f"holds the unknown {_listed(unexpected)}"] if unexpected else []
        raise CheckpointError(f"{source} does not fit {type(network).__name__}: it {' and '.join(problems)}.")
    for key, value in weights.items():
        if value.shape != expected[key].shape:
            raise CheckpointError(
                f"{source} does not fit {type(network).__name__}: {key} has shape {tuple(value.shape)}, "
                f"expected {tuple(expected[key].shape)}."
            )
    network.load_state_dict(dict(weights), strict=True, assign=True)
    tie_weights(network)


def tie_weights(network: nn.Module) -> None:
    """Let parameters that are one tensor by their library's rules share it again; other networks stay as they are."""
    getattr(network, "tie_weights", lambda: None)()


def load_file(network: nn.Module, path: str | Path, convert: KeyConverter = dict) -> None:
    """Read a published file, rename its keys and load it strictly; see `read_checkpoint` and `load_strictly`."""
    load_strictly(network, convert(read_checkpoint(path)), path)


@contextmanager
def without_weights() -> Iterator[None]:
    """Networks built inside take no memory for parameters until `load_strictly` fills them (buffers stay real)."""
    with init_empty_weights(include_buffers=False):
        yield


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _KEYS_NAMED} more" if len(keys) > _KEYS_NAMED else ""
    return ", ".join(keys[:_KEYS_NAMED]) + more
