"""The task `mark`: its loss, its measures, its answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from seqlens.data.codecs.specials import NUM_SPECIALS, SPECIAL_NAMES
from seqlens.data.dna.letters import BASES, LETTERS, MEANINGS, reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.data.sampler import length_batches
from seqlens.errors import RequestError, did_you_mean
from seqlens.metrics import Statistics
from seqlens.models.marker import GeneMarker, build_marker
from seqlens.models.marker_config import BoundariesName
from seqlens.tasks.loss_sum import LossSum
from seqlens.tasks.mark.answer import Marking, marking_of, marking_of_genes, to_bed, to_gff3
from seqlens.tasks.mark.baselines import best_stretch_length, placed_gene, stop_free_genes, usual_place
from seqlens.tasks.mark.chain import GeneChain
from seqlens.tasks.mark.config import MarkConfig
from seqlens.tasks.mark.counted import Counted
from seqlens.tasks.mark.dataset import MarkBatch, MarkDataset, make_batch
from seqlens.tasks.mark.grammar import GeneGrammar
from seqlens.tasks.mark.inputs import DnaInput, read_dna_input
from seqlens.tasks.mark.measures import marking_measures
from seqlens.tasks.mark.states import genes_of
from seqlens.tasks.mark.windows import score_windows

_SETTINGS = ("decoding", "confidence")
_DECODINGS = ("bases", "path")
_VALIDATED = ("coding_f1", "either_strand_f1", "sensitivity", "precision")
_STEPS_A_BATCH = 200_000  # of the chain, whose memory is some 500 bytes a step


@final
@dataclass(frozen=True, slots=True)
class MarkTask:
    """A fitted task: settings, the grammar of the genes, and what was counted, where training is to begin."""

    config: MarkConfig
    grammar: GeneGrammar
    counted: Counted | None = None

    @classmethod
    def fit(cls, config: MarkConfig, read: Callable[[], Iterable[DnaRecord]]) -> "MarkTask":
        """Counts how the training genes begin, end and are spliced, and the words of their bases.

        Raises:
            RequestError: no record has a gene.
        """
        records = list(read())
        if not any(record.genes for record in records):
            found = f"{len(records):,} sequences, but not one gene" if records else "no sequence"
            raise RequestError(f"The training data have {found}, expected genes: CDS features of GenBank or GFF3.")
        grammar = GeneGrammar.fit(records)
        counted = None
        if config.model.kmer:
            around = grammar if config.model.boundaries == "counted" else None
            counted = Counted.fit(records, config.model.kmer, around)
        return cls(config, grammar, counted)

    @property
    def unit(self) -> str:
        """What the loss counts."""
        return "bases"

    @property
    def validated(self) -> tuple[str, ...]:
        """What `validate` gives."""
        return ("loss", *_VALIDATED)

    def save(self, folder: Path) -> None:
        self.grammar.save(folder)

    @classmethod
    def load(cls, config: MarkConfig, folder: Path) -> "MarkTask":
        """Loads what `save` wrote; what was counted is in the model's weights by then."""
        return cls(config, GeneGrammar.load(folder))

    def build_model(self) -> GeneMarker:
        shares = torch.zeros(NUM_SPECIALS + len(LETTERS), 4)
        complement = torch.arange(len(shares))
        for id, letter in enumerate(LETTERS, len(SPECIAL_NAMES)):
            meanings = MEANINGS[letter]
            shares[id] = torch.tensor([float(base in meanings) / len(meanings) for base in BASES])
            complement[id] = NUM_SPECIALS + LETTERS.index(reverse_complement(letter))
        model = build_marker(self.config.model, base_shares=shares, complement=complement)
        if model.reach is not None and model.reach > self.config.overlap:
            raise ValueError(
                f"the model reaches {model.reach} bases to either side, but 'overlap' is {self.config.overlap}, "
                "expected at least as much"
            )
        read = max(self.config.window, self.config.crop_length)
        limit = None if model.encoder is None else model.encoder.max_length
        if limit is not None and limit * model.stride < read:
            raise ValueError(
                f"the encoder's learned positions reach {limit:,} steps of {model.stride} bases ('max_length'), but "
                f"'window' or 'crop_length' has {read:,} bases; rotary and sinusoidal positions have no bound"
            )
        if self.counted is not None:
            around = self.counted.boundaries
            model.start_from(torch.from_numpy(self.counted.words), None if around is None else torch.from_numpy(around))
        return model

    def describe(self) -> dict[str, str]:
        return {
            "task": "mark: genes on DNA, base by base",
            "genes": self.grammar.describe(),
            "strands": self.config.model.strands,
            "windows": f"{self.config.window:,} bases, overlap {self.config.overlap:,}",
        }

    def encode(self, examples: Sequence[DnaRecord], *, training: bool, seed: int) -> MarkDataset:
        crop = self.config.crop_length if training else None
        return MarkDataset(
            examples,
            self.grammar,
            crop_length=crop,
            max_crops=self.config.max_crops,
            kmer=self.config.model.kmer,
            boundaries=self.config.model.boundaries == "counted",
            seed=seed,
        )

    def loss(self, model: nn.Module, batch: MarkBatch) -> LossSum:
        lengths = batch.bases.lengths
        scores = model(batch.bases.ids, lengths, batch.log_odds).scores
        total = _chain(scores.device).loss(scores.float(), batch.signals, batch.states, lengths).sum()
        count = int(lengths.sum())
        return LossSum(total, count, {"nll": float(total.detach())})

    def validate(self, model: nn.Module, data: Any, device: torch.device | str) -> dict[str, float]:
        """`loss` by base, and the measures of whole records."""
        scores = self._scores(model, [record.sequence for record in data.records], device)
        loss = 0.0
        found: list[list[Gene]] = [[] for _ in data.records]
        for indices in length_batches(np.array([len(one) for one in scores]), _STEPS_A_BATCH):
            rows, batch = self._chain_batch(data.records, scores, indices, [data.states(int(i)) for i in indices])
            lengths = batch.bases.lengths
            with torch.no_grad():
                loss += float(_chain(rows.device).loss(rows, batch.signals, batch.states, lengths).sum())
            path = _chain(rows.device).decode(
                rows, batch.signals, lengths, coding_weight=self._weight(self.config.decoding), confidence=False
            )
            for row, index in enumerate(indices):
                found[index] = genes_of(path.states[row, : lengths[row]].numpy())
        measures = marking_measures(data.records, found)
        num_bases = sum(len(record.sequence) for record in data.records)
        return {"loss": loss / max(num_bases, 1), **{name: measures[name].value() for name in _VALIDATED}}

    def finished(self, model: nn.Module, data: Any, device: torch.device | str) -> "MarkTask":
        return self

    def input_of(self, example: DnaRecord) -> DnaInput:
        return DnaInput(example.name, example.sequence)

    def read_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """`decoding` is that of the settings; with `path`, `confidence: false` leaves out what takes the most time."""
        for name, value in changes.items():
            if name not in _SETTINGS:
                hint = did_you_mean(name, _SETTINGS)
                raise RequestError(f"There is no setting '{name}', expected one of {', '.join(_SETTINGS)}.{hint}")
            if name == "confidence" and not isinstance(value, bool):
                raise RequestError(f"'confidence' is {value!r}, expected true or false.")
            if name == "decoding" and value not in _DECODINGS:
                hint = did_you_mean(str(value), _DECODINGS)
                raise RequestError(f"'decoding' is {value!r}, expected 'bases' or 'path'.{hint}")
        return {"confidence": True, "decoding": self.config.decoding, **changes}

    def predict(
        self,
        model: nn.Module,
        inputs: Sequence[DnaInput | DnaRecord | str],
        *,
        batch_size: int = 64,
        settings: Mapping[str, Any] | None = None,
    ) -> list[Marking]:
        """The genes on each sequence, of any length.

        Raises:
            RequestError: a letter is none of DNA.
        """
        given = [read_dna_input(one, number) for number, one in enumerate(inputs, 1)]
        asked = self.read_settings(settings or {})
        weight = self._weight(asked["decoding"])
        device = next(model.parameters()).device
        scores = self._scores(model, [one.sequence for one in given], device)
        found: list[Marking | None] = [None] * len(given)
        for indices in length_batches(np.array([len(one) for one in scores]), _STEPS_A_BATCH):
            rows, batch = self._chain_batch(given, scores, indices, [])
            path = _chain(rows.device).decode(
                rows, batch.signals, batch.bases.lengths, coding_weight=weight, confidence=asked["confidence"]
            )
            for row, index in enumerate(indices):
                length = len(given[index].sequence)
                found[index] = marking_of(
                    given[index].name, path.states[row, :length].numpy(), path.confidence[row, :length].numpy()
                )
        return [one for one in found if one is not None]

    def statistics(self, examples: Sequence[DnaRecord], answers: Sequence[Marking]) -> dict[str, Statistics]:
        return marking_measures(examples, [answer.genes for answer in answers])

    def baselines(self, train: Sequence[DnaRecord], examples: Sequence[DnaRecord]) -> dict[str, dict[str, Statistics]]:
        """Stop-free stretches, the usual place of genes in a record, and the chain over what is counted, untrained."""
        length = best_stretch_length(train)
        left, right, strand = usual_place(train)
        found = {
            f"stop-free stretches of {length} bases or more": [stop_free_genes(one, length) for one in examples],
            f"all but the first {left:,} and last {right:,} bases, strand {strand}": [
                placed_gene(one, left, right, strand) for one in examples
            ],
        }
        kmer = self.config.model.kmer
        if kmer:
            found[f"counted words of {kmer} in the chain, no training"] = self._untrained(train, examples, "learned")
        if self.config.model.boundaries == "counted":
            name = f"counted words of {kmer} and boundaries in the chain, weighed as for flies, no training"
            found[name] = self._untrained(train, examples, "counted")
        return {name: marking_measures(examples, genes) for name, genes in found.items()}

    def prediction_files(self, examples: Sequence[DnaRecord], answers: Sequence[Marking]) -> dict[str, str]:
        """The regions found and those annotated, as GFF3 and BED."""
        truth = [marking_of_genes(example.name, example.genes, len(example.sequence)) for example in examples]
        return {
            "predictions.gff3": to_gff3(answers),
            "predictions.bed": to_bed(answers),
            "references.bed": to_bed(truth),
        }

    def _untrained(
        self, train: Sequence[DnaRecord], examples: Sequence[DnaRecord], boundaries: BoundariesName
    ) -> list[list[Gene]]:
        """The genes that the model finds with no more than what is counted."""
        config = replace(self.config, model=replace(self.config.model, boundaries=boundaries))
        task = MarkTask.fit(config, lambda: train)
        answers = task.predict(
            task.build_model().eval(), list(examples), settings={"decoding": "path", "confidence": False}
        )
        return [list(answer.genes) for answer in answers]

    def _weight(self, decoding: str) -> float | None:
        return self.config.coding_weight if decoding == "bases" else None

    def _scores(self, model: nn.Module, sequences: Sequence[str], device: torch.device | str) -> list[np.ndarray]:
        return score_windows(model, sequences, window=self.config.window, overlap=self.config.overlap, device=device)

    def _chain_batch(
        self,
        records: Sequence[DnaRecord] | Sequence[DnaInput],
        scores: Sequence[np.ndarray],
        indices: Sequence[int] | np.ndarray,
        states: list[np.ndarray],
    ) -> tuple[Tensor, MarkBatch]:
        batch = make_batch([records[i].sequence for i in indices], states, self.grammar, [int(i) for i in indices])
        rows = torch.zeros(*batch.bases.ids.shape, 2, 8)
        for row, index in enumerate(indices):
            rows[row, : len(scores[index])] = torch.from_numpy(scores[index])
        return rows, batch


@cache
def _chain(device: torch.device) -> GeneChain:
    """It has no weights and keeps nothing, so there is one on each device."""
    return GeneChain().to(device)
