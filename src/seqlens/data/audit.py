"""What is wrong with a corpus, before a model is trained on it: counts, places and advice.

Every split is read once and no sentence is kept: a pair leaves about 50 bytes (three hashes of 8 bytes, its
line, its lengths, its scripts), so ten million pairs take half a gigabyte. Sentences are compared after
`normalise_sentence` (case, width and spacing do not count), save for `duplicate-pair`, which is exact.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqlens.data.corpus import Corpus, PairsCorpus
from seqlens.data.examples import Place
from seqlens.data.held_out import check_held_out
from seqlens.data.mixture import PartCorpus, pieces_of
from seqlens.data.readers import ReadFault
from seqlens.data.split_record import LARGEST_DEVIATION, Hits, Side, SideSummary, SplitRecord
from seqlens.data.splitting import TRAIN, VALIDATION
from seqlens.errors import RequestError

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

_ADVICE: dict[str, tuple[Severity, str]] = {
    "unreadable-file": ("error", "Copy or download the file again: training stops here."),
    "empty-file": ("error", "Put the pairs in, or take the file away: training stops here."),
    "invalid-utf8": ("error", "Save the file as UTF-8: training stops at the first such line."),
    "unequal-lengths": ("error", "Find where the files lose step, from there on no pair is a translation."),
    "bad-record": ("error", "Mend or remove these lines: training stops at the first one."),
    "held-out": ("error", "Split these parts alike, or give a file a split: training is refused as it is."),
    "empty-split": ("error", "Give this split some pairs, or remove it."),
    "pair-leak": ("error", "Remove these pairs from the earlier split: a score on pairs seen before means nothing."),
    "source-leak": ("warning", "Remove these sources from the earlier split, or state it beside the score."),
    "empty-side": ("warning", "Remove these pairs: a model learns from them to answer with nothing."),
    "duplicate-pair": ("warning", "Keep one of each, unless the repetition is meant as a weight."),
    "source-equals-target": ("warning", "Remove what was left untranslated: a model learns to copy from it."),
    "length-ratio": ("warning", "Read these pairs: most such lengths come from a wrong or cut translation."),
    "unlike-script": ("warning", "Read these lines: they are probably in another language."),
    "replacement-character": ("warning", "Make the text again from its origin: these characters are lost."),
    "control-character": ("warning", "Remove these characters: nobody sees them, but a codec does."),
    "line-separator": ("warning", "Replace these characters by spaces: other tools end a line at them."),
    "mojibake": ("warning", "Make the text again: it was UTF-8 that something read as Windows-1252."),
    "ambiguous-source": ("note", "Nothing to do if the translations are free: a model learns the commonest."),
    "outer-whitespace": ("note", "Remove the spaces at the ends, if the codec is one of characters or subwords."),
}


@dataclass(frozen=True, slots=True)
class SplitAudit:
    """The size of a split and the lengths of its two sides."""

    name: str
    num_pairs: int
    source: SideSummary
    target: SideSummary


@dataclass(frozen=True, slots=True)
class Finding:
    """A kind of fault, how often it is in a split (in which file's side, where one side has it), and the
    first places.

    `detail` is what is known beyond the kind: the reader's sentence, the rule, the split that has the pairs
    too.
    """

    kind: str
    severity: Severity
    split: str
    side: Side | None
    count: int
    places: tuple[Place, ...]
    detail: str
    advice: str


@dataclass(frozen=True, slots=True)
class CorpusAudit:
    """The splits of a corpus and what was found in them, the worst first."""

    name: str
    source_name: str
    target_name: str
    splits: tuple[SplitAudit, ...]
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity | None:
        """The worst of the findings' severities, or None without findings."""
        return min((finding.severity for finding in self.findings), key=SEVERITIES.index, default=None)


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding in the words of a table."""

    severity: Severity
    kind: str
    split: str
    side: str
    count: int
    places: str
    detail: str
    advice: str


@dataclass(frozen=True, slots=True)
class LengthRow:
    """The lengths of one side of a split, in `characters` or `words`."""

    split: str
    num_pairs: int
    side: str
    unit: str
    minimum: int
    median: float
    percentile_95: int
    maximum: int


def audit(corpus: Corpus, *, max_places: int = 10) -> CorpusAudit:
    """Reads every split once and returns what is wrong, with the first `max_places` places of each finding.

    Faults that would stop training, such as files of unequal length, are findings here.
    """
    records: dict[str, SplitRecord] = {}
    found: list[Finding] = []
    told: set[tuple[str, str]] = set()
    for split in corpus.splits:
        records[split] = SplitRecord(max_places)
        for part, its_split in pieces_of(corpus, split):
            found += _read_piece(part, its_split, split, records[split], told)
    found += _check_parts(corpus)
    for split, record in records.items():
        found += _check_split(split, record)
    for earlier in (TRAIN, VALIDATION):
        for split in corpus.splits:
            if earlier in records and split not in (earlier, TRAIN) and not _is_within(corpus, split, earlier):
                found += _check_leaks(earlier, records[earlier], split, records[split])
    splits = (
        SplitAudit(
            split,
            len(record),
            record.source.summarise(corpus.source_name),
            record.target.summarise(corpus.target_name),
        )
        for split, record in records.items()
    )
    worst_first = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    return CorpusAudit(corpus.name, corpus.source_name, corpus.target_name, tuple(splits), tuple(worst_first))


def audit_rows(audit: CorpusAudit) -> list[FindingRow]:
    """Returns the findings as rows of a table, the worst first."""
    return finding_rows(audit.findings)


def finding_rows(findings: Iterable[Finding]) -> list[FindingRow]:
    """Returns findings of any audit as rows, in their order."""
    return [
        FindingRow(
            finding.severity,
            finding.kind,
            finding.split,
            finding.side or "",
            finding.count,
            _shorten(finding.places),
            finding.detail,
            finding.advice,
        )
        for finding in findings
    ]


def length_rows(audit: CorpusAudit) -> list[LengthRow]:
    """Returns the lengths as rows of a table: four a split, two sides in characters and in words."""
    return [
        LengthRow(
            split.name,
            split.num_pairs,
            side.name,
            unit,
            lengths.minimum,
            lengths.median,
            lengths.percentile_95,
            lengths.maximum,
        )
        for split in audit.splits
        for side in (split.source, split.target)
        for unit, lengths in (("characters", side.characters), ("words", side.words))
    ]


def _read_piece(
    part: PartCorpus, its_split: str, split: str, record: SplitRecord, told: set[tuple[str, str]]
) -> list[Finding]:
    """Adds a part's pairs to what is known of a split, and returns the faults met in reading them.

    Those of a file are told once, with the first split that is in it; `told` are the files of which they were.
    """
    corpus = part.corpus
    if not isinstance(corpus, PairsCorpus):
        record.begin((f"{corpus.name}/{its_split}",) * 2)
        for pair in corpus.read(its_split):
            record.add(pair, tag=part.tag)
        return []
    files = corpus.files(its_split)
    record.begin(files)
    hits: dict[str, Hits] = {}
    details: dict[str, str] = {}
    badly_decoded: set[Place] = set()

    def on_fault(fault: ReadFault) -> None:
        if fault.kind == "invalid-utf8":
            badly_decoded.add(fault.place)
        hits.setdefault(fault.kind, Hits()).add(fault.place, record.max_places)
        details.setdefault(fault.kind, fault.message)

    try:
        for pair in corpus.scan(its_split, on_fault):
            record.add(pair, badly_decoded, part.tag)
            badly_decoded.clear()
    except RequestError as error:  # a file that cannot even be opened
        hits.setdefault("unreadable-file", Hits()).count += 1
        details.setdefault("unreadable-file", str(error))
    if files in told:
        return []
    told.add(files)
    sharing = [other for other in corpus.splits if corpus.files(other) == files]
    name = split if split != its_split else ", ".join(sharing)
    return [_finding(kind, name, found, details[kind]) for kind, found in hits.items()]


def _check_parts(corpus: Corpus) -> Iterator[Finding]:
    """Whether one part of a mixture trains on what another holds out."""
    try:
        check_held_out(corpus)
    except RequestError as error:
        yield _finding("held-out", TRAIN, Hits(1), str(error))


def _is_within(corpus: Corpus, split: str, earlier: str) -> bool:
    """Whether a split of a mixture is a part of an earlier one, which then has its pairs as it should."""
    pieces = pieces_of(corpus, earlier)
    return all(piece in pieces for piece in pieces_of(corpus, split))


def _check_split(split: str, record: SplitRecord) -> Iterator[Finding]:
    if not len(record):
        yield _finding("empty-split", split, Hits(1), "There is no pair in it.")
        return
    for (kind, side), hits in record.hits.items():
        yield _finding(kind, split, hits, "", side)
    outliers, ratio = record.ratio_outliers()
    rule = (
        f"More than {LARGEST_DEVIATION:g} robust deviations off the usual {ratio:.2f} target characters for one of the "
        "source (Gale and Church); the worst first."
    )
    yield from _pick("length-ratio", split, record, outliers, rule)
    yield from _pick("duplicate-pair", split, record, record.repeated_pairs(), "Equal to an earlier pair.")
    yield from _pick("source-equals-target", split, record, record.equal_sides(), "")
    yield from _pick(
        "ambiguous-source", split, record, record.ambiguous_sources(), "Sources that have more than one target."
    )
    for side, texts in (("source", record.source), ("target", record.target)):
        detail = f"Most texts of this side are {texts.main_script()[0]}."
        yield from _pick("unlike-script", split, record, record.unlike_script(side), detail, side)


def _check_leaks(earlier: str, seen: SplitRecord, split: str, record: SplitRecord) -> Iterator[Finding]:
    pairs, sources = record.leaks_from(seen)
    yield from _pick("pair-leak", split, record, pairs, f"The pair is in {earlier} too.")
    yield from _pick("source-leak", split, record, sources, f"The source is in {earlier} too, with another target.")


def _pick(
    kind: str,
    split: str,
    record: SplitRecord,
    indices: NDArray[np.int64],
    detail: str,
    side: Side | None = None,
) -> Iterator[Finding]:
    if len(indices):
        places = [record.place(int(index), side or "source") for index in indices[: record.max_places]]
        yield _finding(kind, split, Hits(len(indices), places), detail, side)


def _finding(kind: str, split: str, hits: Hits, detail: str, side: Side | None = None) -> Finding:
    severity, advice = _ADVICE[kind]
    return Finding(kind, severity, split, side, hits.count, tuple(hits.places), detail, advice)


def _shorten(places: Iterable[Place]) -> str:
    """Returns `file lines 3, 7; other-file line 1`."""
    lines: dict[str, list[str]] = {}
    for place in places:
        lines.setdefault(place.file, []).append(str(place.line))
    return "; ".join(
        f"{file} line{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}" for file, numbers in lines.items()
    )
