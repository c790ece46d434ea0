"""Look inside a run: what to look at, the numbers, and a report of them."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from seqlens.data.batch import PairBatch, pad
from seqlens.data.codecs.marks import MarkedText
from seqlens.data.examples import Pair
from seqlens.data.text import END_ID
from seqlens.errors import RequestError
from seqlens.inference import describe_machine
from seqlens.inference.predictor import Predictor
from seqlens.inspection import (
    AttentionMap,
    GateTrace,
    GradientThroughTime,
    attention_map,
    encoder_gates,
    gradient_through_time,
    gradient_warning,
)
from seqlens.models.decoders import RecurrentDecoder
from seqlens.report import (
    AttentionMaps,
    BarChart,
    Bars,
    Examples,
    Heatmap,
    LineChart,
    Prose,
    Report,
    Section,
    Series,
    Table,
    isolate,
)
from seqlens.tasks.transduce.answer import Translation
from seqlens.workflows.evaluation_data import run_corpus, typed_options

GRADIENT_PAIRS = 64
_MOST_UNITS = 32


@dataclass(frozen=True, slots=True)
class AttentionView:
    """An input, the run's answer, where each token of the answer looked, and the report."""

    source: str
    answer: str
    attention: AttentionMap
    report: Report


@dataclass(frozen=True, slots=True)
class GatesView:
    """An input, the gates and states of the encoder while it read it, and the report."""

    source: str
    trace: GateTrace
    report: Report


@dataclass(frozen=True, slots=True)
class GradientsView:
    """How far back the loss reaches, over how many pairs, a warning where it does not or too much, the report."""

    num_pairs: int
    gradients: GradientThroughTime
    warning: str | None
    report: Report


def sample_pairs(predictor: Predictor, count: int) -> list[Pair]:
    """The first pairs of the run's own data that it was not trained on: of test, else of validation.

    Raises:
        RequestError: the data are not where they were.
    """
    corpus = run_corpus(predictor)
    split = "test" if "test" in corpus.splits else "validation"
    return list(islice(corpus.read(split), count))


def attends(predictor: Predictor) -> bool:
    """Whether the model has attention to look at."""
    decoder = predictor.model.decoder
    return not isinstance(decoder, RecurrentDecoder) or decoder.attention is not None


def inspect_attention(predictor: Predictor, source: str | None = None) -> AttentionView:
    """Where the model looks in `source` (by default the first of its test split) while it writes its answer.

    Raises:
        RequestError: the model has no attention, or the input is empty or too long for its positions.
    """
    given, source = source, _source(predictor, source)
    # Looked at are the model's own numbers, so they are not to be rounded in the search either.
    answered = predictor.predict(source, precision="float32")
    answer = answered.text
    found = attention_map(predictor.task, predictor.model, source, _written(answered))
    maps = [_heatmap("all heads", found, found.mean.tolist())]
    for number, layer in enumerate(found.layers, start=1):
        if len(layer) * len(found.layers) > 1:
            maps += [
                _heatmap(f"layer {number}, head {head}", found, weights.tolist())
                for head, weights in enumerate(layer, start=1)
            ]
    note = "A row is a token of the answer, a column one of the input; each row sums to one."
    sections: list[Section] = [
        Examples("Input and answer", ("input", "answer"), [(source, answer)]),
        AttentionMaps("Attention", maps, note=note),
        BarChart(
            "Coverage",
            "token of the input",
            "attention over the whole answer",
            [f"{number} {token}" for number, token in enumerate(found.source_tokens, start=1)],
            [Bars("coverage", found.coverage)],
            note=" ".join(coverage_sentences(found)),
        ),
    ]
    report = _report(
        predictor, "attention", "Where the model looked in the input for each token it wrote.", sections, given
    )
    return AttentionView(source, answer, found, report)


def coverage_sentences(found: AttentionMap) -> list[str]:
    """Names the tokens of the input that were hardly looked at and those looked at again and again."""
    tokens, coverage = found.source_tokens, found.coverage

    def named(places: Sequence[int]) -> str:
        return ", ".join(f"{tokens[place]} ({place + 1}): {coverage[place]:.2f}" for place in places)

    sentences = []
    if found.left_out:
        sentences.append(f"Hardly looked at, perhaps left out: {named(found.left_out)}.")
    if found.repeated:
        sentences.append(f"Looked at again and again, perhaps repeated: {named(found.repeated)}.")
    return sentences or ["No token was left out, none looked at again and again."]


