"""Settings of the task `mark`: genes on DNA."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.models.marker_config import MarkerConfig


@dataclass(frozen=True, slots=True)
class MarkConfig:
    """What is learnt and how sequences are cut.

    Training sees crops of `crop_length` bases at places drawn anew in each epoch, about as many as cover all records,
    and of either strand; with `max_crops` no more than so many of one record, so that few long ones, in which genes may
    be left out, do not outweigh all others.

    `decoding`: `path` answers with the most probable genes, `bases` with those of which most bases are expected to be
    right, coding ones counted `coding_weight` times. For answers, sequences longer than `window` are read in windows of
    that many bases; what lies within `overlap` bases of a window's cut end is taken from its neighbour. The chain then
    runs over the whole.
    """

    kind: Literal["mark"] = "mark"
    model: MarkerConfig = field(default_factory=MarkerConfig)
    crop_length: Annotated[int, Field(ge=100)] = 2048
    max_crops: Annotated[int, Field(ge=1)] | None = None
    decoding: Literal["bases", "path"] = "bases"
    coding_weight: Annotated[float, Field(gt=0.0)] = 1.0
    window: Annotated[int, Field(ge=1000)] = 20_000
    overlap: Annotated[int, Field(ge=0)] = 1000

    def __post_init__(self) -> None:
        if 2 * self.overlap >= self.window:
            raise ValueError(
                f"'overlap' is {self.overlap} and 'window' {self.window}, expected an overlap below half of the window"
            )
