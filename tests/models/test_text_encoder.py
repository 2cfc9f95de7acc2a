from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from infinitetalk.models.text_encoder import MAX_TOKENS, clean_prompt, encode_ids, encode_text, text_encoder_config


@pytest.fixture(scope="module")
def model() -> UMT5EncoderModel:
    torch.manual_seed(0)
    config = text_encoder_config(50, 32, 32, 48, num_heads=2, num_layers=2)
    return UMT5EncoderModel(config).eval()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "woman": 4, "talks": 5, "&": 6, "sings": 7}
    core = Tokenizer(WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")


@pytest.mark.parametrize(
    ("prompt", "cleaned"),
    [
        ("  a   woman\n\ttalks ", "a woman talks"),
        ("talks &amp;amp; sings", "talks & sings"),
        ("cafÃ©", "café"),
        ("", ""),
        ("一个女人在说话", "一个女人在说话"),
    ],
)
def test_prompts_are_cleaned(prompt: str, cleaned: str) -> None:
    assert clean_prompt(prompt) == cleaned


def test_padding_changes_nothing(model: UMT5EncoderModel) -> None:
    ids = torch.tensor([[3, 4, 5, 0, 0, 0], [7, 6, 5, 4, 3, 7]])
    mask = (ids > 0).int()
    with torch.no_grad():
        short, long = encode_ids(model, ids, mask)
        alone = encode_ids(model, ids[:1, :3], mask[:1, :3])[0]
    assert short.shape == (3, 32)
    assert long.shape == (6, 32)
    torch.testing.assert_close(short, alone, atol=1e-5, rtol=1e-5)


def test_a_prompt_becomes_its_tokens_embeddings(model: UMT5EncoderModel, tokenizer: PreTrainedTokenizerFast) -> None:
    embeddings = encode_text(model, tokenizer, "a  woman talks")
    assert embeddings.shape == (3, 32)
    assert torch.equal(embeddings, encode_text(model, tokenizer, " a woman\ntalks"))
    assert not torch.allclose(embeddings, encode_text(model, tokenizer, "a woman sings"))
    assert not embeddings.requires_grad


def test_long_prompts_are_cut(model: UMT5EncoderModel, tokenizer: PreTrainedTokenizerFast) -> None:
    assert encode_text(model, tokenizer, "a woman talks " * 400).shape == (MAX_TOKENS, 32)
