"""The arguments that all recurrent layers share."""

from typing import Literal, TypedDict

from seqlens.cells import Start
from seqlens.layers.executors.choose import ExecutorChoice

Merge = Literal["concatenate", "sum", "mean"]


class RecurrentOptions(TypedDict, total=False):
    """What each means, and its default, stands at `RecurrentLayer`."""

    num_layers: int
    bidirectional: bool
    merge: Merge
    residual: bool
    learned_state: bool
    bias: bool
    dropout_p: float
    zoneout_p: float
    cell_zoneout_p: float | None
    recurrent_dropout_p: float
    weight_dropout_p: float
    start: Start
    forget_bias: float | None
    longest: int | None
    executor: ExecutorChoice
