"""How the pieces of the subwords codec are found: an alphabet, then BPE or unigram by the library tokenizers.

Both trainings are deterministic. BPE is by itself: it counts with whole numbers and breaks ties by id. The
unigram trainer adds floating-point numbers in an order that differs from process to process, so its scores
differ in their last digits, and it scores characters that it found no use for in random order; `_settled`
removes both.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from seqlens.data.codecs.normalisation import Normaliser
from seqlens.data.codecs.segmentation import split_chunks
from seqlens.data.codecs.vocabulary import most_frequent

MAX_PIECE_LENGTH = 16
_MIN_PAIR_COUNT = 2  # a pair seen once tells nothing about other texts
_SCORE_DIGITS = 5
_FEED_SIZE = 10_000


def count_chunks(texts: Iterable[str], normaliser: Normaliser) -> Counter[str]:
    """Returns how often each chunk occurs in the texts, read once, each with a space put before it."""
    counts: Counter[str] = Counter()
    for text in texts:
        normalised = normaliser.apply(text)
        if normalised:
            counts.update(split_chunks(" " + normalised))
    return counts


def choose_alphabet(chunks: Mapping[str, int], *, coverage: float, limit: int) -> list[str]:
    """Returns the space and then the most frequent characters, until they make up `coverage` of the text.

    There are at most `limit` of them; equally frequent ones go by codepoint.
    """
    counts: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for character in chunk:
            counts[character] += count
    wanted = coverage * counts.total()
    covered = counts.pop(" ", 0)
    alphabet = [" "]
    for character in most_frequent(counts, limit=limit - 1):
        if covered >= wanted:
            break
        alphabet.append(character)
        covered += counts[character]
    return alphabet


def split_known(chunk: str, alphabet: frozenset[str]) -> list[tuple[str, bool]]:
    """Cuts a chunk into runs of characters of the alphabet (True) and single other characters (False)."""
    runs: list[tuple[str, bool]] = []
    start = 0
    for place, character in enumerate(chunk):
        if character not in alphabet:
            if start < place:
                runs.append((chunk[start:place], True))
            runs.append((character, False))
            start = place + 1
    if start < len(chunk):
        runs.append((chunk[start:], True))
    return runs


def train_bpe(chunks: Mapping[str, int], alphabet: Sequence[str], num_pieces: int) -> list[tuple[str, str]]:
    """Returns the pairs that byte-pair encoding merges, in order: Sennrich et al. 2016, section 3.2.

    Together with the alphabet there are at most `num_pieces` pieces.
    """
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=num_pieces,
        min_frequency=_MIN_PAIR_COUNT,
        max_token_length=MAX_PIECE_LENGTH,
        initial_alphabet=list(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_feed(chunks, alphabet), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]


def train_unigram(chunks: Mapping[str, int], alphabet: Sequence[str], num_pieces: int) -> list[tuple[str, float]]:
    """Returns pieces and their log probabilities of a unigram language model: Kudo 2018, section 3.2.

    The alphabet comes first, in its order, then longer pieces, the likeliest first; at most `num_pieces` in
    all.
    """
    from tokenizers import Tokenizer, models, trainers

    scores: dict[str, float] = {}
    if num_pieces > len(alphabet):  # the trainer does not stop where there is no room left
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(
            vocab_size=num_pieces,
            max_piece_length=MAX_PIECE_LENGTH,
            initial_alphabet=list(alphabet),
            show_progress=False,
        )
        tokenizer.train_from_iterator(_feed(chunks, alphabet), trainer)
        scores = dict(json.loads(tokenizer.to_str())["model"]["vocab"])
    return _settled(scores, alphabet, num_pieces)


def _feed(chunks: Mapping[str, int], alphabet: Sequence[str]) -> Iterator[list[str]]:
    """Yields each run of the alphabet as often as it occurs, a list at a time."""
    known = frozenset(alphabet)
    for chunk, count in chunks.items():
        for run, is_known in split_known(chunk, known):
            if is_known:
                for done in range(0, count, _FEED_SIZE):
                    yield [run] * min(_FEED_SIZE, count - done)


def _settled(scores: Mapping[str, float], alphabet: Sequence[str], num_pieces: int) -> list[tuple[str, float]]:
    """Returns the pieces with scores that do not depend on the order in which the trainer added numbers."""
    lowest = min(scores.values(), default=0.0)
    # A character that the trainer dropped and had to take back scores `lowest` plus a step of 0.0001 for each
    # before it.
    unused = lowest + 0.0001 * len(alphabet) + 0.5 * 10**-_SCORE_DIGITS
    characters = [
        (character, scores[character] if scores.get(character, lowest) > unused else lowest) for character in alphabet
    ]
    longer = sorted((-round(score, _SCORE_DIGITS), piece) for piece, score in scores.items() if len(piece) > 1)
    pieces = characters + [(piece, -score) for score, piece in longer[: num_pieces - len(alphabet)]]
    return [(piece, round(score, _SCORE_DIGITS)) for piece, score in pieces]
