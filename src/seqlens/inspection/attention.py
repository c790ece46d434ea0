"""Where a model looked: attention over the source for a given pair or for its own answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.data.batch import pad
from seqlens.errors import RequestError
from seqlens.models.transducer import Transducer
from seqlens.tasks.transduce.pair_loss import shift_right
from seqlens.tasks.transduce.task import TransduceTask

LEFT_OUT = 0.25
REPEATED = 2.0


@dataclass(frozen=True, slots=True)
class AttentionMap:
    """Attention of one pair. `layers[n]` is `[heads, target, source]`; one layer and one head for a recurrent decoder.

    `source_tokens` and `target_tokens` name the columns and the rows, the final `<end>` included.
    """

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    layers: tuple[Float[Tensor, "heads target source"], ...]

    @property
    def mean(self) -> Float[Tensor, "target source"]:
        """The top layer's weights, the mean of its heads."""
        return self.layers[-1].mean(0)

    @property
    def coverage(self) -> tuple[float, ...]:
        """How much attention each source token got over the whole output (Tu et al. 2016)."""
        return tuple(self.mean.sum(0).tolist())

    @property
    def left_out(self) -> tuple[int, ...]:
        """Source tokens, but for `<end>`, that got less than `LEFT_OUT` in all: perhaps not translated."""
        return tuple(place for place, covered in enumerate(self.coverage[:-1]) if covered < LEFT_OUT)

    @property
    def repeated(self) -> tuple[int, ...]:
        """Source tokens, but for `<end>`, that got more than `REPEATED` in all: perhaps translated twice."""
        return tuple(place for place, covered in enumerate(self.coverage[:-1]) if covered > REPEATED)


def attention_map(task: TransduceTask, model: Transducer, source: str, target: str | Sequence[int]) -> AttentionMap:
    """The attention with which the model reads `source` while it is made to write `target`: a text, or ids as they are.

    Raises:
        RequestError: the model has no attention.
    """
    # As it is read: without context for which there is no room.
    (source_ids,), _ = task.encode_sources(model, [source])
    target_ids = task.encode_pair(source, target)[1] if isinstance(target, str) else list(target)
    unknown = task.unknown_words(source)
    device = model.output.weight.device
    sources, targets = pad([source_ids]).to(device), pad([target_ids]).to(device)
    weights: list[Tensor] = []
    with torch.no_grad():
        encoded = model.encode(sources.ids, sources.lengths)
        model.decode(encoded, shift_right(targets.ids), targets.lengths, weights)
    if not weights:
        raise RequestError("This model has no attention to show: its decoder sees the source as one vector.")
    return AttentionMap(
        tuple(task.source_codec.token(token, unknown) for token in source_ids),
        tuple(task.target_codec.token(token, unknown) for token in target_ids),
        tuple(layer[0].float().cpu() for layer in weights),
    )
