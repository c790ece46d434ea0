"""Settings of the task `transduce`: a sequence in, another out."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.text import SubwordsConfig, TextCodecConfig
from seqlens.decoding import DecodingConfig
from seqlens.models.config import RecurrentDecoderConfig, TransducerConfig
from seqlens.tasks.transduce.scheduled_sampling import SamplingConfig

ScoreName = Literal["exact_match", "bleu", "chrf"]
BleuTokens = Literal["auto", "13a", "intl", "zh", "char", "none"]


@dataclass(frozen=True, slots=True)
class SharedCodec:
    """One codec, fitted on both sides together; embeddings may then be shared too."""

    kind: Literal["shared"] = "shared"
    text: TextCodecConfig = field(default_factory=SubwordsConfig)


@dataclass(frozen=True, slots=True)
class SeparateCodecs:
    """A codec for each side."""

    kind: Literal["separate"] = "separate"
    source: TextCodecConfig = field(default_factory=SubwordsConfig)
    target: TextCodecConfig = field(default_factory=SubwordsConfig)


CodecConfig = Annotated[SharedCodec | SeparateCodecs, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class TransduceConfig:
    """What is learnt, and how an answer is searched for.

    `scores` are those of `evaluate`; `validation_scores` are also computed in training, by greedy search over the
    first `validation_examples` of the validation split, so that the best weights can be chosen by one of them.

    `bleu_tokens` is the tokeniser of sacrebleu that BLEU counts by. `auto` takes characters where most letters of the
    references are of a script without spaces between words, as Chinese and Japanese, and else 13a.

    `coverage_weight` is that of a loss for attending again to what was attended to (See et al. 2017, equation 13).
    With an `r_drop_weight` every batch is read twice, with other entries dropped each time, and half the weight times
    the divergence of both predictions is added (R-Drop; Liang et al. 2021 take 5 for translation).
    `scheduled_sampling` lets the decoder read some of its own predictions in training.
    """

    kind: Literal["transduce"] = "transduce"
    codec: CodecConfig = field(default_factory=SharedCodec)
    model: TransducerConfig = field(default_factory=TransducerConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    coverage_weight: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    r_drop_weight: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    scheduled_sampling: SamplingConfig | None = None
    scores: tuple[ScoreName, ...] = ("bleu", "chrf", "exact_match")
    lowercase_scores: bool = False
    bleu_tokens: BleuTokens = "auto"
    validation_scores: tuple[ScoreName, ...] = ()
    validation_examples: Annotated[int, Field(ge=1)] = 500

    def __post_init__(self) -> None:
        if self.model.share_embeddings and self.codec.kind != "shared":
            raise ValueError("'model.share_embeddings' needs one vocabulary for both sides, so 'codec.kind: shared'")
        if self.model.copy and self.codec.kind != "shared":
            raise ValueError("'model.copy' needs one vocabulary for both sides, so 'codec.kind: shared'")
        if self.model.copy and self.r_drop_weight:
            raise ValueError("'r_drop_weight' is for models that only write, but 'model.copy' is true")
        decoder = self.model.decoder
        if self.decoding.precision == "int8" and (self.model.copy or isinstance(decoder, RecurrentDecoderConfig)):
            raise ValueError(
                "'decoding.precision' is int8, which is for Transformer decoders that do not copy, expected auto, "
                "bfloat16 or float32"
            )
        if self.coverage_weight and isinstance(decoder, RecurrentDecoderConfig) and decoder.attention is None:
            raise ValueError("'coverage_weight' is for attention, but 'model.decoder.attention' is null")
