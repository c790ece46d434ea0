"""The five shapes of sequence models, each learnt in seconds from data made here: `python examples/five_shapes.py`.

Beside them a net with a fixed window, to show what recurrence is for. docs/shapes.md explains.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot, pad

from seqlens.layers import GRU, LSTM, RNN, length_mask
from seqlens.models import RecurrentEncoder, SequenceClassifier, SequenceGenerator, SequenceTagger, Transducer
from seqlens.models.decoders import RecurrentDecoder

# --- the shapes --------------------------------------------------------------------------------------------------


def one_to_one() -> float:
    """A picture in, its shape out: a sequence of one step."""
    model = SequenceClassifier(RecurrentEncoder(RNN(PIXELS, 64)), num_classes=len(SHAPES))

    def predict(seen: Pictures) -> Tensor:
        return model(seen.pixels[:, None], torch.ones(len(seen.pixels), dtype=torch.int64)).logits

    def loss() -> Tensor:
        seen = draw_pictures(64)
        return cross_entropy(predict(seen), seen.shapes)

    train(model, loss, steps=300)
    seen = draw_pictures(500)
    return share(predict(seen).argmax(1) == seen.shapes)


def one_to_many() -> float:
    """A picture in, a caption out: `a large cross at the top left`. The share of captions without any mistake."""
    model = SequenceGenerator(GRU(16, 64), vocab_size=len(CAPTION_WORDS), condition_dim=PIXELS)

    def loss() -> Tensor:
        seen = draw_pictures(64)
        read = pad(seen.captions[:, :-1], (1, 0), value=START)
        logits = model(read, state=model.start(seen.pixels)).logits
        return cross_entropy(logits.flatten(0, 1), seen.captions.flatten(), ignore_index=START)

    train(model, loss, steps=250)
    seen = draw_pictures(500)
    written = greedy(model.step, model.start(seen.pixels), rows=500, steps=seen.captions.shape[1])
    return share(same(written, seen.captions))


def many_to_one() -> float:
    """A sentence in, its mood out: `it was not at all good` is bad."""
    model = SequenceClassifier(RecurrentEncoder(GRU(len(WORDS), 16)), num_classes=2)

    def loss() -> Tensor:
        words, lengths, moods = draw_sentences(64)
        return cross_entropy(model(words, lengths).logits, moods)

    train(model, loss, steps=200)
    words, lengths, moods = draw_sentences(500)
    return share(model(words, lengths).logits.argmax(1) == moods)


def many_to_many_aligned() -> float:
    """A text in, a tag for each letter out: is it inside quotation marks?"""
    model = SequenceTagger(RecurrentEncoder(LSTM(LETTERS, 32)), num_tags=2)

    def loss() -> Tensor:
        letters, lengths, tags = draw_texts(64)
        real = length_mask(lengths, letters.shape[1])
        return cross_entropy(model(letters, lengths).logits[real], tags[real])

    train(model, loss, steps=250)
    letters, lengths, tags = draw_texts(500)
    real = length_mask(lengths, letters.shape[1])
    return share(model(letters, lengths).logits.argmax(2)[real] == tags[real])


def encoder_decoder() -> float:
    """Digits in, the same digits in reverse out. The share of answers without any mistake."""
    encoder = RecurrentEncoder(GRU(32, 32, bidirectional=True))
    decoder = RecurrentDecoder(32, encoder.output_dim, GRU(32, 32), attention="additive")
    model = Transducer(encoder, decoder, source_size=SYMBOLS, target_size=SYMBOLS, embedding_dim=32)

    def loss() -> Tensor:
        digits, lengths, reverse = draw_digits(64)
        output = model(digits, lengths, pad(reverse[:, :-1], (1, 0), value=START), lengths + 1)
        return cross_entropy(output.logits.flatten(0, 1), reverse.flatten(), ignore_index=START)

    train(model, loss, steps=300)
    digits, lengths, reverse = draw_digits(500)
    return share(same(greedy(model.step, model.start(digits, lengths), rows=500, steps=reverse.shape[1]), reverse))


# --- what they share ---------------------------------------------------------------------------------------------


def train(model: nn.Module, loss: Callable[[], Tensor], *, steps: int) -> None:
    """Takes steps down the loss of ever new batches; the rate falls to zero over the second half."""
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * min(1.0, 2 * (1 - step / steps))
        optimizer.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def greedy(step: Callable[..., Any], state: Any, *, rows: int, steps: int) -> Tensor:
    """The likeliest symbol again and again, from the start symbol on, `[rows, steps]`."""
    last, written = torch.full((rows,), START), []
    for _ in range(steps):
        logits, state = step(last, state)[:2]
        last = logits.argmax(1)
        written.append(last)
    return torch.stack(written, dim=1)


def share(right: Tensor) -> float:
    return float(right.double().mean())


def same(written: Tensor, expected: Tensor) -> Tensor:
    """True for each row that agrees up to and with the end symbol; what follows it counts for nothing."""
    return ((written == expected) | (expected == START)).all(1)


# --- a fixed window beside them ----------------------------------------------------------------------------------


class FixedWindow(nn.Module):
    """A net that reads all steps side by side, each with weights of its own."""

    def __init__(self, window: int, input_dim: int, hidden_dim: int, num_classes: int) -> None:
        super().__init__()
        self.window = window
        self.hidden = nn.Linear(window * input_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, num_classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Raises ValueError for what is longer than the window."""
        if int(lengths.max()) > self.window:
            raise ValueError(
                f"this net reads {self.window} steps and no more, but there is a sequence of {int(lengths.max())}:"
                " a longer window would need new weights"
            )
        real = inputs * length_mask(lengths, inputs.shape[1])[:, :, None]
        whole = pad(real, (0, 0, 0, max(self.window - inputs.shape[1], 0)))[:, : self.window]
        return self.output(torch.tanh(self.hidden(whole.flatten(1))))


