"""Reading a real person's movement, and every way in which that can be refused."""

from __future__ import annotations

import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image

from infinitetalk.commands.main import main
from infinitetalk.errors import InputError, MediaError
from infinitetalk.media.video import open_source
from infinitetalk.vision.camera_path import preset_path, save_path
from infinitetalk.vision.dwpose import box_transform, decode, dwpose_file, to_sequence
from infinitetalk.vision.people import Person, check_boxes, choose, find_people, parse_choice, suggest_boxes
from infinitetalk.vision.pose import LEFT_HAND, NECK, NOSE, RIGHT_HAND
from infinitetalk.vision.pose_extract import read_picture_pose, read_pose
from infinitetalk.vision.pose_file import load_pose, save_pose
from tests.vision.conftest import PHOTO, shifted, write_film


@pytest.fixture(scope="module")
def two_people(photo) -> np.ndarray:
    return np.concatenate([photo[:, :300], photo[:, 300:0:-1]], axis=1)


@pytest.fixture(scope="module")
def reading(hidden_film):
    return read_pose(hidden_film, accept_cuts=True)  # the four grey frames look like cuts


def test_a_walking_person_is_followed(reading):
    nose = reading.sequence.joints[:, NOSE, 0]
    seen = [f for f in range(24) if not 9 <= f <= 14]
    # One pixel a frame is the truth.
    assert np.polyfit(seen, nose[seen], 1)[0] == pytest.approx(1.0, abs=0.08)
    assert np.abs(nose[seen] - np.polyval(np.polyfit(seen, nose[seen], 1), seen)).max() < 2.5
    assert abs(reading.sequence.joints[0, NOSE] - (168, 101)).max() < 12  # where her nose is in the photograph


def test_the_gap_is_filled_and_marked(reading):
    sequence = reading.sequence
    assert sequence.seen[:, NOSE].all()
    assert sequence.filled[10:14, NOSE].all() and not sequence.filled[:9, NOSE].any()
    assert np.all(np.abs(np.diff(sequence.joints[8:17, NOSE, 0]) - 1) < 1.5)


def test_legs_outside_the_picture_are_not_seen(reading):
    assert not reading.sequence.seen[:, [9, 10, 12, 13, 18, 19]].any()


def test_several_people(two_people):
    people = find_people(two_people)
    assert [round(p.x, 1) for p in people] == [0.3, 0.7]
    with pytest.raises(InputError, match="shows 2 people; choose one"):
        read_picture_pose(two_people, "two.png")
    for number, x in ((1, 168), (2, 432)):
        pose = read_picture_pose(two_people, "two.png", number)
        assert abs(pose.joints[0, NOSE, 0] - x) < 15
        assert read_picture_pose(two_people, "two.png", (x / 600, 0.6)).joints[0, NOSE, 0] == pose.joints[0, NOSE, 0]


def test_several_people_in_a_film(two_people, tmp_path):
    film = write_film(tmp_path / "two.mp4", [shifted(two_people, -f) for f in range(8)])
    with pytest.raises(InputError, match="choose one"):
        read_pose(film)
    sequence = read_pose(film, person=2).sequence
    assert abs(sequence.joints[0, NOSE, 0] - 432) < 15 and sequence.seen[:, NECK].all()


@pytest.mark.parametrize("choice, says", [("0", "no number 0"), ("3", "no number 3")])
def test_numbers_that_nobody_has(choice, says):
    people = [Person(0.2, 0.5, (0, 0, 1, 0.4)), Person(0.7, 0.5, (0, 0.5, 1, 1))]
    with pytest.raises(InputError, match=says):
        choose(people, parse_choice(choice), "two.mp4")


@pytest.mark.parametrize("text", ["left", "1,2,3", "0.5,", "2,0.5", "nan,0"])
def test_choices_that_are_none(text):
    with pytest.raises(InputError):
        parse_choice(text)


def test_nobody_there(tmp_path):
    film = write_film(tmp_path / "wall.mp4", [np.full((96, 128, 3), 120, np.uint8)] * 5)
    with pytest.raises(MediaError, match="No person was found in wall.mp4"):
        read_pose(film)


def test_extreme_crop_is_told(photo, tmp_path):
    face = np.asarray(Image.fromarray(photo[40:130, 130:220]).resize((256, 256)))
    reading = read_pose(write_film(tmp_path / "face.mp4", [face] * 6))
    assert any("cropped so closely" in warning for warning in reading.warnings)


