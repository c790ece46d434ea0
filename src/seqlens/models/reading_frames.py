"""What a stretch of DNA holds as words of three bases: whether one of its three reading frames is free of stop codons,
and the like."""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers.masks import length_mask

_FRAMES = 3


@final
class ReadingFrames(nn.Module):
    """Detectors of words of three steps, pooled by reading frame, whichever of the frames comes first.

    A detector's strongest and mean answer are taken within each frame, and of these the lowest, the highest and (of the
    means) the mean over the frames. The lowest of the strongest tells of a frame without a word: coding DNA has one
    without stop codons, on its own strand or, by their complements, on the other.
    """

    def __init__(self, input_dim: int, output_dim: int, *, num_words: int) -> None:
        super().__init__()
        self.words = nn.Conv1d(input_dim, num_words, _FRAMES)
        self.output = nn.Linear(5 * num_words, output_dim)

    def forward(
        self, inputs: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch features"]:
        """Reads whole sequences; one shorter than a word gives zeros."""
        batch, time, _ = inputs.shape
        # Steps are added so that each frame has as many words as the others and nobody has none.
        words = -(-time // _FRAMES) + 1
        real = inputs.masked_fill(~length_mask(lengths, time, inputs.device)[:, :, None], 0.0)
        padded = nn.functional.pad(real, (0, 0, 0, words * _FRAMES + _FRAMES - 1 - time))
        found = torch.relu(self.words(padded.transpose(1, 2)))  # [batch, num_words, words * 3]
        starts = torch.arange(words * _FRAMES, device=inputs.device)
        whole = starts[None] + _FRAMES <= lengths.to(inputs.device)[:, None]
        # Answers are never below 0, so that what is no word cannot win.
        found = found.masked_fill(~whole[:, None], 0.0).view(batch, -1, words, _FRAMES)
        counts = whole.view(batch, words, _FRAMES).sum(1).clamp(min=1)
        strongest, mean = found.amax(2), found.sum(2) / counts[:, None]
        parts = [strongest.amin(2), strongest.amax(2), mean.amin(2), mean.amax(2), mean.mean(2)]
        features = nn.functional.gelu(self.output(torch.cat(parts, dim=1)))
        return features.masked_fill(~whole.any(1, keepdim=True), 0.0)
