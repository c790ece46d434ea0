"""`seqlens predict` for runs of tasks that learn from examples."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seqlens.cli.lines import output_to
from seqlens.cli.printing import note, warn, warn_of_cut
from seqlens.cli.progress import counting
from seqlens.config import apply_overrides
from seqlens.inference import ExamplePredictor


def predict_examples(
    predictor: ExamplePredictor,
    chunks: Iterable[list[str]],
    settings: Sequence[str],
    *,
    output: Path | None,
    as_json: bool,
    batch_size: int,
) -> None:
    """Answers lines: one line for each, or a JSON object with the input beside it."""
    changes = predictor.task.read_settings(apply_overrides({}, settings))
    if changes.get("explain") and not as_json:
        warn("'explain' takes time, and only --json shows what it finds.")
    if output is None and sys.stdin.isatty():
        note(f"{predictor.path} is loaded.")
    done, cut = 0, 0
    with output_to(output) as file, counting("written", hidden=output is None and sys.stdout.isatty()) as progress:
        for chunk in chunks:
            answers = predictor.predict(chunk, batch_size=batch_size, **changes)
            file.writelines(_line(text, answer, as_json=as_json) for text, answer in zip(chunk, answers, strict=True))
            file.flush()
            done += len(chunk)
            cut += sum(getattr(answer, "truncated", False) for answer in answers)
            progress(done, None)
    warn_of_cut(cut, done)


def _line(text: str, answer: Any, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"input": text, **answer.to_plain()}, ensure_ascii=False) + "\n"
    # A line break inside an answer would shift all lines after it.
    return " ".join(str(answer).splitlines()) + "\n"
