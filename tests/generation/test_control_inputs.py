"""Films steered by camera and pose networks: a tiny model of the published architecture, published file formats, a real
person. What random networks draw means nothing; that they are shown the right thing, at the right steps, does.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from infinitetalk.config.request import Camera, CameraControl, GenerationRequest, Guide, Pose, Speaker
from infinitetalk.errors import CheckpointError, InputError, MediaError
from infinitetalk.events import ChunkFinished, Finished
from infinitetalk.generation.camera_targets import tracked_camera as measured
from infinitetalk.generation.control_residuals import steps_between
from infinitetalk.generation.inputs import FilmInputs
from infinitetalk.generation.job import ChunkJob
from infinitetalk.media.images import load_image
from infinitetalk.models.specs import SPECS, ModelSpec
from infinitetalk.paths import assets_dir
from infinitetalk.pipeline import generate, load_models, plan, resume
from infinitetalk.planning.voices import FilmVoices
from infinitetalk.stages import prepare_film
from infinitetalk.stages.base import StageFilm
from infinitetalk.stages.chain import StageChain
from infinitetalk.vision.camera_path import preset_path
from infinitetalk.vision.head_pose import face_points
from infinitetalk.vision.pose import NECK, NOSE
from infinitetalk.vision.pose_edit import EASED_FRAMES
from infinitetalk.vision.pose_extract import read_picture_pose
from infinitetalk.vision.pose_file import save_pose
from tests.test_pipeline import pictures, request_for
from tests.tiny_model import write_tiny_controls, write_tiny_model
from tests.vision.conftest import PHOTO, shifted, write_film
from tests.vision.test_pose import standing

TINY = ModelSpec(name="tiny", title="Tiny", sizes={"small": {"1.00": (64, 64)}})
PRESET = """
model: tiny
steps: 3
shift: 3.0
guidance_scale: 2.0
audio_guidance_scale: 2.0
size: small
framing: whole
"""


@pytest.fixture(scope="module", autouse=True)
def tiny_is_known():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPECS, "tiny", TINY)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_tiny_model(folder / "tiny")
    write_tiny_controls(folder)
    (folder / "tiny.yaml").write_text(PRESET)
    return folder


def tiny_request(tmp_path: Path, weights: Path, seconds: float, **changes):
    given = {
        "source": str(PHOTO), "preset": str(weights / "tiny.yaml"), "checkpoints_dir": str(weights), "steps": None,
        "prompt": "a person speaks",
    }  # fmt: skip
    return request_for(tmp_path, seconds, **(given | changes))


def film(tmp_path: Path, weights: Path, name: str, seconds: float = 0.6, **changes) -> tuple[np.ndarray, dict]:
    """The film's pictures and the record of its first chunk."""
    request = tiny_request(tmp_path, weights, seconds, **changes)
    events = list(generate(request, load_models(request), tmp_path / name))
    assert isinstance(events[-1], Finished) and events[-1].complete
    record = json.loads((tmp_path / name / "chunks/0000/take-00/take.json").read_text())
    assert {event.index for event in events if isinstance(event, ChunkFinished)}
    return pictures(tmp_path / name / "output.mp4").astype(int), record


@pytest.fixture(scope="module")
def walking_film(tmp_path_factory) -> Path:
    """A person who goes right by a pixel with every frame."""
    photo = load_image(PHOTO)
    return write_film(tmp_path_factory.mktemp("films") / "walking.mp4", [shifted(photo, f) for f in range(24)])


def unlike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


@pytest.fixture(scope="module")
def plain(tmp_path_factory, weights) -> np.ndarray:
    return film(tmp_path_factory.mktemp("plain"), weights, "job")[0]


