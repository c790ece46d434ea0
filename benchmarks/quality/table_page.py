"""Tables of several models that were trained for the same task within the same time."""

from collections.abc import Sequence

from benchmarks.quality.entry import Entry, ModelTable
from benchmarks.quality.groups import groups_for, strongest_baseline
from benchmarks.quality.markdown import NOTHING, join, table
from benchmarks.quality.scores import decimals_of, interval_text, mean_of, mean_text, title_in
from benchmarks.rows import Row


def model_table(shown: ModelTable, plan: Sequence[Entry], rows: Sequence[Row]) -> str | None:
    """A heading and the table, the strongest cheap baseline on top; None while no model has a row."""
    entries = {entry.name: entry for entry in plan}
    newest = {name: group for name in shown.entries if (group := groups_for(rows, entries[name]).current)}
    if not newest:
        return None
    some = next(iter(newest.values()))
    titles = [title_in(some.newest, score) for score in shown.scores]
    lines = []
    baseline = strongest_baseline(some, shown.split, shown.scores[0])
    if baseline is not None:
        name, _ = baseline
        found = some.newest["splits"][shown.split]["baselines"][name]
        cells = [
            f"{found[score]['value']:.{decimals_of(found[score])}f} {interval_text([found[score]])}"
            if score in found
            else NOTHING
            for score in shown.scores
        ]
        lines.append((f"baseline: {name}", *cells, *[NOTHING] * 3))
    for name in shown.entries:
        if name not in newest:
            lines.append((f"{entries[name].title}: not run yet", *[NOTHING] * (len(titles) + 3)))
            continue
        group = newest[name]
        scores = [group.scores(shown.split, score) for score in shown.scores]
        cells = [f"{mean_of(found)} {interval_text(found)}" if found else NOTHING for found in scores]
        steps = mean_text([row["training"]["steps"] for row in group.rows], 0)
        size = f"{group.newest['parameters']:,}"
        lines.append((entries[name].title, *cells, mean_text(group.minutes), steps, size))
    columns = ("model", *titles, "minutes of training", "steps", "parameters")
    machines = join([group.machines for group in newest.values()])
    return f"### {shown.title}\n\n{table(columns, lines)}\nSplit {shown.split}; {machines}.\n"
