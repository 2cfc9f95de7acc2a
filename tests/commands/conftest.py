"""What tests of commands share: a published checkpoint in miniature."""

from __future__ import annotations

from tests.checkpoints.conftest import own_caches, pristine

__all__ = ["own_caches", "pristine"]
