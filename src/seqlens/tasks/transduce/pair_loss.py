"""The loss of a batch of pairs, with all that settings add to it in training."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqlens.data.batch import PairBatch
from seqlens.data.text import START_ID
from seqlens.models.encoders import EncoderOutput
from seqlens.models.outputs import TransducerOutput, VocabularyOutput
from seqlens.models.transducer import Transducer
from seqlens.tasks.loss_sum import LossSum
from seqlens.tasks.transduce.config import TransduceConfig
from seqlens.tasks.transduce.coverage import coverage_loss
from seqlens.tasks.transduce.scheduled_sampling import mix_predictions, sampling_probability


def pair_loss(config: TransduceConfig, model: Transducer, batch: PairBatch, step: int | None) -> LossSum:
    """Cross-entropy of every target token and, in training, what `config` adds; `parts["nll"]` is it without that.

    `step` is that of the training, from 1; without it the decoder reads true tokens only.
    """
    assert batch.target is not None
    ids = batch.target.ids
    places = batch.target.mask().flatten().nonzero()[:, 0]
    targets, count = ids.flatten().index_select(0, places), len(places)
    if not model.training:
        # Nothing is smoothed: the loss of validation is then its perplexity's logarithm.
        output, _ = _read(config, model, batch, places, None)
        loss = output.loss(targets)
        return LossSum(loss.total, count, {"nll": loss.nll.item()})
    readings = 1
    if config.r_drop_weight:
        readings, batch, places = 2, batch.twice(), torch.cat((places, places + ids.numel()))
    output, attention = _read(config, model, batch, places, step)
    total, parts = _cross_entropy(config, output, targets)
    if attention is not None:
        repeated = attention / readings
        total = total + config.coverage_weight * repeated
        parts["coverage"] = repeated.item()
    return LossSum(total, count, parts)


def shift_right(targets: Int[Tensor, "batch time"]) -> Int[Tensor, "batch time"]:
    """What a decoder reads when it is to write `targets`: `<start>`, then every token but the last."""
    start = targets.new_full((len(targets), 1), START_ID)
    return torch.cat((start, targets[:, :-1]), dim=1)


def _read(
    config: TransduceConfig, model: Transducer, batch: PairBatch, places: Int[Tensor, " tokens"], step: int | None
) -> tuple[TransducerOutput, Float[Tensor, ""] | None]:
    """The output at `places`, the true tokens of the flattened targets; the coverage loss if training asks for it."""
    assert batch.target is not None
    target, inputs = batch.target, shift_right(batch.target.ids)
    covers = model.training and config.coverage_weight > 0
    if not covers and not (step and config.scheduled_sampling):
        return model(batch.source.ids, batch.source.lengths, inputs, target.lengths).select(places), None
    encoded = model.encode(batch.source.ids, batch.source.lengths)
    if step and config.scheduled_sampling:
        probability = sampling_probability(config.scheduled_sampling, step)
        # Both readings of R-Drop are of the same text, so what the first one drew is read by the second, too.
        readings = 2 if config.r_drop_weight else 1
        rows = len(inputs) // readings
        ids = None if encoded.ids is None else encoded.ids[:rows]
        first = EncoderOutput(encoded.memory[:rows], encoded.summary[:rows], encoded.lengths[:rows], ids)
        mixed = mix_predictions(model, first, inputs[:rows], target.lengths[:rows], probability)
        inputs = mixed.repeat(readings, 1)
    attention: list[Tensor] | None = [] if covers else None
    output = model.decode(encoded, inputs, target.lengths, attention).select(places)
    return output, coverage_loss(attention[-1].mean(1), target.mask()) if attention else None


def _cross_entropy(
    config: TransduceConfig, output: TransducerOutput, targets: Int[Tensor, " tokens"]
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """The smoothed cross-entropy of one reading, or of two and their divergence; and its parts."""
    if not config.r_drop_weight:
        loss = output.loss(targets, label_smoothing=config.label_smoothing)
        return loss.total, {"nll": loss.nll.item()}
    assert isinstance(output, VocabularyOutput)
    both = output.r_drop_loss(targets, label_smoothing=config.label_smoothing, divergence_weight=config.r_drop_weight)
    return both.total, {"nll": both.nll.item(), "divergence": both.divergence.item()}
