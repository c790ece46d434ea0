"""The sections of docs/results.md about scores of trained models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.provenance import QUALITY_ANSWERS
from benchmarks.quality.entry import Entry, Goal, ModelTable
from benchmarks.quality.example_page import example_facts
from benchmarks.quality.groups import EntryGroups, Group, groups_for, groups_of, strongest_baseline
from benchmarks.quality.length_page import by_length
from benchmarks.quality.markdown import NOTHING, join, table
from benchmarks.quality.scores import (
    decimals_of,
    interval_text,
    mean_of,
    mean_text,
    score_names,
    score_title,
    title_in,
)
from benchmarks.quality.table_page import model_table
from benchmarks.rows import Row
from seqlens.errors import RequestError, did_you_mean

_FIGURE_COLUMNS = (
    "figure",
    "command",
    "seeds",
    "mean [min, max]",
    "95 % interval",
    "published",
    "to reach",
    "verdict",
    "training",
    "machine",
    "date",
)


def quality_sections(
    rows: Sequence[Row], plan: Sequence[Entry], tables: Sequence[ModelTable] = (), answers: Path = QUALITY_ANSWERS
) -> list[str]:
    """A section for each of the plan's, then what is in the rows and not in the plan any more."""
    sections = []
    for name in dict.fromkeys(entry.section for entry in plan):
        entries = [entry for entry in plan if entry.section == name]
        shown = [text for one in tables if one.section == name if (text := model_table(one, plan, rows))]
        sections.append(_section(name, entries, rows, shown, answers))
    planned = {entry.name for entry in plan}
    others = list(dict.fromkeys(row["entry"] for row in rows if row["entry"] not in planned))
    if others:
        old = [_earlier_row(group) for name in others for group in groups_of(rows, name)]
        sections.append(f"## No longer in the plan\n\n{table(_EARLIER_COLUMNS, old)}")
    return sections


def _section(name: str, entries: Sequence[Entry], rows: Sequence[Row], tables: Sequence[str], answers: Path) -> str:
    found = [(entry, groups_for(rows, entry)) for entry in entries]
    lines = [line for entry, groups in found for line in _figure_rows(entry, groups.current)]
    parts = [f"## {name}\n", *([table(_FIGURE_COLUMNS, lines)] if lines else []), *tables]
    parts += [_details(entry, groups, answers) for entry, groups in found if groups.current or groups.earlier]
    return "\n".join(parts)


def _figure_rows(entry: Entry, group: Group | None) -> list[Sequence[str]]:
    lines: list[Sequence[str]] = []
    for goal in entry.goals:
        title = title_in(group.newest, goal.score) if group else score_title(goal.score)
        what = f"{entry.title}, {goal.split}: {title}"
        published = NOTHING if goal.published is None else f"{goal.published:g} ({goal.published_by})"
        sign = "≥" if goal.better == "higher" else "≤"
        to_reach = f"{sign} {goal.to_reach:g} ({goal.source})"
        scores = group.scores(goal.split, goal.score) if group else []
        if group and not scores:
            _check_scored(entry, goal, group)
        if not group or not scores:
            planned = ", ".join(map(str, entry.seeds))
            blank = [NOTHING] * 2
            lines.append(
                (what, f"`{entry.command}`", planned, *blank, published, to_reach, "not run yet", *blank, NOTHING)
            )
            continue
        facts = (group.machines, group.days)
        baseline = strongest_baseline(group, goal.split, goal.score)
        if baseline is not None:
            name, score = baseline
            value, interval = f"{score['value']:.{decimals_of(score)}f}", interval_text([score])
            lines.append((f"baseline: {name}", f"`{entry.command}`", NOTHING, value, interval, *[NOTHING] * 4, *facts))
        lines.append(
            (
                what,
                f"`{entry.command}`",
                group.seeds,
                mean_text([score["value"] for score in scores], decimals_of(scores[0])),
                interval_text(scores),
                published,
                to_reach,
                verdict(goal, entry, group),
                f"{mean_text(group.minutes)} min",
                *facts,
            )
        )
    return lines


