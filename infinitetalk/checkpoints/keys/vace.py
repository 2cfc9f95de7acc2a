"""Official names of VACE's side branch and those of diffusers' network for it.

VACE (wan/modules/vace_model.py) is Wan's text-to-video transformer with a side branch of its own blocks. Published are
the whole, under official or diffusers' names, and the branch alone.
"""

from __future__ import annotations

from .transformer import to_official, to_ours

BRANCH = "vace_blocks."
_IN_BRANCH = (("before_proj", "proj_in"), ("after_proj", "proj_out"))


def vace_key(key: str) -> str | None:
    """diffusers' name of a key of either spelling; None if there is no such key."""
    if key.startswith("vace_patch_embedding."):
        return key
    if not key.startswith(BRANCH):
        return to_ours(key) or (key if to_official(key) is not None else None)
    _, index, rest = key.split(".", 2)
    for official, theirs in _IN_BRANCH:
        for name in (official, theirs):
            if rest.startswith(name + "."):
                return f"{BRANCH}{index}.{theirs}{rest[len(name) :]}"
    inside = vace_key(f"blocks.{index}.{rest}")
    return None if inside is None else f"vace_{inside}"
