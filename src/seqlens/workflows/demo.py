"""Models learn side by side, in about two minutes on two cores, with nothing to download."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from seqlens._version import __version__
from seqlens.config import write_json
from seqlens.errors import RequestError, did_you_mean
from seqlens.inference import describe_machine
from seqlens.metrics import Score
from seqlens.report import Interval, Report, Table, markdown_table, write_report
from seqlens.report.sections import TableCell
from seqlens.training.observer import Observer
from seqlens.training.run_config import RunConfig
from seqlens.workflows.demo_contest import GOAL, Contender, Contest, demo_config, train_in_helper, train_on
from seqlens.workflows.demo_processes import hold_contest
from seqlens.workflows.demo_report import demo_sections
from seqlens.workflows.demos import EXAMPLE_DEMOS
from seqlens.workflows.preparation import Announce, prepare

# The longest first, so that two processes end at about the same time.
DEMOS = {"dates": ("transformer", "gru-attention", "gru", "lstm", "rnn")}
SHOWN_ORDER = ("rnn", "lstm", "gru", "gru-attention", "transformer")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """All contenders, the held-out pairs, the summary table, the report's path, and what the whole took."""

    contenders: tuple[Contender, ...]
    pairs: tuple[tuple[str, str], ...]
    table: Table
    report: Path
    seconds: float
    peak_memory_gib: float


def run_demo(
    name: str = "dates",
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    steps: int | None = None,
    num_processes: int = 1,
    announce: Announce | None = None,
    observe: Callable[[str], Observer | None] | None = None,
) -> DemoResult:
    """Trains the models of a demo with equal budgets, and writes `report.html`, `demo.json` and run folders.

    Args:
        name: `dates`.
        out: where the report and the runs go, `runs/demo-<name>` by default; earlier results there are replaced.
        seed: decides weights, order and dropout; that of the recipes if None.
        steps: of training for each model; those of the recipes if None.
        num_processes: 1, or 2 to train two models at a time; a script that asks for 2 needs `if __name__ ==
            "__main__":`, as for every use of multiprocessing.
        announce: told, a sentence each, of what happens.
        observe: makes an observer of training for a model's name.

    Raises:
        RequestError: there is no such demo.
    """
    if name not in DEMOS:
        raise unknown_demo(name)
    announce = announce or (lambda text: None)
    observe = observe or (lambda model: None)
    started = time.perf_counter()
    folder = Path(out) if out is not None else Path("runs") / f"demo-{name}"
    models = DEMOS[name]
    config = demo_config(f"{name}/{models[0]}", seed=seed, steps=steps)
    prepared = prepare(config, codec_folder=None, announce=announce)
    pairs = [(pair.source, pair.target or "") for pair in prepared.corpus.read("test")]
    contest = Contest(name, folder, seed, steps)
    if num_processes > 1:
        prepared.task.save(contest.codec_folder)
    contenders = hold_contest(
        models,
        train_on(contest, prepared),
        partial(train_in_helper, contest, models[0]),
        num_processes=num_processes,
        announce=announce,
        observe=observe,
    )
    contenders.sort(key=lambda contender: SHOWN_ORDER.index(contender.name))
    table = summary_table(contenders)
    seconds = time.perf_counter() - started
    memory = peak_memory_gib()
    report = Report(
        title="Dates as people write them, to ISO 8601",
        summary=_SUMMARY,
        sections=demo_sections(contenders, pairs, table),
        facts=_facts(name, config, seconds, memory),
    )
    path = folder / "report.html"
    write_report(report, path)
    write_json(folder / "demo.json", {"seconds": seconds, "peak_memory_gib": memory, "table": markdown_table(table)})
    return DemoResult(tuple(contenders), tuple(pairs), table, path, seconds, memory)


def unknown_demo(name: str) -> RequestError:
    """What is said of a demo that there is not."""
    names = demo_names()
    return RequestError(f"There is no demo '{name}', expected one of {', '.join(names)}.{did_you_mean(name, names)}")


def demo_names() -> list[str]:
    """All demos, those of other tasks as well."""
    return [*DEMOS, *(demo.name for demo in EXAMPLE_DEMOS)]


_SUMMARY = (
    "Five models read dates in two dozen locales, one to four in a sentence, and write them as year-month-day. All see "
    "the same sentences in the same order for the same number of steps. Without attention the whole sentence must pass "
    "through one vector; the chart by number of dates shows what that costs."
)


def summary_table(contenders: Sequence[Contender]) -> Table:
    """What each model reached and what it cost."""
    counts = sorted(contenders[0].exact_by_count)
    names = {1: "1 date", **{count: f"{count} dates" for count in counts if count > 1}}
    rows: list[list[TableCell]] = []
    for contender in contenders:
        exact = [_interval(contender.exact_by_count[count]) for count in counts]
        steps = contender.steps_to_goal
        reached = "not reached" if steps is None else str(steps)
        rows.append([contender.name, *exact, reached, contender.num_parameters, round(contender.seconds, 1)])
    columns = ("model", *(names[count] for count in counts), f"steps to {GOAL}", "parameters", "seconds")
    note = (
        "Exact match on held-out sentences by number of dates in them, with 95 % bootstrap intervals; held-out days "
        f"are never seen in training. Steps until {GOAL} of single dates of the validation split were right."
    )
    return Table("Results", columns, rows, note=note)


def peak_memory_gib() -> float:
    """The largest resident sizes of this process and of its largest ended child, added."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    own, child = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = own.ru_maxrss + child.ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def _interval(score: Score) -> Interval:
    return Interval(score.value, score.low, score.high)


def _facts(name: str, config: RunConfig, seconds: float, memory: float) -> dict[str, str]:
    machine = describe_machine()
    return {
        "command": f"seqlens demo {name}",
        "seed": str(config.seed),
        "training": f"{config.training.max_steps} steps for each model, batches of {config.batches.max_tokens} tokens",
        "time": f"{seconds:.0f} s in all, peak memory {memory:.2f} GiB",
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"seqlens {__version__}, torch {machine['torch']}, Python {machine['python']}",
        "date": datetime.now(UTC).date().isoformat(),
    }