def test_a_camera_network_changes_the_film_as_its_path_and_strength_say(tmp_path, weights, plain) -> None:
    pan, record = film(tmp_path, weights, "pan", camera_control=CameraControl("pan", 3.0))
    back, _ = film(tmp_path, weights, "back", camera_control=CameraControl("pan", -3.0))
    none, unscored = film(tmp_path, weights, "none", camera_control=CameraControl("pan", 3.0, strength=0.0))
    assert np.array_equal(none, plain) and "tracking" not in unscored
    assert unlike(pan, plain) > 1 and unlike(pan, back) > 0.3
    assert set(record.get("tracking", {})) <= {"camera"}
    early, _ = film(tmp_path, weights, "early", camera_control=CameraControl("pan", 3.0, last=0.3))
    assert 0 < unlike(early, plain) and unlike(early, pan) > 0.1


def test_a_span_is_steered_by_its_own_factor(tmp_path, weights, plain) -> None:
    camera = CameraControl("pan", 3.0)
    quiet, _ = film(tmp_path, weights, "quiet", camera_control=camera, guides=(Guide(0, 5, control_strength=0.0),))
    loud, _ = film(tmp_path, weights, "loud", camera_control=camera, guides=(Guide(0, 5, control_strength=2.0),))
    assert np.array_equal(quiet, plain) and unlike(loud, plain) > 1
    guides = (Guide(3, 6, control_strength=0.5),)
    planned = plan(tiny_request(tmp_path, weights, 8.0, camera_control=camera, guides=guides))
    assert [chunk.control_strength for chunk in planned.chunks] == [None, 0.5, None]
    assert "control strength times 0.5" in planned.describe()


def test_a_pose_network_changes_the_film_as_the_movement_says(tmp_path, weights) -> None:
    moving, held = standing(50), standing(50)
    moving.joints[:, :, 0] += 3 * np.arange(50)[:, None]
    save_pose(moving, tmp_path / "moving.npz")
    save_pose(held, tmp_path / "held.npz")
    made = {
        name: film(tmp_path, weights, name, pose=Pose(source=str(tmp_path / f"{source}.npz"), **more))
        for name, source, more in (
            ("moved", "moving", {}), ("held-still", "held", {}), ("weak", "moving", {"strength": 0.0}),
            ("fast", "moving", {"speed": 3.0}), ("late", "moving", {"offset_seconds": 1.0}),
        )
    }  # fmt: skip
    moved, record = made["moved"]
    for name in ("held-still", "weak", "fast", "late"):
        assert unlike(moved, made[name][0]) > 0.02, name
    followed = record["tracking"]["pose"]
    assert followed["good"] is False and "skeleton" in followed["sentence"]  # nothing random looks like a person
    assert "tracking" not in made["weak"][1]


def test_a_side_branch_changes_the_film_as_the_movement_and_strength_say(tmp_path, weights, plain) -> None:
    moving = standing(50)
    moving.joints[:, :, 0] += 3 * np.arange(50)[:, None]
    save_pose(moving, tmp_path / "moving.npz")
    save_pose(standing(50), tmp_path / "held.npz")

    def made(name: str, source: str, **more) -> tuple[np.ndarray, dict]:
        return film(tmp_path, weights, name, pose=Pose("vace", str(tmp_path / f"{source}.npz"), **more))

    moved, record = made("moved", "moving")
    held, _ = made("held-still", "held")
    none, unscored = made("none", "moving", strength=0.0)
    early, _ = made("early", "moving", last=0.3)
    assert unlike(moved, plain) > 1 and unlike(moved, held) > 0.005  # the lines are thin at 64 pixels
    assert np.array_equal(none, plain) and "tracking" not in unscored
    assert 0 < unlike(early, plain) and unlike(early, moved) > 0.1
    assert record["tracking"]["pose"]["good"] is False  # nothing random looks like a person


def test_a_side_branch_and_a_camera_network_steer_together(tmp_path, weights) -> None:
    save_pose(standing(50), tmp_path / "held.npz")
    pose, camera = Pose("vace", str(tmp_path / "held.npz")), CameraControl("pan", 3.0)
    both, record = film(tmp_path, weights, "both", camera_control=camera, pose=pose)
    posed, _ = film(tmp_path, weights, "posed", pose=pose)
    panned, _ = film(tmp_path, weights, "panned", camera_control=camera)
    assert unlike(both, posed) > 0.3 and unlike(both, panned) > 0.3 and "pose" in record["tracking"]


