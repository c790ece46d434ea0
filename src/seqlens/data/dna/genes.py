"""Generated genes in random DNA for the task `mark`: nothing to download.

A record has one to three genes, on either strand, apart from each other. A gene has ATG, codons, a stop codon, and none
to three introns that begin with GTAAGT or GTGAGT and end with pyrimidines and CAG, anywhere between two bases. Codons
that end in C or G are commoner, as in many genomes; all other DNA is rich in A and T. Each record is a function of
seed, split and number.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene, Strand
from seqlens.data.split_corpus import SplitCorpus

GENE_SPLITS = ("train", "validation", "test")
_STOPS = ("TAA", "TAG", "TGA")
_CODONS = ["".join(bases) for bases in product("ACGT", repeat=3) if "".join(bases) not in _STOPS]
_CODON_WEIGHTS = [5.0 if codon[2] in "CG" else 1.0 for codon in _CODONS]
_NOUN = ("sequence", "sequences")


@dataclass(frozen=True, slots=True)
class GenesData:
    """Generated sequences of about `length` bases with genes: see `seqlens.data.dna.genes`."""

    kind: Literal["genes"] = "genes"
    num_train: Annotated[int, Field(ge=1)] = 200
    num_validation: Annotated[int, Field(ge=1)] = 20
    num_test: Annotated[int, Field(ge=1)] = 50
    length: Annotated[int, Field(ge=1000)] = 3000
    seed: Annotated[int, Field(ge=0)] = 0


def open_genes(config: GenesData) -> SplitCorpus[DnaRecord]:
    """The generated corpus, which needs no file."""
    readers = {split: partial(generate_genes, config, split) for split in GENE_SPLITS}
    return SplitCorpus("genes", readers, fingerprint_records, _NOUN)


def generate_genes(config: GenesData, split: str) -> Iterator[DnaRecord]:
    """Yields the sequences of a split, the same for the same settings."""
    sizes = (config.num_train, config.num_validation, config.num_test)
    for number in range(sizes[GENE_SPLITS.index(split)]):
        yield generate_record(config, split, number)


def fingerprint_records(records: Iterable[DnaRecord]) -> str:
    """The SHA-256 of names, sequences and genes."""
    digest = hashlib.sha256()
    for record in records:
        genes = [(gene.strand, gene.exons, gene.phase) for gene in record.genes]
        for part in (record.name, record.sequence, repr(genes)):
            data = part.encode()
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def generate_record(config: GenesData, split: str, number: int) -> DnaRecord:
    """One sequence: a function of seed, split and number."""
    draw = random.Random(f"{config.seed} {split} {number}")
    parts: list[str] = [_other(draw, config.length // 12, config.length // 4)]
    genes: list[Gene] = []
    for _ in range(draw.randint(1, 3)):
        written, exons = _write_gene(draw)
        strand: Strand = "+" if draw.random() < 0.5 else "-"
        if strand == "-":
            written = reverse_complement(written)
            exons = [(len(written) - end, len(written) - start) for start, end in reversed(exons)]
        offset = sum(map(len, parts))
        genes.append(Gene(strand, tuple((offset + start, offset + end) for start, end in exons), 0, f"g{len(genes)}"))
        parts += [written, _other(draw, config.length // 12, config.length // 4)]
    sequence = "".join(parts)
    if len(sequence) < config.length:
        sequence += _other(draw, config.length - len(sequence), config.length - len(sequence))
    return DnaRecord(f"{split}{number}", sequence, tuple(genes))


def _write_gene(draw: random.Random) -> tuple[str, list[tuple[int, int]]]:
    """A gene as written on its strand, stop codon included, and its exons."""
    codons = draw.choices(_CODONS, _CODON_WEIGHTS, k=draw.randint(60, 200))
    coding = "ATG" + "".join(codons) + draw.choice(_STOPS)
    num_introns = draw.randint(0, 3)
    cuts = sorted(draw.sample(range(30, len(coding) - 30), num_introns))
    bounds = [0, *cuts, len(coding)]
    written, exons = "", []
    for number, (start, end) in enumerate(pairwise(bounds)):
        if number:
            written += _intron(draw)
        exons.append((len(written), len(written) + end - start))
        written += coding[start:end]
    return written, exons


def _intron(draw: random.Random) -> str:
    pyrimidines = "".join(draw.choices("CT", (1, 2), k=draw.randint(8, 14)))
    return f"{draw.choice(('GTAAGT', 'GTGAGT'))}{_other(draw, 30, 120)}{pyrimidines}CAG"


def _other(draw: random.Random, shortest: int, longest: int) -> str:
    return "".join(draw.choices("ACGT", (3, 2, 2, 3), k=draw.randint(shortest, longest)))
