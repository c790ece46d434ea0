"""What comes back for one input of a classifier."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TokenWeight:
    """A word, where it stands in the text, and how far it moves the log-odds of the answer: above 0 towards it."""

    text: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Classification:
    """A label with its probability, and those of all labels.

    `tokens` tell what each word counted for, where that was asked for. `truncated`: the input was longer than the
    model's positions reach, and was cut there.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    tokens: tuple[TokenWeight, ...] = ()
    truncated: bool = False

    def __str__(self) -> str:
        return f"{self.label}\t{self.probability:.3f}"

    def to_plain(self) -> dict[str, Any]:
        """The answer as JSON can hold it."""
        plain: dict[str, Any] = {
            "label": self.label,
            "probability": round(self.probability, 6),
            "probabilities": {label: round(value, 6) for label, value in self.probabilities.items()},
        }
        if self.truncated:
            plain["truncated"] = True
        if self.tokens:
            plain["tokens"] = [
                {"text": token.text, "start": token.start, "end": token.end, "weight": round(token.weight, 5)}
                for token in self.tokens
            ]
        return plain
