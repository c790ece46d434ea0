"""`seqlens evaluate`."""

from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import (
    DeviceOption,
    RerankByOption,
    RerankTagOption,
    RerankWeightOption,
    RunArgument,
    WithOption,
    WorkersOption,
)
from seqlens.cli.printing import note, print_lines, print_table, warn

EXAMPLES = """Examples:

\b
  seqlens evaluate runs/de-en
  seqlens evaluate runs/de-en --split test_2017
  seqlens evaluate runs/de-en --data my-pairs.tsv --set beam_width=1
  seqlens evaluate runs/de-en --data others.tsv --set data.source_column=2 --set data.target_column=0
  seqlens evaluate runs/de-en --analyse
  seqlens evaluate runs/de-en-1 --with runs/de-en-2 --with runs/de-en-3
  seqlens evaluate runs/de-en --split validation --rerank-by runs/en-de --rerank-weight 0.5
"""


@guarded
def evaluate(
    run: RunArgument,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="A split of the data.")] = "test",
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Other data than the run's own: a .tsv or .jsonl file, a folder, or a name of the catalogue.",
            show_default=False,
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            "--tag", metavar="TAG", help="With --data: the direction or domain, of the run's tags.", show_default=False
        ),
    ] = None,
    analyse: Annotated[
        bool,
        typer.Option(
            "--analyse",
            help="Look beside the score: by length, rare and unknown words, clauses; errors; search or model at fault.",
        ),
    ] = False,
    others: WithOption = [],  # noqa: B006 - typer copies it
    rerank_by: RerankByOption = None,
    rerank_weight: RerankWeightOption = None,
    rerank_tag: RerankTagOption = None,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change a setting of the search (beam_width=1, method=greedy, ...) or of how --data is read "
            "(data.text_column=1, ...); may be given again.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer copies it
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
) -> None:
    """Score a run, with 95 % intervals and the strongest cheap answers beside it.

    Answers, references and scores are also written to `evaluation/` in the run folder; with --analyse the analysis as
    well, as JSON and as a page with charts. Of a classifier a page shows calibration, abstention and mistakes, too.
    """
    from seqlens.cli.decoding import (
        decoding_changes,
        read_reranker,
        refuse_options,
        set_apart,
        warn_of_other_directions,
    )
    from seqlens.cli.progress import counting
    from seqlens.cli.scores import scores_table
    from seqlens.inference import ExamplePredictor, load
    from seqlens.workflows.analyse_report import analysis_tables
    from seqlens.workflows.evaluate_examples import REPORT_FILE, ExampleEvaluation
    from seqlens.workflows.evaluation import evaluate as evaluate_run
    from seqlens.workflows.evaluation_files import Evaluation

    predictor = load([run, *others], device=device)
    data_settings, search_settings = set_apart("data", settings)
    decoding, reranker = {}, None
    if isinstance(predictor, ExamplePredictor):
        refuse_options(
            predictor,
            {
                "--set": bool(search_settings),
                "--rerank-by": rerank_by is not None,
                "--rerank-weight": rerank_weight is not None,
                "--rerank-tag": rerank_tag is not None,
            },
        )
    else:
        warn_of_other_directions(predictor)
        decoding = decoding_changes(predictor, search_settings)
        if "num_best" in decoding:
            warn("'num_best' changes nothing: the best answers are scored.")
        reranker = read_reranker(predictor, rerank_by, rerank_weight, rerank_tag, device)
    with counting("answered") as progress:
        evaluation = evaluate_run(
            predictor,
            split=split,
            data=data,
            data_settings=data_settings,
            tag=tag,
            decoding=decoding,
            workers=workers,
            reranker=reranker,
            analyse=analyse,
            announce=note,
            progress=progress,
        )
    print_table(scores_table(evaluation))
    if isinstance(evaluation, ExampleEvaluation):
        print_lines(f"against {name}: {test}" for name, test in evaluation.baseline_tests.items())
    if isinstance(evaluation, Evaluation) and evaluation.analysis is not None:
        for table in analysis_tables(evaluation.analysis):
            print_lines([""])
            print_table(table)
    if isinstance(evaluation, ExampleEvaluation) and evaluation.analysis is not None:
        for table in evaluation.analysis.tables:
            print_lines([""])
            print_table(table)
        for remark in evaluation.analysis.remarks:
            warn(remark)
    if evaluation.folder is not None:
        note(f"Answers, references and scores are in {evaluation.folder}.")
        if analyse:
            note(f"The analysis is in {evaluation.folder / 'analysis.html'}.")
        if isinstance(evaluation, ExampleEvaluation) and evaluation.analysis is not None:
            note(f"A page with charts and mistakes is {evaluation.folder / REPORT_FILE}.")
