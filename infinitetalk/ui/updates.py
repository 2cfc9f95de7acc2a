"""What a handler answers: names of components (`components.Components`) and what they become; absent ones stay."""

from __future__ import annotations

from typing import Any

Updates = dict[str, Any]
