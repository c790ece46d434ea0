"""What runs cells over time, attends and orders: usable inside any PyTorch code."""

from seqlens.layers.attention import Attention, AttentionOutput, Memory
from seqlens.layers.masks import length_mask, masked_softmax
from seqlens.layers.multi_head import KeyValues, MultiHeadAttention
from seqlens.layers.positions import LearnedPositions, PositionKind, SinusoidalPositions, build_positions
from seqlens.layers.recurrent import GRU, LSTM, RNN, RecurrentLayer
from seqlens.layers.scores import AdditiveScore, BilinearScore, DotScore, Score, ScoreKind, build_score
from seqlens.layers.state import LayerState, RecurrentOutput, RecurrentState
from seqlens.layers.trace import DirectionTrace, LayerTrace, RecurrentTrace
from seqlens.layers.transformer import DecoderCache, NormPlace, TransformerDecoder, TransformerEncoder

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveScore",
    "Attention",
    "AttentionOutput",
    "BilinearScore",
    "DecoderCache",
    "DirectionTrace",
    "DotScore",
    "KeyValues",
    "LayerState",
    "LayerTrace",
    "LearnedPositions",
    "Memory",
    "MultiHeadAttention",
    "NormPlace",
    "PositionKind",
    "RecurrentLayer",
    "RecurrentOutput",
    "RecurrentState",
    "RecurrentTrace",
    "Score",
    "ScoreKind",
    "SinusoidalPositions",
    "TransformerDecoder",
    "TransformerEncoder",
    "build_positions",
    "build_score",
    "length_mask",
    "masked_softmax",
]
