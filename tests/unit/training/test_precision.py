import pytest
import torch

from seqlens.training.precision import choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.float32),  # it can multiply, but has no matrix units
        ({}, torch.float32),
    ],
)
def test_auto_goes_by_the_matrix_units(
    capabilities: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert choose_precision("auto", CPU).dtype == dtype


@pytest.mark.parametrize("tiles", [True, False])
def test_auto_asks_an_older_torch_for_tiles(tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    assert (choose_precision("auto", CPU).dtype == torch.bfloat16) is tiles


def test_what_is_asked_for_is_done_and_says_so() -> None:
    assert choose_precision("float32", CPU).dtype == torch.float32
    chosen = choose_precision("bfloat16", CPU)
    assert (chosen.dtype, chosen.reason) == (torch.bfloat16, "bfloat16 with float32 weights, as asked for.")
    with chosen.autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
    with choose_precision("float32", CPU).autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32
