from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest

from infinitetalk.config.request import load_preset
from infinitetalk.ui import handlers
from infinitetalk.ui.form import FORM_FIELDS, Form
from infinitetalk.ui.served import served
from infinitetalk.ui.timeline.pictures import SourcePictures


def _values(**changes: object) -> list[object]:
    form = Form(**changes)
    return [getattr(form, name) for name in FORM_FIELDS]


def _plan(*values: object) -> dict:
    return handlers.plan_changed(SourcePictures(), *values)


def test_a_picture_is_shown(picture: Path) -> None:
    updates = handlers.source_changed(str(picture), None)
    assert "Photo · 64 × 96" in updates["preview"]["value"] and updates["preview"]["visible"]
    assert updates["source_notice"] == "" and updates["last_source"] == str(picture)


def test_a_file_that_is_no_picture_is_refused_at_once(text_file: Path) -> None:
    updates = handlers.source_changed(str(text_file), None)
    assert not updates["preview"]["visible"]
    assert "letter.png" in updates["source_notice"] and 'role="alert"' in updates["source_notice"]


def test_a_voice_in_the_place_of_the_face_is_refused(voice: Path) -> None:
    assert "is a sound, a picture or video was expected" in handlers.source_changed(str(voice), None)["source_notice"]


def test_a_removed_file_can_be_put_back(picture: Path) -> None:
    removed = handlers.source_changed(None, str(picture))
    assert removed["put_back"]["visible"] and "last_source" not in removed
    assert handlers.put_back(str(picture)) == {"source": str(picture)}
    assert not handlers.source_changed(str(picture), str(picture))["put_back"]["visible"]


def test_the_plan_asks_for_what_is_missing_before_it_complains(picture: Path) -> None:
    assert "Add a photo or video and a voice" in _plan(*_values())["plan"]
    assert "Add a voice" in _plan(*_values(source=str(picture)))["plan"]


def test_the_plan_counts_chunks_and_frames(picture: Path, voice: Path) -> None:
    html = _plan(*_values(source=str(picture), voice=str(voice)))["plan"]
    assert "175 frames" in html and "<dd>3<small>" in html


def test_the_timeline_shows_the_plan_and_the_pins_that_belong_to_its_source(picture: Path, voice: Path) -> None:
    edits = {"pins": [{"time": 4.0, "source": 0, "image": None, "url": None}], "revision": 3, "source": str(picture)}
    shown = _plan(*_values(source=str(picture), voice=str(voice), edits=edits))["timeline"]["value"]
    assert [chunk["new_start"] for chunk in shown["chunks"]] == [0, 3.24, 6.12]
    assert [chunk["pinned"] for chunk in shown["chunks"]] == [False, True, False]
    assert (shown["revision"], shown["pins"]) == (3, edits["pins"])
    guides = {"prompt": False, "placements": [], "control_strength": False}
    assert shown["guides"] == guides, "nothing that stretches differ in"
    shown = _plan(*_values(source=str(picture), voice=str(voice), edits=edits | {"source": "other.png"}))["timeline"]
    assert shown["value"]["pins"] == []
    assert _plan(*_values(source=str(picture)))["timeline"]["value"] is None


def test_an_edit_of_the_timeline_is_kept_for_its_source() -> None:
    sent = {"pins": [{"time": 1.0, "source": 2.0}], "spans": [{"start": 0, "stop": 2}], "cuts": [1.5], "revision": 2}
    kept = handlers.timeline_edited("film.mp4", None, gr.EventData(None, sent | {"other": 1}))["edits"]
    assert kept == sent | {"source": "film.mp4"}
    late = gr.EventData(None, sent | {"pins": [], "revision": 1})
    assert handlers.timeline_edited("film.mp4", kept, late) == {}, "an answer that was overtaken"
    assert handlers.timeline_edited("other.mp4", kept, late)["edits"]["pins"] == []
    for broken in (None, [], {"pins": "many"}, {}):
        assert handlers.timeline_edited("film.mp4", None, gr.EventData(None, broken)) == {}


@pytest.mark.parametrize(
    "pin",
    [
        {"time": 1.0, "source": None, "image": "/etc/passwd"},
        {"time": 1.0, "source": None, "image": "../../secret.png"},
        {"time": 1.0, "source": None, "image": 7},
        {"time": "soon", "source": 1.0},
        {"time": 1.0},
        {"time": float("nan"), "source": 1.0},
        "pin",
    ],
)
def test_a_pin_that_the_page_cannot_have_made_is_refused(picture: Path, voice: Path, pin: object) -> None:
    edits = {"pins": [pin], "revision": 1, "source": str(picture)}
    answer = _plan(*_values(source=str(picture), voice=str(voice), edits=edits))
    assert "plan problem" in answer["plan"] and "Sorry" not in answer["plan"] and "timeline" not in answer


