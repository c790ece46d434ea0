"""What runs cells over time, attends and orders: usable inside any PyTorch code."""

from seqlens.layers.attention import Attention, AttentionOutput, Memory
from seqlens.layers.causal_transformer import CausalState, CausalTransformer
from seqlens.layers.chain import ChainScores
from seqlens.layers.crf import LinearChainCRF
from seqlens.layers.dropout import Dropout, dropout
from seqlens.layers.masks import length_mask, masked_softmax
from seqlens.layers.multi_head import KeyValues, MultiHeadAttention
from seqlens.layers.options import NormPlace
from seqlens.layers.positions import LearnedPositions, PositionKind, SinusoidalPositions, build_positions, rotate
from seqlens.layers.recurrent import RecurrentLayer
from seqlens.layers.recurrent_kinds import GRU, LSTM, RNN, MinGRU, MinLSTM
from seqlens.layers.relative import RelativeBias
from seqlens.layers.scores import (
    AdditiveScore,
    BilinearScore,
    DotScore,
    FunctionScore,
    Score,
    ScoreFunction,
    ScoreKind,
    build_score,
)
from seqlens.layers.state import LayerState, RecurrentOutput, RecurrentState
from seqlens.layers.trace import DirectionTrace, LayerTrace, RecurrentTrace
from seqlens.layers.transformer import DecoderCache, TransformerDecoder, TransformerEncoder
from seqlens.layers.visibility import visible_keys

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveScore",
    "Attention",
    "AttentionOutput",
    "BilinearScore",
    "CausalState",
    "CausalTransformer",
    "ChainScores",
    "DecoderCache",
    "DirectionTrace",
    "DotScore",
    "Dropout",
    "FunctionScore",
    "KeyValues",
    "LayerState",
    "LayerTrace",
    "LearnedPositions",
    "LinearChainCRF",
    "Memory",
    "MinGRU",
    "MinLSTM",
    "MultiHeadAttention",
    "NormPlace",
    "PositionKind",
    "RecurrentLayer",
    "RecurrentOutput",
    "RecurrentState",
    "RecurrentTrace",
    "RelativeBias",
    "Score",
    "ScoreFunction",
    "ScoreKind",
    "SinusoidalPositions",
    "TransformerDecoder",
    "TransformerEncoder",
    "build_positions",
    "build_score",
    "dropout",
    "length_mask",
    "masked_softmax",
    "rotate",
    "visible_keys",
]
