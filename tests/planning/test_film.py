"""A film prepared: facts, checks by the request's own features, an estimate; prepared once for a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infinitetalk.config.request import Guide, Keyframe
from infinitetalk.errors import InputError, PresetError
from infinitetalk.pipeline import generate, load_models, plan
from infinitetalk.planning import film as films
from infinitetalk.planning.facts import SourceFacts
from infinitetalk.planning.film import prepare
from tests.test_pipeline import request_for


class CostlyFeature:
    """What planning needs of a stage."""

    name = "costly"

    def __init__(self) -> None:
        self.checked: list[SourceFacts] = []

    def is_on(self, request) -> bool:
        return "costly" in request.stages

    def check(self, request, facts: SourceFacts) -> list[str]:
        self.checked.append(facts)
        return ["This costs."]

    def estimate_seconds(self, request, facts: SourceFacts) -> float:
        return 100.0 * facts.picture_seconds


def test_a_feature_is_checked_and_counted_where_it_is_on(tmp_path) -> None:
    feature, request = CostlyFeature(), request_for(tmp_path, 1.0)
    with prepare(request, [feature]).source:
        assert not feature.checked
    costly = prepare(replace(request, stages={"costly": {}}), [feature])
    (facts,) = feature.checked
    assert (facts.height, facts.width, facts.duration_seconds) == (256, 256, pytest.approx(1.0, abs=0.01))
    assert "This costs." in costly.plan.warnings and costly.plan.seconds_low > 60
    costly.source.close()


@pytest.mark.parametrize(
    "changes, words",
    [({"keyframes": (Keyframe(9.0, source_seconds=0.0),)}, "A keyframe stands at 9 s but the film lasts 1.00 s"),
     ({"guides": (Guide(2, 3, prompt="x"),)}, "A guide starts at 2 s but the film lasts 1.00 s"),
     ({"size": "huge"}, "nano has no size 'huge'")],
)  # fmt: skip
def test_what_lies_outside_the_film_is_an_error(tmp_path, changes, words) -> None:
    with pytest.raises((InputError, PresetError), match=words):
        plan(request_for(tmp_path, 1.0, **changes))


def test_notes_on_what_has_no_effect(tmp_path) -> None:
    notes = plan(request_for(tmp_path, 1.0, prompt="a walk", reference_placement="inside", background=0.5)).warnings
    for words in ("nano reads no prompt", "reference placement inside has no effect", "no sound of its own"):
        assert any(words in note for note in notes), (words, notes)


def test_a_film_is_prepared_once_for_a_run(tmp_path, monkeypatch) -> None:
    request = request_for(tmp_path, 0.6)
    models, opened = load_models(request), []
    original = films.open_source
    monkeypatch.setattr(films, "open_source", lambda path: opened.append(path) or original(path))
    list(generate(request, models, tmp_path / "job"))
    assert opened == [request.source]
