"""Where the real steps of a padded batch lie: the one place that knows about padding in recurrent layers.

Packed steps stand time-major with the longest sequence first, so that the sequences still running at step `t` are
the first `batch_sizes[t]` rows. Padding is never read, so whatever it holds cannot matter, and never computed.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers.masks import check_lengths


@dataclass(frozen=True, slots=True)
class Packing:
    """Index tensors between a padded batch `[batch, time]` and its packed steps.

    `positions [steps]`: each packed step's index into the flattened `[batch * time]`; `reversal [steps]`: the packed
    step holding the same sequence counted from its end; `order [batch]`: the batch row of each sorted row;
    `inverse [batch]`: the other way round; `padding [steps]`: True at packed steps that are none, where a graph of
    fixed shapes has to hold them too, None where there are none.
    """

    batch_size: int
    time: int
    batch_sizes: tuple[int, ...]
    positions: Int[Tensor, " steps"]
    reversal: Int[Tensor, " steps"]
    order: Int[Tensor, " batch"]
    inverse: Int[Tensor, " batch"]
    padding: Bool[Tensor, " steps"] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether there are sequences and all have equally many steps, at least one."""
        sizes = self.batch_sizes
        return self.padding is None and bool(sizes) and sizes[0] == sizes[-1] == self.batch_size

    @classmethod
    def of(cls, batch_size: int, time: int, lengths: Int[Tensor, " batch"] | None, device: torch.device) -> "Packing":
        """Plans a batch; `lengths` of 0 to `time` on any device, None for all `time`.

        Raises:
            ValueError: the lengths do not fit the batch.
        """
        if lengths is None:
            return cls._full(batch_size, time, device)
        if torch.compiler.is_compiling():
            return cls._fixed(batch_size, time, lengths, device)
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

    @classmethod
    def _fixed(cls, batch_size: int, time: int, lengths: Int[Tensor, " batch"], device: torch.device) -> "Packing":
        """A batch whose padding is packed as well: no shape depends on the lengths, so a graph can hold it.

        A graph cannot refuse lengths: those beyond 0 and `time` are taken as the nearest that fits.
        """
        full = cls._full(batch_size, time, device)
        ends = lengths.to(device).clamp(0, time)
        steps = torch.arange(time, device=device)[:, None]
        padding = steps >= ends
        reversal = torch.where(padding, steps, ends - 1 - steps) * batch_size + full.order
        return replace(full, reversal=reversal.flatten(), padding=padding.flatten())

    def pack(self, padded: Float[Tensor, "batch time dim"]) -> Float[Tensor, "steps dim"]:
        """Takes the real steps out of a padded batch."""
        if self.is_whole:
            return padded[:, : len(self.batch_sizes)].transpose(0, 1).flatten(0, 1)
        packed = padded.flatten(0, 1).index_select(0, self.positions)
        return packed if self.padding is None else packed.masked_fill(self.padding[:, None], 0.0)

    def unpack(self, packed: Float[Tensor, "steps dim"]) -> Float[Tensor, "batch time dim"]:
        """Puts packed steps back where they were; padding becomes zero."""
        if self.is_whole:
            steps = len(self.batch_sizes)
            padded = packed.view(steps, self.batch_size, packed.shape[1]).transpose(0, 1)
            # As torch's own layers do, a view time-major in memory: the copy would be a twentieth of the forward time.
            return padded if steps == self.time else nn.functional.pad(padded, (0, 0, 0, self.time - steps))
        if self.padding is not None:
            packed = packed.masked_fill(self.padding[:, None], 0.0)
        flat = packed.new_zeros(self.batch_size * self.time, packed.shape[1])
        return flat.index_copy_(0, self.positions, packed).view(self.batch_size, self.time, packed.shape[1])