def test_a_cut_inside(photo, tmp_path):
    random = np.random.default_rng(0)
    other = np.asarray(Image.fromarray(random.integers(0, 255, (6, 6, 3), np.uint8)).resize((384, 384)))
    film = write_film(tmp_path / "cut.mp4", [photo] * 25 + [other] * 25)
    with pytest.raises(InputError, match="cuts to another shot at 1.00 s"):
        read_pose(film)
    reading = read_pose(film, accept_cuts=True)
    assert "cuts 1 times" in reading.warnings[0] and reading.sequence.has_person[:20].all()
    assert len(read_pose(film, max_seconds=0.8).sequence) == 20


def test_a_stretch_outside_the_film(walking_film):
    with pytest.raises(InputError, match="1.0 s long"):
        read_pose(walking_film, start_seconds=9)


def test_stopping_keeps_what_was_read(walking_film):
    asked = []
    reading = read_pose(walking_film, should_stop=lambda: len(asked) == 10 or asked.append(1))
    assert len(reading.sequence) == 10


def test_boxes_of_two_speakers(two_people):
    boxes = suggest_boxes(two_people)
    assert len(boxes) == 2 and boxes[0][3] <= boxes[1][1] + 1
    assert check_boxes(boxes, 384, 600) == boxes
    assert check_boxes([(384, 280, 0, -20), (0, 320, 400, 700)], 384, 600) == [(0, 0, 384, 280), (0, 320, 384, 600)]


@pytest.mark.parametrize(
    "boxes, says",
    [
        ([], "0 boxes"),
        ([(0, 0, 10, 10)], "1 boxes"),
        ([(0, 0, 300, 200), (0, 0, 5, 300)], "second speaker's box covers 300 x 5"),
        ([(0, 0, 300, 200), (0, 700, 300, 900)], "second speaker's box"),
        ([(0, 0, 300, 200), (0, 20, 300, 220)], "share 90 %"),
        ([(0, 0, float("nan"), 200), (0, 20, 300, 220)], "not four numbers"),
        ([(0, 0, 300), (0, 20, 300, 220)], "not four numbers"),
    ],
)
def test_boxes_that_cannot_be(boxes, says):
    with pytest.raises(InputError, match=says):
        check_boxes(boxes, 384, 600)


def test_dwpose_places_a_box_and_reads_it_back():
    """The network's grid is made here, as no file is at hand: a point of the picture comes back where it was."""
    person = Person(0.5, 0.3, (0.1, 0.2, 1.0, 0.8))
    to_view = box_transform(400, 600, person)
    truth = np.stack([np.linspace(150, 450, 133), np.linspace(60, 380, 133)], axis=1)
    view = truth @ to_view[:, :2].T + to_view[:, 2]
    assert view.min() > 0 and (view < (288, 384)).all()
    columns, rows = np.zeros((133, 576)), np.zeros((133, 768))
    columns[np.arange(133), np.round(2 * view[:, 0]).astype(int)] = 0.9
    rows[np.arange(133), np.round(2 * view[:, 1]).astype(int)] = 0.8
    points, sure = decode(columns, rows)
    assert np.allclose(points, view, atol=0.26) and np.allclose(sure, 0.8)
    joints, confidence = to_sequence(truth, sure)
    assert np.allclose(joints[NECK], (truth[5] + truth[6]) / 2) and np.allclose(joints[2], truth[6])
    assert np.allclose(joints[18], (truth[17] + truth[18]) / 2)
    assert np.allclose(joints[LEFT_HAND], truth[91:112]) and np.allclose(joints[RIGHT_HAND], truth[112:133])
    assert (confidence > 0).all()


def test_a_file_that_is_no_network(tmp_path, walking_film):
    pytest.importorskip("onnxruntime")
    (tmp_path / "dw-ll_ucoco_384.onnx").write_bytes(b"not a network")
    assert dwpose_file(tmp_path) is not None and dwpose_file(tmp_path / "none") is None
    with pytest.raises(Exception, match="cannot be read as an ONNX network"):
        read_pose(walking_film, weights_dir=tmp_path, max_seconds=0.2)


@pytest.fixture(scope="module")
def short_film(photo, tmp_path_factory):
    """A film of three frames, and a camera path."""
    folder = tmp_path_factory.mktemp("short")
    return write_film(folder / "short.mp4", [photo] * 3), save_path(preset_path("pan", 1, 1.0), folder / "pan.json")


def run(capfd, *arguments) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    return code, *capfd.readouterr()


def test_command_writes_the_skeleton_and_the_sequence(walking_film, tmp_path, capfd):
    film = tmp_path / "skeleton.mp4"
    code, out, _ = run(capfd, "pose", walking_film, "--output", film, "--fit-to", PHOTO, "--seconds", "0.8", "--json")
    told = json.loads(out)
    assert code == 0 and told["frames"] == 20 and told["person_seen"] == 1.0
    assert len(load_pose(told["sequence"])) == 20
    with open_source(film) as source:
        frame = source.frame_at(0.4)
    assert frame.shape == (384, 384, 3) and 0.005 < (frame.max(axis=-1) > 60).mean() < 0.2
    again = tmp_path / "again.mp4"
    code, out, _ = run(capfd, "pose", told["sequence"], "--output", again, "--seconds", "2", "--json")
    assert code == 0 and json.loads(out)["frames"] == 50 and "ends after 0.8 of 2 s" in out


