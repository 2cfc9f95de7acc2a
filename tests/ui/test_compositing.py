"""Background compositing on the page: what a click makes of a form, the mask, and a composited film in a browser."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from infinitetalk.config.request import Composite
from infinitetalk.media.images import load_image
from infinitetalk.ui import compositing
from infinitetalk.ui.form import Form
from tests.ui.conftest import REPOSITORY, open_page, write_tone
from tests.vision.conftest import PHOTO, shifted, write_film


@pytest.mark.parametrize("chosen", [None, Composite(), Composite("2"), Composite("0.3,0.5")])
def test_a_form_gives_the_compositing_that_filled_it(chosen) -> None:
    assert Form(source="a.png", voice="a.wav", **compositing.from_composite(chosen)).to_request().composite == chosen


@pytest.fixture(scope="module")
def two_people(tmp_path_factory) -> Path:
    photo = load_image(PHOTO)
    two = np.concatenate([photo[:, :300], photo[:, 300:0:-1]], axis=1)
    return write_film(tmp_path_factory.mktemp("films") / "two.mp4", [shifted(two, f) for f in range(80)])


def test_the_mask_shows_the_person_that_the_model_may_change(two_people, text_file) -> None:
    portrait = str(REPOSITORY / "assets" / "portrait.png")
    answer = compositing.shown(portrait, True, "")
    picture, plain = answer["composite_picture"], compositing._first(portrait)
    light = picture.astype(float).sum(axis=2) / np.maximum(1, plain.astype(float).sum(axis=2))
    middle = light[light.shape[0] // 3, light.shape[1] // 2]
    assert middle > 0.95 and light[5, 5] < 0.5 and answer["composite_notice"] == ""
    several = compositing.shown(str(two_people), True, "")
    assert "shows 2 people; choose one" in several["composite_notice"] and several["composite_picture"] is not None
    click = compositing.clicked(several["composite_picture"], SimpleNamespace(index=[346, 48]))
    chosen = compositing.shown(str(two_people), True, click["composite_person"])
    left, right = np.split(chosen["composite_picture"].astype(int), 2, axis=1)
    assert chosen["composite_notice"] == "" and right.mean() > 1.2 * left.mean()
    damaged = compositing.shown(str(text_file), True, "")
    assert "notice" in damaged["composite_notice"] and damaged["composite_picture"] is None
    assert compositing.shown(portrait, False, "")["composite_picture"] is None


def test_a_composited_film(studio_url: str, chromium: str, two_people: Path, tmp_path: Path) -> None:
    folder = os.environ.get("SCREENSHOTS")
    with open_page(chromium, studio_url) as page:
        page.set_input_files("#source input[type=file]", str(two_people))
        page.set_input_files("#voice input[type=file]", str(write_tone(tmp_path / "voice.wav", 2.0)))
        page.click("#options button")
        page.get_by_label("Background compositing: keep everything around the person as it is").check()
        page.wait_for_selector("#composite-notice:has-text('choose one')", timeout=60_000)
        picture = page.locator("#composite-picture img")
        picture.scroll_into_view_if_needed()
        box = picture.bounding_box()
        picture.click(position={"x": 0.72 * box["width"], "y": 0.25 * box["height"]})
        page.wait_for_selector("#composite-notice:not(:has-text('choose one'))", timeout=60_000, state="attached")
        person = page.locator("#composite-person textarea, #composite-person input").input_value()
        column, row = (float(part) for part in person.split(","))
        assert abs(column - 0.72) < 0.05 and abs(row - 0.25) < 0.08, person
        page.wait_for_selector("#plan dl", timeout=90_000)
        if folder:
            page.screenshot(path=str(Path(folder) / "compositing.png"), full_page=True)
        page.click("#generate")
        page.wait_for_selector("#download", state="visible", timeout=300_000)
        titles = page.eval_on_selector_all("#strip .band", "bands => bands.map(band => band.title)")
        assert len(titles) == 1 and "round the person" in titles[0], titles
