"""The mixture of writing and copying: its formula, its loss, its gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqlens.layers.copy_loss import CHUNK_ROWS, copy_loss
from seqlens.models.config import RecurrentDecoderConfig, TransducerConfig
from seqlens.models.copying import real_ids
from seqlens.models.outputs import CopyOutput
from seqlens.models.transducer import build_transducer

VOCAB, DIM = 7, 4


def random_output(rows: int, source: int, num_ids: int, seed: int = 0) -> CopyOutput:
    """Rows with a source each, the last of which sees no source at all."""
    generator = torch.Generator().manual_seed(seed)
    attention = torch.softmax(torch.randn(rows, source, generator=generator, dtype=torch.float64), dim=1)
    attention[-1:] = 0.0
    return CopyOutput(
        torch.randn(rows, DIM, generator=generator, dtype=torch.float64),
        torch.randn(VOCAB, DIM, generator=generator, dtype=torch.float64),
        torch.randn(VOCAB, generator=generator, dtype=torch.float64),
        torch.randn(rows, generator=generator, dtype=torch.float64),
        attention,
        torch.randint(0, num_ids, (rows, source), generator=generator),
        num_ids,
    )


@settings(max_examples=20)
@given(rows=st.integers(1, 5), source=st.integers(1, 6), more=st.integers(0, 4), seed=st.integers(0, 99))
def test_logits_are_the_logarithm_of_the_mixture(rows: int, source: int, more: int, seed: int) -> None:
    output = random_output(rows, source, VOCAB + more, seed)
    written = torch.softmax(output.features @ output.weight.t() + output.bias, dim=1)
    for row in range(rows):
        gate = torch.sigmoid(output.gate[row]) if row < rows - 1 else torch.tensor(1.0)
        expected = torch.zeros(VOCAB + more, dtype=torch.float64)
        expected[:VOCAB] = gate * written[row]
        for place, id in enumerate(output.source[row].tolist()):
            expected[id] += (1 - gate) * output.attention[row, place]
        torch.testing.assert_close(output.logits[row].exp(), expected, rtol=1e-10, atol=1e-14)
        absent = sorted(set(range(VOCAB, VOCAB + more)) - set(output.source[row].tolist()))
        assert bool(output.logits[row, absent].isneginf().all())
    torch.testing.assert_close(torch.log_softmax(output.logits, dim=1), output.logits, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rows", [0, 1, 5, CHUNK_ROWS + 3])
def test_the_loss_is_that_of_the_logits(rows: int) -> None:
    output = random_output(rows, 6, VOCAB + 3)
    targets = torch.randint(0, VOCAB, (rows,), generator=torch.Generator().manual_seed(9))
    if rows > 1:
        targets[0] = output.source[0, 2] = VOCAB + 1
        targets[1] = output.source[1, 0] = output.source[1, 3]
    leaves = [part.clone().requires_grad_() for part in (*output[:5],)]
    plain = CopyOutput(*leaves, output.source, output.num_ids)
    loss = plain.loss(targets)
    expected = -plain.logits.gather(1, targets[:, None]).sum()
    torch.testing.assert_close(loss.total, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(loss.nll, expected.detach(), rtol=1e-10, atol=1e-12)
    for got, wanted in zip(grads(loss.total, leaves), grads(expected, leaves), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


def grads(total: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if one is None else one for one, leaf in zip(found, leaves, strict=True)]


def test_smoothing_concerns_the_vocabulary() -> None:
    random = random_output(4, 3, VOCAB + 1)
    random.source[0, 1] = VOCAB
    leaves = [part.clone().requires_grad_() for part in (*random[:5],)]
    output = CopyOutput(*leaves, random.source, random.num_ids)
    targets = torch.tensor([VOCAB, 2, 3, 4])
    smooth = output.loss(targets, label_smoothing=0.3)
    nll = -output.logits.gather(1, targets[:, None]).sum()
    scores = output.features @ output.weight.t() + output.bias
    expected = 0.7 * nll + 0.3 * -torch.log_softmax(scores, dim=1).mean(1).sum()
    torch.testing.assert_close(smooth.total, expected)
    torch.testing.assert_close(smooth.nll, nll.detach())
    for got, wanted in zip(grads(3 * smooth.total, leaves), grads(3 * expected, leaves), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


def test_what_cannot_be_said_has_a_finite_loss_and_gradient() -> None:
    """A word that neither the vocabulary nor the source has: training must survive it."""
    output = random_output(3, 2, VOCAB + 2)
    gate = output.gate.clone().requires_grad_()
    loss = copy_loss(
        output.features,
        output.weight,
        output.bias,
        torch.tensor([VOCAB + 5, 1, 2]),
        gate=gate,
        attention=output.attention,
        source=output.source,
    )
    (gradient,) = torch.autograd.grad(loss.total, gate)
    assert bool(loss.total.isfinite())
    assert bool(gradient.isfinite().all())


def test_both_sides_read_unknown_words_as_unknown() -> None:
    config = TransducerConfig(embedding_dim=8, copy=True, decoder=RecurrentDecoderConfig(hidden_dim=5))
    model = build_transducer(config, source_size=VOCAB, target_size=VOCAB, unknown_id=1).eval()
    lengths = torch.tensor([3])
    strange = model(torch.tensor([[4, 9, 3]]), lengths, torch.tensor([[2, 9, 4]]), lengths)
    plain = model(torch.tensor([[4, 1, 3]]), lengths, torch.tensor([[2, 1, 4]]), lengths)
    assert torch.equal(strange.features, plain.features)
    assert strange.logits.shape == (1, 3, 10)
    assert plain.logits.shape == (1, 3, VOCAB)


def test_copying_needs_one_vocabulary_and_ids() -> None:
    config = TransducerConfig(embedding_dim=8, copy=True)
    with pytest.raises(ValueError, match="7 and 8"):
        build_transducer(config, source_size=7, target_size=8)
    model = build_transducer(config, source_size=7, target_size=7)
    encoded = model.encode_embedded(torch.randn(1, 3, 8), torch.tensor([3]))
    with pytest.raises(ValueError, match="needs the sources' ids"):
        model.decode(encoded, torch.tensor([[2]]), torch.tensor([1]))
    with pytest.raises(ValueError, match=r"'decoder\.attention' is null"):
        TransducerConfig(copy=True, decoder=RecurrentDecoderConfig(attention=None))


def test_padding_cannot_be_copied() -> None:
    assert real_ids(torch.tensor([[5, 9], [9, 9]]), torch.tensor([1, 0])).tolist() == [[5, 0], [0, 0]]


def test_coverage_is_an_input_of_the_additive_score() -> None:
    with pytest.raises(ValueError, match="'attention' is 'dot'"):
        RecurrentDecoderConfig(attention="dot", coverage=True)


def test_coverage_starts_as_plain_attention_and_then_changes_it() -> None:
    def build(coverage: bool) -> nn.Module:
        torch.manual_seed(0)
        decoder = RecurrentDecoderConfig(hidden_dim=5, coverage=coverage)
        return build_transducer(TransducerConfig(embedding_dim=8, decoder=decoder), source_size=9, target_size=9).eval()

    plain, covered = build(False), build(True)
    covered.load_state_dict(plain.state_dict(), strict=False)
    lengths = torch.tensor([4])
    given = (torch.tensor([[4, 5, 6, 3]]), lengths, torch.tensor([[2, 4, 5, 6]]), lengths)
    torch.testing.assert_close(covered(*given).logits, plain(*given).logits)
    with torch.no_grad():
        covered.decoder.attention.score.coverage.weight.fill_(-3.0)  # type: ignore[union-attr]
    assert torch.allclose(covered(*given).logits[:, 0], plain(*given).logits[:, 0], atol=1e-6)
    assert not torch.allclose(covered(*given).logits[:, 1:], plain(*given).logits[:, 1:], atol=1e-4)