def test_command_tells_how_well_a_film_follows_a_pose(walking_film, reading, tmp_path, capfd):
    moved = dataclasses.replace(reading.sequence, joints=reading.sequence.joints + np.float32([120, 0]))
    for name, sequence in (("same", reading.sequence), ("other", moved)):
        save_pose(sequence, tmp_path / f"{name}.npz")
    code, out, _ = run(capfd, "followed", walking_film, "--pose", tmp_path / "same.npz", "--json")
    assert code == 0 and json.loads(out)["pose"]["value"] < 2
    code, out, _ = run(capfd, "followed", walking_film, "--pose", tmp_path / "other.npz")
    assert code == 0 and "loosely" in out and "raise the strength" in out


def test_command_films_a_camera_path_and_follows_it_again(tmp_path, capfd):
    film = tmp_path / "pan.mp4"
    code, out, _ = run(capfd, "camera", "pan", "--picture", PHOTO, "--seconds", "0.6", "--output", film, "--json")
    told = json.loads(out)
    assert code == 0 and told["frames"] == 15 and 0.1 < told["largest_hole"] < 0.6
    yaw = json.loads((tmp_path / "pan.json").read_text())["points"][-1]["yaw"]
    code, out, _ = run(capfd, "camera", film, "--output", tmp_path / "again.mp4", "--json")
    assert code == 0
    followed = json.loads((tmp_path / "again.json").read_text())["points"][-1]["yaw"]
    assert followed == pytest.approx(yaw, rel=0.15)
    code, out, _ = run(capfd, "followed", film, "--camera", tmp_path / "pan.json", "--json")
    assert code == 0 and json.loads(out)["camera"]["value"] > 0.95 and json.loads(out)["camera"]["good"]
    code, _, _ = run(capfd, "camera", tmp_path / "again.json", "--picture", PHOTO, "--output", tmp_path / "third.mp4")
    assert code == 0 and (tmp_path / "third.mp4").exists()


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["pose", "none.mp4"], "none.mp4"),
        (["pose", "FILM", "--speed", "9"], "from 0.25 to 4"),
        (["pose", "FILM", "--start", "-1"], "--start"),
        (["pose", "FILM", "--output", "a.avi"], "does not end in .mp4"),
        (["pose", "FILM", "--output", "nowhere/a.mp4"], "no folder"),
        (["pose", "FILM", "--person", "5"], "no number 5"),
        (["pose", "FILM", "--output", "FILM"], "choose another name"),
        (["pose", "PHOTO.npz"], "no recorded pose"),
        (["camera", "pan"], "add --picture"),
        (["camera", "zoom", "--picture", "PHOTO"], "neither a film nor a camera movement"),
        (["camera", "pan", "--picture", "PHOTO", "--amount", "x"], "--amount"),
        (["camera", "path.json", "--picture", "PHOTO"], "no camera path"),
        (["camera", "PHOTO"], "whose camera rests"),
        (["camera", "pan", "--picture", "none.png"], "none.png"),
        (["camera"], "movement"),
        (["followed", "FILM"], "add --pose"),
        (["followed", "SHORT", "--camera", "PATH"], "3 frames, too few"),
        (["followed", "FILM", "--pose", "none.npz"], "no recorded pose"),
        (["followed", "FILM", "--camera", "none.json"], "no camera path"),
    ],
)
def test_every_refusal_is_one_sentence(walking_film, short_film, tmp_path, capfd, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    names = {"FILM": str(walking_film), "PHOTO": str(PHOTO), "SHORT": str(short_film[0]), "PATH": str(short_film[1])}
    code, out, err = run(capfd, *(names.get(argument, argument) for argument in arguments))
    assert code == 1 and says in err and out == ""
    assert len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert os.listdir(tmp_path) == []


def test_a_graph_that_does_not_start_is_made_anew(photo) -> None:
    """mediapipe's graphs fail to start now and then in a process that has run long."""
    from infinitetalk.vision.pose_extract import HolisticReader

    reader = HolisticReader(single_picture=True)
    working, failures = reader._model, []

    class Broken:
        def process(self, frame):
            failures.append(frame)
            raise RuntimeError("CalculatorGraph::Run() failed")

    reader._model = Broken()
    joints, confidence = reader(photo, None)
    reader.close()
    working.close()
    assert len(failures) == 1 and (confidence > 0).sum() > 10 and joints.max() > 50
