"""`seqlens predict` for the task `mark`: sequences of DNA in, regions out, as lines, JSON, GFF3 or BED."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from seqlens.cli.lines import output_to, stdin_chunks
from seqlens.cli.progress import counting
from seqlens.config import apply_overrides
from seqlens.data.dna.fasta import parse_fasta
from seqlens.data.dna.letters import clean_letters
from seqlens.data.dna.records import DnaRecord
from seqlens.data.examples import Place
from seqlens.data.readers import read_lines
from seqlens.errors import RequestError
from seqlens.inference import ExamplePredictor
from seqlens.tasks.mark.answer import Marking, to_bed, to_gff3
from seqlens.tasks.mark.inputs import read_dna_input

_BASES_AT_ONCE = 2_000_000


def predict_sequences(
    predictor: ExamplePredictor,
    texts: Sequence[str],
    path: Path | None,
    settings: Sequence[str],
    *,
    output: Path | None,
    as_json: bool,
) -> None:
    """Marks sequences: texts, or those of a file or of stdin in FASTA (or one a line, where there is no '>').

    What is written goes by the ending of `output`: `.gff3` or `.gff`, `.bed`, otherwise a line a sequence.
    """
    changes = predictor.task.read_settings(apply_overrides({}, settings))
    write = _writer(output, as_json)
    done, first = 0, True
    with output_to(output) as file, counting("written", hidden=output is None and sys.stdout.isatty()) as progress:
        for chunk in _chunks(_sequences(texts, path)):
            written = write(predictor.predict(chunk, **changes))
            file.write(written if first else written.removeprefix("##gff-version 3\n"))
            file.flush()
            done, first = done + len(chunk), False
            progress(done, None)


def windows(texts: Sequence[str], path: Path | None) -> Iterator[list[str]]:
    """Sequences to be classified, in FASTA or one a line, some at a time."""
    for chunk in _chunks(_sequences(texts, path)):
        yield [record.sequence for record in chunk]


def _writer(output: Path | None, as_json: bool) -> Callable[[list[Marking]], str]:
    name = Path() if output is None else output
    ending = (name.with_suffix("") if name.suffix.lower() == ".gz" else name).suffix
    if ending == ".gtf":
        raise RequestError(f"{output} cannot be written, expected an ending such as .gff3 or .bed, not '{ending}'.")
    if ending in (".gff3", ".gff", ".bed") and as_json:
        raise RequestError(f"--json is given and {output} is to be {ending[1:].upper()}, expected one of them.")
    if ending in (".gff3", ".gff"):
        return to_gff3
    if ending == ".bed":
        return to_bed
    if as_json:
        return lambda answers: "".join(json.dumps(one.to_plain(), ensure_ascii=False) + "\n" for one in answers)
    return lambda answers: "".join(f"{one}\n" for one in answers)


def _sequences(texts: Sequence[str], path: Path | None) -> Iterator[DnaRecord]:
    if texts and texts != ["-"]:
        yield from _plain(texts)
        return
    if path is None or str(path) == "-":
        lines, name = enumerate((line for chunk in stdin_chunks() for line in chunk), 1), "stdin"
    else:
        lines, name = read_lines(path), str(path)  # type: ignore[assignment]
    filled = ((number, line) for number, line in lines if line.strip())
    start = next(filled, None)
    if start is None:
        return
    whole = chain([start], filled)
    if start[1].lstrip().startswith((">", ";")):
        yield from parse_fasta(whole, name)
    else:
        yield from _plain(clean_letters(line, Place(name, number), spaced=True) for number, line in whole)


def _plain(sequences: Iterable[str]) -> Iterator[DnaRecord]:
    for number, sequence in enumerate(sequences, 1):
        read = read_dna_input(sequence, number)
        yield DnaRecord(read.name, read.sequence)


def _chunks(records: Iterable[DnaRecord]) -> Iterator[list[DnaRecord]]:
    chunk: list[DnaRecord] = []
    bases = 0
    for record in records:
        chunk.append(record)
        bases += len(record.sequence)
        if bases >= _BASES_AT_ONCE:
            yield chunk
            chunk, bases = [], 0
    if chunk:
        yield chunk
