"""The arguments that all recurrent layers share, and those that all Transformer layers do."""

from typing import Literal, TypedDict

from seqlens.cells import Start
from seqlens.layers.executors.choose import ExecutorChoice

Merge = Literal["concatenate", "sum", "mean"]
NormPlace = Literal["pre", "post"]
"""Layer norm before each block, with one more at the end (Xiong et al. 2020), or after each residual sum."""


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


class BlockOptions(TypedDict, total=False):
    """What each means, and its default, stands at `Block`."""

    num_heads: int
    feed_forward_dim: int | None
    dropout_p: float
    attention_dropout_p: float
    activation_dropout_p: float | None
    norm: NormPlace
    rotary: bool
