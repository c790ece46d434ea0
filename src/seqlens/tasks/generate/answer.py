"""What comes back for one input of a language model."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """A continuation that was drawn: `text` is the whole, the input included.

    `log_prob` is the natural log-probability that the model gives the continuation, whatever it was drawn by;
    `finished` says that it ended by itself and not at the limit.
    """

    text: str
    log_prob: float
    finished: bool

    def to_plain(self) -> dict[str, Any]:
        """The sample as JSON can hold it."""
        return {"text": self.text, "log_prob": self.log_prob, "finished": self.finished}


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """A text's tokens with their natural log-probabilities, each given those before it, and continuations of it.

    `unknown_nats` is what it costs to spell out pieces that the vocabulary lacks. `end_log_prob` is the log-probability
    that the text ends where it does; None where texts have no end, or where the end is the last of the tokens.
    """

    text: str
    tokens: tuple[str, ...]
    log_probs: tuple[float, ...]
    num_characters: int
    unknown_nats: float = 0.0
    end_log_prob: float | None = None
    samples: tuple[Sample, ...] = ()

    @property
    def log_prob(self) -> float:
        """The natural log-probability of the text as a beginning."""
        return sum(self.log_probs) - self.unknown_nats

    def __str__(self) -> str:
        if self.samples:
            return "\t".join(sample.text for sample in self.samples)
        return f"{self.log_prob:.3f}\t{self.text}"

    def to_plain(self) -> dict[str, Any]:
        """The answer as JSON can hold it."""
        plain: dict[str, Any] = {"text": self.text, "log_prob": self.log_prob}
        if self.end_log_prob is not None:
            plain["end_log_prob"] = self.end_log_prob
        if self.unknown_nats:
            plain["unknown_nats"] = self.unknown_nats
        plain["tokens"] = list(self.tokens)
        plain["token_log_probs"] = list(self.log_probs)
        plain["samples"] = [sample.to_plain() for sample in self.samples]
        return plain
