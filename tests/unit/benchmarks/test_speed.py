"""What the benchmarks of speed are made of: clocks, memory, ratios, bars."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.provenance import REPOSITORY
from benchmarks.speed.figures import Figure, Result, figure_of, print_result, to_row
from benchmarks.speed.memory import peak_bytes, resident_bytes
from benchmarks.speed.padding import random_waste
from benchmarks.speed.process import child_environment, run_python
from benchmarks.speed.timing import Times, interleave, ratio
from seqlens.errors import WorkError

MEBIBYTE = 2**20
on_linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux' /proc")


@pytest.mark.parametrize(
    ("value", "better", "reached"),
    [(0.2, "lower", True), (0.21, "lower", False), (0.2, "higher", True), (0.19, "higher", False)],
)
def test_a_bar_is_reached_from_its_good_side(value: float, better: object, reached: bool) -> None:
    assert Figure(name="n", value=value, unit="s", bar=0.2, better=better).reached is reached  # type: ignore[arg-type]


def test_results_are_printed_with_their_verdicts_and_come_back_from_a_row() -> None:
    figures = (
        Figure(name="good", value=1234.5, unit="MiB", low=1200, high=1300, bar=2000),
        Figure(name="bad", value=0.5, unit="", bar=0.97, better="higher"),
        Figure(name="plain", value=2.0, unit="×"),
    )
    result = Result(name="n", title="Title", figures=figures, facts={"how": "so"})
    out = io.StringIO()
    print_result(result, Console(file=out, width=120))
    lines = {line.split()[1]: line for line in out.getvalue().splitlines() if line.startswith("│")}
    assert "1,234 [1,200, 1,300] MiB" in lines["good"]
    assert "≤ 2000 MiB" in lines["good"]
    assert lines["good"].rstrip(" │").endswith(" reached")
    assert "not reached" in lines["bad"]
    assert "reached" not in lines["plain"]
    assert "how: so" in out.getvalue()
    assert not result.all_reached
    row = to_row(result, {"time": "t"})
    assert tuple(figure_of(fields) for fields in row["figures"]) == figures
    assert [fields["reached"] for fields in row["figures"]] == [True, False, None]


def test_variants_take_turns_back_and_forth_and_the_warm_up_is_not_counted() -> None:
    calls: list[str] = []
    times = interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, warmup=1)
    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert {name: len(found.seconds) for name, found in times.items()} == {"a": 2, "b": 2}


def test_no_round_begins_when_time_is_up_but_the_least() -> None:
    calls: list[str] = []
    variants = {"a": lambda: calls.append("a")}
    assert len(interleave(variants, rounds=9, warmup=1, least_rounds=3, seconds=0.0)["a"].seconds) == 3
    assert len(calls) == 4
    assert len(interleave(variants, rounds=9, least_rounds=3, seconds=60.0)["a"].seconds) == 9


def test_a_ratio_is_taken_within_rounds() -> None:
    found = ratio(Times((2.0, 40.0, 3.0)), Times((1.0, 20.0, 1.0)))  # a busy second round slows both
    assert (found.median, found.low, found.high) == (2.0, 2.0, 3.0)


@on_linux
def test_the_peak_of_a_process_is_its_own() -> None:
    ballast = np.ones(300 * MEBIBYTE // 8)  # what this process holds must not be counted
    small = run_python(["-c", "print('한국어')"])
    large = run_python(["-c", f"x = bytearray(b'1') * {200 * MEBIBYTE}; del x"])
    assert small.output == "한국어\n"
    assert small.peak_bytes < 100 * MEBIBYTE < len(ballast) * 8
    assert large.peak_bytes >= small.peak_bytes + 150 * MEBIBYTE
    assert large.seconds > 0


def test_a_process_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(WorkError, match=r"ended with 1:\n(.*\n)*ValueError: so it is"):
        run_python(["-c", "raise ValueError('so it is')"])


def test_a_relative_python_path_holds_in_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", "src")
    assert child_environment()["PYTHONPATH"] == str(Path("src").resolve())


@on_linux
def test_the_peak_of_this_process_can_be_reset() -> None:
    # In a fresh process, since the peak of this one is not a test's to reset.
    program = (
        "from benchmarks.speed.memory import *\n"
        "x = bytearray(b'1') * (64 << 20)\n"
        "del x\n"
        "before = resident_bytes(); assert peak_bytes() >= before + (50 << 20)\n"
        "reset_peak(); assert peak_bytes() < before + (10 << 20)\n"
        "x = bytearray(b'1') * (32 << 20); del x\n"
        "print((peak_bytes() - before) >> 20)\n"
    )
    found = int(run_python(["-c", program], folder=REPOSITORY).output)
    assert 30 <= found <= 36
    assert peak_bytes() >= resident_bytes() > 0


def test_waste_of_random_batches_by_hand() -> None:
    # Three pairs of 4 and 2, and 4 and 4 tokens, any two of them in a batch of 8 positions a side.
    lengths = np.array([[4, 2], [4, 2], [4, 4]])
    # Two batches: either {4+2, 4+2}, {4+4}: no padding; or {4+2, 4+4}, {4+2}: 2 padded of 20 real positions.
    assert random_waste(lengths, 8) in (0.0, pytest.approx(0.1))
    assert random_waste(np.full((7, 2), 3), 6) == 0.0


def test_commands_refuse_what_they_do_not_know() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(
            command, cwd=REPOSITORY, env=child_environment(), capture_output=True, text=True, check=False
        )

    misspelt = run("benchmarks.speed", "startupp")
    assert misspelt.returncode == 2
    assert "Did you mean 'startup'?" in misspelt.stderr
    both = run("benchmarks.speed", "padding", "--quick", "--write")
    assert (both.returncode, both.stdout) == (2, "")
    assert run("benchmarks.quality.queue", "--list", "--only", "nothing").returncode == 2