def _check_scored(entry: Entry, goal: Goal, group: Group) -> None:
    """Refuses a goal for a score that its split has been given no value of: it would be "not run yet" for ever."""
    known = list(group.newest["splits"].get(goal.split, {}).get("scores", ()))
    if known:
        raise RequestError(
            f"{entry.name}: a goal names the score '{goal.score}', but the rows have on '{goal.split}' "
            f"{', '.join(sorted(known))}.{did_you_mean(goal.score, known)}"
        )


def verdict(goal: Goal, entry: Entry, group: Group) -> str:
    """Whether the mean over all seeds reached the goal, each training within its time."""
    values = [score["value"] for score in group.scores(goal.split, goal.score)]
    mean = fmean(values)
    reached = mean >= goal.to_reach if goal.better == "higher" else mean <= goal.to_reach
    text = "**reached**" if reached else "not reached"
    if goal.max_training_minutes is not None and max(group.minutes) > goal.max_training_minutes:
        text = f"not reached: training took {max(group.minutes):.1f} of {goal.max_training_minutes:g} minutes"
    missing = [seed for seed in entry.seeds if seed not in [row["seed"] for row in group.rows]]
    return f"{text}, with {len(values)} of {len(values) + len(missing)} seeds so far" if missing else text


def _details(entry: Entry, groups: EntryGroups, answers: Path) -> str:
    parts = [f"### {entry.title}\n", *(_current_details(entry, groups.current, answers) if groups.current else [])]
    if groups.earlier:
        parts += [
            "Earlier settings of this entry:\n",
            table(_EARLIER_COLUMNS, [_earlier_row(old) for old in groups.earlier]),
        ]
    return "\n".join(parts)


def _current_details(entry: Entry, group: Group, answers: Path) -> list[str]:
    row = group.newest
    names = score_names(row)
    lines = [line for split in row["splits"] for line in _split_rows(group, split, names)]
    columns = ("split", "system", "seeds", *(title_in(row, name) for name in names))
    parts = [
        "".join(f"- {fact}\n" for fact in _facts(entry, group)),
        "Mean over the seeds, with the smallest and the largest; a baseline with its 95 % interval.\n",
        table(columns, lines),
        _signatures(row, names),
    ]
    if entry.shown_by_length is not None:
        parts += [by_length(group, split, entry.shown_by_length, answers) for split in entry.splits]
    return parts


def _facts(entry: Entry, group: Group) -> list[str]:
    row = group.newest
    if "described" in row:
        return example_facts(entry, group.rows, row)
    data, codec = row["data"], row["codec"]
    each = [
        f"seed {one['seed']}: {one['training']['steps']:,} steps, {one['training']['epochs']:.1f} epochs, "
        f"{one['training']['seconds'] / 60:.1f} minutes{_processes_text(one)} ({one['training']['stop_reason']})"
        f"{_start_text(one)}, "
        f"{one['selection']['kind']} weights{_of_step(one)}{_sessions_text(one)}"
        for one in group.rows
    ]
    fingerprints = ", ".join(f"{split} `{value[:12]}`" for split, value in sorted(data["fingerprints"].items()))
    commits = join([f"`{one['commit']}`" for one in group.rows])
    made = f"; made: {row['made']}" if row.get("made") else ""
    overrides = ", ".join(f"`{name}={value}`" for name, value in row["overrides"].items()) or "none"
    return [
        f"command `{entry.command}`; recipe `{row['recipe']}`, overrides {overrides}, settings `{row['settings']}`",
        f"data: {data['name']} {data['source']} to {data['target']}, {data['num_train']:,} training pairs "
        f"({data['num_left_out']} longer ones left out), fingerprints {fingerprints}{made}",
        f"tokens: {codec_text(codec)}",
        _selection_text(row["selection"]),
        f"answers by {_search_text(row['search'])}",
        *each,
        f"{row['parameters']:,} parameters; padding waste {100 * row['padding_waste']:.1f} %",
        f"seqlens {row['seqlens']}, commit {commits}; {group.machines}; {group.days}",
    ]


def _of_step(row: Row) -> str:
    step = row["selection"].get("step")
    return "" if step is None else f" of step {step:,}"


