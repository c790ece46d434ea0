"""Attention, gates and gradients as lines of text: shades for weights, bars for norms."""

import math
from collections.abc import Iterator, Sequence

from seqlens.cli.printing import print_lines, warn
from seqlens.inference import Predictor
from seqlens.report import Report
from seqlens.report.text import clean_text, display_width
from seqlens.workflows.inspect import (
    AttentionView,
    GatesView,
    GradientsView,
    coverage_sentences,
    inspect_attention,
    inspect_gates,
    inspect_gradients,
)

SHADES = " ░▒▓█"
BAR_WIDTH = 40
END_SIGN = "■"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_WIDEST_TOKEN = 16


def show_view(predictor: Predictor, view: str, text: str | None) -> Report:
    """Prints `attention`, `gates` or `gradients` of a run; returns the report of it."""
    match view:
        case "attention":
            attention = inspect_attention(predictor, text)
            print_lines(attention_lines(attention))
            return attention.report
        case "gates":
            gates = inspect_gates(predictor, text)
            print_lines(gates_lines(gates))
            return gates.report
        case _:
            gradients = inspect_gradients(predictor, text)
            print_lines(gradients_lines(gradients))
            if gradients.warning:
                warn(gradients.warning)
            return gradients.report


def attention_lines(view: AttentionView) -> Iterator[str]:
    """A line for each token of the answer: shades over the input's tokens, and the one with most of the weight."""
    sources = [shown(token) for token in view.attention.source_tokens]
    targets = [shown(token) for token in view.attention.target_tokens]
    rows = view.attention.mean.tolist()
    largest = max(max(row) for row in rows)
    yield f"input   {clean_text(view.source)}"
    yield f"answer  {clean_text(view.answer)}"
    yield ""
    width, cell = max(map(display_width, [*targets, "in all"])), _cell_width(sources)
    yield from _header(sources, width, cell)
    for target, row in zip(targets, rows, strict=True):
        most = max(range(len(row)), key=row.__getitem__)
        yield f"{padded(target, width)}  {shaded(row, largest, cell)}  {row[most]:4.0%} on {sources[most]} ({most + 1})"
    yield f"{padded('in all', width)}  {shaded(view.attention.coverage, max(largest, 1.0), cell)}"
    yield ""
    yield _legend(largest)
    yield from coverage_sentences(view.attention)


def gates_lines(view: GatesView) -> Iterator[str]:
    """A line for each gate and state: shades of the mean absolute value over the units, token by token."""
    sources = [shown(token) for token in view.trace.tokens]
    means = {name: values.abs().mean(1).tolist() for name, values in view.trace.values.items()}
    largest = max(max(row) for row in means.values())
    yield f"input  {clean_text(view.source)}"
    yield ""
    width, cell = max(map(len, means)), _cell_width(sources)
    yield from _header(sources, width, cell)
    for name, row in means.items():
        yield f"{name:{width}}  {shaded(row, largest, cell)}  {sum(row) / len(row):.2f} in the mean"
    yield ""
    yield _legend(largest)


def gradients_lines(view: GradientsView) -> Iterator[str]:
    """A bar for each distance, long ones thinned out."""
    norms, counts = view.gradients.norms, view.gradients.counts
    largest = max(filter(math.isfinite, norms), default=0.0)
    pairs = "1 pair" if view.num_pairs == 1 else f"{view.num_pairs} pairs"
    yield f"Norm of the loss's gradient by steps from the (nearer) end of the input, over {pairs}"
    yield ""
    yield f"{'steps':>5}  {'norm':>8}  {'places':>6}"
    for lag in _thinned(len(norms)):
        yield f"{lag:>5}  {norms[lag]:8.2e}  {counts[lag]:>6,}  {bar(norms[lag] / largest if largest else 0.0)}"
    yield ""
    yield f"The farthest eighth has {view.gradients.ratio:.2g} of the norm of the nearest eighth."


def _cell_width(tokens: Sequence[str]) -> int:
    """Columns of the screen for a token: enough for characters of any script, one where tokens are longer."""
    widest = max((display_width(token) for token in tokens[:-1]), default=1)
    return widest if widest <= 2 else 1


def _header(tokens: Sequence[str], width: int, cell: int) -> Iterator[str]:
    """The tokens above their columns, where they are short enough for that."""
    if all(display_width(token) <= cell for token in tokens[:-1]):
        signs = "".join(padded(token, cell) for token in [*tokens[:-1], END_SIGN])
        yield f"{'':{width}}  {signs}"


def _legend(largest: float) -> str:
    return f"Shades '{SHADES}' from 0 to {largest:.2f}; a column is a token of the input, the last one is its end."


def shown(token: str) -> str:
    """A token on one line, cut if it is long."""
    token = clean_text(token).replace("\n", "↵").replace("\t", "→")
    return token if len(token) <= _WIDEST_TOKEN else token[: _WIDEST_TOKEN - 1] + "…"


def padded(text: str, width: int) -> str:
    """The text with spaces up to a width on the screen."""
    return text + " " * (width - display_width(text))


def shaded(values: Sequence[float], largest: float, cell: int = 1) -> str:
    """A shade for each value between 0 and `largest`, `cell` signs wide; `?` for what is not finite."""
    return "".join(_shade(value / (largest or 1.0)) * cell for value in values)


def _shade(share: float) -> str:
    return SHADES[min(int(share * len(SHADES)), len(SHADES) - 1)] if math.isfinite(share) else "?"


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A bar of a share of the full width, in eighths of a sign; in words where the share is not finite."""
    if not math.isfinite(share):
        return "not finite"
    whole, rest = divmod(round(share * width * 8), 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def _thinned(count: int, most: int = 40) -> Iterator[int]:
    """All of a short range; of a long one the first, the last and evenly spaced ones between."""
    if count <= most:
        yield from range(count)
        return
    yield from sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})
