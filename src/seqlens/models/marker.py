"""From bases to scores for a chain of genes on both strands."""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers.constants import ConstantsModule
from seqlens.layers.dropout import Dropout
from seqlens.layers.gated_convolution import GatedConvolution
from seqlens.layers.masks import length_mask, zero_padding
from seqlens.models.build_encoder import build_encoder
from seqlens.models.encoders import Encoder
from seqlens.models.marker_config import MarkerConfig, StrandsName

NUM_PHASES = 3
NUM_SCORES = 8
"""Of each strand: the three positions of a codon, intron, and the boundaries start, stop, donor and acceptor."""
# Where the scores of boundaries start: about the logarithm of how rare they are where they are possible at all.
_RARE = (0.0, 0.0, 0.0, 0.0, -7.0, -1.0, -5.0, -4.0)
# The same beside counted boundaries, and what words and boundaries weigh there: about where training leads on genes of
# flies. A hundredth a coding base is much over a gene of a thousand.
_RARE_COUNTED = (0.01, 0.01, 0.01, 0.0, -2.6, -3.3, -3.9, -3.3)
_WORDS_BESIDE_BOUNDARIES = 0.2
_BOUNDARIES = (0.4, 0.4, 1.1, 0.85)
BEFORE, AFTER = 24, 9
"""Bases around a boundary that are counted."""
_NUM_PAIRS = 16


class MarkerOutput(NamedTuple):
    """`scores [batch, time, strands, 8]`, zero at padding.

    Strand 0 is the one given, strand 1 the other. Scores of a boundary stand at the base after it in the reading
    direction of their strand.
    """

    scores: Float[Tensor, "batch time 2 8"]


