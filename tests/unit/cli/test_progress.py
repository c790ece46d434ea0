"""What is shown of a training, on a terminal and in a pipe."""

import io
import math

import pytest
from rich.console import Console

from seqlens.cli.progress import LiveLine, PlainLines, counting, duration, live_progress, show_training
from seqlens.training.observer import FitResult, Progress, StopReason, Validation


def progress(step: int, *, max_steps: int | None = 1000, seconds_left: float | None = 75.0) -> Progress:
    return Progress(
        step=step,
        max_steps=max_steps,
        epoch=0.5,
        loss=2.34567,
        pace=12345.6,
        seconds_left=seconds_left,
        learning_rate=1e-3,
        gradient_norm=1.0,
    )


def result(reason: StopReason = "max_steps", best_step: int | None = 20) -> FitResult:
    return FitResult(1200, 3.25, 3725.0, best_step, {"loss": 1.5}, reason, "best")


def test_plain_lines_are_few_and_validations_complete(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.1 * step for step in range(1, 5000)])
    monkeypatch.setattr("seqlens.cli.progress.time.monotonic", lambda: next(seconds))
    with PlainLines("gru") as lines:
        for step in range(1, 3001):  # 300 seconds
            lines.on_step(progress(step))
        lines.on_validation(Validation(3000, {"loss": 1.25, "exact_match": 0.5, "bleu": math.nan}, True, 2.0))
        lines.on_warning("The gradient vanishes.")
        lines.on_end(result())
    captured = capsys.readouterr()
    assert captured.out == ""
    told = captured.err.splitlines()
    assert told[0] == "gru: step 1/1,000  loss 2.346  12,346 tokens/s  1:15 left"
    assert 5 <= len([line for line in told if " tokens/s " in line]) <= 15
    assert told[-3:] == [
        "gru: step 3,000  validation: loss 1.25, exact match 0.5, bleu not finite  best so far",
        "warning: gru: The gradient vanishes.",
        "gru: Trained 1,200 steps (3.2 epochs) in 1:02:05: all steps are done; the best weights, of step 20, are kept.",
    ]


def test_a_live_line_shows_the_step_and_keeps_what_came_before() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, highlight=False, markup=False)
    live = live_progress(console)
    with LiveLine(live) as line:
        line.on_step(progress(1))
        line.on_validation(Validation(1, {"loss": 1.25}, False, 2.0))
        line.on_warning("The gradient [vanishes].")
        line.on_step(progress(500))
        live.refresh()
        line.on_end(result("early_stopping"))
    drawn = stream.getvalue()
    assert "500/1,000" in drawn
    assert "loss 2.346  12,346 tokens/s  1:15 left" in drawn
    assert "step 1  validation: loss 1.25" in drawn
    assert "The gradient [vanishes]." in drawn
    assert "validation got no better any more" in drawn
    assert drawn.count("\x1b[?25l") == drawn.count("\x1b[?25h") == 1, "the cursor must come back"


def test_the_cursor_comes_back_when_training_fails() -> None:
    stream = io.StringIO()
    line = LiveLine(live_progress(Console(file=stream, force_terminal=True, width=100)))

    def failing() -> None:
        with line:
            line.on_step(progress(1, max_steps=None, seconds_left=None))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert stream.getvalue().count("\x1b[?25h") == 1


@pytest.mark.parametrize("max_steps", [None, 1000])
@pytest.mark.parametrize("seconds_left", [None, 0.0, 30.0])
def test_every_kind_of_limit_can_be_shown(max_steps: int | None, seconds_left: float | None) -> None:
    stream = io.StringIO()
    live = live_progress(Console(file=stream, force_terminal=True, width=100))
    with LiveLine(live) as line:
        line.on_step(progress(7, max_steps=max_steps, seconds_left=seconds_left))
        live.refresh()
        line.on_end(result(best_step=None))
    assert ("left" in stream.getvalue()) == (seconds_left is not None)


def test_a_pipe_gets_plain_lines() -> None:
    assert isinstance(show_training(), PlainLines)


def test_trainings_at_the_same_time_have_a_line_each() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, highlight=False)
    live = live_progress(console)
    first, second = LiveLine(live, "gru"), LiveLine(live, "lstm")
    first.on_step(progress(3))
    second.on_step(progress(5))
    live.refresh()
    last_drawing = stream.getvalue().rpartition("\x1b[2K")[2]
    assert "lstm: 5/1,000" in last_drawing
    assert "gru: 3/1,000" in stream.getvalue()
    first.on_end(result())
    assert not live.finished
    assert [task.description for task in live.tasks] == ["lstm: 5/1,000"]
    second.on_end(result())
    assert stream.getvalue().count("\x1b[?25h") == 1
    assert "lstm: Trained 1,200 steps" in stream.getvalue()


def test_counting_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("answered") as show:
        show(3, 10)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.7, "1:00"),
        (60.0, "1:00"),
        (3599.4, "59:59"),
        (3661.0, "1:01:01"),
        (90000.0, "25:00:00"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