@pytest.mark.parametrize(
    "edits",
    [
        {"spans": [{"start": 2, "stop": 1}]},
        {"spans": [{"start": 0, "stop": 1, "reference_placement": "closest"}]},
        {"spans": [{"start": 0, "stop": 1, "prompt": 7}]},
        {"spans": [{}]},
        {"spans": "all"},
        {"spans": [7]},
        {"cuts": "everywhere"},
        {"cuts": [-1]},
        {"cuts": [float("nan")]},
    ],
)
def test_a_stretch_or_cut_that_the_page_cannot_have_made_is_refused(picture: Path, voice: Path, edits: dict) -> None:
    answer = _plan(*_values(source=str(picture), voice=str(voice), edits=edits | {"source": str(picture)}))
    assert "plan problem" in answer["plan"] and "Sorry" not in answer["plan"] and "timeline" not in answer


@pytest.mark.parametrize("name", ["empty.wav", "text.wav"])
def test_the_plan_says_what_is_wrong_with_a_voice(picture: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("" if name == "empty.wav" else "not a sound at all")
    html = _plan(*_values(source=str(picture), voice=str(path)))["plan"]
    assert "plan problem" in html and name in html and "Sorry" not in html


def test_a_preset_brings_its_own_values_and_hides_what_its_model_lacks() -> None:
    updates, settings = handlers.preset_changed("nano"), load_preset("nano")
    assert (updates["steps"], updates["framing"]) == (settings.steps, settings.framing)
    assert updates["prompt"]["visible"] is False
    assert settings.description in updates["preset_help"]


def test_the_model_panel_says_what_fits_and_which_files_are_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    shown = handlers.preset_changed("final+24gb-int8")["preset_help"]
    assert "on the card" in shown and "files here" in shown and "to fetch" in shown
    assert "checkpoints download final+24gb-int8" in shown
    assert "files here" not in handlers.preset_changed("nano")["preset_help"]


def test_auto_says_what_it_chose_and_makes_such_a_film(picture, voice):
    assert "Chose " in handlers.preset_changed("auto")["preset_help"]
    request = Form(source=str(picture), voice=str(voice), preset="auto").to_request()
    assert request.preset != "auto"
    assert handlers.restore({"preset": "auto"}, "nano")["preset"] == "auto"


def test_what_the_browser_remembers_comes_back() -> None:
    form = Form(
        seed="99", steps=9, audio_guidance_scale=3.5, framing="whole", arrangement="in-turn", short_source="stop"
    )
    stored = handlers.remember(*[getattr(form, name) for name in FORM_FIELDS])["remembered"]
    assert "source" not in stored and "voice" not in stored
    restored = handlers.restore(stored, "nano")
    assert (restored["seed"], restored["steps"], restored["framing"]) == ("99", 9, "whole")
    assert (restored["arrangement"], restored["short_source"], restored["preset"]) == ("in-turn", "stop", "nano")


def test_what_an_earlier_page_left_in_the_browser_comes_back_under_todays_names() -> None:
    stored = {"camera": "redraw", "camera_by": "redraw", "camera_strength": 0.25, "adherence": "edge", "lock": True}
    restored = handlers.restore(stored, "nano")
    assert (restored["camera"], restored["camera_by"], restored["denoising_strength"]) == ("path", "reprojection", 0.75)
    assert restored["reference_placement"] == "edge" and restored["composite"] is True


@pytest.mark.parametrize("stored", [None, {}, [], "x", {"preset": "gone", "steps": 4000, "seed": "no", "framing": 3}])
def test_memories_that_make_no_sense_fall_back_to_the_preset(stored: object) -> None:
    restored, settings = handlers.restore(stored, "nano"), load_preset("nano")
    assert (restored["preset"], restored["steps"], restored["framing"]) == ("nano", settings.steps, settings.framing)
    assert "seed" not in restored


def test_the_dice_throw_a_seed_that_can_be_used() -> None:
    seeds = {handlers.dice()["seed"] for _ in range(20)}
    assert len(seeds) > 1
    assert all(Form("p.png", "a.wav", seed=seed).to_request().seed >= 0 for seed in seeds)


def test_a_served_file_keeps_its_name_in_a_folder_nobody_can_guess(picture: Path) -> None:
    one, two = Path(served(picture, "face.png")), Path(served(picture, "face.png"))
    assert one.name == "face.png" and one.read_bytes() == picture.read_bytes()
    assert one.parent != two.parent and len(one.parent.name) >= 32


def test_the_example_moves_its_head_and_takes_nothing_over_from_the_last_visit() -> None:
    chosen = handlers.example("nano")
    assert Path(chosen["source"]).is_file() and Path(chosen["voice"]).is_file()
    assert (chosen["head"], chosen["camera"], chosen["two_voices"]) == ("lively", "rest", False)
    assert handlers.example("final+24gb-int8")["head"] == "rest", "a large model moves it by itself"
