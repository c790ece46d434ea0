"""The public assertions: they work on anybody's module, and they find what is wrong and say where."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlens.testing import (
    assert_chunks_equal_whole,
    assert_padding_invariant,
    assert_same_function,
    assert_steps_equal_whole,
)
from seqlens.testing.compare import check_close

DIM = 3


def random_inputs(batch: int = 3, time: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, time, DIM, generator=torch.Generator().manual_seed(1), dtype=dtype)


def torch_gru(**options: object) -> nn.GRU:
    torch.manual_seed(0)
    return nn.GRU(DIM, DIM, batch_first=True, **options).double()  # type: ignore[arg-type]


# --- comparing ---------------------------------------------------------------------------------------------------


def test_the_sentence_says_where_and_how_far() -> None:
    expected = torch.tensor([[1.0, 2.0], [4.0, 8.0]], dtype=torch.float64)
    actual = expected.clone()
    actual[1, 0] += 0.5
    actual[0, 0] += 0.1
    with pytest.raises(AssertionError) as caught:
        check_close(actual, expected, None, "the outputs of sequence 3")
    assert str(caught.value) == (
        "the outputs of sequence 3 is off by 0.5 at [1, 0]: 4.5, expected 4;"
        " allowed is 1e-10 of the largest entry, 8; 2 of 4 entries are off"
    )


def test_the_tolerance_is_a_part_of_the_largest_entry() -> None:
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        expected = torch.tensor([1e-3, 100.0], dtype=dtype)
        check_close(expected + torch.tensor([50 * tolerance, 0.0], dtype=dtype), expected, None, "it")
        with pytest.raises(AssertionError, match="off by"):
            check_close(expected + torch.tensor([200 * tolerance, 0.0], dtype=dtype), expected, None, "it")
    check_close(torch.tensor([1.0, 1.01]), torch.tensor([1.0, 1.0]), 0.02, "it")


def test_complex_numbers_are_compared_whole_and_so_are_their_gradients() -> None:
    class Turned(nn.Module):
        def __init__(self, slope: float, *, detached: bool = False) -> None:
            super().__init__()
            self.slope, self.detached = slope, detached

        def forward(self, inputs: Tensor) -> Tensor:
            imaginary = self.slope * (inputs.detach() if self.detached else inputs)
            return torch.complex(inputs, imaginary)

    inputs = random_inputs()
    assert_same_function(Turned(2.0), Turned(2.0), inputs)
    with pytest.raises(AssertionError, match="off by"):
        assert_same_function(Turned(2.0), Turned(-3.0), inputs, gradients="none")
    with pytest.raises(AssertionError, match="gradient"):
        assert_same_function(Turned(2.0), Turned(2.0, detached=True), inputs)


def test_what_is_no_number_must_be_the_same() -> None:
    odd = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.0])
    check_close(odd, odd.clone(), None, "it")
    for place in range(4):
        other = odd.clone()
        other[place] = 7.0
        with pytest.raises(AssertionError, match=f"at \\[{place}\\]"):
            check_close(other, odd, None, "it")
        with pytest.raises(AssertionError, match=f"at \\[{place}\\]"):
            check_close(odd, other, None, "it")
    check_close(torch.tensor([1, 2]), torch.tensor([1, 2]), None, "ids")
    with pytest.raises(AssertionError, match="off by 1"):
        check_close(torch.tensor([1, 3]), torch.tensor([1, 2]), None, "ids")
    with pytest.raises(AssertionError, match=r"shape \[2\], expected \[3\]"):
        check_close(torch.zeros(2), torch.zeros(3), None, "it")
    with pytest.raises(AssertionError, match=r"float32, expected torch\.float64"):
        check_close(torch.zeros(2), torch.zeros(2, dtype=torch.float64), None, "it")
    with pytest.raises(ValueError, match="give `tolerance`"):
        check_close(torch.ones(2).bfloat16(), torch.ones(2).bfloat16(), None, "it")
    check_close(torch.zeros(0), torch.zeros(0), None, "nothing")


# --- padding -----------------------------------------------------------------------------------------------------


class Packed(nn.Module):
    """A good module of somebody else's: torch's layers over a packed batch."""

    def __init__(self, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.gru = torch_gru(bidirectional=bidirectional)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        outputs, last = self.gru(packed)
        return pad_packed_sequence(outputs, batch_first=True)[0], last.transpose(0, 1)


class Mean(nn.Module):
    """The mean over time of a linear layer, with one fault or none."""

    def __init__(self, fault: str | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(DIM, DIM).double()
        self.fault = fault

    def forward(self, inputs: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        mask = (torch.arange(inputs.shape[1]) < lengths[:, None])[:, :, None]
        if self.fault == "counts padding":
            return {"mean": self.linear(inputs.masked_fill(~mask, 0.0)).mean(1)}
        if self.fault == "multiplies by the mask":
            hidden = self.linear(inputs) * mask
        elif self.fault == "masks too late":
            hidden = self.linear(inputs).masked_fill(~mask, 0.0)
        else:
            hidden = self.linear(inputs.masked_fill(~mask, 0.0)).masked_fill(~mask, 0.0)
        if self.fault == "mixes the batch":
            hidden = hidden + hidden.mean(0, keepdim=True)
        count = lengths.max() if self.fault == "divides by the longest" else lengths[:, None]
        return {"mean": hidden.sum(1) / count, "steps": hidden}


LENGTHS = torch.tensor([2, 5, 1])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_good_module_passes(bidirectional: bool) -> None:
    assert_padding_invariant(Packed(bidirectional=bidirectional), (random_inputs(), LENGTHS))
    assert_padding_invariant(Mean(None), (random_inputs(), LENGTHS))
    assert_padding_invariant(Mean(None).float(), (random_inputs(dtype=torch.float32), LENGTHS))


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("counts padding", r"\['mean'\] of sequence 0 \(2 of 5 steps; padding: 0\) is off by"),
        ("multiplies by the mask", r"\['mean'\] of sequence 0 \(2 of 5 steps; padding: nan\) is off by inf"),
        ("masks too late", r"the gradient of `linear\.weight` \(padding: nan\) is off by inf"),
        ("mixes the batch", r"of sequence 0 \(2 of 5 steps; padding: 0\)"),
        ("divides by the longest", r"\['mean'\] of sequence 0"),
    ],
)
def test_a_faulty_module_is_found(fault: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        assert_padding_invariant(Mean(fault), (random_inputs(), LENGTHS))


def test_a_fault_in_the_gradient_alone_is_left_if_gradients_are() -> None:
    assert_padding_invariant(Mean("masks too late"), (random_inputs(), LENGTHS), gradients=False)


def test_a_backward_direction_that_begins_in_the_padding_is_found() -> None:
    gru = torch_gru(bidirectional=True)
    with pytest.raises(AssertionError, match=r"\[0\] of sequence 0"):
        assert_padding_invariant(gru, (random_inputs(), LENGTHS), call=lambda inputs, _: gru(inputs)[:1])
    one_way = torch_gru()
    assert_padding_invariant(
        one_way, (random_inputs(), LENGTHS), call=lambda inputs, _: one_way(inputs)[:1], fills=(0.0, 9.0)
    )


def test_a_gradient_at_padding_is_found() -> None:
    class Leak(nn.Module):
        def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
            last = inputs.gather(1, (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, DIM))
            return last + inputs.sum(1, keepdim=True) - inputs.detach().sum(1, keepdim=True)

    with pytest.raises(AssertionError, match=r"the gradient of input 0 of sequence 0 .* from its padding on"):
        assert_padding_invariant(Leak(), (random_inputs(), LENGTHS), fills=(0.0, 2.0))


def test_ids_and_a_module_in_training() -> None:
    torch.manual_seed(0)
    embedding, dropout = nn.Embedding(7, DIM).double(), nn.Dropout(0.5)
    module = nn.ModuleList([embedding, dropout, nn.Dropout(0.5).eval()]).train()
    ids = torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(0))
    modes = [part.training for part in module.modules()]
    assert_padding_invariant(module, (ids, LENGTHS), call=lambda given, _: dropout(embedding(given)))
    assert [part.training for part in module.modules()] == modes, "every part is in its own mode again"
    with pytest.raises(AssertionError, match=r"padding: 1\)"):
        assert_padding_invariant(module, (ids, LENGTHS), call=lambda given, _: given.cumsum(1).flip(1)[:, :1])


def test_what_is_not_by_sequence_is_refused() -> None:
    gru = torch_gru()
    with pytest.raises(ValueError, match="first axis"):
        assert_padding_invariant(gru, (random_inputs(), LENGTHS), call=lambda inputs, _: (inputs, gru.weight_ih_l0))


# --- chunks and steps --------------------------------------------------------------------------------------------


def test_chunks_of_torchs_layers() -> None:
    gru = torch_gru(num_layers=2)
    assert_chunks_equal_whole(
        gru, random_inputs(), chunk_sizes=(2, 3), call=lambda chunk, lengths, state: gru(chunk, state)
    )
    with pytest.raises(AssertionError, match=r"the outputs of sequence 0 in chunks of 2, 3 is off"):
        assert_chunks_equal_whole(gru, random_inputs(), chunk_sizes=(2, 3), call=lambda chunk, *_: gru(chunk))
    with pytest.raises(AssertionError, match=r"the final state at .* in chunks of 2, 3 is off"):
        assert_chunks_equal_whole(
            gru, random_inputs(), chunk_sizes=(2, 3), call=lambda chunk, lengths, state: (chunk, chunk.sum(1))
        )
    with pytest.raises(AssertionError, match="the gradient of"):
        assert_chunks_equal_whole(
            gru,
            random_inputs(),
            chunk_sizes=(2, 3),
            call=lambda chunk, _, state: gru(chunk, None if state is None else state.detach()),
        )
    with pytest.raises(ValueError, match="add up to 5 steps, but to 4"):
        assert_chunks_equal_whole(gru, random_inputs(), chunk_sizes=(2, 2))


def test_chunks_get_their_part_of_the_lengths() -> None:
    seen = []

    def call(chunk: Tensor, lengths: Tensor | None, state: None) -> tuple[Tensor, None]:
        assert lengths is not None
        seen.append(lengths.tolist())
        return chunk, state

    assert_chunks_equal_whole(nn.Identity(), random_inputs(), LENGTHS, chunk_sizes=(2, 1, 2), call=call)
    assert seen == [[2, 5, 1], [2, 2, 1], [0, 1, 0], [0, 2, 0]]


def test_steps_of_torchs_cells() -> None:
    gru = torch_gru()
    cell = nn.GRUCell(DIM, DIM).double()
    cell.load_state_dict({name.removesuffix("_l0"): tensor for name, tensor in gru.state_dict().items()})

    def step(x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden = cell(x_t, state)
        return hidden, hidden

    zeros = torch.zeros(3, DIM, dtype=torch.float64)
    assert_steps_equal_whole(gru, random_inputs(), step=step, state=zeros)
    with pytest.raises(AssertionError, match="the output of sequence 0 at step 1 of 5 is off"):
        assert_steps_equal_whole(gru, random_inputs(), step=lambda x_t, _: step(x_t, zeros), state=zeros)
    with pytest.raises(AssertionError, match="an output for every step"):
        assert_steps_equal_whole(gru, random_inputs(), step=step, state=zeros, whole=lambda inputs: inputs[:, 1:])


def test_what_a_module_raises_is_told_with_its_place() -> None:
    def broken(*_: object) -> tuple[Tensor, None]:
        raise KeyError("hidden")

    gru = torch_gru()
    with pytest.raises(
        AssertionError, match=r"fails on sequence 0 alone \(2 of 5 steps\): KeyError: 'hidden'"
    ) as caught:
        assert_padding_invariant(gru, (random_inputs(), LENGTHS), call=broken)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(AssertionError, match="fails on the whole: KeyError"):
        assert_chunks_equal_whole(gru, random_inputs(), chunk_sizes=(2, 3), call=broken)
    with pytest.raises(AssertionError, match="fails on step 0 of 5: KeyError"):
        assert_steps_equal_whole(gru, random_inputs(), step=broken, state=0, whole=lambda inputs: inputs)

    def only_together(inputs: Tensor, _: Tensor) -> Tensor:
        if len(inputs) > 1:
            raise ValueError("too many")
        return inputs

    with pytest.raises(AssertionError, match=r"fails on the batch \(padding: 0\): ValueError: too many"):
        assert_padding_invariant(gru, (random_inputs(), LENGTHS), call=only_together)


# --- one function ------------------------------------------------------------------------------------------------


def test_one_function_and_another() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(DIM, 2).double()
    other = nn.Linear(DIM, 2).double()
    inputs = random_inputs()
    assert_same_function(linear, lambda given: given @ linear.weight.t() + linear.bias, inputs)
    with pytest.raises(AssertionError, match="the output is off by"):
        assert_same_function(other, linear, inputs)
    with pytest.raises(AssertionError, match=r"the gradient of the argument at \[0\]\['x'\] is off"):
        assert_same_function(
            lambda given: given["x"].detach() + 0 * given["x"], lambda given: given["x"], {"x": inputs}
        )
    with pytest.raises(AssertionError, match=r"only the second returns a tensor at \[1\]"):
        assert_same_function(lambda given: (given,), lambda given: (given, given), inputs)


def test_the_order_of_names_does_not_matter() -> None:
    def one_way(given: Tensor) -> dict[str, Tensor]:
        return {"hidden": given.sin(), "cell": 2 * given}

    def other_way(given: Tensor) -> dict[str, Tensor]:
        return {"cell": 2 * given, "hidden": given.sin()}

    assert_same_function(one_way, other_way, random_inputs())


def test_gradients_of_parameters_are_compared_by_name() -> None:
    class Scaled(nn.Module):
        def __init__(self, cut: bool) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
            self.cut = cut

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs * (self.scale.detach() if self.cut else self.scale)

    assert_same_function(Scaled(True), Scaled(False), random_inputs())
    with pytest.raises(AssertionError, match="the gradient of `scale` is off"):
        assert_same_function(Scaled(True), Scaled(False), random_inputs(), gradients="all")
    with pytest.raises(AssertionError, match="among its gradients, returns a tensor at `weight`"):
        assert_same_function(
            nn.Linear(DIM, DIM).double(), nn.Identity(), random_inputs(), gradients="all", tolerance=99.0
        )


@dataclass
class Sealed:
    """What torch cannot look into."""

    outputs: Tensor


def test_what_cannot_be_looked_into_is_refused() -> None:
    inputs = random_inputs()
    with pytest.raises(ValueError, match="the output is a Sealed, which cannot be looked into: return tensors in"):
        assert_same_function(lambda given: Sealed(given), lambda given: Sealed(5 * given), inputs)
    with pytest.raises(ValueError, match="which cannot be looked into"):
        assert_padding_invariant(
            nn.Identity(), (inputs, torch.tensor([5, 2, 1])), call=lambda given, _: (given, Sealed(given))
        )
    with pytest.raises(ValueError, match="no tensor in what is returned"):
        assert_same_function(lambda _: None, lambda _: None, inputs)


def test_a_tolerance_is_for_numbers_with_a_fraction() -> None:
    with pytest.raises(AssertionError, match="off by 2"):
        check_close(torch.tensor([100, 7]), torch.tensor([100, 5]), 0.03, "the ids")
    with pytest.raises(AssertionError, match="off by 1"):
        check_close(torch.tensor([True]), torch.tensor([False]), 0.03, "the mask")
