"""What the list says of a film in each state."""

from __future__ import annotations

from pathlib import Path

from infinitetalk.request import GenerationRequest, Speaker
from infinitetalk.ui.films.rows import film_list
from infinitetalk.ui.studio import Studio


def test_every_state_has_its_words_and_buttons(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs", shared=False)
    assert "appear here" in film_list(studio, [], None)
    studio.pause(True)
    job = studio.submit_later(GenerationRequest(str(picture), (Speaker(str(voice)),)))
    waiting = film_list(studio, [], job.directory)
    assert "Next in the queue" in waiting and "aria-current" in waiting and "data:image/jpeg;base64," in waiting
    assert [do for do in ("watch", "up", "down", "remove", "resume", "open") if f'data-do="{do}"' in waiting] == [
        "watch", "up", "down", "remove",
    ]  # fmt: skip
    assert "The queue is paused" in waiting and "someone" in waiting, "named after the picture"

    studio.cancel(job)
    stopped = film_list(studio, [], None)
    assert "Not begun" in stopped and 'data-do="resume"' in stopped and "queue-bar" not in stopped

    (job.directory / "project.json").write_text("not a project <b>")
    damaged = film_list(studio, [], None)
    assert 'data-state="damaged"' in damaged and "<b>" not in damaged and 'data-do="remove"' in damaged
