"""Models for the shapes: plain modules made of layers; `forward` returns a named output, never a loss."""

from seqlens.models.config import TransducerConfig
from seqlens.models.encoders import EncoderOutput, RecurrentEncoder, SelfAttentionEncoder
from seqlens.models.language_model import LanguageModel, LanguageModelOutput, LanguageState, build_language_model
from seqlens.models.language_model_config import LanguageModelConfig
from seqlens.models.outputs import CopyOutput, TransducerOutput, VocabularyOutput
from seqlens.models.shapes import SequenceClassifier, SequenceGenerator, SequenceTagger
from seqlens.models.transducer import Transducer, TransducerStep, build_transducer

__all__ = [
    "CopyOutput",
    "EncoderOutput",
    "LanguageModel",
    "LanguageModelConfig",
    "LanguageModelOutput",
    "LanguageState",
    "RecurrentEncoder",
    "SelfAttentionEncoder",
    "SequenceClassifier",
    "SequenceGenerator",
    "SequenceTagger",
    "Transducer",
    "TransducerConfig",
    "TransducerOutput",
    "TransducerStep",
    "VocabularyOutput",
    "build_language_model",
    "build_transducer",
]
