"""Which executor runs a cell, as a function of its arguments, with the reason in a sentence."""

from typing import Literal, NamedTuple

import torch

ExecutorChoice = Literal["auto", "reference", "generic"]


class Choice(NamedTuple):
    """The executor's name and, in a sentence, why it and not a faster one."""

    name: Literal["reference", "generic"]
    reason: str


def choose_executor(asked: ExecutorChoice) -> Choice:
    """Chooses; a compiled executor for particular cells will be one more case here."""
    if asked == "reference":
        return Choice("reference", "The reference unroll runs because executor='reference' was asked for.")
    if torch.compiler.is_compiling():
        return Choice("reference", "The reference unroll runs while torch.compile or torch.export traces the layer.")
    return Choice(
        "generic",
        "The generic executor runs: one product for all inputs, the cell's stages with their written backward "
        "over the sequences still running, one product for each weight gradient.",
    )
