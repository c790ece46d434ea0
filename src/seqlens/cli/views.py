"""Attention, gates and gradients as lines of text: shades for weights, bars for norms."""

from collections.abc import Iterator, Sequence

from seqlens.report.text import clean_text, display_width
from seqlens.workflows.inspect import AttentionView, GatesView, GradientsView

SHADES = " ░▒▓█"
BAR_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_WIDEST_TOKEN = 16


def attention_lines(view: AttentionView) -> Iterator[str]:
    """A line for each token of the answer: shades over the input's tokens, and the one with most of the weight."""
    sources = [shown(token) for token in view.attention.source_tokens]
    targets = [shown(token) for token in view.attention.target_tokens]
    rows = view.attention.mean.tolist()
    yield f"input   {clean_text(view.source)}"
    yield f"answer  {clean_text(view.answer)}"
    yield ""
    width = max(map(display_width, targets))
    narrow = all(display_width(token) == 1 for token in sources[:-1])
    if narrow:  # characters: each stands above its column
        yield f"{'':{width}}  {''.join(sources[:-1])}{END_SIGN}"
    for target, row in zip(targets, rows, strict=True):
        most = max(range(len(row)), key=row.__getitem__)
        yield f"{padded(target, width)}  {shaded(row)}  {row[most]:4.0%} on {sources[most]} ({most + 1})"
    yield ""
    yield f"Shades from 0 to 1: '{SHADES}'; a column is a token of the input, the last one is its end."


def gates_lines(view: GatesView) -> Iterator[str]:
    """A line for each gate and state: shades of the mean absolute value over the units, token by token."""
    sources = [shown(token) for token in view.trace.tokens]
    yield f"input  {clean_text(view.source)}"
    yield ""
    width = max(map(len, view.trace.values))
    if all(display_width(token) == 1 for token in sources[:-1]):
        yield f"{'':{width}}  {''.join(sources[:-1])}{END_SIGN}"
    for name, values in view.trace.values.items():
        means = values.abs().mean(1).tolist()
        yield f"{name:{width}}  {shaded(means)}  mean {sum(means) / len(means):.2f}"
    yield ""
    yield f"Shades from 0 to 1: '{SHADES}'; a column is a token of the input, the last one is its end."


def gradients_lines(view: GradientsView) -> Iterator[str]:
    """A bar for each distance, long ones thinned out."""
    norms, counts = view.gradients.norms, view.gradients.counts
    largest = max(norms)
    pairs = "1 pair" if view.num_pairs == 1 else f"{view.num_pairs} pairs"
    yield f"Norm of the loss's gradient by steps from the (nearer) end of the input, over {pairs}"
    yield ""
    yield f"{'steps':>5}  {'norm':>8}  {'inputs':>6}"
    for lag in _thinned(len(norms)):
        yield f"{lag:>5}  {norms[lag]:8.2e}  {counts[lag]:>6,}  {bar(norms[lag] / largest if largest else 0.0)}"
    yield ""
    yield f"The farthest eighth has {view.gradients.ratio:.2g} of the norm of the nearest eighth."


END_SIGN = "■"


def shown(token: str) -> str:
    """A token on one line, cut if it is long."""
    token = clean_text(token).replace("\n", "↵").replace("\t", "→")
    return token if len(token) <= _WIDEST_TOKEN else token[: _WIDEST_TOKEN - 1] + "…"


def padded(text: str, width: int) -> str:
    """The text with spaces up to a width on the screen."""
    return text + " " * (width - display_width(text))


def shaded(values: Sequence[float]) -> str:
    """A shade for each value between 0 and 1."""
    return "".join(SHADES[min(int(value * len(SHADES)), len(SHADES) - 1)] for value in values)


def bar(share: float) -> str:
    """A bar of a share of the full width, in eighths of a sign."""
    whole, rest = divmod(round(share * BAR_WIDTH * 8), 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def _thinned(count: int, most: int = 40) -> Iterator[int]:
    """All of a short range; of a long one the first, the last and evenly spaced ones between."""
    if count <= most:
        yield from range(count)
        return
    yield from sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})
