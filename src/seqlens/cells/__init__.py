"""Recurrent cells: one time step as stages, in the notation of the lecture; named gates, named state."""

from seqlens.cells.build import CellKind, build_cell
from seqlens.cells.gru import GRUCell
from seqlens.cells.lstm import LSTMCell
from seqlens.cells.rnn import RNNCell
from seqlens.cells.stage import Cell, CellState, CellStep, Stage, StageGradient, Values, run_stages

__all__ = [
    "Cell",
    "CellKind",
    "CellState",
    "CellStep",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "Stage",
    "StageGradient",
    "Values",
    "build_cell",
    "run_stages",
]
