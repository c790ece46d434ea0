"""What the letters of a token say: a vector for each n-gram of them (Bojanowski et al. 2017)."""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Spellings(NamedTuple):
    """The letter n-grams of a batch's tokens, those of each different token once.

    `places [batch, time]` says which row of `grams [forms, grams]` is a token's; there 0 is no n-gram.
    """

    places: Int[Tensor, "batch time"]
    grams: Int[Tensor, "forms grams"]

    def to(self, device: torch.device | str) -> "Spellings":
        """The same on `device`."""
        return Spellings(self.places.to(device), self.grams.to(device))


@final
class LetterGrams(nn.Module):
    """The mean of the embeddings of a token's letter n-grams, which are known by a hash; zeros where it has none."""

    def __init__(self, embedding_dim: int, *, num_buckets: int, embedding_std: float) -> None:
        """Numbers of n-grams are 1 to `num_buckets`; `embedding_std` is as in `TokenClassifier`."""
        super().__init__()
        self.embedding = nn.EmbeddingBag(num_buckets + 1, embedding_dim, mode="mean", padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=embedding_std)
        with torch.no_grad():
            self.embedding.weight[0].zero_()

    def forward(self, spellings: Spellings) -> Float[Tensor, "batch time dim"]:
        """Reads each different token once."""
        if not spellings.grams.numel():
            return self.embedding.weight.new_zeros(*spellings.places.shape, self.embedding.embedding_dim)
        vectors: Tensor = self.embedding(spellings.grams)
        return vectors[spellings.places]
