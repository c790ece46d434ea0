"""How well coding bases, exons and genes are found, a row a record, so that there are intervals by record.

Sensitivity and precision by base, exon and gene are those of M. Burset & R. Guigó (1996), "Evaluation of gene structure
prediction programs", where the latter is called specificity.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.metrics import Statistics
from seqlens.tasks.mark.states import coding_of

Totals = Float64[np.ndarray, "*sets statistics"]
Values = Float64[np.ndarray, "*sets"] | np.float64


def marking_measures(records: Sequence[DnaRecord], found: Sequence[Sequence[Gene]]) -> dict[str, Statistics]:
    """The measures of genes found on records, by name; `coding_f1` looks at the strand, `either_strand_f1` does not."""
    by_strand, either, exons, genes = ([] for _ in range(4))
    for record, own in zip(records, found, strict=True):
        length = len(record.sequence)
        truth, answer = coding_of(record.genes, length), coding_of(list(own), length)
        by_strand.append(_counts(truth, answer))
        either.append(_counts(truth[0] | truth[1], answer[0] | answer[1]))
        exons.append(_matches(_exons(record.genes), _exons(own)))
        genes.append(_matches({(gene.strand, gene.exons) for gene in record.genes}, _structures(own)))
    reference = _id_of(records)

    def measure(
        name: str, rows: list[list[float]], value: Callable[[Totals], Float64[np.ndarray, "*sets"]], level: str
    ) -> Statistics:
        table = np.array(rows, dtype=np.float64).reshape(-1, 4)
        return Statistics(name, table, value, level, reference, decimals=3)

    return {
        "coding_f1": measure("coding F1", by_strand, _f1, "bases|strand"),
        "sensitivity": measure("sensitivity", by_strand, _sensitivity, "bases|strand"),
        "precision": measure("precision", by_strand, _precision, "bases|strand"),
        "either_strand_f1": measure("coding F1, either strand", either, _f1, "bases"),
        "either_strand_sensitivity": measure("sensitivity, either strand", either, _sensitivity, "bases"),
        "either_strand_precision": measure("precision, either strand", either, _precision, "bases"),
        "correlation": measure("correlation", either, _matthews, "bases"),
        "exon_sensitivity": measure("exon sensitivity", exons, _sensitivity, "exons"),
        "exon_precision": measure("exon precision", exons, _precision, "exons"),
        "gene_sensitivity": measure("gene sensitivity", genes, _sensitivity, "genes"),
        "gene_precision": measure("gene precision", genes, _precision, "genes"),
    }


def _counts(truth: np.ndarray, answer: np.ndarray) -> list[float]:
    """True positives, false positives, false negatives, true negatives."""
    return [
        float((truth & answer).sum()),
        float((answer & ~truth).sum()),
        float((truth & ~answer).sum()),
        float((~truth & ~answer).sum()),
    ]


def _matches(truth: set[object], answer: set[object]) -> list[float]:
    return [float(len(truth & answer)), float(len(answer - truth)), float(len(truth - answer)), 0.0]


def _exons(genes: Sequence[Gene]) -> set[object]:
    return {(gene.strand, exon) for gene in genes for exon in gene.exons}


def _structures(genes: Sequence[Gene]) -> set[object]:
    return {(gene.strand, gene.exons) for gene in genes}


def _ratio(part: Values, whole: Values) -> Float64[np.ndarray, "*sets"]:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(whole, dtype=np.float64), where=whole != 0))


def _f1(totals: Totals) -> Float64[np.ndarray, "*sets"]:
    true, false, missed = totals[..., 0], totals[..., 1], totals[..., 2]
    return _ratio(2 * true, 2 * true + false + missed)


def _sensitivity(totals: Totals) -> Float64[np.ndarray, "*sets"]:
    return _ratio(totals[..., 0], totals[..., 0] + totals[..., 2])


def _precision(totals: Totals) -> Float64[np.ndarray, "*sets"]:
    return _ratio(totals[..., 0], totals[..., 0] + totals[..., 1])


def _matthews(totals: Totals) -> Float64[np.ndarray, "*sets"]:
    true, false, missed, rest = (totals[..., column] for column in range(4))
    product = (true + false) * (true + missed) * (rest + false) * (rest + missed)
    return _ratio(true * rest - false * missed, np.sqrt(product))


def _id_of(records: Sequence[DnaRecord]) -> str:
    digest = hashlib.sha256()
    for record in records:
        digest.update(repr((record.name, len(record.sequence), record.genes)).encode())
    return digest.hexdigest()