def test_both_together_and_a_film_continued(tmp_path, weights) -> None:
    """Two chunks, killed after the first: the second sees what it would have seen."""
    save_pose(standing(60), tmp_path / "held.npz")
    request = tiny_request(
        tmp_path, weights, 3.6, camera_control=CameraControl("push in"), pose=Pose(source=str(tmp_path / "held.npz"))
    )
    models = load_models(request)
    list(generate(request, models, tmp_path / "whole"))
    seen: list = []
    for event in generate(request, models, tmp_path / "half", should_stop=lambda: bool(seen)):
        if isinstance(event, ChunkFinished):
            seen.append(event)

    assert not (tmp_path / "half/chunks/0001").exists()
    list(resume(tmp_path / "half", models))
    assert (tmp_path / "half/inputs").is_dir() and len(list((tmp_path / "half/inputs").glob("*held.npz"))) == 1
    assert np.array_equal(pictures(tmp_path / "whole/output.mp4"), pictures(tmp_path / "half/output.mp4"))


def control_for(request, index: int = 0, models=None):
    """The film, a chunk of it, its inputs as the stages complete them, and those of control networks."""
    film = prepare_film(request)
    models = models or load_models(request)
    voices = FilmVoices(film.voices)
    inputs = FilmInputs(film, models, voices)
    chunk = film.plan.chunks[index]
    job = ChunkJob(chunk, film.plan.settings, request.seed, 0, "")
    made = StageChain(StageFilm(film, inputs, voices)).before(job, inputs.chunk_inputs(job, inputs.reference(job)))
    return film, made, made.control


def test_what_a_camera_network_is_shown_moves_on_with_the_film(tmp_path, weights) -> None:
    request = tiny_request(tmp_path, weights, 4.0, camera_control=CameraControl("pan", 2.0))
    _, _, first = control_for(request)
    film, made, second = control_for(request, 1)
    path = preset_path("pan", 2.0, film.plan.duration_seconds, request.seed)
    assert np.array_equal(first.camera.w2c[0], np.eye(4)) and not first.camera.holes[0].any()
    assert np.allclose(second.camera.w2c, path.w2c(81, made.chunk.start_frame)) and second.camera.holes[0].any()
    assert first.camera.render.shape == (81, 64, 64, 3)


def test_the_sources_own_pose_lies_where_its_person_is(tmp_path, weights, walking_film) -> None:
    request = tiny_request(tmp_path, weights, 0.8, source=str(walking_film), pose=Pose())
    _, made, control = control_for(request)
    own = read_picture_pose(np.asarray(_picture(walking_film)), "her").resized(64, 64)
    assert len(control.poses) == made.chunk.num_frames
    for joint in (NOSE, NECK):
        assert np.abs(control.poses.joints[0, joint] - own.joints[0, joint]).max() < 2
    moved = control.poses.joints[20, NOSE] - control.poses.joints[0, NOSE]
    assert 0 < moved[0] < 6 and abs(moved[1]) < 2  # 20 pixels of 384 or so to the right, at 64
    assert control.pose.skeletons.shape == (81, 64, 64, 3) and control.pose.reference.max() > 100
    assert np.abs(control.pose.skeletons[0].astype(int) - control.pose.reference).mean() < 12


def _picture(path: Path):
    from infinitetalk.media.video import open_source

    with open_source(path, 640) as source:
        return source.frame_at(0.0)


def test_anothers_movement_is_put_on_the_reference_person(tmp_path, weights) -> None:
    save_pose(standing(30), tmp_path / "held.npz")
    request = tiny_request(tmp_path, weights, 0.8, pose=Pose(source=str(tmp_path / "held.npz")))
    _, _, control = control_for(request)
    own = read_picture_pose(_picture(PHOTO), "her").resized(64, 64)
    assert np.abs(control.poses.joints[0, NECK] - own.joints[0, NECK]).max() < 2


