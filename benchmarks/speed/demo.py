"""The demo as a stranger meets it: its time, its memory, and what its models know afterwards, counted anew."""

import tempfile
from pathlib import Path

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.process import run_python
from seqlens.config import read_json
from seqlens.errors import WorkError
from seqlens.metrics import Score

SECONDS_BAR = 150.0
MEMORY_BAR = 1.5
EXACT_BAR = 0.97
BARRED = ("gru-attention", "transformer")
GIGABYTE = 1e9
RUNS = Path("runs") / "demo-dates"
COMMAND = ("-m", "seqlens", "demo")
# One model, hardly trained.
QUICK_COMMAND = (
    *("-m", "seqlens", "train", "dates/smoke", "--out", str(RUNS / "gru-attention")),
    *("--set", "training.max_steps=2"),
)


def measure(*, quick: bool) -> Result:
    """Runs the demo in a fresh process, folder and cache, then asks the trained runs the held-out single dates."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        done = run_python(
            QUICK_COMMAND if quick else COMMAND, folder=folder, environment={"SEQLENS_CACHE": str(folder / "cache")}
        )
        names = sorted(path.parent.name for path in (folder / RUNS).glob("*/run.json"))
        missing = set() if quick else {*BARRED} - {*names}
        if missing:
            raise WorkError(f"The demo left no run of {', '.join(sorted(missing))} in {RUNS}.")
        peak_bytes = (
            done.peak_bytes if quick else int(read_json(folder / RUNS / "demo.json")["peak_memory_gib"] * 2**30)
        )
        scores = {name: single_dates(folder / RUNS / name) for name in names}
    cost = (
        Figure(name="wall time, from start to report", value=done.seconds, unit="s", bar=SECONDS_BAR),
        Figure(
            name="peak resident memory, both processes added", value=peak_bytes / GIGABYTE, unit="GB", bar=MEMORY_BAR
        ),
    )
    exact = tuple(
        Figure(
            name=f"{name}: exact match on held-out single dates",
            value=score.value,
            unit="",
            low=score.low,
            high=score.high,
            bar=EXACT_BAR if name in BARRED else None,
            better="higher",
        )
        for name, score in scores.items()
    )
    counts = sorted({score.num_examples for score in scores.values()})
    facts = {
        "how": f"`python {' '.join(COMMAND)}` with the recipes' seed, in an empty folder with an empty cache; "
        "memory as the kernel counted it, the largest of each of the two processes added, 1 GB = 10^9 bytes",
        "exact match": f"the run folders loaded afterwards and asked the {', '.join(map(str, counts))} sentences of "
        "the test split that hold one date, greedy search; with 95 % bootstrap intervals",
    }
    return Result(name="demo", title="The demo", figures=(*cost, *exact), facts=facts)


def single_dates(run: Path) -> Score:
    """Exact match, 0 to 1, of a run on the sentences of its test split that hold one date."""
    from seqlens.config import load_config
    from seqlens.data.corpus import open_corpus
    from seqlens.data.dates import count_dates
    from seqlens.inference import load_transducer
    from seqlens.metrics import exact_match
    from seqlens.training.run_config import RunConfig
    from seqlens.workflows.train import RECIPE_FILE

    predictor = load_transducer(run, device="cpu")
    corpus = open_corpus(load_config(RunConfig, run / RECIPE_FILE).pair_data, base=run)
    pairs = [(pair.source, pair.target or "") for pair in corpus.read("test")]
    singles = [(source, target) for source, target in pairs if count_dates(target) == 1]
    answers = predictor.predict([source for source, _ in singles], batch_size=250, method="greedy")
    return exact_match([answer.text for answer in answers], [target for _, target in singles])
