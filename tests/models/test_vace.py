"""What the side branch is shown."""

from __future__ import annotations

import torch

from infinitetalk.models.vace import control_channels


def test_the_mask_is_folded_eight_by_eight() -> None:
    inactive, reactive = torch.randn(1, 16, 3, 2, 4), torch.randn(1, 16, 3, 2, 4)
    mask = torch.zeros(1, 1, 3, 16, 32)
    mask[0, 0, 1, 8 + 3, 16 + 5] = 1  # row 3, column 5 of latent pixel (1, 2)
    channels = control_channels(inactive, reactive, mask)
    assert channels.shape == (1, 96, 3, 2, 4)
    assert torch.equal(channels[:, :16], inactive) and torch.equal(channels[:, 16:32], reactive)
    assert channels[0, 32 + 3 * 8 + 5, 1, 1, 2] == 1 and channels[:, 32:].sum() == 1
