"""The section of docs/results.md that says which entry beats which, and the pictures of scores by length."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float64

from benchmarks.quality.answers import Kept, read_kept_of
from benchmarks.quality.entry import Comparison, Entry
from benchmarks.quality.groups import groups_for
from benchmarks.quality.markdown import NOTHING, table
from benchmarks.quality.scores import score_title
from benchmarks.rows import Row
from seqlens.metrics import PairedResult, Score, Statistics, approximate_randomisation, paired_bootstrap
from seqlens.report import LineChart, Series
from seqlens.tasks.transduce.analysis.buckets import Bucket, make_buckets

SIGNIFICANT = 0.05
_COLUMNS = ("question", "system", "against", "on", "seeds", "system's mean", "difference", "p", "verdict")
_HEAD = f"""\
## Comparisons

Each on the same sentences: paired bootstrap (1,000 resamples of the sentences; the value is the mean over the seeds
of which the answers of both are kept; others that both were run with are named), beside it the p-value of approximate
randomisation, both two-sided. **wins** and **loses** mean p < {SIGNIFICANT:g} in the bootstrap; otherwise the
difference may be chance.
Made from the counts in [benchmarks/quality/predictions](../benchmarks/quality/predictions).
"""


@final
@dataclass(frozen=True, slots=True)
class Pairing:
    """What two entries have in common: their counts by seed, on the same sentences.

    `left_out` are the seeds that both were run with, but counts of both are not kept of.
    """

    seeds: tuple[int, ...]
    left_out: tuple[int, ...]
    system: tuple[Kept, ...]
    baseline: tuple[Kept, ...]
    num_sentences: int
    num_in_split: int

    def statistics(self, score: str, rows: Sequence[int]) -> tuple[Statistics, Statistics]:
        """The mean of a score over the seeds, of both, on some of the sentences."""
        system, baseline = (
            mean_over_seeds([kept.scores[score].select(rows) for kept in side]) for side in (self.system, self.baseline)
        )
        return system, baseline

    def rows(self, *, unknown_only: bool) -> list[int]:
        """The sentences that count."""
        numbers = self.system[0].numbers["unknown"][: self.num_sentences]
        return [row for row, count in enumerate(numbers) if count > 0 or not unknown_only]

    def length_buckets(self) -> list[Bucket]:
        """Buckets by source length."""
        return make_buckets("length", self.system[0].numbers["length"][: self.num_sentences])


def comparison_section(
    comparisons: Sequence[Comparison], rows: Sequence[Row], plan: Sequence[Entry], answers: Path
) -> str:
    """The whole section in Markdown; nothing where nothing is compared."""
    if not comparisons:
        return ""
    titles = {entry.name: entry.title for entry in plan}
    lines, details = [], []
    for comparison in comparisons:
        pairing = find_pairing(comparison, rows, plan, answers)
        lines.append(_line(comparison, pairing, titles))
        if comparison.by_length and pairing is not None:
            details.append(_by_length(comparison, pairing, titles))
    return "\n".join([_HEAD, table(_COLUMNS, lines), _commands(comparisons, plan), *details])


def _commands(comparisons: Sequence[Comparison], plan: Sequence[Entry]) -> str:
    """What trains the two sides of each comparison."""
    commands = {entry.name: entry.command for entry in plan}
    lines = [f"- {one.question} `{commands[one.system]}`, `{commands[one.baseline]}`\n" for one in comparisons]
    return "".join(["Trained by, and then compared by `make docs`:\n\n", *lines])


def comparison_pictures(
    comparisons: Sequence[Comparison], rows: Sequence[Row], plan: Sequence[Entry], answers: Path
) -> dict[str, LineChart]:
    """The pictures that the section shows, by file name."""
    titles = {entry.name: entry.title for entry in plan}
    charts = {}
    for comparison in comparisons:
        pairing = find_pairing(comparison, rows, plan, answers) if comparison.by_length else None
        if pairing is not None:
            charts[picture_name(comparison)] = _chart(comparison, pairing, titles)
    return charts


def picture_name(comparison: Comparison) -> str:
    """The file of a comparison's picture in docs/gallery."""
    return f"{comparison.name}-by-length.svg"


def find_pairing(comparison: Comparison, rows: Sequence[Row], plan: Sequence[Entry], answers: Path) -> Pairing | None:
    """The planned settings of both entries, over the seeds for which both have counts; None if there is none.

    Raises:
        WorkError: a file is damaged. ValueError: the two were not measured on the same sentences.
    """
    entries = {entry.name: entry for entry in plan}
    system, system_rows = _kept_by_seed(entries[comparison.system], comparison.split, rows, answers)
    baseline, baseline_rows = _kept_by_seed(entries[comparison.baseline], comparison.split, rows, answers)
    seeds = sorted(system.keys() & baseline.keys())
    if not seeds:
        return None
    chosen = [system[seed] for seed in seeds] + [baseline[seed] for seed in seeds]
    if len({kept.scores[comparison.score].references_id for kept in chosen}) > 1:
        raise ValueError(f"{comparison.name}: the two entries were scored on other sentences")
    # A long split is kept in part; what all have is compared.
    count = min(kept.num_sentences for kept in chosen)
    return Pairing(
        seeds=tuple(seeds),
        left_out=tuple(sorted((system_rows & baseline_rows) - set(seeds))),
        system=tuple(system[seed] for seed in seeds),
        baseline=tuple(baseline[seed] for seed in seeds),
        num_sentences=count,
        num_in_split=chosen[0].num_in_split,
    )


