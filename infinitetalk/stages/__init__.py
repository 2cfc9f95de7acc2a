"""One file for each feature of a chunk; `base` says what a stage is."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.request import GenerationRequest
    from ..planning.film import Film
    from .base import Stage


def all_stages() -> tuple[Stage, ...]:
    """Every stage of this folder, in the order in which they act."""
    return _stages(tuple(__path__))


def prepare_film(request: GenerationRequest, workdir: str | None = None) -> Film:
    """Open and check everything that `request` names, the features of all stages included.

    workdir: where long sounds are kept while the film is made; the system's temporary folder if None.

    Raises:
        UserError: in the user's words, for whatever cannot be used.
    """
    from ..planning.film import prepare
    from ..runtime.auto import settled

    return prepare(settled(request), all_stages(), workdir)


@functools.cache
def _stages(folders: tuple[str, ...]) -> tuple[Stage, ...]:
    modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(list(folders)))
    found = [module.STAGE for module in modules if hasattr(module, "STAGE")]
    return tuple(sorted(found, key=lambda stage: stage.order))
