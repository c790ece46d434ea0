import pytest
import torch

from seqlens.training.precision import choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "dtype", "reason"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16, "AMX tiles"),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16, "AVX-512 dot products"),
        ({"avx512_bf16": False, "avx2": True}, torch.float32, "no instructions for bfloat16"),
        ({}, torch.float32, "no instructions for bfloat16"),
    ],
)
def test_auto_goes_by_what_the_processor_has(
    capabilities: dict[str, bool], dtype: torch.dtype, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    chosen = choose_precision("auto", CPU)
    assert chosen.dtype == dtype
    assert reason in chosen.reason


@pytest.mark.parametrize(("tiles", "products"), [(True, True), (False, True), (False, False)])
def test_auto_asks_an_older_torch_one_by_one(tiles: bool, products: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: products)
    assert (choose_precision("auto", CPU).dtype == torch.bfloat16) is (tiles or products)


def test_what_is_asked_for_is_done_and_says_so() -> None:
    assert choose_precision("float32", CPU).dtype == torch.float32
    chosen = choose_precision("bfloat16", CPU)
    assert (chosen.dtype, chosen.reason) == (torch.bfloat16, "bfloat16 with float32 weights, as asked for.")
    with chosen.autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
    with choose_precision("float32", CPU).autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32
