"""The section of docs/results.md about speed, memory and padding."""

from collections.abc import Sequence

from benchmarks.quality.markdown import NOTHING, day, machine_text, table
from benchmarks.rows import Row
from benchmarks.speed import NAMES
from benchmarks.speed.figures import figure_of

_COLUMNS = ("figure", "value [min, max of the repeats]", "to reach", "verdict", "command", "machine", "date")


def speed_section(rows: Sequence[Row]) -> str:
    """The newest row of each benchmark, in full; ratios were measured side by side in one run."""
    newest = {row["benchmark"]: row for row in rows}
    names = [*NAMES, *sorted(set(newest) - set(NAMES))]
    missing = [name for name in names if name not in newest]
    parts = ["## Speed and memory\n"]
    parts += [_benchmark(newest[name]) for name in names if name in newest]
    if missing:
        parts.append("Not run yet: " + ", ".join(f"`python -m benchmarks.speed {name}`" for name in missing) + ".\n")
    return "\n".join(parts)


def _benchmark(row: Row) -> str:
    lines = []
    for fields in row["figures"]:
        figure = figure_of(fields)
        verdict = f"**{figure.verdict}**" if figure.reached else figure.verdict or NOTHING
        facts = (f"`{row['command']}`", machine_text(row), day(row))
        lines.append((figure.name, figure.value_text, figure.bar_text or NOTHING, verdict, *facts))
    facts_list = "".join(f"- {name}: {text}\n" for name, text in row["facts"].items())
    code = f"- seqlens {row['seqlens']}, commit `{row['commit']}`\n"
    return f"### {row['title']}\n\n{table(_COLUMNS, lines)}\n{facts_list}{code}"
