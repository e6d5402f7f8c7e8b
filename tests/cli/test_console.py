"""Consoles and progress bars."""

import io
import re

import pytest
from rich.console import Console

from anrl.cli import console


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_progress_bar_keeps_count_and_time_left_at_any_width(monkeypatch, width):
    stream = io.StringIO()
    monkeypatch.setattr(console, "errors", Console(file=stream, force_terminal=True, width=width))
    message = "loss 0.693 (0.693 0.1 0.001 0.001)  accuracy 50/50/50 %  gates 0.50  12 images/s"
    with console.progress_bar("training") as progress:
        for done in range(1, 8):
            progress(done, 1200, message)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    last = re.split(r"[\r\n]+", text.strip())[-1]
    assert "training" in last and "7/1200" in last
    assert re.search(r"-?\d?:--:--|\d+:\d\d:\d\d", last)
    assert len(last) <= width and (message in last) == (width == 200)