@pytest.mark.parametrize("speed, far", [(0, False), (0.3, False), (2, True)])
def test_two_references_are_taken_by_themselves_where_the_camera_moves_far(tmp_path, weights, speed, far) -> None:
    photo = load_image(PHOTO)
    moving = write_film(tmp_path / "moving.mp4", [shifted(photo, -round(speed * f)) for f in range(90)])
    found = {}
    for reference_placement in ("auto", "edge", "ends"):
        request = tiny_request(tmp_path, weights, 3.2, source=str(moving), reference_placement=reference_placement)
        _, made, _ = control_for(request)
        found[reference_placement] = made.second_reference
    assert (found["auto"] is not None) == far and found["edge"] is None and found["ends"] is not None
    if far:
        assert torch.equal(found["auto"], found["ends"])
        assert (
            "if the camera moves far"
            in prepare_film(request_auto := replace(request, reference_placement="auto")).plan.describe()
        )
        list(generate(request_auto, load_models(request_auto), tmp_path / "job"))


@pytest.mark.parametrize(
    "first, last, steps, expected",
    [(0, 1, 4, None), (0, 0.5, 4, (750, 1000)), (0.5, 1, 4, (250, 500)), (0.4, 0.45, 4, (750, 750)),
     (0, 0.01, 1, (1000, 1000)), (0.99, 1, 3, (333, 333))],
)  # fmt: skip
def test_steps_as_shares_name_at_least_one(first, last, steps, expected) -> None:
    times = torch.linspace(1000, 0, steps + 1)
    found = steps_between(times, first, last)
    assert found == expected or [round(value) for value in found] == list(expected)


def test_what_cannot_be_steered_is_said_before_the_film(tmp_path, weights, walking_film) -> None:
    save_pose(standing(30), tmp_path / "held.npz")
    (tmp_path / "broken.npz").write_bytes(b"no")
    wall = write_film(tmp_path / "wall.mp4", [np.full((96, 96, 3), 120, np.uint8)] * 30)
    photo = _picture(PHOTO)
    two = write_film(tmp_path / "two.mp4", [np.concatenate([photo, photo[:, ::-1]], axis=1)] * 10)
    for changes, error, words in (
        ({"pose": Pose()}, InputError, "whose person rests; give the pose a film"),
        ({"pose": Pose(source=str(tmp_path / "none.npz"))}, MediaError, "There is no recorded pose"),
        ({"pose": Pose(source=str(tmp_path / "broken.npz"))}, MediaError, "broken.npz is not a recorded pose"),
        ({"pose": Pose(source=str(tmp_path / "none.mp4"))}, MediaError, "none.mp4"),
        ({"pose": Pose(source=str(wall))}, MediaError, "No person was found in wall.mp4"),
        ({"pose": Pose(source=str(two))}, InputError, "shows 2 people; choose one"),
        ({"pose": Pose(source=str(two), person="3")}, InputError, "there is no number 3"),
        ({"pose": Pose(source=str(tmp_path / "held.npz"), offset_seconds=2)}, InputError, "nothing begins at 2 s"),
        ({"camera_control": CameraControl("follow")}, InputError, "whose camera rests"),
        ({"camera_control": CameraControl(), "framing": "face"}, InputError, "set framing to whole"),
        (
            {"preset": "nano", "pose": Pose("vace", source=str(walking_film))},
            InputError,
            "nano has no control network vace; choose one of uni3c, unianimate",
        ),
    ):
        with pytest.raises(error) as raised:
            plan(tiny_request(tmp_path, weights, 1.0, **changes))
        assert words in str(raised.value) and "\n" not in str(raised.value), str(raised.value)


