"""`seqlens predict`."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import (
    DecodingOption,
    DeviceOption,
    RerankByOption,
    RerankTagOption,
    RerankWeightOption,
    RunArgument,
    WithOption,
    WorkersOption,
    read_argument,
)
from seqlens.cli.printing import note, warn, warn_of_cut
from seqlens.errors import InputError, RequestError

_BATCHES_AT_ONCE = 32
EXAMPLES = """Examples:

\b
  seqlens predict runs/de-en "Zwei Hunde spielen im Schnee."
  seqlens predict runs/de-en --input news.de --output news.en
  seqlens predict runs/de-en --input news.de --output news.en --workers 2 --set precision=auto
  cat news.de | seqlens predict runs/de-en - | head
  seqlens predict runs/en-many --tag 2fr "A dog runs."
  seqlens predict runs/en-fr --document --input story.en
  seqlens predict runs/de-en --json --set beam_width=10 --set num_best=3 "Ein Satz."
  seqlens predict runs/de-en --json --set beam_width=9 --set diversity_groups=3 --set num_best=3 "Ein Satz."
  seqlens predict runs/de-en --prefix "Two dogs" --require snow --require "black and white" "Zwei Hunde im Schnee."
  seqlens predict runs/de-en-1 --with runs/de-en-2 --with runs/de-en-3 --input news.de
  seqlens predict runs/de-en --rerank-by runs/en-de --rerank-weight 0.5 --input news.de
  seqlens predict runs/moods "There is nothing to like in this movie."
  seqlens predict runs/moods --json --set explain=true "There is nothing to like in this movie."
  seqlens predict runs/genes --input genome.fa.gz --output genes.gff3
