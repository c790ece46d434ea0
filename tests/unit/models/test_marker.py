"""The marker keeps the promises: padding, both strands, and what its reach says."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from seqlens.layers.gated_convolution import GatedConvolution
from seqlens.models.config import RecurrentEncoderConfig, TransformerEncoderConfig
from seqlens.models.marker import GeneMarker
from seqlens.models.marker_config import MarkerConfig, StrandsName
from seqlens.tasks.mark.config import MarkConfig
from seqlens.tasks.mark.grammar import GeneGrammar, ids_of
from seqlens.tasks.mark.task import MarkTask
from seqlens.testing import assert_padding_invariant

GRAMMAR = GeneGrammar(("ATG",), ("GT",), ("AG",), stop_is_coding=True)
ENCODERS = {
    "none": None,
    "recurrent": RecurrentEncoderConfig(cell="lstm", hidden_dim=4),
    "transformer": TransformerEncoderConfig(num_layers=1, num_heads=2, positions="rotary"),
}


def build(strands: StrandsName = "shared", encoder: str = "none") -> GeneMarker:
    config = MarkerConfig(kmer=3, channels=8, dilations=(1, 3), strands=strands, encoder=ENCODERS[encoder], stride=2)
    torch.manual_seed(0)
    model = MarkTask(MarkConfig(model=config), GRAMMAR).build_model().double().eval()
    nn.init.normal_(model.output.weight)
    return model


def draw(length: int, seed: int = 1) -> str:
    letters = torch.randint(0, 4, (length,), generator=torch.Generator().manual_seed(seed))
    return "".join("ACGT"[letter] for letter in letters)


def scores_of(model: GeneMarker, *sequences: str) -> Tensor:
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    ids = torch.zeros(len(sequences), int(lengths.max()), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.from_numpy(ids_of(sequence))
    with torch.no_grad():
        return model(ids, lengths).scores


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("strands", get_args(StrandsName))
def test_padding_never_changes_a_score(strands: StrandsName, encoder: str) -> None:
    ids = torch.randint(4, 19, (4, 11), generator=torch.Generator().manual_seed(2))
    assert_padding_invariant(build(strands, encoder), (ids, torch.tensor([11, 0, 6, 1])))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("strands", ["shared", "averaged"])
def test_the_other_strand_is_the_mirror_image(strands: StrandsName, encoder: str) -> None:
    from seqlens.data.dna.letters import reverse_complement

    sequence = draw(40) + "NR"
    model = build(strands, encoder)
    here, there = scores_of(model, sequence), scores_of(model, reverse_complement(sequence))
    torch.testing.assert_close(here, there.flip(1).flip(2))


def test_separate_strands_are_not_mirrored() -> None:
    from seqlens.data.dna.letters import reverse_complement

    model = build("separate")
    here, there = scores_of(model, draw(40)), scores_of(model, reverse_complement(draw(40)))
    assert not torch.allclose(here, there.flip(1).flip(2))


def test_an_answer_depends_on_no_more_than_its_reach() -> None:
    model = build()
    reach = model.reach
    assert reach is not None
    sequence = draw(4 * reach + 1)
    middle = len(sequence) // 2
    changed = (
        draw(middle - reach, seed=3) + sequence[middle - reach : middle + reach + 1] + draw(middle - reach, seed=4)
    )
    torch.testing.assert_close(scores_of(model, sequence)[:, middle], scores_of(model, changed)[:, middle])
    assert not torch.allclose(
        scores_of(model, sequence)[:, middle - reach], scores_of(model, changed)[:, middle - reach]
    )
    assert build(encoder="recurrent").reach is None


def test_a_model_that_sees_further_than_windows_overlap_is_refused(tmp_path: Path) -> None:
    config = MarkConfig(model=MarkerConfig(dilations=(400,)), overlap=1000)
    with pytest.raises(ValueError, match="1607 bases"):
        MarkTask(config, GRAMMAR).build_model()


def test_gated_convolutions_have_a_middle() -> None:
    with pytest.raises(ValueError, match="odd"):
        GatedConvolution(4, kernel=4)
