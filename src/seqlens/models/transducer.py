"""Many-to-many through an encoder and a decoder."""

from typing import NamedTuple, final

from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers import TransformerDecoder, TransformerEncoder
from seqlens.layers.build import build_recurrent
from seqlens.models.config import (
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    TransducerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seqlens.models.decoders import Decoder, DecoderState, RecurrentDecoder, SelfAttentionDecoder
from seqlens.models.encoders import Encoder, EncoderOutput, RecurrentEncoder, SelfAttentionEncoder


class VocabularyOutput(NamedTuple):
    """Features before the output layer, and that layer; `logits` are made when asked for.

    A loss over the vocabulary works from the features a chunk at a time and never needs all logits at once.
    """

    features: Float[Tensor, "*lead dim"]
    weight: Float[Tensor, "vocab dim"]
    bias: Float[Tensor, " vocab"] | None

    @property
    def logits(self) -> Float[Tensor, "*lead vocab"]:
        """Unnormalised log-probabilities over the vocabulary."""
        return nn.functional.linear(self.features, self.weight, self.bias)


class TransducerStep(NamedTuple):
    """One decoding step: `logits [rows, vocab]`, the next state, `alignment [rows, source]` if the decoder attends."""

    logits: Float[Tensor, "rows vocab"]
    state: DecoderState
    alignment: Float[Tensor, "rows source"] | None


@final
class Transducer(nn.Module):
    """Embeddings, an encoder, a decoder and the output layer over the target vocabulary."""

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        source_size: int,
        target_size: int,
        embedding_dim: int,
        dropout_p: float = 0.0,
        tie_output: bool = True,
        share_embeddings: bool = False,
    ) -> None:
        """Builds the model around an encoder and a decoder that both read `embedding_dim` entries a step.

        Raises:
            ValueError: shared embeddings with vocabularies of two sizes.
        """
        super().__init__()
        if share_embeddings and source_size != target_size:
            raise ValueError(
                f"shared embeddings need one vocabulary, but the sizes are {source_size} and {target_size}"
            )
        self.encoder = encoder
        self.decoder = decoder
        # Tied to the output layer, an embedding must be small there and of unit variance here (Vaswani 2017, 3.4).
        self.embedding_scale = embedding_dim**0.5
        self.source_embedding = _embedding(source_size, embedding_dim)
        self.target_embedding = self.source_embedding if share_embeddings else _embedding(target_size, embedding_dim)
        self.output = nn.Linear(decoder.output_dim, target_size)
        nn.init.zeros_(self.output.bias)
        if tie_output:
            self.output.weight = self.target_embedding.weight
        self.dropout = nn.Dropout(dropout_p)

    @property
    def max_source_length(self) -> int | None:
        """Steps of source that learned positions reach; None where there is no such bound."""
        return self.encoder.max_length

    @property
    def max_target_length(self) -> int | None:
        """Steps of target that learned positions reach; None where there is no such bound."""
        return self.decoder.max_length

    def encode(self, source: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]) -> EncoderOutput:
        """Reads the sources."""
        return self.encode_embedded(self.embed_source(source), lengths)

    def embed_source(self, source: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time dim"]:
        """Source embeddings as the encoder reads them, of about unit variance whatever their size."""
        return self.source_embedding(source) * self.embedding_scale

    def encode_embedded(
        self, embedded: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> EncoderOutput:
        """Reads sources that are embedded already: where gradients with respect to the inputs are looked at."""
        output: EncoderOutput = self.encoder(self.dropout(embedded), lengths)
        return output

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        source_lengths: Int[Tensor, " batch"],
        target: Int[Tensor, "batch target"],
        target_lengths: Int[Tensor, " batch"],
    ) -> VocabularyOutput:
        """Predicts each next token from the source and the tokens before it.

        Args:
            source: ids, padded; `source_lengths` says how many of each row are real.
            target: ids that the decoder reads, `<start>` first; `target_lengths` likewise.

        Returns:
            The output over the vocabulary at every target position.
        """
        return self.decode(self.encode(source, source_lengths), target, target_lengths)

    def decode(
        self,
        source: EncoderOutput,
        target: Int[Tensor, "batch target"],
        target_lengths: Int[Tensor, " batch"],
        weights: list[Tensor] | None = None,
    ) -> VocabularyOutput:
        """The decoder's half of `forward`; `weights`, if a list, receives attention over the source by layer."""
        embedded = self.dropout(self.target_embedding(target) * self.embedding_scale)
        return self._output(self.decoder(embedded, target_lengths, source, weights))

    def start(self, source: Int[Tensor, "groups source"], lengths: Int[Tensor, " groups"]) -> DecoderState:
        """Reads the sources and returns the state before the first step, one row each."""
        return self.decoder.start(self.encode(source, lengths))

    def step(self, tokens: Int[Tensor, " rows"], state: DecoderState, *, align: bool = True) -> TransducerStep:
        """Takes one step from the last tokens; rows of one source stand side by side, equally many each.

        `alignment` is the top layer's attention over the source, the mean of its heads.
        """
        weights: list[Tensor] | None = [] if align else None
        embedded = self.dropout(self.target_embedding(tokens) * self.embedding_scale)
        features, state = self.decoder.step(embedded, state, weights)  # type: ignore[arg-type]
        alignment = weights[-1].mean(1).flatten(0, 1) if weights else None
        return TransducerStep(self._output(features).logits, state, alignment)

    def _output(self, features: Tensor) -> VocabularyOutput:
        return VocabularyOutput(features, self.output.weight, self.output.bias)


def _embedding(size: int, dim: int) -> nn.Embedding:
    embedding = nn.Embedding(size, dim)
    nn.init.normal_(embedding.weight, std=dim**-0.5)
    return embedding


def build_transducer(config: TransducerConfig, *, source_size: int, target_size: int) -> Transducer:
    """Builds the model that a recipe describes, for vocabularies of these sizes."""
    encoder = _build_encoder(config)
    return Transducer(
        encoder,
        _build_decoder(config, encoder.output_dim),
        source_size=source_size,
        target_size=target_size,
        embedding_dim=config.embedding_dim,
        dropout_p=config.dropout_p,
        tie_output=config.tie_output,
        share_embeddings=config.share_embeddings,
    )


def _build_encoder(config: TransducerConfig) -> Encoder:
    match config.encoder:
        case RecurrentEncoderConfig() as part:
            layer = build_recurrent(
                part.cell,
                config.embedding_dim,
                part.hidden_dim,
                num_layers=part.num_layers,
                bidirectional=part.bidirectional,
                dropout_p=part.dropout_p,
            )
            return RecurrentEncoder(layer)
        case TransformerEncoderConfig() as part:
            stack = TransformerEncoder(
                config.embedding_dim,
                num_layers=part.num_layers,
                num_heads=part.num_heads,
                feed_forward_dim=part.feed_forward_dim,
                dropout_p=part.dropout_p,
                attention_dropout_p=part.attention_dropout_p,
                norm=part.norm,
            )
            return SelfAttentionEncoder(
                stack, positions=part.positions, max_length=part.max_length, dropout_p=part.dropout_p
            )


def _build_decoder(config: TransducerConfig, memory_dim: int) -> Decoder:
    match config.decoder:
        case RecurrentDecoderConfig() as part:
            input_dim = RecurrentDecoder.layer_input_dim(
                config.embedding_dim, memory_dim, part.attention, part.input_feeding
            )
            layer = build_recurrent(
                part.cell, input_dim, part.hidden_dim, num_layers=part.num_layers, dropout_p=part.dropout_p
            )
            return RecurrentDecoder(
                config.embedding_dim,
                memory_dim,
                layer,
                attention=part.attention,
                input_feeding=part.input_feeding,
                dropout_p=part.dropout_p,
            )
        case TransformerDecoderConfig() as part:
            stack = TransformerDecoder(
                config.embedding_dim,
                memory_dim=memory_dim,
                num_layers=part.num_layers,
                num_heads=part.num_heads,
                feed_forward_dim=part.feed_forward_dim,
                dropout_p=part.dropout_p,
                attention_dropout_p=part.attention_dropout_p,
                norm=part.norm,
            )
            return SelfAttentionDecoder(
                stack, positions=part.positions, max_length=part.max_length, dropout_p=part.dropout_p
            )
