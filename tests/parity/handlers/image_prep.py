"""Size buckets, resize and crop, person masks."""

from __future__ import annotations

from pathlib import Path

from infinitetalk.media.buckets import BUCKETS
from infinitetalk.media.framing import (
    bucket_key,
    choose_bucket,
    covering_size,
    crop_offset,
    person_masks,
    resize_and_crop,
    to_network_range,
)
from tests.parity.comparison import assert_close, assert_equal, require
from tests.parity.seeded_weights import read_case


def run(folder: Path) -> None:
    meta, _, tensors = read_case(folder)
    for recorded in meta.get("recorded", {}).get("buckets", []):
        source = tuple(recorded["source"])
        for size, sizes in BUCKETS.items():
            expected = recorded[size.removesuffix("p")]
            target = choose_bucket(*source, sizes)
            resized = covering_size(*source, target)
            assert bucket_key(*source, sizes) == expected["key"], (source, size)
            assert list(target) == expected["target"], (source, size)
            assert list(resized) == expected["resized"], (source, size)
            assert list(crop_offset(resized, target)) == expected["crop_top_left"], (source, size)
    for call in meta["calls"]:
        name, target = call["name"], tuple(call["target"])
        if call["op"] == "resize":
            cropped = resize_and_crop(require(tensors, call["in"]), target)
            assert_equal(name, cropped.transpose(2, 0, 1), require(tensors, f"cropped.{name}"))
            assert_close(name, to_network_range(cropped), require(tensors, f"normalised.{name}"), absolute=1e-6)
        else:
            boxes = call.get("bbox") and [call["bbox"][f"person{index}"] for index in (1, 2)]
            masks = person_masks(call["persons"], tuple(call["source"]), target, boxes)
            assert_equal(name, masks, require(tensors, f"mask.{name}"))
