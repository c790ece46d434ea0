"""`python -m benchmarks.speed [NAME ...] [--write] [--quick]`."""

from importlib import import_module
from typing import Annotated

import typer

from benchmarks.command import run_command
from benchmarks.provenance import REPOSITORY, SPEED_ROWS, git_commit, provenance
from benchmarks.rows import append_row
from benchmarks.speed import NAMES
from benchmarks.speed.decoding_peers import missing_peers
from benchmarks.speed.figures import Result, print_result, to_row
from seqlens.cli.guard import guarded
from seqlens.cli.printing import note, results
from seqlens.errors import RequestError, did_you_mean


def measure(name: str, *, quick: bool) -> Result:
    """Runs one benchmark; `quick` takes tiny sizes, to see that it runs: its numbers mean nothing."""
    found = import_module(f"benchmarks.speed.{name}").measure(quick=quick)
    assert isinstance(found, Result)
    return found


@guarded
def speed(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which ones; all by default.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Append rows to benchmarks/speed/rows.jsonl.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes, only to see that everything runs.")] = False,
) -> None:
    """Measure what seqlens costs: startup, vocabulary_loss, padding, recurrent,
    recurrent_cells, recurrent_ragged, recurrent_peers, recurrent_memory, training, decoding, rounding, demo,
    subword_dropout, processes; decoding, beside CTranslate2 and MarianMT, needs the extra `bench`.

    Nothing else should be running.

    Exits with 1 if a bar is missed.
    """
    if quick and write:
        raise RequestError("--quick makes numbers that mean nothing, so --write does not go with it.")
    chosen = names or list(NAMES)
    if not names and (missing := missing_peers()):
        note(f"'decoding' is left out: {' and '.join(missing)} not installed; pip install -e '.[bench]' brings them.")
        chosen.remove("decoding")
    for name in chosen:
        if name not in NAMES:
            known = ", ".join(NAMES)
            raise RequestError(f"There is no benchmark '{name}', expected one of {known}.{did_you_mean(name, NAMES)}")
    commit = git_commit(REPOSITORY)
    missed = []
    for name in chosen:
        note(f"Measuring {name}.")
        result = measure(name, quick=quick)
        print_result(result, results())
        if write:
            append_row(SPEED_ROWS, to_row(result, provenance(commit)))
        if not result.all_reached:
            missed.append(name)
    if missed and not quick:
        note(f"Not all bars were reached: {', '.join(missed)}.")
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(speed)