@final
class GeneMarker(ConstantsModule):
    """Words of bases, convolutions, an encoder if there is one, and a layer over the scores."""

    shares: Tensor
    complement: Tensor
    bases: Tensor
    log_odds: Tensor
    boundary_log_odds: Tensor

    def __init__(
        self,
        *,
        base_shares: Float[Tensor, "letters 4"],
        complement: Int[Tensor, " letters"],
        kmer: int = 6,
        first_kernel: int = 15,
        channels: int = 32,
        kernel: int = 9,
        dilations: tuple[int, ...] = (1, 3, 9, 27),
        encoder: Encoder | None = None,
        stride: int = 3,
        strands: StrandsName = "shared",
        boundaries_counted: bool = False,
        dropout_p: float = 0.0,
    ) -> None:
        """`base_shares[id]` says how much of A, C, G, T a letter stands for, `complement[id]` its partner's id.

        Raises:
            ValueError: a kernel has no middle, or the encoder does not read `channels`.
        """
        super().__init__()
        self.register_constant("shares", base_shares.float())
        self.register_constant("complement", complement)
        one = base_shares.max(1).values == 1
        self.register_constant("bases", torch.where(one, base_shares.argmax(1), -1))
        self.kmer, self.stride, self.strands = kmer, stride, strands
        num_scores = NUM_SCORES if strands == "shared" else 2 * NUM_SCORES
        self.convolution = nn.Conv1d(4, channels, first_kernel, padding=first_kernel // 2)
        # Counted, not learned: `start_from` sets them. The last row is that of words with a letter for several bases.
        self.register_buffer("log_odds", torch.zeros(4**kmer + 1 if kmer else 0, 2 * NUM_PHASES))
        self.mix = nn.Linear(channels + (2 * NUM_PHASES if kmer else 0), channels)
        self.blocks = nn.ModuleList(
            [GatedConvolution(channels, kernel=kernel, dilation=each, dropout_p=dropout_p) for each in dilations]
        )
        self.encoder = encoder
        if encoder is not None:
            self.gather = nn.Linear(channels * stride, channels)
            self.spread = nn.Linear(encoder.output_dim, channels * stride)
        self.dropout = Dropout(dropout_p)
        self.norm = nn.LayerNorm(channels)
        self.output = nn.Linear(channels, num_scores)
        self.word_scale = nn.Parameter(torch.ones(())) if kmer else None
        self.boundary_scale = None
        rare = _RARE
        if boundaries_counted:
            assert self.word_scale is not None
            nn.init.constant_(self.word_scale, _WORDS_BESIDE_BOUNDARIES)
            self.boundary_scale = nn.Parameter(torch.tensor(_BOUNDARIES))
            self.register_buffer("boundary_log_odds", torch.zeros(len(_BOUNDARIES), BEFORE + AFTER, _NUM_PAIRS))
            rare = _RARE_COUNTED
        nn.init.zeros_(self.output.weight)
        with torch.no_grad():
            self.output.bias.copy_(torch.tensor(rare * (num_scores // NUM_SCORES)))

    @property
    def reach(self) -> int | None:
        """How many bases to either side an answer can depend on; None where an encoder sees all."""
        if self.encoder is not None:
            return None
        blocks = sum(block.reach for block in self.blocks if isinstance(block, GatedConvolution))
        # A word that holds an end is an unknown one, so words reach as far as they are long, and pairs a base further.
        counted = self.kmer if self.boundary_scale is None else BEFORE + 1
        return max(blocks + max(self.convolution.kernel_size[0] // 2, self.kmer), counted)

    def start_from(
        self, log_odds: Float[Tensor, "words 6"], boundaries: Float[Tensor, "4 places 16"] | None = None
    ) -> None:
        """Sets the words' log-odds of coding at each codon position of both strands, and those around boundaries.

        Raises:
            ValueError: the model has other words, or none, or counts boundaries where none are given.
        """
        if (boundaries is None) != (self.boundary_scale is None):
            raise ValueError("log-odds of boundaries are for a model that counts them, and for no other")
        if not self.kmer or log_odds.shape != (4**self.kmer, 2 * NUM_PHASES):
            raise ValueError(f"these are log-odds of {len(log_odds)} words, which the model has not")
        with torch.no_grad():
            self.log_odds[:-1] = log_odds
            if boundaries is not None:
                self.boundary_log_odds.copy_(boundaries)

    def forward(
        self,
        ids: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"],
        log_odds: Float[Tensor, "2 batch time columns"] | None = None,
    ) -> MarkerOutput:
        """Scores every base.

        `log_odds` are taken instead of the model's own, for this strand and for the other one as it is read: for
        training records, whose own genes must not be among those that were counted. The columns are 6 of words, and 4
        of boundaries where the model counts them.
        """
        if self.strands == "separate" or (self.strands == "averaged" and self.training):
            scores = self._read(ids, lengths, None if log_odds is None else log_odds[0])
            return MarkerOutput(torch.stack(scores.chunk(2, dim=2), dim=2))
        turned = self.complement[reverse_rows(ids, lengths)]
        given = None if log_odds is None else log_odds.flatten(0, 1)
        both = self._read(torch.cat((ids, turned)), torch.cat((lengths, lengths)), given)
        here, there = both[: len(ids)], reverse_rows(both[len(ids) :], lengths)
        if self.strands == "averaged":
            own, other = here.chunk(2, dim=2)
            other_there, own_there = there.chunk(2, dim=2)
            here, there = (own + own_there) / 2, (other + other_there) / 2
        return MarkerOutput(torch.stack((here, there), dim=2))

    def _read(self, ids: Tensor, lengths: Tensor, log_odds: Tensor | None) -> Tensor:
        mask = length_mask(lengths, ids.shape[1], ids.device)
        if not mask.numel():  # convolutions refuse what is shorter than their kernel
            return self.output.weight.new_zeros(*ids.shape, self.output.out_features)
        ids = ids.where(mask, 0)
        seen = zero_padding(self.shares[ids].to(self.output.weight.dtype), mask)
        hidden = torch.nn.functional.gelu(self.convolution(seen.transpose(1, 2)).transpose(1, 2))
        if self.kmer:
            if log_odds is None:
                log_odds = self._counted(ids)
            log_odds = zero_padding(log_odds.to(hidden.dtype), mask)
            hidden = torch.cat((hidden, log_odds[:, :, : 2 * NUM_PHASES]), dim=2)
        hidden = zero_padding(self.mix(self.dropout(hidden)), mask)
        for block in self.blocks:
            hidden = block(hidden, mask)
        if self.encoder is not None:
            hidden = zero_padding(hidden + self.dropout(self._encode(hidden, lengths)), mask)
        scores = self.output(self.norm(hidden))
        if log_odds is not None and self.kmer:
            scores = scores + self._say_of(log_odds)
        return zero_padding(scores, mask)

    def _counted(self, ids: Tensor) -> Tensor:
        """The log-odds of each base's word, and of what lies around it as a boundary."""
        words = self.log_odds[self._words_of(ids)]
        if self.boundary_scale is None:
            return words
        pairs = torch.nn.functional.one_hot(self._words_of(ids, 2), _NUM_PAIRS + 1)[:, :, :_NUM_PAIRS]
        seen = torch.nn.functional.pad(pairs.to(words.dtype).transpose(1, 2), (BEFORE, AFTER - 1))
        around = torch.nn.functional.conv1d(seen, self.boundary_log_odds.transpose(1, 2))
        return torch.cat((words, around.transpose(1, 2)), dim=2)

    def _say_of(self, log_odds: Tensor) -> Tensor:
        """What is counted, as scores: of words on the positions of a codon, and of boundaries."""
        assert self.word_scale is not None
        coding = self.word_scale * log_odds[:, :, : 2 * NUM_PHASES]
        rest = NUM_SCORES - NUM_PHASES
        if self.strands == "shared":
            own = coding[:, :, :NUM_PHASES]
            if self.boundary_scale is None:
                return torch.nn.functional.pad(own, (0, rest))
            around = self.boundary_scale * log_odds[:, :, 2 * NUM_PHASES :]
            return torch.cat((own, torch.zeros_like(own[:, :, :1]), around), dim=2)
        parts = [torch.nn.functional.pad(part, (0, rest)) for part in coding.split(NUM_PHASES, dim=2)]
        return torch.cat(parts, dim=2)

    def _words_of(self, ids: Tensor, size: int | None = None) -> Tensor:
        """The number of the word that ends at each base; the last one where a letter of it is no single base."""
        size = self.kmer if size is None else size
        bases = self.bases[ids]
        word, known = torch.zeros_like(bases), torch.ones_like(bases, dtype=torch.bool)
        for back in range(size - 1, -1, -1):
            letter = torch.nn.functional.pad(bases, (back, 0), value=-1)[:, : bases.shape[1]]
            known &= letter >= 0
            word = word * 4 + letter.clamp(min=0)
        return word.where(known, 4**size)

    def _encode(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        assert self.encoder is not None
        batch, time, _ = hidden.shape
        missing = -time % self.stride
        blocks = torch.nn.functional.pad(hidden, (0, 0, 0, missing)).reshape(batch, (time + missing) // self.stride, -1)
        steps = (lengths + self.stride - 1) // self.stride
        memory = self.encoder(torch.nn.functional.gelu(self.gather(blocks)), steps).memory
        return self.spread(memory).reshape(batch, time + missing, -1)[:, :time]


def reverse_rows(rows: Tensor, lengths: Int[Tensor, " batch"]) -> Tensor:
    """Each row's first `lengths[b]` entries back to front; what stands at padding stays."""
    time = rows.shape[1]
    steps = torch.arange(time, device="cpu")[None]
    places = torch.where(steps < lengths.cpu()[:, None], lengths.cpu()[:, None] - 1 - steps, steps).to(rows.device)
    return rows.gather(1, places.reshape(*places.shape, *[1] * (rows.ndim - 2)).expand_as(rows))


def build_marker(
    config: MarkerConfig, *, base_shares: Float[Tensor, "letters 4"], complement: Int[Tensor, " letters"]
) -> GeneMarker:
    """Builds the model that a recipe describes."""
    return GeneMarker(
        base_shares=base_shares,
        complement=complement,
        kmer=config.kmer,
        first_kernel=config.first_kernel,
        channels=config.channels,
        kernel=config.kernel,
        dilations=tuple(config.dilations),
        encoder=None if config.encoder is None else build_encoder(config.encoder, config.channels),
        stride=config.stride,
        strands=config.strands,
        boundaries_counted=config.boundaries == "counted",
        dropout_p=config.dropout_p,
    )
