"""Naive Bayes beside the net: what n-grams, or pairs at their places, say by their counts, weighed on validation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqlens.config.files import read_json, write_json
from seqlens.data.labelled.records import LabelledText
from seqlens.data.text import TextCodec
from seqlens.errors import WorkError
from seqlens.tasks.classify.baselines import NaiveBayes
from seqlens.tasks.classify.calibration import fit_temperature
from seqlens.tasks.classify.weight_array import WeightArray

FILE_NAME = "bayes.json"
_LARGEST = 1.0
_STEPS = 40


@final
@dataclass(frozen=True, slots=True, eq=False)
class CountedVote:
    """Adds to a net's logits `weight` times the scores of naive Bayes, in the order of the labels.

    The weight is 0 until it is fitted, on texts that neither was trained on: of training texts naive Bayes knows too
    much, so a net that learned beside it would leave all to it.
    """

    bayes: NaiveBayes | WeightArray
    weight: float = 0.0

    @classmethod
    def count(
        cls,
        codec: TextCodec,
        examples: Iterable[LabelledText],
        answers: Mapping[str, str | None],
        *,
        by_position: bool = False,
    ) -> "CountedVote":
        """Counts words and pairs of them in training texts, by the label that is answered for each.

        `by_position`: pairs are counted apart at each place of the text, for windows that lie alike.
        """
        named = [(one.text, answers.get(one.label, one.label)) for one in examples]
        kept = [(text, label) for text, label in named if label is not None]
        rows = codec.encode_batch(text for text, _ in kept)
        labels = [label for _, label in kept]
        return cls(WeightArray.fit(rows, labels) if by_position else NaiveBayes.fit(rows, labels, orders=(1, 2)))

    def add(self, logits: Float[Tensor, "rows labels"], rows: Sequence[Sequence[int]]) -> Float[Tensor, "rows labels"]:
        """The logits of both together, for rows of ids."""
        return logits + self.weight * self._scores(rows).to(logits)

    def fitted(
        self,
        logits: Float[Tensor, "rows labels"],
        rows: Sequence[Sequence[int]],
        labels: Int[Tensor, " rows"],
    ) -> "CountedVote":
        """With the weight, from 0 to 1, with the least cross-entropy at its best temperature; labels below 0 are none.

        Along lines through the origin the loss has one minimum, as it is convex in what both count: golden sections.
        """
        keep = labels >= 0
        logits, scores, labels = logits[keep].double(), self._scores(rows)[keep], labels[keep]
        if bool((logits.argmax(1) == labels).all()):
            return replace(self, weight=0.0)

        def loss(weight: float) -> float:
            both = logits + weight * scores
            return float(torch.nn.functional.cross_entropy(both / fit_temperature(both, labels), labels))

        low, high, ratio = 0.0, _LARGEST, (5**0.5 - 1) / 2
        for _ in range(_STEPS):
            left, right = high - ratio * (high - low), low + ratio * (high - low)
            low, high = (low, right) if loss(left) <= loss(right) else (left, high)
        best = (low + high) / 2
        return replace(self, weight=best if loss(best) < loss(0.0) else 0.0)

    def save(self, folder: Path) -> None:
        """Writes counts and weight."""
        write_json(folder / FILE_NAME, {"weight": self.weight, **self.bayes.to_plain()})

    @classmethod
    def load(cls, folder: Path) -> "CountedVote":
        """Reads what `save` wrote.

        Raises:
            WorkError: the file is missing or damaged.
        """
        path = folder / FILE_NAME
        stored = read_json(path)
        try:
            kind = WeightArray if stored.get("kind") == "positions" else NaiveBayes
            return cls(kind.from_plain(stored), float(stored["weight"]))
        except (KeyError, TypeError, ValueError) as error:
            raise WorkError(
                f"{path} is damaged: expected 'weight', and the counts of n-grams in each class."
            ) from error

    def _scores(self, rows: Sequence[Sequence[int]]) -> Float[Tensor, "rows labels"]:
        scores = [self.bayes.scores(row) for row in rows]
        return torch.tensor(scores, dtype=torch.float64).reshape(len(rows), len(self.bayes.classes))
