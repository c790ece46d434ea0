"""Where the real steps of a padded batch lie: the one place that knows about padding in recurrent layers.

Packed steps stand time-major with the longest sequence first, so that the sequences still running at step `t` are
the first `batch_sizes[t]` rows. Padding is never read, so whatever it holds cannot matter, and never computed.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqlens.layers.masks import check_lengths


@dataclass(frozen=True, slots=True)
class Packing:
    """Index tensors between a padded batch `[batch, time]` and its packed steps.

    `positions [steps]`: each packed step's index into the flattened `[batch * time]`; `reversal [steps]`: the packed
    step holding the same sequence counted from its end; `order [batch]`: the batch row of each sorted row;
    `inverse [batch]`: the other way round.
    """

    batch_size: int
    time: int
    batch_sizes: tuple[int, ...]
    positions: Int[Tensor, " steps"]
    reversal: Int[Tensor, " steps"]
    order: Int[Tensor, " batch"]
    inverse: Int[Tensor, " batch"]

    @classmethod
    def of(cls, batch_size: int, time: int, lengths: Int[Tensor, " batch"] | None, device: torch.device) -> "Packing":
        """Plans a batch; `lengths` of 0 to `time` on any device, None for all `time`.

        Raises:
            ValueError: the lengths do not fit the batch.
        """
        if lengths is None:
            return cls._full(batch_size, time, device)
        lengths = check_lengths(lengths, batch_size, time)
        order = torch.argsort(lengths, descending=True, stable=True)
        sorted_lengths = lengths[order]
        running = torch.arange(int(lengths.max()) if batch_size else 0)[:, None] < sorted_lengths[None, :]
        step, row = running.nonzero(as_tuple=True)
        sizes = running.sum(dim=1)
        offsets = sizes.cumsum(0) - sizes
        positions = order[row] * time + step
        reversal = offsets[sorted_lengths[row] - 1 - step] + row
        return cls(
            batch_size=batch_size,
            time=time,
            batch_sizes=tuple(sizes.tolist()),
            positions=positions.to(device),
            reversal=reversal.to(device),
            order=order.to(device),
            inverse=torch.argsort(order).to(device),
        )

    @classmethod
    def _full(cls, batch_size: int, time: int, device: torch.device) -> "Packing":
        """A batch without padding, planned without reading a tensor: so that torch.export can trace it."""
        rows = torch.arange(batch_size, device=device)
        steps = torch.arange(time, device=device)[:, None]
        return cls(
            batch_size=batch_size,
            time=time,
            batch_sizes=(batch_size,) * time if batch_size else (),
            positions=(rows * time + steps).flatten(),
            reversal=(rows + batch_size * (time - 1 - steps)).flatten(),
            order=rows,
            inverse=rows,
        )

    def pack(self, padded: Float[Tensor, "batch time dim"]) -> Float[Tensor, "steps dim"]:
        """Takes the real steps out of a padded batch."""
        return padded.flatten(0, 1).index_select(0, self.positions)

    def unpack(self, packed: Float[Tensor, "steps dim"]) -> Float[Tensor, "batch time dim"]:
        """Puts packed steps back where they were; padding becomes zero."""
        flat = packed.new_zeros(self.batch_size * self.time, packed.shape[1])
        return flat.index_copy(0, self.positions, packed).view(self.batch_size, self.time, packed.shape[1])
