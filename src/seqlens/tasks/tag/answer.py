"""What comes back for one input of a tagger."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """Characters `start` to `end` (excluded) of the input, counted from 0, what they name, and how sure that is.

    `confidence` is the probability of exactly this entity, ends and label, over all ways to tag the text.
    """

    text: str
    start: int
    end: int
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Tagging:
    """The entities of a text, in order. `truncated`: the model's positions did not reach the end of a sentence."""

    text: str
    entities: tuple[FoundEntity, ...]
    truncated: bool = False

    def __str__(self) -> str:
        """The text with its entities in brackets: `[person Harry Potter] met`."""
        parts, place = [], 0
        for entity in self.entities:
            parts += [self.text[place : entity.start], f"[{entity.label} {entity.text}]"]
            place = entity.end
        return "".join([*parts, self.text[place:]])

    def to_plain(self) -> dict[str, Any]:
        """The answer as JSON can hold it, without the text itself."""
        plain: dict[str, Any] = {
            "entities": [
                {
                    "text": entity.text,
                    "start": entity.start,
                    "end": entity.end,
                    "label": entity.label,
                    "confidence": round(entity.confidence, 6),
                }
                for entity in self.entities
            ],
        }
        if self.truncated:
            plain["truncated"] = True
        return plain
