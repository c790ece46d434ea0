"""docs/results.md says what the rows say: no more, and nothing left out."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.provenance import QUALITY_ROWS, RESULTS_PAGE, SPEED_ROWS
from benchmarks.quality.comparison_plan import COMPARISONS
from benchmarks.quality.entry import Entry, Goal, ModelTable, check_plan
from benchmarks.quality.markdown import table
from benchmarks.quality.plan import PLAN, TABLES
from benchmarks.quality.results import results, results_page
from benchmarks.rows import read_rows
from benchmarks.speed.figures import Figure, Result, to_row
from seqlens.errors import RequestError

ENTRY = Entry(
    name="de-en",
    title="German to English",
    section="Translation",
    recipe="translation/gru-attention",
    seeds=(1, 2, 3),
    splits=("test",),
    goals=(
        Goal(
            split="test",
            score="bleu_lowercase",
            to_reach=32.0,
            source="the issue",
            published=28.1,
            published_by="a tutorial",
            max_training_minutes=30,
        ),
    ),
)
MACHINE = {"processor": "A | B", "cores": 2, "threads": 2, "torch": "2.13.0", "gpu": None}


def score(value: float, signature: str = "sig") -> dict[str, Any]:
    return {"value": value, "low": value - 1.5, "high": value + 1.5, "signature": signature, "num_examples": 1000}


def make_row(seed: int, bleu: float, *, minutes: float = 25.0, settings: str = "s1", day: int = 1) -> dict[str, Any]:
    return {
        "entry": "de-en",
        "recipe": "translation/gru-attention",
        "overrides": {},
        "seed": seed,
        "settings": settings,
        "search": {"method": "beam", "beam_width": 5, "length_penalty": 1.0, "stopping": "bound"},
        "splits": {
            "test": {
                "scores": {"bleu_lowercase": score(bleu), "bleu_cased": score(bleu - 1), "perplexity": score(6.0)},
                "baselines": {
                    "copy the source": {"bleu_lowercase": score(4.0)},
                    "nearest training pair": {"bleu_lowercase": score(5.0)},
                },
            }
        },
        "training": {"steps": 6000, "epochs": 30.0, "seconds": 60 * minutes, "stop_reason": "max_epochs"},
        "selection": {
            "split": "validation",
            "metric": "bleu",
            "mode": "max",
            "search": "greedy",
            "lowercase": True,
            "num_examples": 1014,
            "validate_every": 220,
            "kind": "best",
            "step": 5500,
        },
        "padding_waste": 0.0412,
        "codec": {
            "settings": {"kind": "shared", "text": {"kind": "subwords", "algorithm": "bpe", "normalisation": "nfc"}},
            "source_size": 8000,
            "target_size": 8000,
        },
        "parameters": 9_000_000,
        "data": {
            "name": "multi30k",
            "source": "de",
            "target": "en",
            "num_train": 29000,
            "num_left_out": 0,
            "fingerprints": {"train": "0123456789abcdef"},
        },
        "sessions": [{"commit": "abc", "time": "t"}],
        "seqlens": "0.1.0",
        "commit": "abc",
        "machine": MACHINE,
        "time": f"2026-01-0{day}T00:00:00+00:00",
    }


def cells(page: str, beginning: str) -> list[str]:
    """The cells of the one line of the page's figures that begins so."""
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {beginning}")]
    return [cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")]


def figure(page: str) -> list[str]:
    return cells(page, "German to English, test: BLEU lower-cased")


def test_the_committed_page_is_what_the_committed_rows_make() -> None:
    page = results_page(read_rows(QUALITY_ROWS), read_rows(SPEED_ROWS), PLAN, COMPARISONS, tables=TABLES)
    assert RESULTS_PAGE.read_text(encoding="utf-8") == page, "run `make docs`"


def test_the_page_does_not_depend_on_the_order_of_seeds() -> None:
    rows = [make_row(seed, 33.0 + seed) for seed in (1, 2, 3)]
    page = results_page(rows, [], [ENTRY])
    assert page == results_page(copy.deepcopy(rows)[::-1], [], [ENTRY])


def test_a_figure_tells_the_mean_over_all_seeds_its_range_and_all_it_depends_on() -> None:
    page = results_page([make_row(1, 32.0), make_row(2, 33.0), make_row(3, 35.5)], [], [ENTRY])
    assert figure(page) == [
        "German to English, test: BLEU lower-cased",
        "`python -m benchmarks.quality.queue --only de-en`",
        "1, 2, 3",
        "33.5 [32.0, 35.5]",
        "[30.5, 37.0]",
        "28.1 (a tutorial)",
        "≥ 32 (the issue)",
        "**reached**",
        "25.0 [25.0, 25.0] min",
        "A ¦ B, 2 cores, 2 threads, torch 2.13.0",
        "2026-01-01",
    ]
    lines = page.splitlines()
    above = lines[next(n for n, line in enumerate(lines) if line.startswith("| German to English, test")) - 1]
    assert above.startswith("| baseline: nearest training pair |")
    assert "| 5.0 | [3.5, 6.5] |" in above
    for fact in (
        "subwords (bpe, nfc), one vocabulary of 8,000 for both sides",
        "validation by maximum bleu (lower-cased, greedy search over 1,014 sentences)",
        "beam search, beam width 5, length penalty 1.0, stopping bound",
        "seed 2: 6,000 steps, 30.0 epochs, 25.0 minutes (max_epochs), best weights of step 5,500",
        "padding waste 4.1 %",
        "commit `abc`",
        "| test | **this model** | 1, 2, 3 | 33.5 [32.0, 35.5] | 32.5 [31.0, 34.5] | 6.0 [6.0, 6.0] |",
    ):
        assert fact in page


@pytest.mark.parametrize(
    ("values", "minutes", "verdict"),
    [
        ((31.9, 32.0, 32.0), 25, "not reached"),  # 31.97 is shown as 32.0, and still is none
        ((30.0, 32.0, 34.1), 25, "**reached**"),
        ((34.0, 34.0, 34.0), 30.1, "not reached: training took 30.1 of 30 minutes"),
        ((34.0,), 25, "**reached**, with 1 of 3 seeds so far"),
        ((20.0, 21.0), 25, "not reached, with 2 of 3 seeds so far"),
    ],
)
def test_verdicts(values: tuple[float, ...], minutes: float, verdict: str) -> None:
    rows = [make_row(seed, value, minutes=minutes) for seed, value in enumerate(values, start=1)]
    assert figure(results_page(rows, [], [ENTRY]))[7] == verdict


def test_what_was_not_run_is_said() -> None:
    line = figure(results_page([], [], [ENTRY]))
    assert line[2:8] == ["1, 2, 3", "–", "–", "28.1 (a tutorial)", "≥ 32 (the issue)", "not run yet"]


def test_a_goal_for_a_score_that_no_row_has_is_refused() -> None:
    goal = replace(ENTRY.goals[0], score="bleu_lowercased")
    with pytest.raises(RequestError, match=r"^de-en: .*'bleu_lowercased'.*on 'test' bleu_cased.*mean 'bleu_lowercase'"):
        results_page([make_row(1, 30.0)], [], [replace(ENTRY, goals=(goal,))])


def test_a_seed_that_was_not_planned_counts_in_the_mean() -> None:
    rows = [make_row(seed, 34.0) for seed in (1, 2, 3)] + [make_row(4, 20.0)]
    line = figure(results_page(rows, [], [ENTRY]))
    assert (line[2], line[3], line[7]) == ("1, 2, 3, 4", "30.5 [20.0, 34.0]", "not reached")


def test_of_a_seed_run_twice_the_last_row_counts() -> None:
    rows = [make_row(1, 10.0), make_row(1, 40.0, day=2), make_row(2, 40.0), make_row(3, 40.0)]
    assert figure(results_page(rows, [], [ENTRY]))[3] == "40.0 [40.0, 40.0]"


def test_settings_are_never_mixed_and_earlier_ones_stay_on_the_page() -> None:
    rows = [make_row(1, 40.0), make_row(1, 33.0, settings="s2", day=2)]
    page = results_page(rows, [], [ENTRY])
    assert figure(page)[3] == "33.0"
    earlier = cells(page, "de-en")
    assert earlier[1] == "`s1`"
    assert "test BLEU lower-cased 40.0" in earlier[3]


def test_rows_of_an_entry_that_left_the_plan_stay_on_the_page() -> None:
    page = results_page([make_row(1, 40.0)], [], [])
    assert "No longer in the plan" in page
    assert "test BLEU lower-cased 40.0" in cells(page, "de-en")[3]


def test_a_training_of_several_commits_is_said() -> None:
    row = make_row(1, 33.0)
    row["sessions"] = [{"commit": "old", "time": "t"}, {"commit": "abc-dirty", "time": "t"}]
    page = results_page([row], [], [ENTRY])
    assert "resumed once, trained and scored at `old` and `abc-dirty` and `abc`" in page


def test_the_newest_row_of_a_speed_benchmark_is_shown() -> None:
    origin = {"seqlens": "0.1.0", "commit": "abc", "machine": MACHINE}

    def row(value: float, day: int) -> dict[str, Any]:
        found = Figure(name="import", value=value, unit="s", low=value, high=value, bar=0.2)
        result = Result(name="startup", title="Startup", figures=(found,), facts={"how": "by a clock"})
        return to_row(result, {**origin, "time": f"2026-01-0{day}T00:00:00+00:00"})

    page = results_page([], [row(0.1, 1), row(0.3, 2)], [])
    assert cells(page, "import") == [
        "import",
        "0.3 [0.3, 0.3] s",
        "≤ 0.2 s",
        "not reached",
        "`python -m benchmarks.speed startup --write`",
        "A ¦ B, 2 cores, 2 threads, torch 2.13.0",
        "2026-01-02",
    ]
    assert "- how: by a clock" in page
    assert "`python -m benchmarks.speed demo`" in page.split("Not run yet:")[1]


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results(write=tmp_path / "results.md")
    results(write=None)
    assert capsys.readouterr().out == (tmp_path / "results.md").read_text(encoding="utf-8")


def test_a_row_of_a_table_that_lacks_a_cell_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 columns"):
        table(("one", "other"), [("only",)])


def test_models_of_one_budget_stand_in_one_table_below_the_strongest_baseline() -> None:
    other = replace(ENTRY, name="other", title="Another", goals=())
    shown = ModelTable(
        title="Both", section="Translation", entries=("de-en", "other"), split="test", scores=("bleu_lowercase",)
    )
    check_plan([ENTRY, other], (), [shown])
    rows = [make_row(1, 33.0)]
    text = results_page(rows, [], [ENTRY, other], tables=[shown])
    lines = text[text.index("### Both") :].splitlines()[4:7]
    assert [line.split(" | ")[:2] for line in lines] == [
        ["| baseline: nearest training pair", "5.0 [3.5, 6.5]"],
        ["| German to English", "33.0 [31.5, 34.5]"],
        ["| Another: not run yet", "–"],
    ]
    assert "### Both" not in results_page([], [], [ENTRY, other], tables=[shown])
    with pytest.raises(ValueError, match="there is no entry 'none' with 'test'"):
        check_plan([ENTRY], (), [replace(shown, entries=("none",))])