def _start_text(row: Row) -> str:
    """What the training started from, and how that was trained."""
    start = row.get("starts_from")
    if start is None:
        return ""
    training = start["training"]
    return (
        f", from the weights of `{start['entry']}` ({training['steps']:,} steps, {training['epochs']:.1f} epochs, "
        f"{training['seconds'] / 60:.1f} minutes)"
        + (f", {row['made_seconds'] / 60:.1f} minutes to make data" if row.get("made_seconds") else "")
    )


def _processes_text(row: Row) -> str:
    processes = row["training"].get("processes", 1)
    return f" by {processes} processes" if processes > 1 else ""


def _sessions_text(row: Row) -> str:
    """Says when a training was interrupted or its code changed on the way."""
    sessions = row["sessions"]
    commits = dict.fromkeys([*(session["commit"] for session in sessions), row["commit"]])
    times = "once" if len(sessions) == 2 else f"{len(sessions) - 1} times"
    resumed = f", resumed {times}" if len(sessions) > 1 else ""
    changed = f", trained and scored at {' and '.join(f'`{commit}`' for commit in commits)}" if len(commits) > 1 else ""
    return resumed + changed


def codec_text(codec: Mapping[str, Any]) -> str:
    """The vocabularies in a few words."""

    def side(settings: Mapping[str, Any]) -> str:
        details = [str(settings[name]) for name in ("algorithm", "normalisation") if name in settings]
        details += ["lower-cased"] if settings.get("lowercase") else []
        return f"{settings['kind']} ({', '.join(details)})"

    settings = codec["settings"]
    if settings["kind"] == "shared":
        return f"{side(settings['text'])}, one vocabulary of {codec['source_size']:,} for both sides"
    source, target = side(settings["source"]), side(settings["target"])
    return f"source {source}, {codec['source_size']:,}; target {target}, {codec['target_size']:,}"


def _selection_text(selection: Mapping[str, Any]) -> str:
    how = f"{selection['mode']}imum {selection['metric']}"
    if selection["search"] is not None:
        case = "lower-cased, " if selection["lowercase"] else ""
        how += f" ({case}{selection['search']} search over {selection['num_examples']:,} sentences)"
    return f"weights chosen on {selection['split']} by {how}, every {selection['validate_every']:,} steps"


def _search_text(search: Mapping[str, Any]) -> str:
    names = {"beam": ("beam_width", "length_penalty", "stopping"), "greedy": (), "sample": ("temperature", "seed")}
    settings = [f"{name.replace('_', ' ')} {search[name]}" for name in names[search["method"]] if name in search]
    return ", ".join([f"{search['method']} search", *settings])


def _split_rows(group: Group, split: str, names: Sequence[str]) -> list[Sequence[str]]:
    lines: list[Sequence[str]] = []
    for baseline, scores in group.newest["splits"][split]["baselines"].items():
        cells = [
            f"{scores[name]['value']:.{decimals_of(scores[name])}f} {interval_text([scores[name]])}"
            if name in scores
            else NOTHING
            for name in names
        ]
        lines.append((split, f"baseline: {baseline}", NOTHING, *cells))
    having = [row for row in group.rows if split in row["splits"]]
    found = [group.scores(split, name) for name in names]
    cells = [mean_text([one["value"] for one in scores], decimals_of(scores[0]) if scores else 1) for scores in found]
    lines.append((split, "**this model**", ", ".join(str(row["seed"]) for row in having), *cells))
    return lines


def _signatures(row: Row, names: Sequence[str]) -> str:
    """What the numbers depend on, a line a score: the same for all splits."""
    split = next(iter(row["splits"].values()))
    lines = [
        f"- {title_in(row, name)}: `{split['scores'][name]['signature']}`\n"
        for name in names
        if split["scores"].get(name, {}).get("signature")
    ]
    return "".join(lines)


_EARLIER_COLUMNS = ("entry", "settings", "seeds", "scores", "commit", "machine", "date")


def _earlier_row(group: Group) -> Sequence[str]:
    row = group.newest
    means = [
        f"{split} {title_in(row, name)} {mean_of(group.scores(split, name))}"
        for split, found in row["splits"].items()
        for name in found["scores"]
    ]
    commits = join([f"`{one['commit']}`" for one in group.rows])
    return (row["entry"], f"`{row['settings']}`", group.seeds, "; ".join(means), commits, group.machines, group.days)
