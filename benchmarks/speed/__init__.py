"""What seqlens costs, measured beside something else in one run wherever a ratio is told."""

NAMES = (
    "startup",
    "vocabulary_loss",
    "padding",
    "recurrent",
    "recurrent_cells",
    "recurrent_ragged",
    "recurrent_peers",
    "recurrent_memory",
    "training",
    "decoding",
    "rounding",
    "demo",
    "subword_dropout",
    "processes",
)
"""The benchmarks; each is a module here of that name with `measure(quick=...)`."""
