"""Which texts are answered together."""

from collections.abc import Sequence

LONG = 256
"""Tokens: longer texts take their batch to themselves and their like."""


def plan_batches(texts: Sequence[str], encoded: Sequence[Sequence[int]], batch_size: int) -> list[list[int]]:
    """The numbers of the texts that are answered together: of like length, the longest first; empty ones are not."""
    asked = [number for number, text in enumerate(texts) if text.strip()]
    asked.sort(key=lambda number: -len(encoded[number]))
    batches: list[list[int]] = []
    for number in asked:
        batch = batches[-1] if batches else []
        longest = len(encoded[batch[0]]) if batch else 0
        # All are padded to the longest: beside a very long text, short ones would cost as much as it does.
        alike = 2 * len(encoded[number]) >= longest and (len(batch) + 1) * longest <= batch_size * LONG
        if batch and len(batch) < batch_size and (longest <= LONG or alike):
            batch.append(number)
        else:
            batches.append([number])
    return batches
