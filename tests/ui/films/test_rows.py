"""What the list says of a film in each state."""

from __future__ import annotations

import re
from pathlib import Path

from infinitetalk.config.request import GenerationRequest, Speaker
from infinitetalk.jobs.folder import JobFolder
from infinitetalk.ui.films.rows import film_list
from infinitetalk.ui.studio import Studio


def _actions(html: str) -> list[str]:
    return re.findall(r'data-do="(\w+)"', html.partition("<ul")[2])


def test_every_state_has_its_words_and_buttons(tmp_path: Path, picture: Path, voice: Path) -> None:
    studio = Studio(tmp_path / "jobs", shared=False)
    assert "appear here" in film_list(studio, [], None)
    studio.pause(True, [])
    job = studio.submit_later(GenerationRequest(str(picture), (Speaker(str(voice)),)))
    waiting = film_list(studio, [], job.directory)
    assert "Paused; it is next" in waiting and "0 of 3 chunks · 7 s · nano" in waiting
    assert "aria-current" in waiting and "data:image/jpeg;base64," in waiting
    assert _actions(waiting) == ["rename", "watch", "up", "down", "again", "remove"]
    assert waiting.count("aria-disabled") == 2, "alone in the queue"
    assert "1 film in the queue, paused" in waiting and "someone" in waiting, "named after the picture"

    studio.cancel(job)
    stopped = film_list(studio, [], None)
    assert "Not begun" in stopped and 'data-do="resume"' in stopped and "queue-bar" not in stopped

    (job.directory / ".owner.json").write_text("{}")
    killed = film_list(studio, [], None)
    assert "Killed" in killed and _actions(killed) == ["rename", "resume", "again", "remove"]
    (job.directory / ".owner.json").unlink()

    JobFolder.open(job.directory).rename("  Ann's <best>\nfilm ")
    assert "<strong>Ann&#x27;s &lt;best&gt; film</strong>" in film_list(studio, [], None)
    JobFolder.open(job.directory).rename("")
    assert "<strong>someone</strong>" in film_list(studio, [], None)

    (job.directory / "project.json").write_text("not a project <b>")
    damaged = film_list(studio, [], None)
    assert 'data-state="damaged"' in damaged and "<b>" not in damaged and 'data-do="remove"' in damaged
