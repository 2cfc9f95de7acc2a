from __future__ import annotations

import torch
from transformers import CLIPVisionModel

from infinitetalk.models.image_encoder import encode_image, image_encoder_config, preprocess_image


def tiny() -> CLIPVisionModel:
    torch.manual_seed(0)
    config = image_encoder_config(hidden_size=32, num_layers=3, num_heads=2, mlp_ratio=2, image_size=28, patch_size=14)
    return CLIPVisionModel(config).eval().requires_grad_(False)


def test_second_to_last_layer_of_any_picture() -> None:
    model = tiny()
    frame = torch.rand(2, 3, 50, 37) * 2 - 1
    theirs = model(preprocess_image(frame, 28), output_hidden_states=True).hidden_states
    assert len(theirs) == 4
    tokens = encode_image(model, frame)
    assert tokens.shape == (2, 5, 32)
    torch.testing.assert_close(tokens, theirs[-2])


def test_the_last_layer_is_not_run() -> None:
    model = tiny()
    ran = []
    for index, layer in enumerate(model.encoder.layers):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    encode_image(model, torch.zeros(1, 3, 28, 28))
    assert ran == [0, 1]


def test_published_size() -> None:
    config = image_encoder_config()
    assert (config.hidden_size, config.intermediate_size, config.num_hidden_layers) == (1280, 5120, 32)
    assert (config.image_size // config.patch_size) ** 2 + 1 == 257
