"""Hypotheses and references as every text metric takes them, and a fingerprint of the references."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, final

from seqlens.errors import RequestError

References = Sequence[str] | Sequence[Sequence[str]]
"""One reference for each hypothesis, or a list of several for each."""


def read_references(hypotheses: Sequence[str], references: References) -> list[list[str]]:
    """The list of references of every hypothesis; raises RequestError where the two sides do not fit."""
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise RequestError("To be scored a single text was given, expected a list of texts.")
    if len(hypotheses) != len(references):
        raise RequestError(
            f"There are {len(hypotheses)} hypotheses but references for {len(references)}; expected as many."
        )
    lists = [[reference] if isinstance(reference, str) else list(reference) for reference in references]
    for index, several in enumerate(lists):
        if not several:
            raise RequestError(f"Example {index} of the batch has no reference; there must be at least 1.")
    return lists


@final
class ReferencesLog:
    """What examples were measured against: how many references each has, and a fingerprint of them all."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._counts: set[int] = set()

    def add(self, lists: Sequence[Sequence[str]]) -> None:
        for several in lists:
            self._hash.update(json.dumps(several).encode() + b"\n")
            self._counts.add(len(several))

    @property
    def fingerprint(self) -> str:
        return self._hash.hexdigest()

    @property
    def count(self) -> str:
        """The number of references of an example as sacrebleu's signatures write it."""
        return str(*self._counts) if len(self._counts) == 1 else "var"

    def sacrebleu_signature(self, metric: Any) -> str:
        """The signature of a metric of sacrebleu for references such as these."""
        # sacrebleu knows the number of references once it has scored something: here a word.
        by_rank = [["a", "a"], ["a", None]] if self.count == "var" else [["a", "a"]] * int(self.count)
        metric.corpus_score(["a", "a"], by_rank)
        return str(metric.get_signature())
