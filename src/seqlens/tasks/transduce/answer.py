"""What comes back for one input of a transducer."""

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which source tokens each target token attended to: `weights [target, source]`, rows sum to one.

    `target_ids` are the ids of the target tokens; those beyond the vocabulary are of copied words.
    """

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    weights: Float[Tensor, "target source"]
    target_ids: tuple[int, ...] = ()

    @property
    def coverage(self) -> tuple[float, ...]:
        """How much attention each source token got over the whole output (Tu et al. 2016): near 0 where it was left
        out, near 1 where one token came of it, well above where it was read again and again."""
        return tuple(self.weights.sum(0).tolist())


@dataclass(frozen=True, slots=True)
class Translation:
    """An output text.

    `log_prob` is its natural log-probability under the model, `score` the length-penalised one that ranked it.
    `truncated`: the input was longer than the model's positions reach, and was cut there. `finished`: the output
    ended by itself and not at the length limit. `alternatives` are the next best ones.
    """

    text: str
    score: float
    log_prob: float
    truncated: bool = False
    finished: bool = True
    alignment: Alignment | None = None
    alternatives: tuple["Translation", ...] = ()

    def __str__(self) -> str:
        return self.text

    def without_doubles(self) -> "Translation":
        """The answer without alternatives that say what a better one says, spelt in other symbols."""
        best: dict[tuple[str, bool], Translation] = {}
        for one in (self, *self.alternatives):
            best.setdefault((one.text, one.finished), one)
        return replace(self, alternatives=tuple(best.values())[1:])

    def to_plain(self) -> dict[str, Any]:
        """The answer as JSON can hold it."""
        plain: dict[str, Any] = {
            "text": self.text,
            "score": self.score,
            "log_prob": self.log_prob,
            "truncated": self.truncated,
            "finished": self.finished,
        }
        if self.alignment is not None:
            plain["alignment"] = {
                "source_tokens": list(self.alignment.source_tokens),
                "target_tokens": list(self.alignment.target_tokens),
                "weights": [[round(weight, 5) for weight in row] for row in self.alignment.weights.tolist()],
                "coverage": [round(weight, 5) for weight in self.alignment.coverage],
            }
        if self.alternatives:
            plain["alternatives"] = [other.to_plain() for other in self.alternatives]
        return plain