def mean_over_seeds(statistics: Sequence[Statistics]) -> Statistics:
    """The mean of a score over several runs on the same sentences, as one statistic of the sentences."""
    first = statistics[0]
    widths = [one.per_example.shape[1] for one in statistics]
    return Statistics(
        name=first.name,
        per_example=np.concatenate([one.per_example for one in statistics], axis=1),
        score_totals=partial(_mean_of_scores, statistics, tuple(widths)),
        signature=first.signature,
        references_id=first.references_id,
        decimals=first.decimals,
    )


def verdict(result: PairedResult, digits: int = 1) -> str:
    """What the test allows to say."""
    if result.p_value >= SIGNIFICANT:
        return "does not win: the difference may be chance"
    by = f"{abs(result.difference):.{digits}f}"
    return f"**wins** by {by}" if result.difference > 0 else f"**loses** by {by}"


def _kept_by_seed(entry: Entry, split: str, rows: Sequence[Row], answers: Path) -> tuple[dict[int, Kept], Set[int]]:
    """What is kept of an entry's runs, and the seeds that there are runs of."""
    group = groups_for(rows, entry).current
    found = {row["seed"]: read_kept_of(answers, row, split) for row in (group.rows if group else ())}
    return {seed: kept for seed, kept in found.items() if kept is not None}, found.keys()


def _mean_of_scores(
    statistics: Sequence[Statistics], widths: Sequence[int], totals: Float64[np.ndarray, "*sets counts"]
) -> Float64[np.ndarray, "*sets"]:
    parts = np.split(totals, np.cumsum(widths)[:-1], axis=-1)
    return np.asarray(np.mean([one.score_totals(part) for one, part in zip(statistics, parts, strict=True)], axis=0))


def _line(comparison: Comparison, pairing: Pairing | None, titles: Mapping[str, str]) -> Sequence[str]:
    what = f"{comparison.split}, {score_title(comparison.score)}"
    what += ", sentences with unknown words" if comparison.unknown_only else ""
    names = (comparison.question, titles[comparison.system], titles[comparison.baseline])
    rows = [] if pairing is None else pairing.rows(unknown_only=comparison.unknown_only)
    if pairing is None or not rows:
        return (*names, what, *[NOTHING] * 4, "not run yet" if pairing is None else "no such sentences")
    system, baseline = pairing.statistics(comparison.score, rows)
    digits = system.decimals
    result = paired_bootstrap(system, baseline)
    randomised = approximate_randomisation(system, baseline)
    part = f" of the first {pairing.num_sentences:,}" if pairing.num_sentences < pairing.num_in_split else ""
    return (
        *names,
        f"{what} ({len(rows):,} sentences{part})",
        _seeds_text(pairing),
        f"{result.system:.{digits}f}",
        f"{result.difference:+.{digits}f} [{result.low:+.{digits}f}, {result.high:+.{digits}f}]",
        f"{result.p_value:.3f} ({randomised:.3f})",
        verdict(result, digits),
    )


def _seeds_text(pairing: Pairing) -> str:
    seeds = ", ".join(map(str, pairing.seeds))
    left_out = ", ".join(map(str, pairing.left_out))
    return f"{seeds} (of {left_out} too little is kept)" if left_out else seeds


def _by_length(comparison: Comparison, pairing: Pairing, titles: Mapping[str, str]) -> str:
    lines = []
    for bucket in pairing.length_buckets():
        system, baseline = pairing.statistics(comparison.score, bucket.rows)
        result = paired_bootstrap(system, baseline)
        lines.append(
            (
                bucket.label,
                f"{len(bucket.rows):,}",
                score_text(system.score()),
                score_text(baseline.score()),
                f"{result.difference:+.1f} [{result.low:+.1f}, {result.high:+.1f}]",
                f"{result.p_value:.3f}",
            )
        )
    columns = ("words of the source", "sentences", titles[comparison.system], titles[comparison.baseline], "difference")
    return "\n".join(
        [
            f"### {titles[comparison.system]} against {titles[comparison.baseline]}, by source length\n",
            f"![Score by source length](gallery/{picture_name(comparison)})\n",
            f"{score_title(comparison.score)} on {comparison.split}, mean over seeds "
            f"{_seeds_text(pairing)}, 95 % bootstrap intervals over the sentences.\n",
            table((*columns, "p"), lines),
        ]
    )


def _chart(comparison: Comparison, pairing: Pairing, titles: Mapping[str, str]) -> LineChart:
    buckets = pairing.length_buckets()
    means = [round(bucket.mean, 2) for bucket in buckets]
    both = [pairing.statistics(comparison.score, bucket.rows) for bucket in buckets]
    lines = []
    for place, name in enumerate((comparison.system, comparison.baseline)):
        scores = [sides[place].score() for sides in both]
        lines.append(
            Series(
                titles[name],
                means,
                [score.value for score in scores],
                low=[score.low for score in scores],
                high=[score.high for score in scores],
            )
        )
    title = f"{score_title(comparison.score)} by source length, {comparison.split}"
    return LineChart(title, "words of the source", score_title(comparison.score), lines)


def score_text(score: Score) -> str:
    """A score with its interval."""
    return f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}]"