class Comparison(NamedTuple):
    """One net, trained on the same few sentences: its size, and the share it gets right of those and of new ones."""

    name: str
    parameters: int
    trained: float
    unseen: float
    longer: float | None  # sentences of twice the length; None if it cannot read them

    @property
    def gap(self) -> float:
        return self.trained - self.unseen


def compare_with_window() -> tuple[Comparison, Comparison]:
    """A recurrent net and one with a fixed window on 400 sentences, each until it knows them."""
    known, unseen, longer = draw_sentences(400), draw_sentences(1000), draw_sentences(1000, longest=2 * LONGEST)
    recurrent = SequenceClassifier(RecurrentEncoder(GRU(len(WORDS), 16)), num_classes=2)
    window = FixedWindow(LONGEST, len(WORDS), 16, num_classes=2)

    def right(run: Callable[[Tensor, Tensor], Tensor], sentences: Sentences) -> float:
        return share(run(sentences.words, sentences.lengths).argmax(1) == sentences.moods)

    def compare(name: str, model: nn.Module, run: Callable[[Tensor, Tensor], Tensor], reads_longer: bool) -> Comparison:
        train(model, lambda: cross_entropy(run(known.words, known.lengths), known.moods), steps=200)
        size = sum(parameter.numel() for parameter in model.parameters())
        far = right(run, longer) if reads_longer else None
        return Comparison(name, size, right(run, known), right(run, unseen), far)

    return (
        compare("recurrent", recurrent, lambda words, lengths: recurrent(words, lengths).logits, True),
        compare("fixed window", window, window, False),
    )


# --- the data, made by code --------------------------------------------------------------------------------------

START, END = 0, 1
SIDE, PIXELS = 8, 64
SHAPES = ("square", "cross", "corner")
CAPTION_WORDS = ("<start>", "<end>", "a", "large", *SHAPES, "at", "the", "top", "bottom", "left", "right")
WORDS = ("good", "bad", "not", "it", "was", "all", "the", "film")
LONGEST = 12
LETTERS = 5  # four letters and the quotation mark, which is number 4
SYMBOLS = 10  # <start>, <end> and eight digits


