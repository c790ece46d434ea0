"""Texts gone on with: a prompt is read at once, then tokens are drawn one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Int
from torch import Tensor

from seqlens.data.text import END_ID, PADDING_ID, START_ID, UNKNOWN_ID
from seqlens.decoding import Hypothesis, SearchRequest, StepOutput, sample
from seqlens.models.language_model import LanguageModel, LanguageState
from seqlens.tasks.generate.config import SamplingConfig
from seqlens.tasks.generate.scoring import target_log_probs


class Continued(NamedTuple):
    """The log-probability of each token of a prompt and of its end, and what was drawn after it."""

    log_probs: list[float]
    end_log_prob: float
    samples: list[Hypothesis]


@final
@dataclass(frozen=True, slots=True)
class _State:
    """A language model's state as a search reorders it."""

    inner: LanguageState

    def reorder(self, rows: Int[Tensor, " rows"], groups: Int[Tensor, " groups"] | None) -> "_State":
        return _State(self.inner.select(rows))


@torch.no_grad()
def continue_text(
    model: LanguageModel, prompt: Sequence[int], sampling: SamplingConfig, *, ends: bool, limit: int | None
) -> Continued:
    """Reads a prompt and draws what comes next; `ends` says whether texts have an end.

    `limit` is the number of tokens that the model's positions reach, if there is such a bound.
    """
    device = model.embedding.weight.device
    tokens = torch.tensor([[START_ID, *prompt, END_ID]], device=device)
    inputs, targets = tokens[:, :-1], tokens[0, 1:]
    # Up to the prompt's last token, which is the first one that a step will read.
    read = model(inputs[:, :-1])
    last = model(inputs[:, -1:], None, read.state)
    features = torch.cat((read.vocabulary.features, last.vocabulary.features), dim=1)[0]
    log_probs = target_log_probs(last.vocabulary._replace(features=features), targets).tolist()
    # The last one that is drawn is not read.
    most = sampling.max_tokens if limit is None else min(sampling.max_tokens, limit - inputs.shape[1] + 1)
    if not sampling.num_samples:
        return Continued(log_probs[:-1], log_probs[-1], [])

    def step(last: Int[Tensor, " rows"], state: object) -> StepOutput:
        assert isinstance(state, _State)
        logits, after = model.step(last, state.inner)
        return StepOutput(logits, _State(after))

    request = SearchRequest(
        start_id=int(inputs[0, -1]),
        end_id=END_ID,
        max_lengths=[most],
        forbidden_ids=(PADDING_ID, UNKNOWN_ID, START_ID),
        min_length=0 if ends else most + 2,
        length_penalty=0.0,
        device=device,
    )
    drawn = sample(
        step,
        _State(read.state),
        request,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        seed=sampling.seed,
        num_samples=sampling.num_samples,
    )
    return Continued(log_probs[:-1], log_probs[-1], drawn[0])
