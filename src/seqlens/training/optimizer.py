"""The optimiser: which weights are decayed, and a state that is saved by the names of the weights."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from seqlens.layers.positions import LearnedPositions
from seqlens.layers.relative import RelativeBias
from seqlens.training.config import AdamWConfig

_NORMS = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.modules.batchnorm._NormBase,  # batch and instance norms
)


_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag, LearnedPositions, RelativeBias)


def split_by_decay(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """Returns (decayed, not decayed) trainable weights by name.

    Not decayed: everything with fewer than two dimensions, and what an embedding (of a position or a distance, too) or
    a norm owns (also under a second name, as a tied output layer).
    """
    exempt = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, (*_EMBEDDINGS, *_NORMS))
        for parameter in module.parameters(recurse=False)
    }
    decayed: dict[str, nn.Parameter] = {}
    kept: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            group = kept if parameter.ndim < 2 or id(parameter) in exempt else decayed
            group[name] = parameter
    return decayed, kept


@final
class Optimizer:
    """AdamW over a model's trainable weights, whose state is tensors named `<slot>/<weight>`."""

    def __init__(self, model: nn.Module, config: AdamWConfig) -> None:
        """Takes the trainable weights of `model` as they are now; it must be on its device already.

        Raises:
            ValueError: the model has no trainable weights.
        """
        decayed, kept = split_by_decay(model)
        self._named = {**decayed, **kept}
        if not self._named:
            raise ValueError("the model has no weights that can be trained")
        groups = [
            {"params": list(decayed.values()), "weight_decay": config.weight_decay},
            {"params": list(kept.values()), "weight_decay": 0.0},
        ]
        # The fused kernel is elementwise, so as repeatable as the plain one, and reads each weight once.
        can_fuse = all(
            parameter.is_floating_point() and parameter.device.type in ("cpu", "cuda")
            for parameter in self._named.values()
        )
        self._adamw = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.learning_rate,
            betas=config.betas,
            eps=config.epsilon,
            fused=can_fuse,
        )

    def gradients(self) -> list[Tensor]:
        """Returns the gradients that exist, in a fixed order."""
        return [parameter.grad for parameter in self._named.values() if parameter.grad is not None]

    def has_gradient(self) -> list[bool]:
        """Returns for each weight, in that order, whether it has a gradient."""
        return [parameter.grad is not None for parameter in self._named.values()]

    def gradients_where(self, wanted: Sequence[float]) -> list[Tensor]:
        """Returns the gradients of the weights for which `wanted` is not 0; zeros are put where there were none."""
        found = []
        for parameter, wants in zip(self._named.values(), wanted, strict=True):
            if wants:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                found.append(parameter.grad)
        return found

    def clear_gradients(self) -> None:
        """Forgets all gradients."""
        self._adamw.zero_grad(set_to_none=True)

    def step(self, learning_rate: float) -> None:
        """Updates the weights once."""
        for group in self._adamw.param_groups:
            group["lr"] = learning_rate
        self._adamw.step()

    def state_tensors(self) -> dict[str, Tensor]:
        """Returns the optimiser's memory: `exp_avg/<weight>`, `exp_avg_sq/<weight>`, `step/<weight>`."""
        return {
            f"{slot}/{name}": value.contiguous()  # files hold no strides
            for name, parameter in self._named.items()
            for slot, value in self._adamw.state.get(parameter, {}).items()
        }

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `state_tensors` returned, for a model with the same weights.

        Raises:
            ValueError: a tensor belongs to no weight of this model, or has another shape.
        """
        index_of = {name: index for index, name in enumerate(self._named)}
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            slot, _, name = key.partition("/")
            if name not in index_of:
                raise ValueError(f"'{name}' is no trainable weight of this model")
            if slot != "step" and value.shape != self._named[name].shape:
                expected = tuple(self._named[name].shape)
                raise ValueError(f"'{name}' has shape {tuple(value.shape)}, expected {expected}")
            state.setdefault(index_of[name], {})[slot] = value
        self._adamw.load_state_dict({"state": state, "param_groups": self._adamw.state_dict()["param_groups"]})
