"""Settings of the task `generate`: a language model, and how texts are drawn from it."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.text import CharactersConfig, TextCodecConfig
from seqlens.models.language_model_config import CausalLayersConfig, LanguageModelConfig

PositiveInt = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How a text is gone on with: `num_samples` draws, of at most `max_tokens` new tokens each.

    `temperature` below 1 sharpens the distribution, 0 takes the most probable token always; `top_k` and `top_p` cut off
    its tail. What is drawn for an input depends on it, on these settings and on the `seed` alone.
    """

    num_samples: Annotated[int, Field(ge=0, le=1000)] = 1
    max_tokens: PositiveInt = 200
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    top_k: PositiveInt | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """What is learnt.

    `window`: a running text is learnt from in windows of so many tokens; the state is carried from each to the next,
    gradients are not (truncated backpropagation through time, Mikolov et al. 2010). As many windows share a batch as
    `batches.max_tokens` has room for, each from another part of the text. Lines do not use it.
    """

    kind: Literal["generate"] = "generate"
    codec: TextCodecConfig = field(default_factory=CharactersConfig)
    model: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    window: Annotated[int, Field(ge=2)] = 128
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    @property
    def max_length(self) -> int | None:
        """Tokens that learned positions reach, the start included; None where there is no such bound."""
        layers = self.model.layers
        if isinstance(layers, CausalLayersConfig) and layers.positions == "learned":
            return layers.max_length
        return None

    @property
    def has_bounded_state(self) -> bool:
        """Whether the model can go on for any length."""
        return not isinstance(self.model.layers, CausalLayersConfig) or self.model.layers.window is not None
