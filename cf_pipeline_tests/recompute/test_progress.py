"""Lines with rate and time left; not too many of them."""

from __future__ import annotations

import base64

import pytest

from cf_pipeline.defs.pictures import picture
from cf_pipeline.recompute import progress
from cf_pipeline.recompute.progress import StageProgress


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, line: str) -> None:
        self.lines.append(line)


def test_a_line_says_how_far_how_fast_and_how_long() -> None:
    said = StageProgress(Log(), "covers", "covers")
    assert said.line(640, 4186, {"loss": 2.412}, 10.0) == (
        "640 of 4,186 covers  64/s  0:55 left  loss 2.412"
    )
    assert said.line(0, 10, {}, 0.0) == "0 of 10 covers  0/s  0:00 left"
    assert said.line(4, 10, {}, 48.0) == "4 of 10 covers  12 s each  1:12 left"
    assert said.line(1, 7201, {}, 1.0).endswith("120:00 left")


def test_work_of_a_moment_says_nothing() -> None:
    log = Log()
    say = StageProgress(log, "covers", "covers")
    for done in range(1, 101):
        say(done, 100, {})
    assert log.lines == []


def test_long_work_says_so_every_ten_seconds_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    log = Log()
    say = StageProgress(log, "covers", "covers")
    for done in range(1, 11):
        say(done, 10, {"loss": 1.0})
    assert [line.split()[0] for line in log.lines] == ["4", "8", "10"]
    assert log.lines[-1] == "10 of 10 covers  3 s each  0:00 left  loss 1"


def test_a_picture_is_whole_inside_its_text() -> None:
    shown = picture(b"\x89PNG bytes", "loss curves").value
    assert shown.startswith("![loss curves](data:image/png;base64,")
    assert base64.b64decode(shown.split("base64,")[1].rstrip(")")) == b"\x89PNG bytes"