class Pictures(NamedTuple):
    """`pixels [count, 64]` with noise, `shapes [count]`, `captions [count, 8]` that end in `<end>`, then 0."""

    pixels: Tensor
    shapes: Tensor
    captions: Tensor


def draw_pictures(count: int) -> Pictures:
    """Draws a shape, large or not, into one corner of each picture."""
    pixels, shapes, captions = 0.2 * torch.randn(count, SIDE, SIDE), torch.randint(len(SHAPES), (count,)), []
    for picture, shape in zip(pixels, shapes.tolist(), strict=True):
        large, bottom, right = (bool(bit) for bit in torch.randint(2, (3,)))
        size = 4 if large else 3
        top, left = (4 * side + int(torch.randint(4 - size + 1, ())) for side in (bottom, right))
        row, column = torch.arange(size)[:, None], torch.arange(size)[None, :]
        border = (row == 0) | (row == size - 1) | (column == 0) | (column == size - 1)
        drawn = (border, (row == column) | (row + column == size - 1), (row == size - 1) | (column == 0))[shape]
        picture[top : top + size, left : left + size] += drawn
        place = f"at the {'bottom' if bottom else 'top'} {'right' if right else 'left'} <end>"
        caption = f"a {'large ' if large else ''}{SHAPES[shape]} {place}".split()
        captions.append(pad(torch.tensor([CAPTION_WORDS.index(word) for word in caption]), (0, 8 - len(caption))))
    return Pictures(pixels.flatten(1), shapes, torch.stack(captions))


class Sentences(NamedTuple):
    """`words [count, time, words]`, one entry 1 each, `lengths [count]`, `moods [count]`: 1 if the sentence is glad."""

    words: Tensor
    lengths: Tensor
    moods: Tensor


def draw_sentences(count: int, longest: int = LONGEST) -> Sentences:
    """Each has `good` or `bad` somewhere among other words, and `not` before it or not at all."""
    lengths = torch.randint(2, longest + 1, (count,))
    ids = torch.randint(3, len(WORDS), (count, longest))
    last = (torch.rand(count) * (lengths - 1)).long() + 1  # never the first word, so that there is room for `not`
    before = (torch.rand(count) * last).long()
    mood, negated = torch.randint(2, (count,)), torch.randint(2, (count,)).bool()
    rows = torch.arange(count)
    ids[rows, last] = torch.where(mood == 1, 0, 1)
    ids[rows[negated], before[negated]] = 2
    return Sentences(one_hot(ids, len(WORDS)).float(), lengths, torch.where(negated, 1 - mood, mood))


def draw_texts(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Letters `[count, 20, 5]`, lengths, and whether each is quoted (the first of two marks is)."""
    lengths, ids = torch.randint(0, 21, (count,)), torch.randint(LETTERS, (count, 20))
    return one_hot(ids, LETTERS).float(), lengths, (ids == LETTERS - 1).cumsum(1) % 2


def draw_digits(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Digits `[count, 6]`, lengths from 1, and the digits in reverse with an `<end>`, `[count, 7]`, then 0."""
    lengths, digits = torch.randint(1, 7, (count,)), torch.randint(2, SYMBOLS, (count, 6))
    place = lengths[:, None] - 1 - torch.arange(7)
    reverse = digits.gather(1, place.clamp(min=0)[:, :6])
    return digits, lengths, torch.where(place >= 0, pad(reverse, (0, 1)), torch.where(place == -1, END, START))


if __name__ == "__main__":
    torch.manual_seed(0)
    for shape in (one_to_one, one_to_many, many_to_one, many_to_many_aligned, encoder_decoder):
        print(f"{shape.__name__:22} {shape():6.1%} right")
    print(f"\n{'':14} parameters  known  unseen    gap  longer")
    for net in compare_with_window():
        far = "refused" if net.longer is None else f"{net.longer:.1%}"
        print(f"{net.name:14} {net.parameters:10} {net.trained:6.1%} {net.unseen:7.1%} {net.gap:6.1%} {far:>7}")