def test_what_is_to_be_known_of_a_movement_is_a_note(tmp_path, weights, walking_film) -> None:
    save_pose(standing(30), tmp_path / "held.npz")
    short = plan(tiny_request(tmp_path, weights, 3.0, pose=Pose(source=str(tmp_path / "held.npz"), speed=2.0)))
    assert any("lasts 0.6 s and the film 3.0 s; it then stays as it ended" in note for note in short.warnings)
    photo = _picture(PHOTO)
    face = photo[20:150, 150:280]
    close = write_film(tmp_path / "close.mp4", [np.ascontiguousarray(np.kron(face, np.ones((3, 3, 1), np.uint8)))] * 30)
    cropped = plan(tiny_request(tmp_path, weights, 1.0, pose=Pose(source=str(close))))
    assert any("cropped so closely" in note for note in cropped.warnings), cropped.warnings
    other = write_film(tmp_path / "cut.mp4", [photo] * 20 + [255 - photo] * 20)
    cut = plan(tiny_request(tmp_path, weights, 1.4, pose=Pose(source=str(other))))
    assert any("cuts at 0.8 s" in note for note in cut.warnings), cut.warnings


def test_weights_that_are_missing_or_another_models_are_named(tmp_path, weights) -> None:
    import shutil

    other = tmp_path / "weights"
    shutil.copytree(weights, other)
    request = tiny_request(tmp_path, other, 1.0, camera_control=CameraControl())
    (other / "Uni3C" / "controlnet.pth").unlink()
    notes = plan(request).warnings
    assert any("The control network uni3c" in note and "checkpoints download uni3c" in note for note in notes)
    with pytest.raises(CheckpointError, match="checkpoints download uni3c"):
        load_models(request)
    wide = {name: torch.zeros(1) for name in ("controlnet.proj_out.0.weight",)}
    torch.save(wide, other / "Uni3C" / "controlnet.pth")
    with pytest.raises(CheckpointError, match="no such network"):
        plan(request)
    tensors = torch.load(weights / "Uni3C" / "controlnet.pth", weights_only=True)
    tensors = {name: torch.cat([value, value]) if ".proj_out." in name else value for name, value in tensors.items()}
    torch.save(tensors, other / "Uni3C" / "controlnet.pth")
    with pytest.raises(CheckpointError, match="for transformers of width 64, and this model's is 32"):
        plan(request)
    save_pose(standing(30), tmp_path / "held.npz")
    request = replace(request, camera_control=None, pose=Pose("vace", str(tmp_path / "held.npz")))
    branch = other / "Wan2_1-VACE_module_14B_bf16.safetensors"
    tensors = load_file(branch)
    for changed, words in (
        ({n: t for n, t in tensors.items() if not n.startswith("vace_blocks.")}, "has 0 blocks for the 2"),
        ({n: t for n, t in tensors.items() if "after_proj" not in n}, "missing"),
        ({"unlike.weight": torch.zeros(2)}, "unexpected weight 'unlike.weight'"),
    ):
        save_file(changed, branch)
        with pytest.raises(CheckpointError, match=words):
            plan(request)


