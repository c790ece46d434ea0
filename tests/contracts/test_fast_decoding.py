"""The fast steps of a search are those of the model, whatever a search does with its rows."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqlens.decoding import DecodingConfig, Hypothesis, StepOutput, decode
from seqlens.decoding.request import SearchRequest
from seqlens.errors import RequestError, WorkError
from seqlens.layers.fast_decoder import FastCache
from seqlens.layers.fast_encoder import has_fast_form
from seqlens.layers.int8 import has_int8_products
from seqlens.layers.precision import Precision, choose_precision
from seqlens.models.config import (
    EncoderConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    TransducerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seqlens.models.encoders import SelfAttentionEncoder
from seqlens.models.stepping import FastStepper, ModelStepper, Stepper, build_stepper
from seqlens.models.transducer import Transducer, build_transducer
from seqlens.tasks.transduce.config import SharedCodec, TransduceConfig
from tests.draws import draws

SOURCE_SIZE, TARGET_SIZE, DIM = 11, 9, 8
START, END = 0, 1
CPU = torch.device("cpu")
FLOAT32 = choose_precision("float32", CPU)
BFLOAT16 = choose_precision("bfloat16", CPU)
INT8 = FLOAT32._replace(int8=True)
needs_int8 = pytest.mark.skipif(not has_int8_products("cpu"), reason="this processor has no products of 8-bit integers")

DECODERS = {
    "pre-norm": TransformerDecoderConfig(num_layers=2, num_heads=2),
    "post-norm, learned positions": TransformerDecoderConfig(
        num_layers=1, num_heads=4, norm="post", positions="learned", max_length=40
    ),
    "rotary": TransformerDecoderConfig(num_layers=2, num_heads=2, positions="rotary"),
    "one head, wide": TransformerDecoderConfig(num_layers=3, num_heads=1, feed_forward_dim=50),
}
each_decoder = pytest.mark.parametrize("decoder", DECODERS)


def random_model(decoder: str, dtype: torch.dtype = torch.float64, *, std: float = 0.4, dim: int = DIM) -> Transducer:
    torch.manual_seed(0)
    like = DECODERS[decoder]
    encoder: EncoderConfig = TransformerEncoderConfig(
        num_layers=2, num_heads=2, norm=like.norm, positions=like.positions, max_length=40
    )
    if decoder == "one head, wide":
        encoder = RecurrentEncoderConfig(hidden_dim=DIM // 2 + 2)  # a memory of another size than the decoder's
    config = TransducerConfig(embedding_dim=dim, encoder=encoder, decoder=like)
    model = build_transducer(config, source_size=SOURCE_SIZE, target_size=TARGET_SIZE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=std)
    return model.to(dtype).eval()


def sources(*lengths: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, SOURCE_SIZE, (len(lengths), max(lengths, default=0)), generator=random), torch.tensor(
        lengths, dtype=torch.int64
    )


def in_double(model: Transducer) -> Stepper:
    stepper = build_stepper(model, FLOAT32)
    assert isinstance(stepper, FastStepper)
    return stepper


@each_decoder
@draws(8)
@given(data=st.data())
def test_each_row_keeps_its_own_history(decoder: str, data: st.DataObject) -> None:
    """Rows are copied, swapped and dropped, groups leave by one or many, the width changes."""
    model = random_model(decoder)
    source, lengths = sources(3, 0, 5, 1, 4, 5, 2)
    fast = in_double(model)
    with torch.no_grad():
        ours, theirs = fast.start(source, lengths), model.start(source, lengths)
        groups, width = len(lengths), 1
        for _ in range(data.draw(st.integers(1, 12), label="steps")):
            tokens = torch.tensor(
                data.draw(st.lists(st.integers(0, 8), min_size=groups * width, max_size=groups * width))
            )
            align = data.draw(st.booleans(), label="align")
            found, expected = fast.step(tokens, ours, align=align), model.step(tokens, theirs, align=align)
            torch.testing.assert_close(found.logits, expected.logits, rtol=1e-9, atol=1e-10)
            assert (found.alignment is None) is not align
            if align:
                torch.testing.assert_close(found.alignment, expected.alignment, rtol=1e-9, atol=1e-10)
            leave = data.draw(st.sampled_from([0, 0, 0, 0, 1, 2]), label="leave")
            stay = sorted(data.draw(st.permutations(range(groups)))[: max(1, groups - leave)])
            new_width = data.draw(st.sampled_from([width, width, width, 1, 2, 3]), label="width")
            inside = st.lists(st.integers(0, width - 1), min_size=new_width, max_size=new_width)
            rows = torch.tensor([group * width + row for group in stay for row in data.draw(inside)])
            named = torch.tensor(stay) if len(stay) < groups or data.draw(st.booleans()) else None
            if data.draw(st.integers(0, 3)) or len(stay) < groups or new_width != width:
                ours, theirs = found.state.reorder(rows, named), expected.state.reorder(rows, named)
                groups, width = len(stay), new_width
            else:  # a greedy search that nobody leaves reorders nothing
                ours, theirs = found.state, expected.state


@each_decoder
@pytest.mark.parametrize("width", [1, 3])
def test_there_is_room_for_any_length(decoder: str, width: int) -> None:
    model = random_model(decoder)
    source, lengths = sources(3, 5)
    fast = in_double(model)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        ours, theirs = fast.start(source, lengths), model.start(source, lengths)
        rows = torch.arange(2).repeat_interleave(width)
        for _ in range(39):
            ours, theirs = ours.reorder(rows, None), theirs.reorder(rows, None)
            tokens = torch.randint(0, TARGET_SIZE, (2 * width,), generator=random)
            found, expected = fast.step(tokens, ours), model.step(tokens, theirs)
            torch.testing.assert_close(found.logits, expected.logits, rtol=1e-9, atol=1e-10)
            ours, theirs = found.state, expected.state
            rows = torch.cat([group * width + torch.randint(0, width, (width,), generator=random) for group in (0, 1)])


def search(stepper: Stepper, lengths: Sequence[int], config: DecodingConfig) -> list[list[Hypothesis]]:
    source, source_lengths = sources(*lengths)
    # Inputs end at different steps, so that they leave one after the other.
    request = SearchRequest(start_id=START, end_id=END, max_lengths=[2 + 3 * (n % 7) for n in range(len(lengths))])
    with torch.no_grad():
        return decode(
            lambda tokens, state: StepOutput(*stepper.step(tokens, state)),
            stepper.start(source, source_lengths),
            config,
            request,
        )


@each_decoder
@pytest.mark.parametrize(
    "config",
    [
        DecodingConfig(method="greedy"),
        DecodingConfig(beam_width=1),
        DecodingConfig(beam_width=5, num_best=3, length_penalty=0.6),
        DecodingConfig(beam_width=4, stopping="full", min_length=4),
        DecodingConfig(method="sample", num_best=3, seed=4),
    ],
    ids=lambda config: f"{config.method}-{config.beam_width}-{config.stopping}",
)
@pytest.mark.parametrize("lengths", [(5,), (4, 1, 0, 5, 5, 3, 2, 4, 1, 6, 2, 3), (0,)], ids=["one", "many", "empty"])
def test_searches_find_the_same(decoder: str, config: DecodingConfig, lengths: tuple[int, ...]) -> None:
    model = random_model(decoder)
    found = search(in_double(model), lengths, config)
    expected = search(ModelStepper(model, FLOAT32, ""), lengths, config)
    assert [len(hypotheses) for hypotheses in found] == [len(hypotheses) for hypotheses in expected]
    for ours, theirs in zip(chain(*found), chain(*expected), strict=True):
        assert replace(ours, log_prob=0.0, score=0.0) == replace(theirs, log_prob=0.0, score=0.0)
        assert ours.log_prob == pytest.approx(theirs.log_prob, abs=1e-9)
        assert ours.alignment is not None
        assert theirs.alignment is not None
        torch.testing.assert_close(ours.alignment, theirs.alignment, rtol=1e-9, atol=1e-10)


@each_decoder
@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [(FLOAT32, 1e-5), (BFLOAT16, 4e-2), pytest.param(INT8, 8e-2, marks=needs_int8)],
    ids=["float32", "bfloat16", "int8"],
)
def test_products_in_another_precision_are_near(decoder: str, precision: Precision, tolerance: float) -> None:
    model = random_model(decoder, torch.float32, std=0.2)
    source, lengths = sources(3, 5, 0, 4)
    fast = build_stepper(model, precision)
    with torch.no_grad():
        ours, theirs = fast.start(source, lengths), model.start(source, lengths)
        for token in range(20):
            tokens = torch.tensor([token % TARGET_SIZE, 3, 1, 5])
            found, expected = fast.step(tokens, ours), model.step(tokens, theirs)
            largest = expected.logits.abs().max()
            assert (found.logits.float() - expected.logits).abs().max() <= tolerance * largest
            assert found.alignment is not None
            assert expected.alignment is not None
            assert (found.alignment - expected.alignment).abs().max() <= tolerance
            ours, theirs = found.state, expected.state


def test_padding_that_holds_nan_is_never_seen() -> None:
    model = random_model("pre-norm")
    decoder = in_double(model)._decoder  # type: ignore[attr-defined]
    memory, lengths = torch.randn(3, 5, DIM, dtype=torch.float64), torch.tensor([5, 2, 0])
    poisoned = memory.clone()
    for row, length in enumerate(lengths.tolist()):
        poisoned[row, length:] = float("nan")
    inputs = torch.randn(3, DIM, dtype=torch.float64)
    with torch.no_grad():
        clean = decoder.step(inputs, decoder.start(memory, lengths))[0]
        assert torch.equal(decoder.step(inputs, decoder.start(poisoned, lengths))[0], clean)
        alone = decoder.step(inputs[1:2], decoder.start(memory[1:2, :2]))[0]
    torch.testing.assert_close(clean[1:2], alone, rtol=1e-9, atol=1e-10)


def test_groups_leave_the_tensors_when_many_have() -> None:
    stepper = in_double(random_model("pre-norm"))
    source, lengths = sources(*([4] * 8))
    with torch.no_grad():
        state = stepper.step(torch.zeros(8, dtype=torch.int64), stepper.start(source, lengths)).state
        assert isinstance(state, FastCache)
        state = state.reorder(torch.arange(7), torch.arange(7))
        assert len(state.memory[0].keys) == 8
        state = state.reorder(torch.tensor([6, 0]), torch.tensor([6, 0]).sort().values)
        assert len(state.memory[0].keys) == len(state.own[0].values) == 2


@needs_int8
@each_decoder
def test_rounded_to_8_bits_an_answer_does_not_depend_on_the_others(decoder: str) -> None:
    model = random_model(decoder, torch.float32, dim=72)  # wide enough that far entries are cut
    stepper = build_stepper(model, INT8)
    lengths = (4, 1, 5, 6, 0)
    source, source_lengths = sources(*lengths)
    tokens = torch.tensor([2, 3, 1, 5, 4])
    with torch.no_grad():
        model.source_embedding.weight[source[2, 0]] *= 300  # one of a range of its own
        together = stepper.step(tokens, stepper.start(source, source_lengths)).logits
        for number, length in enumerate(lengths):
            one = slice(number, number + 1)
            alone = stepper.step(tokens[one], stepper.start(source[one, :length], source_lengths[one])).logits
            torch.testing.assert_close(alone, together[one], rtol=0.0, atol=2e-3 * float(together.abs().max()))


@needs_int8
def test_damaged_weights_are_not_hidden_by_integers() -> None:
    for name in ("decoder.layer.layers.0.own_attention.output.weight", "source_embedding.weight", "output.bias"):
        model = random_model("pre-norm", torch.float32)
        with torch.no_grad():
            model.get_parameter(name).flatten()[0] = float("nan")
        with pytest.raises(WorkError, match=r"not numbers; they may be damaged"):
            build_stepper(model, INT8)


@needs_int8
@pytest.mark.parametrize(
    "where", ["encoder.layer.layers.1.feed_forward.down", "decoder.layer.layers.1.own_attention.output"]
)
def test_numbers_that_grow_too_large_are_not_hidden_by_integers(where: str) -> None:
    model = random_model("pre-norm", torch.float32)
    with torch.no_grad():
        model.get_parameter(f"{where}.weight").mul_(1e30)
    stepper = build_stepper(model, INT8)
    with torch.no_grad():
        found = stepper.step(torch.tensor([2, 3]), stepper.start(*sources(3, 2)))
    assert found.logits.isnan().any(dim=1).all()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            TransducerConfig(embedding_dim=DIM, decoder=RecurrentDecoderConfig(hidden_dim=DIM)),
            "fast steps are for Transformer decoders, and this one is recurrent.",
        ),
        (
            TransducerConfig(embedding_dim=DIM, decoder=DECODERS["pre-norm"], copy=True),
            "fast steps do not copy words from the source.",
        ),
    ],
    ids=["recurrent", "copying"],
)
def test_models_without_fast_steps_are_refused_8_bits(config: TransducerConfig, reason: str) -> None:
    model = build_transducer(config, source_size=SOURCE_SIZE, target_size=SOURCE_SIZE)
    with pytest.raises(RequestError) as caught:
        build_stepper(model, INT8)
    assert str(caught.value) == f"precision is 'int8', expected 'auto', 'bfloat16' or 'float32': {reason}"
    with pytest.raises(ValueError, match=r"Transformer decoders that do not copy, expected auto, bfloat16 or float32"):
        TransduceConfig(codec=SharedCodec(), model=config, decoding=DecodingConfig(precision="int8"))


def test_encoders_of_other_layers_are_read_by_themselves() -> None:
    model = random_model("pre-norm")
    assert isinstance(model.encoder, SelfAttentionEncoder)
    assert has_fast_form(model.encoder.layer)
    model.encoder.layer.layers[0].attention.window = 1
    assert not has_fast_form(model.encoder.layer)
    source, lengths = sources(5, 3)
    tokens = torch.tensor([2, 3])
    with torch.no_grad():
        found = in_double(model).step(tokens, in_double(model).start(source, lengths)).logits
        torch.testing.assert_close(
            found, model.step(tokens, model.start(source, lengths)).logits, rtol=1e-9, atol=1e-10
        )


def test_a_model_says_how_it_is_stepped() -> None:
    fast = build_stepper(random_model("pre-norm"), FLOAT32)
    assert fast.explain().startswith("Fast steps")
    recurrent = TransducerConfig(embedding_dim=DIM, decoder=RecurrentDecoderConfig(hidden_dim=DIM))
    copying = TransducerConfig(embedding_dim=DIM, decoder=DECODERS["pre-norm"], copy=True)
    for config, reason in ((recurrent, "recurrent"), (copying, "do not copy")):
        model = build_transducer(config, source_size=SOURCE_SIZE, target_size=SOURCE_SIZE).eval()
        stepper = build_stepper(model, BFLOAT16)
        assert isinstance(stepper, ModelStepper)
        assert reason in stepper.explain()
        assert "bfloat16 with float32 weights, as asked for" in stepper.explain()
        with torch.no_grad():
            state = stepper.start(*sources(3, 2))
            assert stepper.step(torch.tensor([2, 3]), state, align=False).logits.shape == (2, SOURCE_SIZE)
