"""The README that a run folder carries: what the model is, what it was trained on, how to use it."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from seqlens._version import __version__
from seqlens.config import dump_config
from seqlens.training.run_config import RunConfig


def model_card(
    name: str, config: RunConfig, describe: Mapping[str, str], model: nn.Module, facts: Mapping[str, Any]
) -> str:
    """Markdown, from the facts alone; `describe` are rows of the table that the task knows."""
    data, training, weights = facts["data"], facts["training"], facts["weights"]
    left_out = f" ({data['num_left_out']:,} longer ones left out)" if data["num_left_out"] else ""
    examples = data.get("examples", "pairs")
    rows = "\n".join(f"| {key} | {value} |" for key, value in describe.items())
    init = facts.get("init")
    started = f"| started from | the run {init['name']}, weights {init['weights_sha256'][:12]} |\n" if init else ""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return f"""# {name}

{config.description or "A sequence model."}

Trained with seqlens {__version__} (recipe `{name}`, seed {config.seed}).

| | |
|---|---|
{rows}
| data | {data["name"]}, {data["num_train"]:,} training {examples}{left_out} |
| parameters | {parameters:,} |
| training | {training["steps"]:,} steps, {training["epochs"]} epochs, {training["seconds"]:.0f} s, \
ended by {training["stop_reason"]} |
{started}| weights | {_weights(weights)} |

{_validation(weights)}

Scores on the test split: `seqlens evaluate` writes them into `evaluation/`.

## Use

```
seqlens predict {"PATH/OF/THIS/FOLDER"} "a text"
```

```python
import seqlens

model = seqlens.load("PATH/OF/THIS/FOLDER")
print(model.predict("a text"))
```

## Model

```yaml
{dump_config(config.task.model).strip()}
```

Answers are as good as the training data are near to what is asked; texts from elsewhere need a test of their own.
"""


def _validation(weights: Mapping[str, Any]) -> str:
    if not weights["validation"]:
        return "No validation has seen these weights: the training was interrupted."
    chosen = ", which were chosen by it" if weights["kind"] in ("best", "ema") else ""
    rows = "\n".join(f"| {key} | {_number(value)} |" for key, value in weights["validation"].items())
    return f"Validation of these weights{chosen}:\n\n| measure | value |\n|---|---|\n{rows}"


def _weights(weights: Mapping[str, Any]) -> str:
    names = {"best": "those of the best validation", "ema": "their moving average", "average": "mean of the last ones"}
    name = names.get(weights["kind"], "the last ones")
    return name if weights["step"] is None or weights["kind"] != "best" else f"{name}, at step {weights['step']:,}"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
