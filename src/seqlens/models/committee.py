"""Several classifiers whose probabilities are averaged: one net's chance mistakes are outvoted."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor, nn

from seqlens.models.classifier import TokenClassifier
from seqlens.models.letter_grams import Spellings
from seqlens.models.shapes import ClassifierOutput


@final
class ClassifierCommittee(nn.Module):
    """Classifiers of one make with weights of their own, each trained by its own loss (see `each`)."""

    def __init__(self, members: Sequence[TokenClassifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def max_length(self) -> int | None:
        """The longest input that all members reach; None where there is no such limit."""
        limits = [member.max_length for member in self.members]
        return min((limit for limit in limits if isinstance(limit, int)), default=None)

    def each(
        self, ids: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"], spellings: Spellings | None = None
    ) -> list[ClassifierOutput]:
        """What every member makes of the same sequences."""
        return [member(ids, lengths, spellings) for member in self.members]

    def forward(
        self, ids: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"], spellings: Spellings | None = None
    ) -> ClassifierOutput:
        """The logarithms of the members' mean probabilities, as logits."""
        logits = torch.stack([output.logits for output in self.each(ids, lengths, spellings)])
        return ClassifierOutput(torch.log_softmax(logits, 2).logsumexp(0) - torch.log(logits.new_tensor(len(logits))))
