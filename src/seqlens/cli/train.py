"""`seqlens train`."""

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import INTERRUPTED, guarded
from seqlens.cli.options import DeviceOption, SettingsOption
from seqlens.cli.printing import note, print_next

EXAMPLES = """Examples:

\b
  seqlens train dates/smoke
  seqlens train translation/gru-attention --out runs/de-en --set training.max_steps=500
  seqlens train my-recipe.yaml --set data.path=my-corpus --set seed=7
  seqlens train --out runs/de-en --resume
  seqlens train my-domain.yaml --init runs/de-en --init-vocabulary extended
  seqlens train translation/transformer --processes 2
  torchrun --nnodes 2 --nproc-per-node 8 ... -m seqlens train translation/transformer --out /shared/runs/de-en
"""


@guarded
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="A name (see `seqlens recipes`) or a YAML file.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The run folder; runs/RECIPE by default.", show_default=False),
    ] = None,
    settings: SettingsOption = [],  # noqa: B006 - typer copies it
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the training in --out was interrupted.", show_default=False)
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option("--init", metavar="RUN", help="Start from this run's weights and codec.", show_default=False),
    ] = None,
    init_vocabulary: Annotated[
        str,
        typer.Option("--init-vocabulary", metavar="WHICH", help="That of --init: kept, or extended by new symbols."),
    ] = "kept",
    device: DeviceOption = "auto",
    processes: Annotated[
        int,
        typer.Option("--processes", min=1, metavar="N", help="Train with N processes, each on its rows of a batch."),
    ] = 1,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", metavar="DIR", help="Also write curves for TensorBoard.", show_default=False),
    ] = None,
) -> None:
    """Train a recipe; its run folder can then be evaluated, asked, inspected and moved to another machine.

    Ctrl-C ends the step in progress, writes a checkpoint and stops; --resume goes on from there, as if nothing had
    happened. The path of the run folder is printed on stdout.
    """
    from seqlens.cli.next_steps import tell_what_next
    from seqlens.cli.progress import show_training
    from seqlens.training.group import told_place
    from seqlens.training.observer import Observer, Observers
    from seqlens.training.tensorboard import TensorBoardObserver
    from seqlens.workflows.train import TrainingInterrupted
    from seqlens.workflows.train import train as train_recipe

    with ExitStack() as opened:
        observers: list[Observer] = [opened.enter_context(show_training())]
        if tensorboard is not None and not told_place().rank:
            observers.append(opened.enter_context(TensorBoardObserver(tensorboard)))
        try:
            run = train_recipe(
                recipe,
                out=out,
                overrides=settings,
                resume=resume,
                init=init,
                init_vocabulary=init_vocabulary,
                observer=Observers(observers),
                announce=note,
                device=device,
                processes=processes,
            )
        except TrainingInterrupted as stop:
            run = stop.run
    if told_place().rank:
        return
    if run.result.stop_reason == "interrupted":
        note("Interrupted; a checkpoint is written. To go on where it stopped:")
        print_next([f"seqlens train --out {shlex.quote(str(run.path))} --resume"])
        raise typer.Exit(INTERRUPTED)
    sys.stdout.write(f"{run.path}\n")
    tell_what_next(run.predictor)
