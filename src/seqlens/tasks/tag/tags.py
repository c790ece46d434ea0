"""The tags of a label set, and which of them may follow each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Bool
from torch import Tensor

from seqlens.data.tagged.schemes import TokenSpan, lenient_spans, write_tags


class Allowed(NamedTuple):
    """Which tag may follow which, `transitions [from, to]`, and which may begin and end a sentence."""

    transitions: Bool[Tensor, "tags tags"]
    start: Bool[Tensor, " tags"]
    end: Bool[Tensor, " tags"]


@final
@dataclass(frozen=True, slots=True)
class TagSet:
    """`O` and the tags of every label; a tag's id is its place in `names`."""

    labels: tuple[str, ...]
    scheme: Literal["bio", "bioes"]

    @property
    def names(self) -> tuple[str, ...]:
        prefixes = "BIES" if self.scheme == "bioes" else "BI"
        return ("O", *(f"{prefix}-{label}" for label in self.labels for prefix in prefixes))

    def ids(self, num_tokens: int, spans: Sequence[TokenSpan]) -> list[int]:
        """The ids of a sentence's tags; spans of labels that there are not are left out."""
        places = {name: place for place, name in enumerate(self.names)}
        known = [span for span in spans if span[2] in self.labels]
        return [places[tag] for tag in write_tags(num_tokens, known, self.scheme)]

    def closing(self) -> list[int]:
        """For each tag the one that stands where a sentence is cut after it: the span ends there."""
        names = self.names
        ends = {"B": "S", "I": "E"} if self.scheme == "bioes" else {}
        return [names.index(ends.get(name[0], name[0]) + name[1:]) for name in names]

    def spans(self, ids: Sequence[int]) -> list[TokenSpan]:
        """The spans of a sentence's tags."""
        names = self.names
        return lenient_spans([names[id] for id in ids])

    def continuing(self, label: str) -> tuple[int, ...]:
        """The tags by which a span of a label would go on after its last token as tagged."""
        return () if self.scheme == "bioes" else (self.names.index(f"I-{label}"),)

    def allowed(self) -> Allowed:
        """What the scheme allows."""
        names = self.names
        inner, final_tags = ("BI", "ES") if self.scheme == "bioes" else ("", "BI")
        transitions = torch.ones(len(names), len(names), dtype=torch.bool)
        for before, left in enumerate(names):
            for after, right in enumerate(names):
                continues = right[0] in "IE" and left[0] in "BI" and left[2:] == right[2:]
                if right[0] in "IE":
                    transitions[before, after] = continues
                elif left[0] in inner and left != "O":
                    transitions[before, after] = False
        start = torch.tensor([name[0] not in "IE" for name in names])
        end = torch.tensor([name == "O" or name[0] in final_tags for name in names])
        return Allowed(transitions, start, end)
