"""Recurrent cells: one time step as stages, in the notation of the lecture; named gates, named state."""

from seqlens.cells.build import CellKind, build_cell
from seqlens.cells.cell import Cell, Start
from seqlens.cells.coupled_lstm import CoupledLSTMCell
from seqlens.cells.gru import GRUCell, Reset
from seqlens.cells.layer_norm_gru import LayerNormGRUCell
from seqlens.cells.layer_norm_lstm import LayerNormLSTMCell
from seqlens.cells.layer_norm_rnn import LayerNormRNNCell
from seqlens.cells.lstm import LSTMCell
from seqlens.cells.masks import Masks, zone_out
from seqlens.cells.min_gru import MinGRUCell
from seqlens.cells.min_lstm import MinLSTMCell
from seqlens.cells.peephole_lstm import PeepholeLSTMCell
from seqlens.cells.projected_lstm import ProjectedLSTMCell
from seqlens.cells.rnn import Activation, RNNCell
from seqlens.cells.stage import (
    CellState,
    CellStep,
    LinearCellStage,
    Recurrence,
    Rows,
    ScanStage,
    Stage,
    StageGradient,
    Values,
    run_stages,
)

__all__ = [
    "Activation",
    "Cell",
    "CellKind",
    "CellState",
    "CellStep",
    "CoupledLSTMCell",
    "GRUCell",
    "LSTMCell",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "LayerNormRNNCell",
    "LinearCellStage",
    "Masks",
    "MinGRUCell",
    "MinLSTMCell",
    "PeepholeLSTMCell",
    "ProjectedLSTMCell",
    "RNNCell",
    "Recurrence",
    "Reset",
    "Rows",
    "ScanStage",
    "Stage",
    "StageGradient",
    "Start",
    "Values",
    "build_cell",
    "run_stages",
    "zone_out",
]
