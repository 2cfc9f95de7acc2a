"""Published files, as they lie in a folder, become the networks: strictly, and with every weight where it belongs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from infinitetalk.checkpoints.files import SHARDS
from infinitetalk.checkpoints.keys.transformer import to_official
from infinitetalk.checkpoints.loading import load, load_folder
from infinitetalk.checkpoints.locate import find
from infinitetalk.config.settings import Lora
from infinitetalk.errors import CheckpointError
from infinitetalk.models.specs import get_spec
from tests.checkpoints.conftest import tensors_of, write_official

SINGLE = get_spec("infinitetalk-14b-single")
WAN_FOLDER = "Wan2.1-I2V-14B-480P"


def test_published_files_fill_every_network(pristine: Path) -> None:
    models = load(SINGLE, pristine, torch.float32)
    dit = tensors_of("dit_single", "dit")
    state = models.transformer.state_dict()
    assert {to_official(name) for name in state} == set(dit)
    for name, value in state.items():
        assert torch.equal(value, dit[to_official(name)]), name
    assert models.transformer.config.num_heads == 4 and models.transformer.config.text_len == 32
    assert models.vae.config.base_dim == 16
    assert models.image_encoder.config.num_hidden_layers == 4 and models.image_encoder.config.image_size == 224
    words = tensors_of("t5", "t5")["token_embedding.weight"].bfloat16().float()
    assert torch.equal(models.text_encoder.shared.weight, words)
    assert models.text_encoder.shared.weight is models.text_encoder.encoder.embed_tokens.weight
    assert models.audio_encoder.embed(torch.zeros(16000).numpy()).isfinite().all()
    assert models.tokenizer("ab").input_ids
    for network in (models.transformer, models.vae, models.image_encoder, models.text_encoder, models.audio_encoder):
        assert not any(value.is_meta for value in [*network.parameters(), *network.buffers()])


def test_the_type_asked_for_but_for_what_needs_float32(pristine: Path) -> None:
    models = load(SINGLE, pristine, torch.bfloat16)
    transformer = models.transformer
    assert transformer.blocks[0].attn1.to_q.weight.dtype == models.text_encoder.dtype == torch.bfloat16
    assert transformer.scale_shift_table.dtype == transformer.blocks[0].norm2.weight.dtype == torch.float32
    assert models.vae.dtype == models.audio_encoder.dtype == torch.float32


def test_one_repository_s_folder_finds_its_siblings(pristine: Path) -> None:
    located = find(SINGLE, pristine / WAN_FOLDER)
    assert located.complete and len(located.files) == 16


def test_a_shipped_model_needs_no_folder() -> None:
    assert load(get_spec("nano"), None, torch.float32).transformer.config.dim == 192


def remove_shard(folder: Path) -> None:
    (folder / WAN_FOLDER / SHARDS[3].path).unlink()


def truncate_shard(folder: Path) -> None:
    path = folder / WAN_FOLDER / SHARDS[3].path
    path.write_bytes(path.read_bytes()[:-100])


def edit(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        is_pickled = path.suffix == ".pth"
        tensors = torch.load(path, weights_only=True) if is_pickled else load_file(path)
        tensors = {key: value.clone() for key, value in tensors.items()}
        change(tensors)
        (torch.save if is_pickled else save_file)(tensors, path)

    return apply


SPEECH = "InfiniteTalk/single/infinitetalk.safetensors"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove_shard, r"InfiniteTalk 14B needs 1 file of about 9\.4 GB that was not found in .*00004-of-00007"),
        (lambda folder: shutil.rmtree(folder), r"needs 18 files of about 87\.6 GB .*\(.* does not exist\)"),
        (truncate_shard, r"00004-of-00007\.safetensors is cut short: \d+ of \d+ bytes"),
        (
            edit(SPEECH, lambda w: w.pop("blocks.1.norm_x.bias")),
            r"1 of 113 weights of InfiniteTalkTransformer are missing \(blocks\.1\.norm_x\.bias\)",
        ),
        (
            edit(SPEECH, lambda w: w.update({"blocks.0.extra.weight": torch.ones(1)})),
            r"infinitetalk\.safetensors: unexpected weight 'blocks\.0\.extra\.weight'",
        ),
        (
            edit(SPEECH, lambda w: w.update({"blocks.1.norm_x.bias": torch.ones(7)})),
            r"infinitetalk\.safetensors: weight 'blocks\.1\.norm_x\.bias' has shape \[7\]",
        ),
        (
            edit(f"{WAN_FOLDER}/Wan2.1_VAE.pth", lambda w: w.pop("conv1.bias")),
            r"Wan2\.1_VAE\.pth: 1 of 194 weights of AutoencoderKLWan are missing",
        ),
        (
            lambda folder: (folder / WAN_FOLDER / "config.json").write_text('{"model_type": "t2v"}'),
            "model_type is 't2v'",
        ),
        (lambda folder: (folder / WAN_FOLDER / "Wan2.1_VAE.pth").write_bytes(b"no"), "not a readable torch file"),
    ],
)
def test_damage_is_one_sentence_before_anything_is_read(tmp_path: Path, pristine: Path, damage, words: str) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(pristine, folder)
    damage(folder)
    with pytest.raises(CheckpointError, match=words) as caught:
        load(SINGLE, folder, torch.float32)
    assert "\n" not in str(caught.value)


def lora_file(path: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    stem = "diffusion_model.blocks.1.self_attn.q"
    file = {f"{stem}.lora_down.weight": torch.randn(2, 128), f"{stem}.lora_up.weight": torch.randn(128, 2)}
    save_file(file, path)
    return file


def test_loras_are_merged_while_reading(tmp_path: Path, pristine: Path) -> None:
    down, up = lora_file(tmp_path / "style.safetensors").values()
    plain = load(SINGLE, pristine, torch.bfloat16).transformer.state_dict()
    loras = [Lora(str(tmp_path / "style.safetensors"), 0.5)]
    changed = load(SINGLE, pristine, torch.bfloat16, loras=loras).transformer.state_dict()
    name = "blocks.1.attn1.to_q.weight"
    exact = tensors_of("dit_single", "dit")["blocks.1.self_attn.q.weight"] + 0.5 * up @ down
    assert torch.equal(changed[name], exact.bfloat16())
    assert all(torch.equal(value, changed[key]) for key, value in plain.items() if key != name)


def test_a_lora_that_is_not_there_or_does_not_fit_stops_loading(tmp_path: Path, pristine: Path) -> None:
    with pytest.raises(CheckpointError, match="LoRA gone.safetensors does not exist, nor in"):
        load(SINGLE, pristine, torch.float32, loras=[Lora("gone.safetensors")])
    with pytest.raises(CheckpointError, match="LoRA fusionx was not found .* checkpoints download fusionx"):
        load(SINGLE, pristine, torch.float32, loras=[Lora("fusionx")])
    save_file({"single_blocks.0.linear1.lora_A.weight": torch.ones(2, 3)}, tmp_path / "flux.safetensors")
    with pytest.raises(CheckpointError, match=r"flux\.safetensors fits no layer"):
        load(SINGLE, pristine, torch.float32, loras=[Lora(str(tmp_path / "flux.safetensors"))])


def test_folder_layout_with_shards_and_an_index(tmp_path: Path) -> None:
    from infinitetalk.paths import assets_dir

    folder = tmp_path / "nano"
    shutil.copytree(assets_dir() / "nano", folder)
    nano = get_spec("nano")
    whole = load_folder(nano, folder, torch.float32).transformer.state_dict()
    path = next((folder / "transformer").glob("*.safetensors"))
    weights = load_file(path)
    path.unlink()
    names = list(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, keys in shards.items():
        save_file({key: weights[key] for key in keys}, folder / "transformer" / shard)
    index = {"weight_map": {key: shard for shard, keys in shards.items() for key in keys}}
    (folder / "transformer" / "model.safetensors.index.json").write_text(json.dumps(index))
    loaded = load_folder(nano, folder, torch.float32).transformer.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in whole.items())
    (folder / "transformer" / "b.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"b\.safetensors does not exist"):
        load_folder(nano, folder, torch.float32)


MEASURE = """
import sys, torch
from pathlib import Path
from infinitetalk.checkpoints.fill import build_empty, fill
from infinitetalk.checkpoints.official import transformer

