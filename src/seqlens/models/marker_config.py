"""Settings of the marker of genes, as they stand in a recipe."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from seqlens.models.config import EncoderConfig, Positive, Probability

BoundariesName = Literal["learned", "counted"]
StrandsName = Literal["shared", "averaged", "separate"]


@dataclass(frozen=True, slots=True)
class MarkerConfig:
    """What looks at the bases; the chain that follows has no settings.

    `kmer`: each base is seen with the ones before it as one of 4^kmer words, by how much likelier it is in coding than
    in other bases, as counted on the training data; 0 for none. Beside that a convolution over `first_kernel` bases
    into `channels`, and then one gated convolution of `kernel` bases for each of `dilations`
    (multiples of 3 keep to the codon's frame). `encoder` is a recurrent or Transformer encoder on top, `stride` bases
    a step; null for none.

    `boundaries`: `counted` starts the scores of starts, stops and splice sites from how much likelier the bases around
    them are than around other places with the same letters, and words with less say, as both are to be added up;
    `learned` starts from nothing.

    `strands`: `shared` reads both strands with the same weights, so that the other strand's answer is the mirror image
    of this one's; `separate` reads one strand and answers for both; `averaged` is that in training, and afterwards the
    mean of the answers to both strands.
    """

    kmer: Annotated[int, Field(ge=0, le=7)] = 6
    first_kernel: Positive = 15
    channels: Positive = 32
    kernel: Positive = 9
    dilations: tuple[Positive, ...] = (1, 3, 9, 27)
    encoder: EncoderConfig | None = None
    stride: Positive = 3
    boundaries: BoundariesName = "learned"
    strands: StrandsName = "shared"
    dropout_p: Probability = 0.0

    def __post_init__(self) -> None:
        for name, kernel in (("first_kernel", self.first_kernel), ("kernel", self.kernel)):
            if kernel % 2 == 0:
                raise ValueError(f"'{name}' is {kernel}, expected an odd number, so that it has a middle")
        if self.boundaries == "counted" and (not self.kmer or self.strands != "shared"):
            raise ValueError(
                f"'boundaries' is 'counted', 'kmer' {self.kmer} and 'strands' '{self.strands}', expected words of "
                "a base or more and 'shared'"
            )
