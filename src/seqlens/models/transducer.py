"""Many-to-many through an encoder and a decoder."""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers import Memory, TransformerDecoder
from seqlens.layers.build import build_recurrent
from seqlens.layers.dropout import Dropout
from seqlens.models.build_encoder import build_encoder
from seqlens.models.config import RecurrentDecoderConfig, TransducerConfig, TransformerDecoderConfig
from seqlens.models.copying import CopyState, Pointer, count_ids, real_ids
from seqlens.models.decoders import Decoder, DecoderState, RecurrentDecoder, SelfAttentionDecoder
from seqlens.models.encoders import Encoder, EncoderOutput
from seqlens.models.outputs import CopyOutput, TransducerOutput, VocabularyOutput

__all__ = ["Transducer", "TransducerOutput", "TransducerStep", "VocabularyOutput", "build_transducer"]


class TransducerStep(NamedTuple):
    """One decoding step: `logits [rows, vocab]`, the next state, `alignment [rows, source]` if the decoder attends.

    A model that copies has logits for the words of the batch's sources, too, that the vocabulary lacks.
    """

    logits: Float[Tensor, "rows vocab"]
    state: DecoderState | CopyState
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
        copy: bool = False,
        unknown_id: int = 1,
    ) -> None:
        """Builds the model around an encoder and a decoder that both read `embedding_dim` entries a step.

        With `copy`, ids from the size of the vocabulary on stand for unknown words of a source, by which the same
        words of its target are known; both sides read them as `unknown_id`.

        Raises:
            ValueError: shared embeddings or copying with vocabularies of two sizes.
        """
        super().__init__()
        if copy and source_size != target_size:
            raise ValueError(f"copying needs one vocabulary, but the sizes are {source_size} and {target_size}")
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
        self.unknown_id = unknown_id
        self.pointer = _build_pointer(encoder, decoder, embedding_dim) if copy else None
        self.dropout = Dropout(dropout_p)

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
        return self.encode_embedded(self.embed_source(source), lengths, source)

    def embed_source(self, source: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time dim"]:
        """Source embeddings as the encoder reads them, of about unit variance whatever their size."""
        return self.source_embedding(self._known(source)) * self.embedding_scale

    def encode_embedded(
        self,
        embedded: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"],
        ids: Int[Tensor, "batch time"] | None = None,
    ) -> EncoderOutput:
        """Reads sources that are embedded already: where gradients with respect to the inputs are looked at.

        A model that copies needs their `ids` as well, to know what it copies.
        """
        output: EncoderOutput = self.encoder(self.dropout(embedded), lengths)
        if self.pointer is None or ids is None:
            return output
        return output._replace(ids=real_ids(ids, lengths))

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        source_lengths: Int[Tensor, " batch"],
        target: Int[Tensor, "batch target"],
        target_lengths: Int[Tensor, " batch"],
    ) -> TransducerOutput:
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
    ) -> TransducerOutput:
        """The decoder's half of `forward`; `weights`, if a list, receives attention over the source by layer."""
        if self._points_by_decoder and weights is None:
            weights = []
        embedded = self._embed_target(target)
        output = VocabularyOutput(
            self.decoder(embedded, target_lengths, source, weights), self.output.weight, self.output.bias
        )
        if self.pointer is None:
            return output
        if source.ids is None:
            raise ValueError("a model that copies needs the sources' ids: encode them with `encode`")
        num_ids = count_ids(source.ids, len(output.weight))
        return self._copying(output, embedded, self.pointer.prepare(source), source.ids[:, None], num_ids, weights)

    def start(self, source: Int[Tensor, "groups source"], lengths: Int[Tensor, " groups"]) -> DecoderState | CopyState:
        """Reads the sources and returns the state before the first step, one row each."""
        encoded = self.encode(source, lengths)
        state = self.decoder.start(encoded)
        if self.pointer is None or encoded.ids is None:
            return state
        num_ids = count_ids(encoded.ids, len(self.output.weight))
        return CopyState(state, encoded.ids, self.pointer.prepare(encoded), num_ids)

    def step(
        self, tokens: Int[Tensor, " rows"], state: DecoderState | CopyState, *, align: bool = True
    ) -> TransducerStep:
        """Takes one step from the last tokens; rows of one source stand side by side, equally many each.

        `alignment` is the top layer's attention over the source, the mean of its heads.
        """
        weights: list[Tensor] | None = [] if align or self._points_by_decoder else None
        embedded = self._embed_target(tokens)
        own = state.decoder if isinstance(state, CopyState) else state
        features, own = self.decoder.step(embedded, own, weights)  # type: ignore[arg-type]
        alignment = weights[-1].mean(1).flatten(0, 1) if weights and align else None
        if not isinstance(state, CopyState):
            output = VocabularyOutput(features, self.output.weight, self.output.bias)
            return TransducerStep(output.logits, own, alignment)
        groups = len(state.source)
        width = len(tokens) // groups if groups else 1
        features, inputs = (part.view(groups, width, part.shape[1]) for part in (features, embedded))
        grouped = VocabularyOutput(features, self.output.weight, self.output.bias)
        copying = self._copying(grouped, inputs, state.memory, state.source[:, None], state.num_ids, weights)
        return TransducerStep(copying.logits.flatten(0, 1), state._replace(decoder=own), alignment)

    @property
    def _points_by_decoder(self) -> bool:
        return self.pointer is not None and self.pointer.attention is None

    def _embed_target(self, target: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape dim"]:
        return self.dropout(self.target_embedding(self._known(target)) * self.embedding_scale)

    def _known(self, ids: Tensor) -> Tensor:
        """Words of a source that the vocabulary lacks have no embedding of their own."""
        if self.pointer is None:
            return ids
        return torch.where(ids < self.target_embedding.num_embeddings, ids, self.unknown_id)

    def _copying(
        self,
        output: VocabularyOutput,
        inputs: Tensor,
        memory: Memory | None,
        source: Tensor,
        num_ids: int,
        weights: list[Tensor] | None,
    ) -> CopyOutput:
        assert self.pointer is not None
        attended = weights[-1].mean(1) if weights and self._points_by_decoder else None
        gate, attention = self.pointer(output.features, inputs, memory, attended)
        return CopyOutput(*output, gate, attention, source, num_ids)


def _embedding(size: int, dim: int) -> nn.Embedding:
    embedding = nn.Embedding(size, dim)
    nn.init.normal_(embedding.weight, std=dim**-0.5)
    return embedding


def _build_pointer(encoder: Encoder, decoder: Decoder, embedding_dim: int) -> Pointer:
    own_attention = isinstance(decoder, SelfAttentionDecoder)
    return Pointer(decoder.output_dim, embedding_dim, encoder.output_dim, own_attention=own_attention)


def build_transducer(
    config: TransducerConfig, *, source_size: int, target_size: int, unknown_id: int = 1
) -> Transducer:
    """Builds the model that a recipe describes, for vocabularies of these sizes."""
    encoder = build_encoder(config.encoder, config.embedding_dim)
    return Transducer(
        encoder,
        _build_decoder(config, encoder.output_dim),
        source_size=source_size,
        target_size=target_size,
        embedding_dim=config.embedding_dim,
        dropout_p=config.dropout_p,
        tie_output=config.tie_output,
        share_embeddings=config.share_embeddings,
        copy=config.copy,
        unknown_id=unknown_id,
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
                num_heads=part.num_heads,
                coverage=part.coverage,
                input_feeding=part.input_feeding,
                dropout_p=part.dropout_p,
            )
        case TransformerDecoderConfig() as part:
            stack = TransformerDecoder(
                config.embedding_dim, memory_dim=memory_dim, num_layers=part.num_layers, **part.options()
            )
            return SelfAttentionDecoder(
                stack,
                positions=part.added_positions,
                max_length=part.max_length,
                dropout_p=part.dropout_p,
            )
