"""What docs/results.md says of rows of tasks that learn from examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.quality.entry import Entry
from benchmarks.quality.markdown import day, join, machine_text
from benchmarks.quality.scores import decimals_of
from benchmarks.rows import Row


def example_facts(entry: Entry, rows: Sequence[Row], newest: Row) -> list[str]:
    """The facts below a figure, a line each."""
    data, selection = newest["data"], newest["selection"]
    overrides = ", ".join(f"`{name}={value}`" for name, value in newest["overrides"].items()) or "none"
    fingerprints = ", ".join(f"{split} `{value[:12]}`" for split, value in sorted(data["fingerprints"].items()))
    folds = "" if entry.folds is None else f", {entry.folds} folds{_times(entry.repeats)}"
    each = [
        f"seed {row['seed']}: {_trained(row, entry)}, {row['training']['seconds'] / 60:.1f} minutes"
        + ("" if entry.folds is None else " in all")
        for row in rows
    ]
    commits = join([f"`{row['commit']}`" for row in rows])
    machines, days = join([machine_text(row) for row in rows]), join(sorted(day(row) for row in rows))
    return [
        f"command `{entry.command}`; recipe `{newest['recipe']}`, overrides {overrides}, "
        f"settings `{newest['settings']}`",
        f"data: {data['name']}, {data['num_train']:,} training {data['examples']} ({data['num_left_out']} longer ones "
        f"left out){folds}, fingerprints {fingerprints}",
        *(f"{name}: {text}" for name, text in newest["described"].items()),
        f"weights chosen on {selection['split']} by {selection['mode']}imum {selection['metric']}, every "
        f"{selection['validate_every']:,} steps",
        *each,
        *(line for split, found in newest["splits"].items() for line in _tests(split, found)),
        f"{newest['parameters']:,} parameters",
        f"seqlens {newest['seqlens']}, commit {commits}; {machines}; {days}",
    ]


def _trained(row: Row, entry: Entry) -> str:
    training = row["training"]
    if entry.folds is not None:
        return "all folds"
    return f"{training['steps']:,} steps, {training['epochs']:.1f} epochs ({training['stop_reason']})"


def _tests(split: str, found: Mapping[str, Any]) -> list[str]:
    """The paired tests against the baselines, by the first measure."""
    first = next(iter(found.get("measures", ())), None)
    if first is None:
        return []
    score = found["scores"][first]
    digits = decimals_of(score)
    return [
        f"{split}, {score.get('name', first)} against {baseline}: {test['difference']:+.{digits}f} "
        f"[{test['low']:+.{digits}f}, {test['high']:+.{digits}f}], p {test['p']:.3f} (paired bootstrap)"
        for baseline, test in found.get("tests", {}).items()
    ]


def _times(repeats: int) -> str:
    return "" if repeats == 1 else f", {repeats} times with other folds"
