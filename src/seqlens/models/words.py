"""What stands for a word: its own embedding, what its letters say, its features."""

from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers import RecurrentLayer
from seqlens.layers.constants import ConstantsModule
from seqlens.layers.masks import length_mask

_UNKNOWN = 1
"""The id of letters and of features that training has not."""


class WordForms(NamedTuple):
    """The different words of a batch, each once: what is computed of a word is computed once.

    `words [forms]` are ids, `letters [forms, letters]` those of letters, 0 at padding, with `letter_counts [forms]`;
    `features [forms, features]`.
    """

    words: Int[Tensor, " forms"]
    letters: Int[Tensor, "forms letters"]
    letter_counts: Int[Tensor, " forms"]
    features: Int[Tensor, "forms features"]

    def to(self, device: torch.device | str) -> "WordForms":
        """The same forms on `device`; counts stay on the CPU, as lengths do."""
        return WordForms(self.words.to(device), self.letters.to(device), self.letter_counts, self.features.to(device))


def _letter_embedding(num_letters: int, dim: int) -> nn.Embedding:
    embedding = nn.Embedding(num_letters, dim)
    _silence(embedding, [_UNKNOWN])
    return embedding


def _silence(embedding: nn.Embedding, rows: list[int]) -> None:
    """Sets vectors to zero that training may never read: what nobody has seen says nothing, rather than anything."""
    with torch.no_grad():
        embedding.weight[rows] = 0


@final
class RecurrentLetters(nn.Module):
    """The last state of each direction over a word's letters."""

    def __init__(self, layer: RecurrentLayer, *, num_letters: int) -> None:
        super().__init__()
        self.embedding = _letter_embedding(num_letters, layer.input_dim)
        self.layer = layer
        self.output_dim = layer.output_dim

    def forward(
        self, letters: Int[Tensor, "forms letters"], counts: Int[Tensor, " forms"]
    ) -> Float[Tensor, "forms dim"]:
        return self.layer(self.embedding(letters), counts).state.last()


@final
class ConvolutionLetters(nn.Module):
    """The largest answer of each filter, wherever in the word it is."""

    def __init__(self, embedding_dim: int, *, width: int, num_filters: int, num_letters: int) -> None:
        super().__init__()
        self.embedding = _letter_embedding(num_letters, embedding_dim)
        self.convolution = nn.Conv1d(embedding_dim, num_filters, width, padding="same")
        self.output_dim = num_filters

    def forward(
        self, letters: Int[Tensor, "forms letters"], counts: Int[Tensor, " forms"]
    ) -> Float[Tensor, "forms dim"]:
        if not letters.shape[1]:
            return self.embedding.weight.new_zeros(len(letters), self.output_dim)
        mask = length_mask(counts, letters.shape[1], letters.device)[:, None]
        embedded = self.embedding(letters).transpose(1, 2) * mask
        answers = self.convolution(embedded).masked_fill(~mask, float("-inf")).amax(2)
        return torch.relu(answers)


Letters = RecurrentLetters | ConvolutionLetters


@final
class WordEmbedder(ConstantsModule):
    """One vector for each form: embedding, letters and features side by side."""

    unknown_p: Float[Tensor, " words"]
    offsets: Int[Tensor, " features"]

    def __init__(
        self,
        letters: Letters | None,
        *,
        embedding_dim: int,
        num_words: int,
        num_features: tuple[int, ...] = (),
        feature_dim: int = 0,
        unknown_p: Float[Tensor, " words"] | None = None,
        unknown_id: int = 1,
    ) -> None:
        """`unknown_p [words]`: with which probability each word becomes `unknown_id` in training."""
        super().__init__()
        self.embedding = nn.Embedding(num_words, embedding_dim)
        nn.init.uniform_(self.embedding.weight, -((3 / embedding_dim) ** 0.5), (3 / embedding_dim) ** 0.5)
        self.letters = letters
        self.unknown_id = unknown_id
        self.register_constant(
            "unknown_p", torch.zeros(num_words, device="cpu") if unknown_p is None else unknown_p.float()
        )
        self.features: nn.Embedding | None = None
        if feature_dim and num_features:
            self.features = nn.Embedding(sum(num_features), feature_dim)
            nn.init.uniform_(self.features.weight, -((3 / feature_dim) ** 0.5), (3 / feature_dim) ** 0.5)
        # All features share one table, each in a part of its own.
        starts = [sum(num_features[:place]) for place in range(len(num_features))]
        if self.features is not None:
            _silence(self.features, [start + _UNKNOWN for start in starts])
        self.register_constant("offsets", torch.tensor(starts, dtype=torch.int64, device="cpu"))
        self.output_dim = embedding_dim
        self.output_dim += 0 if letters is None else letters.output_dim
        self.output_dim += feature_dim * len(num_features) if self.features is not None else 0

    def forward(self, forms: WordForms) -> Float[Tensor, "forms dim"]:
        words = forms.words
        if self.training:
            words = words.masked_fill(torch.rand_like(self.unknown_p[words]) < self.unknown_p[words], self.unknown_id)
        parts = [self.embedding(words)]
        if self.letters is not None:
            parts.append(self.letters(forms.letters, forms.letter_counts))
        if self.features is not None:
            parts.append(self.features(forms.features + self.offsets).flatten(1))
        return torch.cat([part.to(parts[0].dtype) for part in parts], dim=1)


@final
class RepeatedWords(nn.Module):
    """Adds to each token's vector what the other tokens of the same word in the text have on average.

    `outputs = vectors + tanh(weight [vectors, mean of the others] + bias)`; the mean of none is zero. Pooling over the
    places of a word in a document follows Akbik et al. 2019.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * dim, dim)

    def forward(
        self,
        vectors: Float[Tensor, "batch time dim"],
        tokens: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"],
        texts: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch time dim"]:
        """`tokens` are equal for the same word, `texts` for rows of the same text.

        Padding is not read, and zero in the outputs.
        """
        dim = vectors.shape[2]
        places = torch.stack([texts[:, None].expand(tokens.shape)[mask], tokens[mask]], dim=1)
        _, groups, counts = torch.unique(places, dim=0, return_inverse=True, return_counts=True)
        own = vectors[mask]
        sums = own.new_zeros(len(counts), dim).index_add(0, groups, own)
        others = (sums[groups] - own) / (counts[groups] - 1).clamp(min=1)[:, None]
        mixed = own + torch.tanh(self.mix(torch.cat([own, others], dim=1))).to(own.dtype)
        return torch.zeros_like(vectors).masked_scatter(mask[:, :, None], mixed)