"""


@guarded
def predict(
    run: RunArgument,
    texts: Annotated[
        list[str],
        typer.Argument(metavar="[TEXT]...", help="Texts to answer, or - for the lines of stdin.", show_default=False),
    ] = [],  # noqa: B006 - typer copies it
    input: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="Answer the lines of a file (- is stdin).", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write the answers to a file, gzipped if it ends with .gz.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with scores and alignment.", show_default=False)
    ] = False,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="TAG", help="The direction or domain, of the run's tags.", show_default=False),
    ] = None,
    document: Annotated[
        bool,
        typer.Option(
            "--document", help="Lines are sentences in context; an empty one ends a document.", show_default=False
        ),
    ] = False,
    prefix: Annotated[
        str,
        typer.Option("--prefix", metavar="TEXT", help="What every answer begins with.", show_default=False),
    ] = "",
    require: Annotated[
        list[str],
        typer.Option(
            "--require",
            metavar="PHRASE",
            help="A phrase that must stand in every answer; may be given again.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer copies it
    others: WithOption = [],  # noqa: B006 - typer copies it
    rerank_by: RerankByOption = None,
    rerank_weight: RerankWeightOption = None,
    rerank_tag: RerankTagOption = None,
    settings: DecodingOption = [],  # noqa: B006 - typer copies it
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Inputs at a time.")] = 64,
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
) -> None:
    """Answer inputs: one line for each, in their order.

    An empty line is translated by an empty one; the other tasks answer it as any text.

    With neither texts nor a file, lines are read from stdin; on a terminal they are typed in and answered one by one.
    DNA is read as FASTA, or a sequence a line (blank lines are none), and answered some millions of bases at a time.
    """
    from seqlens.cli.decoding import decoding_changes, read_reranker, refuse_options, warn_of_other_directions
    from seqlens.cli.lines import answer_line, output_to
    from seqlens.cli.predict_examples import predict_examples
    from seqlens.cli.predict_sequences import predict_sequences, windows
    from seqlens.cli.progress import counting
    from seqlens.cli.tags import warn_of_missing_tag
    from seqlens.data.documents import document_chunks
    from seqlens.inference import ExamplePredictor, load
    from seqlens.tasks.classify.task import ClassifyTask

    if input is not None and output is not None and input.is_file() and output.exists() and output.samefile(input):
        raise RequestError(f"The output is {output}, which is the input, expected another file.")
    _check_output(output, [run, *others, *([] if rerank_by is None else [rerank_by])])
    # The same whatever the workers: an answer's last bits depend on its batch.
    chunks = _chunks(texts, input, at_least=_BATCHES_AT_ONCE * batch_size)
    beginning = read_argument(prefix, "The prefix")
    constraints = [read_argument(phrase, "A required phrase") for phrase in require]
    predictor = load([run, *others], device=device)
    if isinstance(predictor, ExamplePredictor):
        refuse_options(
            predictor,
            {
                "--tag": tag is not None,
                "--document": document,
                "--prefix": bool(prefix),
                "--require": bool(require),
                "--rerank-by": rerank_by is not None,
                "--rerank-weight": rerank_weight is not None,
                "--rerank-tag": rerank_tag is not None,
                "--workers": workers != 1,
            },
        )
        if predictor.record["kind"] == "mark":
            predict_sequences(predictor, texts, input, settings, output=output, as_json=as_json)
        else:
            if isinstance(predictor.task, ClassifyTask) and predictor.task.config.codec.kind == "nucleotides":
                chunks = windows(texts, input)
            predict_examples(predictor, chunks, settings, output=output, as_json=as_json, batch_size=batch_size)
        return
    warn_of_missing_tag(predictor, tag)
    warn_of_other_directions(predictor)
    reranker = read_reranker(predictor, rerank_by, rerank_weight, rerank_tag, device)
    decoding = decoding_changes(predictor, settings)
    if "num_best" in decoding and not as_json:
        warn("'num_best' makes lists of answers, of which only --json shows more than the best.")
    if document:
        chunks = document_chunks(chunks, predictor.context_sentences())
    if not texts and input is None and sys.stdin.isatty():
        note(f"Type an input and press Enter; Ctrl-D ends. ({run} is loaded.)")
    done, truncated = 0, 0
    seen: Counter[str] = Counter()
    with output_to(output) as file, counting("answered", hidden=output is None and sys.stdout.isatty()) as progress:
        for chunk in chunks:
            try:
                answers = predictor.predict(
                    chunk,
                    batch_size=batch_size,
                    tag=tag,
                    workers=workers,
                    align=as_json,
                    prefix=beginning,
                    constraints=constraints,
                    reranker=reranker,
                    seen=seen,
                    progress=_counting_on(done, progress),
                    **decoding,
                )
            except InputError as error:
                raise error.after(done) from error
            file.writelines(
                answer_line(text, answer, as_json=as_json) for text, answer in zip(chunk, answers, strict=True)
            )
            file.flush()
            done += len(chunk)
            truncated += sum(answer.truncated for answer in answers)
            progress(done, None)
    warn_of_cut(truncated, done)


def _check_output(output: Path | None, runs: Iterable[Path]) -> None:
    """Refuses a file that a run is made of."""
    from seqlens.inference.run_folder import run_files

    if output is not None and output.exists():
        for run in runs:
            if any(output.samefile(path) for path in run_files(run)):
                raise RequestError(f"The output is {output}, which is a file of the run {run}, expected another file.")


def _counting_on(done: int, show: Callable[[int, int | None], None]) -> Callable[[int], None]:
    """Shows how many are done with each batch, from so many on."""

    def tell(more: int) -> None:
        nonlocal done
        done += more
        show(done, None)

    return tell


def _chunks(texts: list[str], path: Path | None, *, at_least: int) -> Iterable[list[str]]:
    from seqlens.cli.lines import file_chunks, stdin_chunks, typed_chunks

    if texts and path is not None:
        raise RequestError(f"Inputs are given twice, as texts and as the file {path}, expected one of them.")
    if "-" in texts and len(texts) > 1:
        raise RequestError("Inputs are given twice, as texts and as '-', which is stdin, expected one of them.")
    if (texts == ["-"]) or (path is not None and str(path) == "-"):
        return stdin_chunks()
    if path is not None:
        if not path.exists():  # a named pipe will do
            raise RequestError(f"There is no input file {path}.")
        return file_chunks(path, at_least)
    if texts:
        return [[read_argument(text, f"Text {number}") for number, text in enumerate(texts, start=1)]]
    return typed_chunks() if sys.stdin.isatty() else stdin_chunks()
