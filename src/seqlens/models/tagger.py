"""Many-to-many aligned over words: from a sentence to the scores of each word's tags."""

from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers.build import build_recurrent
from seqlens.layers.chain import ChainScores
from seqlens.layers.crf import LinearChainCRF
from seqlens.layers.dropout import Dropout
from seqlens.layers.masks import length_mask
from seqlens.models.build_encoder import build_encoder
from seqlens.models.encoders import Encoder
from seqlens.models.shapes import TaggerOutput
from seqlens.models.tagger_config import (
    ConvolutionLettersConfig,
    LettersConfig,
    RecurrentLettersConfig,
    TaggerConfig,
)
from seqlens.models.words import ConvolutionLetters, Letters, RecurrentLetters, RepeatedWords, WordEmbedder, WordForms


@final
class WordTagger(nn.Module):
    """Words, an encoder, a layer over the tags at every step, and how tags may follow each other.

    The loss and the best path are made of `logits` and `scores()`; see `layers.crf` and `decoding.viterbi`.
    """

    def __init__(
        self,
        words: WordEmbedder,
        encoder: Encoder,
        crf: LinearChainCRF,
        *,
        encoder_input_dim: int | None = None,
        repeats: bool = False,
        learned_transitions: bool = True,
        dropout_p: float = 0.0,
    ) -> None:
        """`repeats` puts `RepeatedWords` after the encoder. `learned_transitions=False`: of the CRF only what it
        forbids counts, and every tag is judged by itself.
        """
        super().__init__()
        self.words = words
        self.projection = None if encoder_input_dim is None else nn.Linear(words.output_dim, encoder_input_dim)
        self.encoder = encoder
        self.repeats = RepeatedWords(encoder.output_dim) if repeats else None
        self.output = nn.Linear(encoder.output_dim, crf.num_tags)
        self.dropout = Dropout(dropout_p)
        self.crf = crf
        self.learned_transitions = learned_transitions
        if not learned_transitions:
            for part in crf.parameters():
                nn.init.zeros_(part).requires_grad_(False)

    @property
    def max_length(self) -> int | None:
        """The longest sentence that learned positions reach; None where there is no such limit."""
        return self.encoder.max_length

    def forward(
        self,
        tokens: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"],
        forms: WordForms,
        texts: Int[Tensor, " batch"] | None = None,
    ) -> TaggerOutput:
        """Scores the tags of every token; `tokens` says which of `forms` each one is. Padding is not read.

        `texts` is equal for sentences of the same text; None where each is a text of its own.
        """
        vectors = self.words(forms)
        if not len(vectors):
            vectors = vectors.new_zeros(1, vectors.shape[1])  # no token anywhere, so nothing of it is used
        if self.projection is not None:
            vectors = self.projection(vectors)
        mask = length_mask(lengths, tokens.shape[1], tokens.device)
        embedded = vectors[tokens.masked_fill(~mask, 0)]
        memory = self.encoder(self.dropout(embedded), lengths).memory
        if self.repeats is not None:
            texts = torch.arange(len(tokens), device=tokens.device) if texts is None else texts
            memory = self.repeats(self.dropout(memory), tokens, mask, texts)
        return TaggerOutput(self.output(self.dropout(memory)))

    def scores(self) -> ChainScores:
        """How tags may begin, follow each other and end."""
        return self.crf.scores()


def build_tagger(
    config: TaggerConfig,
    *,
    num_words: int,
    num_letters: int,
    num_features: tuple[int, ...],
    num_tags: int,
    counts: Int[Tensor, " words"] | None = None,
    allowed_transitions: Bool[Tensor, "tags tags"] | None = None,
    allowed_start: Bool[Tensor, " tags"] | None = None,
    allowed_end: Bool[Tensor, " tags"] | None = None,
    vectors: Float[Tensor, "words dim"] | None = None,
) -> WordTagger:
    """Builds the model that a recipe describes, for vocabularies of these sizes.

    `counts [words]` is how often each word was seen in training. `vectors` are embeddings to start from; a row of NaN
    is a word that has none.
    """
    unknown_p = None
    if counts is not None and config.word_dropout:
        unknown_p = config.word_dropout / (config.word_dropout + counts.double())
        unknown_p[:2] = 0.0
    words = WordEmbedder(
        None if config.letters is None else _build_letters(config.letters, num_letters),
        embedding_dim=config.embedding_dim,
        num_words=num_words,
        num_features=num_features,
        feature_dim=config.feature_dim,
        unknown_p=unknown_p,
    )
    if vectors is not None:
        with torch.no_grad():
            known = ~vectors.isnan().any(1)
            words.embedding.weight[known] = vectors[known].to(words.embedding.weight.dtype)
    input_dim = words.output_dim if config.encoder_input_dim is None else config.encoder_input_dim
    crf = LinearChainCRF(
        num_tags, allowed_transitions=allowed_transitions, allowed_start=allowed_start, allowed_end=allowed_end
    )
    return WordTagger(
        words,
        build_encoder(config.encoder, input_dim),
        crf,
        encoder_input_dim=config.encoder_input_dim,
        repeats=config.repeats,
        learned_transitions=config.crf,
        dropout_p=config.dropout_p,
    )


def _build_letters(config: LettersConfig, num_letters: int) -> Letters:
    match config:
        case RecurrentLettersConfig():
            layer = build_recurrent(config.cell, config.embedding_dim, config.hidden_dim, bidirectional=True)
            return RecurrentLetters(layer, num_letters=num_letters)
        case ConvolutionLettersConfig():
            return ConvolutionLetters(
                config.embedding_dim, width=config.width, num_filters=config.num_filters, num_letters=num_letters
            )
