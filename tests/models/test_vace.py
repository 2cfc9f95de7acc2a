"""What the side branch is shown."""

from __future__ import annotations

import torch
from diffusers import WanVACETransformer3DModel

from infinitetalk.models.control import Evaluation
from infinitetalk.models.vace import VaceBranch, control_channels


def test_the_mask_is_folded_eight_by_eight() -> None:
    inactive, reactive = torch.randn(1, 16, 3, 2, 4), torch.randn(1, 16, 3, 2, 4)
    mask = torch.zeros(1, 1, 3, 16, 32)
    mask[0, 0, 1, 8 + 3, 16 + 5] = 1  # row 3, column 5 of latent pixel (1, 2)
    channels = control_channels(inactive, reactive, mask)
    assert channels.shape == (1, 96, 3, 2, 4)
    assert torch.equal(channels[:, :16], inactive) and torch.equal(channels[:, 16:32], reactive)
    assert channels[0, 32 + 3 * 8 + 5, 1, 1, 2] == 1 and channels[:, 32:].sum() == 1


def test_the_branch_gives_what_diffusers_network_gives_and_only_beside_its_layers() -> None:
    """The whole is compared with recorded numbers in the case `vace`; this one is of other sizes."""
    torch.manual_seed(0)
    whole = WanVACETransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, text_dim=12, freq_dim=16, ffn_dim=48, num_layers=6,
        vace_layers=[0, 2, 4],
    ).eval()  # fmt: skip
    branch = VaceBranch(32, 48, 2, (0, 2, 4)).eval()
    branch.load_state_dict({k: v for k, v in whole.state_dict().items() if k.startswith("vace_")})
    latents, control, text = torch.randn(1, 16, 2, 4, 6), torch.randn(1, 96, 2, 4, 6), torch.randn(1, 5, 12)
    expected = []
    for block in whole.vace_blocks:
        block.register_forward_hook(lambda module, given, output: expected.append(output[0]))
    with torch.inference_mode():
        whole(latents, torch.tensor([400]), text, control_hidden_states=control)
        tokens = whole.patch_embedding(latents).flatten(2).transpose(1, 2)
        embedding, modulation, told, _ = whole.condition_embedder(torch.tensor([400]), text, None)
        seen = Evaluation(latents, embedding, modulation.unflatten(1, (6, -1)), tokens, told, (2, 2, 3))
        hints = branch(branch.embed(control), seen)
        found = [hints[index] for index in range(len(hints))]
    assert len(hints) == 5 and found[1] is None and found[3] is None
    for one, other in zip(found[::2], expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