def inspect_gates(predictor: Predictor, source: str | None = None) -> GatesView:
    """Every gate and state of the encoder while it reads `source` (by default the first of its test split).

    Raises:
        RequestError: the encoder is not recurrent, or the input is empty.
    """
    given, source = source, _source(predictor, source)
    trace = encoder_gates(predictor.task, predictor.model, source)
    labels = [f"{number} {token}" for number, token in enumerate(trace.tokens, start=1)]
    means = [
        Series(name, range(1, len(labels) + 1), values.abs().mean(1).tolist()) for name, values in trace.values.items()
    ]
    maps = []
    for name, values in trace.values.items():
        # The units that change most while reading tell most.
        units = sorted(values.std(0, correction=0).argsort(descending=True)[:_MOST_UNITS].tolist())
        rows = [values[:, unit].tolist() for unit in units]
        maps.append(
            Heatmap(name, [str(unit) for unit in units], trace.tokens, rows, row_title="unit", column_title="input")
        )
    sections: list[Section] = [
        Examples("Input", ("input",), [(source,)]),
        LineChart("Means", "token", "mean of absolute values over all units", means),
        AttentionMaps(
            "Gates and states", maps, note=f"The {_MOST_UNITS} units of each that change most, in their order."
        ),
    ]
    report = _report(predictor, "gates", "What the encoder's gates and states do while it reads.", sections, given)
    return GatesView(source, trace, report)


def inspect_gradients(predictor: Predictor, source: str | None = None) -> GradientsView:
    """The gradient of the loss by its distance from where the encoder's answer is read.

    Over the first pairs of the test split, or over `source` with the run's own answer as the target.

    Raises:
        RequestError: the input is empty, or the run's data are not where they were.
    """
    if source is None:
        pairs = [(pair.source, pair.target or "") for pair in sample_pairs(predictor, GRADIENT_PAIRS)]
    else:
        source = _source(predictor, source)
        pairs = [(source, predictor.predict(source, precision="float32").text)]
    task, model = predictor.task, predictor.model
    batch = task.fit_positions(model, _batch(predictor, pairs)).to(model.output.weight.device)
    gradients = gradient_through_time(model, batch)
    warning = gradient_warning(gradients)
    lags = range(len(gradients.norms))
    sections: list[Section] = [
        Prose("", warning or "The gradient neither vanishes nor explodes over these lengths."),
        LineChart(
            "By distance",
            "steps from the (nearer) end of the input",
            "mean norm of the gradient",
            [Series("gradient", lags, gradients.norms)],
            log_y=True,
        ),
        BarChart(
            "Inputs that reach so far",
            "steps",
            "inputs",
            [str(lag) for lag in lags],
            [Bars("inputs", gradients.counts)],
        ),
        Table(
            "The numbers", ("steps", "norm", "inputs"), list(zip(lags, gradients.norms, gradients.counts, strict=True))
        ),
    ]
    summary = f"The norm of the loss's gradient with respect to the inputs, over {len(pairs)} pairs."
    return GradientsView(len(pairs), gradients, warning, _report(predictor, "gradients", summary, sections, source))


def _source(predictor: Predictor, source: str | None) -> str:
    if source is None:
        texts = [pair.source for pair in sample_pairs(predictor, 100) if pair.source.strip()]
        _, truncated = predictor.task.encode_sources(predictor.model, texts)
        source = next((text for text, cut in zip(texts, truncated, strict=True) if not cut), "")
    if not source.strip():
        raise RequestError("The input is empty, expected a text to look at.")
    encoded, truncated = predictor.task.encode_sources(predictor.model, [source])
    if truncated[0]:
        raise RequestError(f"The input is longer than the {len(encoded[0])} tokens that the model's positions reach.")
    return source


def _written(answer: Translation) -> str | list[int]:
    """The ids that an answer was written with, which another search for its text need not find; else its text."""
    if answer.alignment is None:
        return answer.text
    return [*answer.alignment.target_ids, *([END_ID] if answer.finished else [])]


def _batch(predictor: Predictor, pairs: Sequence[tuple[str, str]]) -> PairBatch:
    encoded = [predictor.task.encode_pair(source, target) for source, target in pairs]
    sources, targets = [source for source, _ in encoded], [target for _, target in encoded]
    return PairBatch(pad(sources), pad(targets), tuple(range(len(pairs))))


def _heatmap(title: str, found: AttentionMap, weights: list[list[float]]) -> Heatmap:
    return Heatmap(title, found.target_tokens, found.source_tokens, weights)


def _report(predictor: Predictor, view: str, summary: str, sections: Sequence[Section], given: str | None) -> Report:
    """The report; `given` is the input that was asked for, if one was."""
    tag = given.tag if isinstance(given, MarkedText) else None
    options = typed_options({"--input": given, "--tag": tag}, ())
    record, machine = predictor.record, describe_machine()
    facts = {
        "command": shlex.join(["seqlens", "inspect", str(predictor.path), view, *options]),
        "recipe": str(record.get("recipe")),
        "seed": str(record.get("seed")),
        "versions": f"seqlens {record.get('seqlens')}, torch {machine['torch']}",
    }
    return Report(f"{view.capitalize()} of {isolate(predictor.path.name)}", summary, sections, facts)
