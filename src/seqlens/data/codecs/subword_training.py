"""What the subwords codec learns from: chunks, an alphabet, and the merges of byte-pair encoding.

All of it is deterministic, and so is the library's trainer: it counts with whole numbers and breaks ties by id.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from seqlens.data.codecs.chunking import JOINER, Chunking
from seqlens.data.codecs.normalisation import Normaliser
from seqlens.data.codecs.parts import split_parts
from seqlens.data.codecs.vocabulary import most_frequent

MAX_PIECE_LENGTH = 16
_MIN_PAIR_COUNT = 2  # a pair seen once tells nothing about other texts
_FEED_SIZE = 10_000


def count_chunks(texts: Iterable[str], normaliser: Normaliser, chunking: Chunking) -> Counter[str]:
    """Returns how often each chunk occurs in the texts, which are read once."""
    parts = Counter(part for text in texts for part in split_parts(normaliser.apply(text)))
    counts: Counter[str] = Counter()
    for part, count in parts.items():
        for chunk in chunking.chunks(part):
            counts[chunk] += count
    return counts


def choose_alphabet(chunks: Mapping[str, int], *, coverage: float, limit: int, joiners: bool) -> list[str]:
    """Returns the space and then the most frequent characters, until they make up `coverage` of the text.

    There are at most `limit` of them; equally frequent ones go by codepoint. With `joiners`, the joiner comes after
    the space, whether it was met or not.
    """
    counts: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for character in chunk:
            counts[character] += count
    wanted = coverage * counts.total()
    alphabet = [" ", JOINER] if joiners else [" "]
    covered = sum(counts.pop(character, 0) for character in alphabet)
    for character in most_frequent(counts, limit=limit - len(alphabet)):
        if covered >= wanted:
            break
        alphabet.append(character)
        covered += counts[character]
    return alphabet


def count_runs(chunks: Mapping[str, int], alphabet: Sequence[str], chunking: Chunking) -> Counter[str]:
    """Returns how often each run of characters of the alphabet occurs in the chunks."""
    known = frozenset(alphabet)
    counts: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for run, is_known in chunking.split_known(chunk, known):
            if is_known:
                counts[run] += count
    return counts


def train_bpe(runs: Mapping[str, int], alphabet: Sequence[str], num_pieces: int) -> list[tuple[str, str]]:
    """Returns the pairs that byte-pair encoding merges, in order: Sennrich et al. 2016, section 3.2.

    Takes how often each run of characters of the alphabet occurs. Together with the alphabet, the merges make at most
    `num_pieces` pieces.
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
    tokenizer.train_from_iterator(_repeated(runs), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]


def _repeated(runs: Mapping[str, int]) -> Iterator[list[str]]:
    """Yields each run as often as it occurs, since the trainer takes no counts; a list at a time."""
    for run, count in runs.items():
        for done in range(0, count, _FEED_SIZE):
            yield [run] * min(_FEED_SIZE, count - done)
