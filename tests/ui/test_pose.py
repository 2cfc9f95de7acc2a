"""The pose on the page: what its fields make of a form, the skeleton that is shown before, stretches of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infinitetalk.config.request import CameraControl, GenerationRequest, Pose
from infinitetalk.errors import InputError
from infinitetalk.ui import api, movement
from infinitetalk.ui import pose as panel
from infinitetalk.ui.form import Form
from infinitetalk.vision.pose_file import save_pose
from tests.ui.conftest import REPOSITORY, open_page, write_tone
from tests.vision.conftest import PHOTO, shifted, write_film
from tests.vision.test_pose import standing


@pytest.mark.parametrize(
    "pose",
    [
        None,
        Pose(),
        Pose(strength=0.5, last=0.7, offset_seconds=1.5, speed=2.0, person="2"),
        Pose("vace", "/a/walk.npz"),
    ],
)
@pytest.mark.parametrize(
    "camera",
    [CameraControl("orbit", -0.5, 0.8, last=0.6), CameraControl("follow"), CameraControl("/a/mine.json")],
)
def test_a_form_gives_the_steering_that_filled_it(pose, camera) -> None:
    fields = panel.from_pose(pose, lambda file: file) | movement.from_request(camera, None, lambda file: file)
    request = Form(source="a.png", voice="a.wav", **fields).to_request()
    assert request.pose == pose and request.camera_control == camera


def test_a_pose_that_has_nothing_to_follow_is_said() -> None:
    with pytest.raises(InputError, match="choose one, or a recording"):
        Form(source="a.png", voice="a.wav", pose="film").to_request()


@pytest.fixture(scope="module")
def walking(tmp_path_factory) -> Path:
    from infinitetalk.media.images import load_image

    photo = load_image(PHOTO)
    return write_film(tmp_path_factory.mktemp("films") / "walking.mp4", [shifted(photo, 2 * f) for f in range(50)])


def shown(source: Path, mode: str, file: Path | None = None) -> str:
    path = None if file is None else str(file)
    *_, answer = panel.shown(str(source), mode, path, 1.0, 1.0, 0.0, 1.0, "", "unianimate")
    return answer["pose_shown"]


def test_the_skeleton_is_shown_over_the_picture(walking, tmp_path, text_file) -> None:
    portrait = REPOSITORY / "assets" / "portrait.png"
    recorded = save_pose(standing(60), tmp_path / "held.npz")
    assert shown(portrait, "rest") == "" and shown(portrait, "film") == ""
    for source, mode, file in ((walking, "follow", None), (portrait, "film", walking), (PHOTO, "film", recorded)):
        assert "data:image/jpeg" in shown(source, mode, file)
    assert "whose person rests" in shown(portrait, "follow")
    for broken in (text_file, tmp_path / "none.npz"):
        answer = shown(portrait, "film", broken)
        assert "notice" in answer and "Traceback" not in answer


def test_a_program_may_use_todays_and_earlier_names() -> None:
    def request_of(settings: dict) -> GenerationRequest:
        return api.request_from(str(PHOTO), str(PHOTO), None, "nano", "7", "", settings)

    assert request_of({"camera": {"mode": "sdedit", "strength": 0.25}}) == request_of(
        {"sdedit": {"denoising_strength": 0.75}}
    )
    assert request_of({"camera": {"mode": "uni3c", "path": "pan"}}).camera_control == CameraControl("pan")
    now = request_of({"audio_guidance_scale": 3, "reference_placement": "edge", "composite": {"person": "2"}})
    assert request_of({"audio_scale": 3, "adherence": "edge", "lock": {"person": "2"}}) == now


def test_a_program_may_name_uploads_only(tmp_path) -> None:
    hidden = save_pose(standing(60), tmp_path / "somebody-elses.npz")
    for settings in ({"pose": {"source": str(hidden)}}, {"head": {"source": str(hidden)}},
                     {"camera": {"path": str(tmp_path / "path.json")}},
                     {"camera_control": {"path": str(tmp_path / "path.json")}}):  # fmt: skip
        with pytest.raises(InputError, match="is not one of this page's uploads"):
            api.request_from(str(PHOTO), str(PHOTO), None, "nano", "7", "", settings)


def test_choosing_a_pose_in_the_browser(studio_url: str, chromium: str, walking: Path, tmp_path: Path) -> None:
    folder = os.environ.get("SCREENSHOTS")
    with open_page(chromium, studio_url) as page:
        page.set_input_files("#source input[type=file]", str(walking))
        page.set_input_files("#voice input[type=file]", str(write_tone(tmp_path / "voice.wav", 6.0)))
        page.click("#movement-options button")
        page.locator("#pose").get_by_label("As in the source video", exact=True).check()
        page.wait_for_selector("#pose-shown img", timeout=90_000)
        if folder:
            page.screenshot(path=str(Path(folder) / "pose-first.png"), full_page=True)
        page.click("#options button")
        page.locator("#preset input").click()
        page.get_by_role("option", name="final+24gb-int8", exact=True).click()
        page.wait_for_selector("#plan:has-text('checkpoints download unianimate')", timeout=90_000)
        page.locator("#camera").get_by_label("A movement", exact=True).check()
        page.locator("#camera-by").get_by_label("The network Uni3C", exact=True).check()
        page.wait_for_selector("#plan:has-text('checkpoints download uni3c')", timeout=60_000)
        page.click(".tl-button[data-action=span]")
        page.wait_for_selector(".tl-editor:has-text('Control strength')")
        page.locator(".tl-editor label:has-text('Control strength') select").select_option("0.5")
        page.wait_for_selector(".tl-span:has-text('controlled half as strongly')")
        if folder:
            page.screenshot(path=str(Path(folder) / "pose.png"), full_page=True)
        page.click(".tl-button[data-action=undo]")
        page.wait_for_selector(".tl-span:has-text('like the rest')")
