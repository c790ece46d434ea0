"""Where the real steps of a padded batch lie: the one place that knows about padding in recurrent layers.

Packed steps stand time-major with the longest sequence first, so that the sequences still running at step `t` are
the first `batch_sizes[t]` rows. Padding is never read, so whatever it holds cannot matter, and never computed.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers.masks import check_lengths


class Places(NamedTuple):
    """Index tensors between a padded batch and its packed steps; see the properties of `Packing`."""

    positions: Int[Tensor, " steps"]
    reversal: Int[Tensor, " steps"]
    order: Int[Tensor, " batch"]
    inverse: Int[Tensor, " batch"]


@dataclass(frozen=True, slots=True)
class Packing:
    """How a padded batch `[batch, time]` is packed.

    `padding [steps]`: True at packed steps that are none, where a graph of fixed shapes has to hold them too, None
    where there are none.
    """

    batch_size: int
    time: int
    batch_sizes: tuple[int, ...]
    device: torch.device
    places: Places | None
    """None for a batch without padding, whose places follow from its size: most calls never ask for them."""
    padding: Bool[Tensor, " steps"] | None = None

    @property
    def positions(self) -> Int[Tensor, " steps"]:
        """Each packed step's index into the flattened `[batch * time]`."""
        if self.places is not None:
            return self.places.positions
        return (self.order * self.time + self._steps).flatten()

    @property
    def reversal(self) -> Int[Tensor, " steps"]:
        """For each packed step, the packed step that holds the same sequence counted from its end."""
        if self.places is not None:
            return self.places.reversal
        return (self.order + self.batch_size * (self.time - 1 - self._steps)).flatten()

    @property
    def order(self) -> Int[Tensor, " batch"]:
        """The batch row of each sorted row."""
        return torch.arange(self.batch_size, device=self.device) if self.places is None else self.places.order

    @property
    def inverse(self) -> Int[Tensor, " batch"]:
        """The sorted row of each batch row."""
        return self.order if self.places is None else self.places.inverse

    @property
    def _steps(self) -> Int[Tensor, "time 1"]:
        return torch.arange(self.time, device=self.device)[:, None]

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
        running = torch.arange(int(lengths.max()) if batch_size else 0, device="cpu")[:, None] < sorted_lengths[None, :]
        step, row = running.nonzero(as_tuple=True)
        sizes = running.sum(dim=1)
        offsets = sizes.cumsum(0) - sizes
        positions = order[row] * time + step
        reversal = offsets[sorted_lengths[row] - 1 - step] + row
        return cls(
            batch_size=batch_size,
            time=time,
            batch_sizes=tuple(sizes.tolist()),
            device=device,
            places=Places(
                positions=positions.to(device),
                reversal=reversal.to(device),
                order=order.to(device),
                inverse=torch.argsort(order).to(device),
            ),
        )

    @classmethod
    def _full(cls, batch_size: int, time: int, device: torch.device) -> "Packing":
        """A batch without padding, planned without reading a tensor: so that torch.export can trace it."""
        sizes = (batch_size,) * time if batch_size else ()
        return cls(batch_size=batch_size, time=time, batch_sizes=sizes, device=device, places=None)

    @classmethod
    def _fixed(cls, batch_size: int, time: int, lengths: Int[Tensor, " batch"], device: torch.device) -> "Packing":
        """A batch whose padding is packed as well: no shape depends on the lengths, so a graph can hold it.

        A graph cannot refuse lengths: those beyond 0 and `time` are taken as the nearest that fits.
        """
        full = cls._full(batch_size, time, device)
        ends = lengths.to(device).clamp(0, time)
        order, steps = full.order, full._steps
        padding = steps >= ends
        reversal = torch.where(padding, steps, ends - 1 - steps) * batch_size + order
        places = Places(full.positions, reversal.flatten(), order, order)
        return replace(full, places=places, padding=padding.flatten())

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