def kilobytes(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))

files = [Path(name) for name in sys.argv[1:]]
for dtype in (torch.float32, torch.bfloat16):
    component = transformer(files)
    network = build_empty(component.build)
    before = kilobytes("VmRSS:")
    with open("/proc/self/clear_refs", "w") as reset:  # the peak from here on
        reset.write("5")
    fill(network, component.weights, dtype)
    sums = [value.sum() for value in network.parameters()]  # every weight is touched
    size = sum(value.nbytes for value in network.parameters())
    print((kilobytes("VmHWM:") - before) * 1024 / size)
    del network, component
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of the process from /proc")
def test_no_weight_is_held_twice(tmp_path: Path) -> None:
    """Kept as they are (mapped), and in half the size (cast one by one): nothing but the result stays in memory."""
    from infinitetalk.models.transformer import InfiniteTalkTransformer

    sizes = {"dim": 512, "num_heads": 4, "ffn_dim": 2048, "num_layers": 12, "text_dim": 64, "intermediate_dim": 8}
    with torch.device("meta"):
        names = InfiniteTalkTransformer(**sizes).state_dict()
    official = {to_official(name): torch.zeros(value.shape) for name, value in names.items()}
    files = [tmp_path / f"{index}.safetensors" for index in range(3)]
    for index, file in enumerate(files):
        save_file({name: official[name] for name in list(official)[index::3]}, file)
    answer = subprocess.run([sys.executable, "-c", MEASURE, *map(str, files)], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    ratios = [float(line) for line in answer.stdout.split()]
    assert len(ratios) == 2 and max(ratios) < 1.15, ratios


def test_files_of_two_speakers_have_their_own_name(tmp_path: Path) -> None:
    folder = write_official(tmp_path / "weights")
    (folder / SPEECH).unlink()
    assert find(get_spec("infinitetalk-14b-multi"), folder).complete
    with pytest.raises(CheckpointError, match="single/infinitetalk.safetensors"):
        find(SINGLE, folder)
