"""What a person can set about a search."""

from dataclasses import dataclass
from typing import Annotated, Literal, final

from pydantic import Field

from seqlens.decoding.hypothesis import LARGEST_LENGTH_PENALTY
from seqlens.layers.precision import SearchPrecisionChoice


@final
@dataclass(frozen=True, slots=True)
class DecodingConfig:
    """How outputs are searched for. Ranges are checked where a configuration is read, and again by the searches."""

    method: Literal["beam", "greedy", "sample"] = "beam"
    beam_width: Annotated[int, Field(ge=1)] = 5
    """Hypotheses followed at a time (beam)."""
    length_penalty: Annotated[float, Field(ge=0, le=LARGEST_LENGTH_PENALTY, allow_inf_nan=False)] = 1.0
    """Score = log-probability / length ** length_penalty; 0 favours short outputs."""
    max_length: Annotated[int, Field(ge=1)] | None = None
    """Most symbols of an output, the end included; caps the limit the task sets from the input's length."""
    min_length: Annotated[int, Field(ge=0)] = 0
    """Fewest symbols of an output, the end included."""
    num_best: Annotated[int, Field(ge=1)] = 1
    """Hypotheses returned for an input: the best (beam) or independent draws (sample)."""
    stopping: Literal["bound", "full"] = "bound"
    """Beam: stop when nothing unfinished can win any more, or already when the beam is full of finished ones."""
    diversity_groups: Annotated[int, Field(ge=1)] = 1
    """Beam: parts of the beam that are kept apart from each other, for n-best lists that differ in more than a word."""
    diversity_penalty: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.5
    """Beam: what a symbol costs a later group for each hypothesis of an earlier one that chose it in the same step."""
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Sample: below 1 sharpens the distribution, 0 is greedy."""
    top_k: Annotated[int, Field(ge=1)] | None = None
    """Sample: only the most probable symbols, so many of them."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Sample: only the most probable symbols that together reach this probability."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Sample: seed of the draws."""
    precision: SearchPrecisionChoice = "float32"
    """Of the model's matrix products; `bfloat16` is faster where the processor has units for it, which `auto` asks.
    `int8` is faster still, for Transformers on a CPU, and rounds more."""

    def __post_init__(self) -> None:
        if self.max_length is not None and self.min_length > self.max_length:
            raise ValueError(f"min_length is {self.min_length}, expected at most max_length, {self.max_length}")
        if self.method == "beam" and self.num_best > self.beam_width:
            raise ValueError(f"num_best is {self.num_best}, expected at most the beam width {self.beam_width}")
        if self.method == "beam" and self.beam_width % self.diversity_groups:
            raise ValueError(
                f"diversity_groups is {self.diversity_groups}, expected a divisor of the beam width {self.beam_width}"
            )
        if self.method == "greedy" and self.num_best > 1:
            raise ValueError(f"num_best is {self.num_best}, but greedy search finds one output an input")
