from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image, ImageCms

from infinitetalk.errors import MediaError
from infinitetalk.media.images import NEUTRAL, load_image
from infinitetalk.media.probe import probe
from tests.media.conftest import beep, grey_frames, write_sound, write_video
from tests.media.heic import write_heic_grid


@pytest.mark.parametrize(
    "orientation, expected",
    [(1, "RGBW"), (2, "GRWB"), (3, "WBGR"), (4, "BWRG"), (5, "RBGW"), (6, "BRWG"), (7, "WGBR"), (8, "GWRB")],
)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_orientation(tmp_path, quadrants, corners, orientation, expected, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(quadrants).save(path, exif=exif)
    image = load_image(path)
    assert corners(image) == expected
    info = probe(path)
    assert (info.height, info.width) == image.shape[:2] == ((64, 48) if orientation > 4 else (48, 64))


def test_transparency_lies_on_neutral_grey(tmp_path):
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[:, :16] = (200, 10, 30, 255)
    pixels[:, 16:, :3] = (0, 255, 0)  # invisible, and must stay so
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    image = load_image(tmp_path / "rgba.png")
    assert tuple(image[5, 5]) == (200, 10, 30) and tuple(image[5, 25]) == NEUTRAL
    shrunk = load_image(tmp_path / "rgba.png", max_side=16).astype(int)
    assert (shrunk[:, :, 1] <= 130).all(), "the colour of invisible pixels bleeds into the edge"


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (32, 32), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 16, 32))
    image.save(tmp_path / "p.png", transparency=0)
    loaded = load_image(tmp_path / "p.png")
    assert tuple(loaded[0, 0]) == NEUTRAL and tuple(loaded[0, 31]) == (0, 0, 255)


def test_cmyk(tmp_path, quadrants, corners):
    Image.fromarray(quadrants).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert corners(load_image(tmp_path / "a.jpg")) == "RGBW"


@pytest.mark.parametrize("mode", ["I;16", "RGB16", "F", "L", "1", "LA"])
def test_other_depths(tmp_path, mode):
    ramp = np.tile(np.linspace(0, 1, 256), (16, 1))
    path = tmp_path / ("a.tif" if mode == "F" else "a.png")
    if mode == "I;16":
        Image.fromarray((ramp * 65535).astype(np.uint16)).save(path)
    elif mode == "RGB16":
        import cv2

        cv2.imwrite(str(path), np.repeat((ramp * 65535).astype(np.uint16)[..., None], 3, axis=2))
    elif mode == "F":
        Image.fromarray(ramp.astype(np.float32)).save(path)
    else:
        Image.fromarray((ramp * 255).astype(np.uint8)).convert(mode).save(path)
    image = load_image(path)
    assert image.shape == (16, 256, 3) and image.dtype == np.uint8
    tolerance = 255 if mode == "1" else 2
    assert np.abs(image[:, :, 0].astype(int) - ramp * 255).max() <= tolerance
    assert image[0, 0, 0] <= 2 and image[0, 255, 0] >= 253


def test_colour_profile(tmp_path):
    """A picture in another colour space is converted, not merely relabelled."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    plain = Image.new("RGB", (32, 32), (200, 60, 40))
    converted = ImageCms.profileToProfile(plain, srgb, lab, outputMode="LAB")
    converted.save(tmp_path / "lab.tif", icc_profile=lab.tobytes())
    assert np.abs(load_image(tmp_path / "lab.tif")[5, 5].astype(int) - (200, 60, 40)).max() <= 3
    plain.save(tmp_path / "broken.png", icc_profile=b"no profile at all")
    assert tuple(load_image(tmp_path / "broken.png")[5, 5]) == (200, 60, 40)


def test_gain_map_is_ignored(tmp_path):
    """HDR photographs are JPEGs with a second, darker picture behind the first."""
    main, gain = Image.new("RGB", (64, 48), (180, 90, 40)), Image.new("RGB", (32, 24), (0, 0, 0))
    main.save(tmp_path / "hdr.jpg", format="MPO", save_all=True, append_images=[gain], quality=95)
    image = load_image(tmp_path / "hdr.jpg")
    assert image.shape == (48, 64, 3) and np.abs(image[9, 9].astype(int) - (180, 90, 40)).max() < 6


def test_50_megapixels(tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (8700, 5800), (10, 120, 200)).save(path)
    started = time.process_time()
    image = load_image(path)
    assert time.process_time() - started < 5
    assert max(image.shape) == 4096 and image.shape[0] == pytest.approx(4096 * 5800 / 8700, abs=1)


def test_what_is_no_picture(tmp_path):
    write_sound(tmp_path / "a.wav", beep(800, 8000), 8000, "pcm_s16le")
    write_video(tmp_path / "a.mp4", grey_frames(2), [0, 0.04])
    Image.new("RGB", (4, 400)).save(tmp_path / "line.png")
    for name, words in [("a.wav", "is a sound"), ("a.mp4", "is a video"), ("line.png", "only 4 × 400")]:
        with pytest.raises(MediaError, match=words):
            load_image(tmp_path / name)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:9000])
    with pytest.raises(MediaError, match="damaged"):
        load_image(tmp_path / "cut.png")


@pytest.mark.parametrize("turns", [0, 1])
def test_a_heic_picture_of_tiles_is_whole_and_upright(tmp_path, turns):
    """Telephones code a photograph as a grid of tiles; FFmpeg would take one of them for a film of a second."""
    colors = np.array([[(200, 40, 40), (40, 180, 60)], [(50, 60, 200), (220, 220, 210)]], np.uint8)
    picture = colors.repeat(256, axis=0).repeat(256, axis=1)
    path = write_heic_grid(tmp_path / "IMG_1.HEIC", picture, turns=turns)
    info = probe(path)
    assert (info.kind, info.width, info.height) == ("image", 512, 512)
    expected = np.rot90(picture, turns)
    for row, column in ((100, 100), (100, 400), (400, 100), (400, 400)):
        assert np.abs(load_image(path)[row, column].astype(int) - expected[row, column]).max() < 12


def test_an_animation_that_is_taken_for_a_picture_says_so(tmp_path):
    path = tmp_path / "moving.webp"
    frames = [Image.fromarray(frame) for frame in grey_frames(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    assert probe(path).notes == ("moving.webp is an animation, of which the first picture is used.",)
    frames[0].save(tmp_path / "still.webp")
    assert probe(tmp_path / "still.webp").notes == ()
