"""Many-to-one over symbols: from a text to the logits of its classes."""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers.dropout import Dropout
from seqlens.models.build_encoder import build_encoder
from seqlens.models.classifier_config import ClassifierConfig
from seqlens.models.encoders import Encoder
from seqlens.models.letter_grams import LetterGrams, Spellings
from seqlens.models.shapes import ClassifierOutput, Pooling, SequenceClassifier


@final
class TokenClassifier(nn.Module):
    """Embeddings in front of a `SequenceClassifier`."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        vocab_size: int,
        embedding_dim: int,
        num_classes: int,
        pooling: Pooling = "summary",
        dropout_p: float = 0.0,
        token_dropout_p: float = 0.0,
        unknown_id: int = 1,
        num_positions: int | None = None,
        embedding_std: float | None = None,
        num_letter_grams: int | None = None,
    ) -> None:
        """`token_dropout_p`: in training each token becomes `unknown_id` with this probability; its letters stay.
        `embedding_std`: how far entries of a fresh embedding lie from 0, `embedding_dim ** -0.5` if None. With
        `num_letter_grams` a token is also read by its letters.
        """
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        # torch's own rows are longer than what a rare word ever learns: it would stay noise.
        std = embedding_std or embedding_dim**-0.5
        nn.init.normal_(self.embedding.weight, std=std)
        self.letters = None
        if num_letter_grams is not None:
            self.letters = LetterGrams(embedding_dim, num_buckets=num_letter_grams, embedding_std=std)
        self.dropout = Dropout(dropout_p)
        self.classifier = SequenceClassifier(
            encoder,
            num_classes=num_classes,
            pooling=pooling,
            dropout_p=dropout_p,
            num_positions=num_positions,
            input_dim=embedding_dim,
        )
        self.token_dropout_p = token_dropout_p
        self.unknown_id = unknown_id

    @property
    def max_length(self) -> int | None:
        """The longest input that learned or pooled positions reach; None where there is no such limit."""
        limits = (self.classifier.encoder.max_length, self.classifier.num_positions)
        return min((limit for limit in limits if limit is not None), default=None)

    def forward(
        self, ids: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"], spellings: Spellings | None = None
    ) -> ClassifierOutput:
        """Classifies whole sequences; a model with letter n-grams needs `spellings`."""
        if self.training and self.token_dropout_p:
            dropped = torch.rand(ids.shape, device=ids.device) < self.token_dropout_p
            ids = ids.masked_fill(dropped, self.unknown_id)
        embedded = self.embedding(ids)
        if self.letters is not None:
            if spellings is None:
                raise ValueError("a classifier with letter n-grams needs the `spellings` of its tokens")
            embedded = embedded + self.letters(spellings)
        return self.classify_embedded(embedded, lengths)

    def classify_embedded(
        self, embedded: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> ClassifierOutput:
        """The same from embeddings, for looking at what counts in them."""
        return self.classifier(self.dropout(embedded), lengths, undropped=embedded)


def build_classifier(
    config: ClassifierConfig, *, vocab_size: int, num_classes: int, unknown_id: int = 1
) -> TokenClassifier:
    """Builds the model that a recipe describes, for a vocabulary of this size."""
    return TokenClassifier(
        build_encoder(config.encoder, config.embedding_dim),
        vocab_size=vocab_size,
        embedding_dim=config.embedding_dim,
        num_classes=num_classes,
        pooling=config.pooling,
        dropout_p=config.dropout_p,
        token_dropout_p=config.token_dropout_p,
        unknown_id=unknown_id,
        num_positions=config.num_positions,
        embedding_std=config.embedding_std,
        num_letter_grams=None if config.letter_grams is None else config.letter_grams.num_buckets,
    )
