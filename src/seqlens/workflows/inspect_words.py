"""What each word of a text counted for in the answer of a classifier, with a report of it."""

import shlex
from dataclasses import dataclass

from seqlens.errors import RequestError
from seqlens.inference import ExamplePredictor, describe_machine
from seqlens.report import BarChart, Bars, Examples, Heatmap, Report, Section, Table, isolate
from seqlens.tasks.classify.answer import Classification
from seqlens.tasks.classify.task import ClassifyTask
from seqlens.workflows.evaluate_examples import sample_input
from seqlens.workflows.evaluation_data import typed_options

_NOTE = (
    "How far the log-odds of the answer fall when the word is left out: above 0 it speaks for the answer, below 0 "
    "against it. Words count together: the weights need not add up."
)


@dataclass(frozen=True, slots=True)
class WordsView:
    """A text, the answer with a weight for each word, and the report."""

    text: str
    answer: Classification
    report: Report


def inspect_words(predictor: ExamplePredictor, text: str | None = None) -> WordsView:
    """What each word of `text` (by default one that the run was not trained on) counted for.

    Raises:
        RequestError: the run is no classifier, or the text is empty.
    """
    if not isinstance(predictor.task, ClassifyTask):
        kind = predictor.task.config.kind
        raise RequestError(f"The view 'words' is for runs of the task 'classify', but {predictor.path} is of '{kind}'.")
    options = typed_options({"--input": text}, ())
    text = sample_input(predictor) if text is None else text
    if not text.strip():
        raise RequestError("The input is empty, expected a text to look at.")
    answer = predictor.predict(text, explain=True)
    words = [f"{number} {token.text}" for number, token in enumerate(answer.tokens, start=1)]
    weights = [token.weight for token in answer.tokens]
    chances = sorted(answer.probabilities.items(), key=lambda item: -item[1])
    sections: list[Section] = [
        Examples(
            "Input and answer", ("input", "answer", "probability"), [(text, answer.label, f"{answer.probability:.3f}")]
        ),
        Heatmap("Words", [answer.label], words, [weights], note=_NOTE, row_title="answer", column_title="input"),
        BarChart("Weights", "word", "log-odds", words, [Bars("weight", weights)]),
        Table("All labels", ("label", "probability"), chances),
    ]
    record, machine = predictor.record, describe_machine()
    facts = {
        "command": shlex.join(["seqlens", "inspect", str(predictor.path), "words", *options]),
        "recipe": str(record.get("recipe")),
        "seed": str(record.get("seed")),
        "versions": f"seqlens {record.get('seqlens')}, torch {machine['torch']}",
    }
    title = f"Words of {isolate(predictor.path.name)}"
    return WordsView(text, answer, Report(title, "What each word counted for in the answer.", sections, facts))
