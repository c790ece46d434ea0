"""Gradients of everything a module returns, by one backward pass from fixed random weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from seqlens.testing.compare import as_real

Tree = TypeVar("Tree")


@contextmanager
def evaluating(*modules: object) -> Iterator[None]:
    """Switches dropout off, and every part of each module back to its own mode afterwards."""
    parts = [part for module in modules if isinstance(module, nn.Module) for part in module.modules()]
    modes = [part.training for part in parts]
    # The flags and not `eval()`: an exported module has no `eval()`.
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def weighted_sum(tensors: Mapping[str, Tensor], seed: int = 0) -> Tensor:
    """The sum of all entries, each with a weight of its own, so that no error in a gradient can cancel."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros((), dtype=torch.float64, device="cpu")
    for name in sorted(tensors):
        tensor = as_real(tensors[name])
        # Drawn for every tensor, by name: its weights must not depend on the kind and the place of another one.
        weights = torch.randn(tensor.shape, generator=generator, dtype=torch.float64, device="cpu")
        if tensor.is_floating_point() and tensor.requires_grad:
            total = total + (tensor.double().cpu() * weights).sum()
    return total


def gradients_of(total: Tensor, leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients by name; zeros for a leaf that has no part in the total."""
    if not leaves:
        return {}
    if not total.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


def trainable(module: object) -> dict[str, Tensor]:
    """The parameters of a module that take gradients, by name; none where it is a plain function."""
    if not isinstance(module, nn.Module):
        return {}
    return {name: tensor for name, tensor in module.named_parameters() if tensor.requires_grad}


def as_leaves(tree: Tree) -> Tree:
    """The same tree with every floating tensor copied into a leaf that takes a gradient."""

    def leaf(value: object) -> object:
        if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
            return value.detach().clone().requires_grad_()
        return value

    return pytree.tree_map(leaf, tree)