def test_a_request_says_it_again(tmp_path, weights) -> None:
    request = tiny_request(
        tmp_path, weights, 1.0, camera_control=CameraControl("orbit", -0.5, 0.8, 0.1, 0.6),
        pose=Pose(source="/x.npz", strength=0.5, last=0.7, offset_seconds=1, speed=2, person="2"),
        guides=(Guide(0, 1, control_strength=0.5),),
    )  # fmt: skip
    again = type(request).from_dict(json.loads(json.dumps(request.to_dict())))
    assert again == request and again.controls == ("uni3c", "unianimate")
    assert replace(request, camera=Camera(), camera_control=None, pose=None).controls == ()
    assert replace(request, camera_control=None, pose=Pose("vace", "/x.npz")).controls == ("vace",)
    for wrong, words in (
        ({"pose": {"mode": "dance"}}, "mode is 'dance'"), ({"pose": {"speed": 9}}, "speed is 9"),
        ({"pose": {"first": 0.5, "last": 0.5}}, "let it end after it starts"),
        ({"camera_control": {"strength": 3}}, "strength is 3; give a number from 0 to 2"),
        ({"camera_control": {"first": -1}}, "first step of the camera is -1"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            tiny_request(tmp_path, weights, 1.0, **wrong)


# --- nano, with the networks that ship -------------------------------------------------------------------------------


def nano_film(tmp_path: Path, name: str, **changes) -> tuple[np.ndarray, dict]:
    """A second of the bundled portrait and sentence, uint8 [25, 256, 256, 3], and the record of its chunk."""
    request = GenerationRequest(
        str(assets_dir() / "portrait.png"), (Speaker(str(assets_dir() / "speech.wav")),), preset="nano",
        max_seconds=1.6, **changes,
    )  # fmt: skip
    events = list(generate(request, load_models(request), tmp_path / name))
    assert isinstance(events[-1], Finished) and events[-1].complete
    return pictures(tmp_path / name / "output.mp4"), json.loads(
        (tmp_path / name / "chunks/0000/take-00/take.json").read_text()
    )


@pytest.fixture(scope="module")
def nano_still(tmp_path_factory) -> np.ndarray:
    return nano_film(tmp_path_factory.mktemp("nano"), "still")[0]


def lips_apart(frames: np.ndarray) -> np.ndarray:
    """Of each frame, in face heights."""
    points = face_points(frames)
    return np.linalg.norm(points[:, 13] - points[:, 14], axis=1) / np.linalg.norm(
        points[:, 10] - points[:, 152], axis=1
    )


@pytest.mark.parametrize("movement", ["pan", "push in"])
def test_nanos_camera_network_films_a_mouth_that_moves_along(tmp_path, nano_still, movement: str) -> None:
    frames, record = nano_film(tmp_path, "moved", camera_control=CameraControl(movement, 0.8))
    assert record["tracking"]["camera"]["value"] > 0.8
    path = preset_path(movement, 0.8, 1.6).w2c(len(frames))
    without = measured(nano_still, path)
    assert without is None or without.value < 0.2
    assert np.corrcoef(lips_apart(frames), lips_apart(nano_still))[0, 1] > 0.8
    # What is not the mouth is the reference, moved, hardly less sharp.
    sharpness = [cv2.Laplacian(each[:100], cv2.CV_64F).std() for each in (frames[-1], nano_still[-1])]
    assert sharpness[0] > 0.6 * sharpness[1]


def test_nanos_pose_network_moves_head_and_mouth(tmp_path, nano_still) -> None:
    portrait = _picture(assets_dir() / "portrait.png")
    swaying = [shifted(portrait, round(8 * np.sin(frame / 6))) for frame in range(45)]
    source = write_film(tmp_path / "swaying.mp4", swaying)
    frames, record = nano_film(tmp_path, "moved", pose=Pose(source=str(source)))
    assert record["tracking"]["pose"]["good"]
    noses = face_points(frames)[:, 1, 0]
    asked = np.array([8 * np.sin(frame / 6) for frame in range(len(frames))])
    assert np.corrcoef(noses[EASED_FRAMES:], asked[EASED_FRAMES:])[0, 1] > 0.8
    assert abs(noses[0] - face_points(nano_still[:1])[0, 1, 0]) < 1, "the film begins with the reference"
    assert np.corrcoef(lips_apart(frames), lips_apart(nano_still))[0, 1] > 0.8


def test_a_camera_that_goes_farther_than_nanos_network_has_seen_is_told(tmp_path) -> None:
    request = GenerationRequest(
        str(assets_dir() / "portrait.png"), (Speaker(str(assets_dir() / "speech.wav")),), preset="nano",
        max_seconds=1.6, camera_control=CameraControl("pan", -3.0),
    )  # fmt: skip
    (note,) = plan(request).warnings
    assert "Choose the amount -" in note and "reprojected instead" in note
    amount = float(note.split("the amount ")[1].split(",")[0])
    assert not plan(replace(request, camera_control=CameraControl("pan", amount))).warnings
