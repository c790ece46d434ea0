"""`examples/five_shapes.py` learns what its page says, in as few lines as it says."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from examples import five_shapes
from examples.five_shapes import (
    FixedWindow,
    compare_with_window,
    draw_digits,
    draw_pictures,
    draw_sentences,
    draw_texts,
)

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "examples" / "five_shapes.py").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "shapes.md").read_text(encoding="utf-8")
LEAST: dict[Callable[[], float], float] = {
    five_shapes.one_to_one: 0.9,
    five_shapes.one_to_many: 0.9,
    five_shapes.many_to_one: 0.97,
    five_shapes.many_to_many_aligned: 0.97,
    five_shapes.encoder_decoder: 0.95,
}


@pytest.mark.parametrize("shape", LEAST, ids=lambda shape: shape.__name__)
def test_a_shape_learns_its_task(shape: Callable[[], float]) -> None:
    torch.manual_seed(0)
    assert shape() >= LEAST[shape]
    assert f"at least {LEAST[shape]:.0%}" in next(line for line in PAGE.splitlines() if f"`{shape.__name__}`" in line)


def test_a_shape_takes_fewer_than_fifteen_lines() -> None:
    names = {shape.__name__ for shape in LEAST}
    functions = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.FunctionDef) and node.name in names]
    assert len(functions) == len(names)
    for function in functions:
        first = function.body[1]  # after what it says about itself
        lines = SOURCE.splitlines()[first.lineno - 1 : function.end_lineno]
        assert len([line for line in lines if line.strip()]) < 15, function.name


def test_the_page_shows_what_the_file_has() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert block in SOURCE


def test_a_fixed_window_needs_more_and_knows_less(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    recurrent, window = compare_with_window()
    for net in (recurrent, window):
        print(f"{net.name}: {net.parameters} parameters, gap {net.gap:.1%}")
    assert "gap" in capsys.readouterr().out
    assert window.parameters > recurrent.parameters
    assert min(window.trained, recurrent.trained) >= 0.99
    assert recurrent.gap < 0.05
    assert window.gap > 0.15
    assert window.longer is None
    assert recurrent.longer is not None
    assert recurrent.longer > 0.8


def test_a_fixed_window_refuses_longer_input_with_a_sentence() -> None:
    window = FixedWindow(4, 3, 5, num_classes=2)
    inputs = torch.randn(2, 6, 3)
    assert window(inputs, torch.tensor([4, 0])).shape == (2, 2)
    assert window(inputs[:, :2], torch.tensor([2, 1])).shape == (2, 2)
    with pytest.raises(ValueError, match="reads 4 steps and no more, but there is a sequence of 6"):
        window(inputs, torch.tensor([4, 6]))


def test_the_data_are_what_they_say() -> None:
    torch.manual_seed(0)
    seen = draw_pictures(50)
    captions = [" ".join(five_shapes.CAPTION_WORDS[word] for word in row if word) for row in seen.captions.tolist()]
    places = r"at the (top|bottom) (left|right) <end>"
    assert all(re.fullmatch(rf"a (large )?(square|cross|corner) {places}", caption) for caption in captions)
    for pixels, caption in zip(seen.pixels.view(50, 8, 8), captions, strict=True):
        rows, columns = (pixels > 0.6).nonzero().double().mean(0).tolist()
        assert ("bottom" in caption, "right" in caption) == (rows > 3.5, columns > 3.5)
    words, lengths, moods = draw_sentences(200)
    for row, length, mood in zip(words.argmax(2).tolist(), lengths.tolist(), moods.tolist(), strict=True):
        text = [five_shapes.WORDS[word] for word in row[:length]]
        assert text.count("good") + text.count("bad") == 1
        assert mood == (("good" in text) != ("not" in text))
    letters, lengths, tags = draw_texts(50)
    for row, tag in zip(letters.argmax(2).tolist(), tags.tolist(), strict=True):
        assert tag == [row[: t + 1].count(4) % 2 for t in range(20)]
    for row, length, reverse in zip(*(part.tolist() for part in draw_digits(50)), strict=True):
        assert reverse == [*row[:length][::-1], 1, *[0] * (6 - length)]
