"""Several models of a task that learns from examples beside each other, on the same examples."""

from collections.abc import Mapping
from pathlib import Path

from seqlens.errors import RequestError
from seqlens.inference import ExamplePredictor
from seqlens.metrics import PairedResult, Statistics
from seqlens.workflows.compare_by import paired_test
from seqlens.workflows.contest import Comparison, Contestant, comparison_report, comparison_table
from seqlens.workflows.evaluate_examples import ExampleEvaluation, evaluate_examples
from seqlens.workflows.example_preparation import Announce


def compare_examples(
    predictors: Mapping[str, ExamplePredictor], command: str, *, split: str, data: str | Path | None, announce: Announce
) -> Comparison:
    """Evaluates runs, and tests each against the first by all measures that both have.

    Raises:
        RequestError: the examples are not the same for all.
    """
    evaluations: dict[str, ExampleEvaluation] = {}
    for name, predictor in predictors.items():
        announce(f"Evaluating {name}.")
        evaluations[name] = evaluate_examples(
            predictor, split=split, data=data, with_baselines=False, analyse=False, announce=announce
        )
    (first_name, first), *_ = evaluations.items()
    contestants = []
    for name, evaluation in evaluations.items():
        if evaluation.fingerprint != first.fingerprint:
            raise RequestError(
                f"{name} was evaluated on other {first.noun[1]} ({evaluation.data}, split {evaluation.split}) than "
                f"{first_name} ({first.data}, split {first.split}); with --data all have the same."
            )
        tests: dict[str, PairedResult] = {}
        randomisation: dict[str, float] = {}
        if name != first_name:
            for measure, statistics in evaluation.statistics.items():
                # On equal examples, what was measured of them may differ: perplexities per token of other tokens, F1 of
                # other classes.
                other = first.statistics.get(measure)
                if other is not None and _what(statistics) == _what(other):
                    test = paired_test(statistics, other)
                    tests[measure], randomisation[measure] = test.bootstrap, test.randomisation
        predictor = predictors[name]
        contestants.append(
            Contestant(
                name=name,
                evaluation=evaluation,
                scores=evaluation.scores,
                tests=tests,
                randomisation=randomisation,
                num_parameters=sum(parameter.numel() for parameter in predictor.model.parameters()),
                training_seconds=predictor.record.get("training", {}).get("seconds"),
            )
        )
    table = comparison_table(contestants)
    return Comparison(tuple(contestants), table, comparison_report(contestants, table, command))


def _what(statistics: Statistics) -> tuple[str, str]:
    return statistics.signature, statistics.references_id
