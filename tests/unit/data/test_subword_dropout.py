import itertools
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from seqlens.data.codecs.bpe_dropout import BpeDropout
from seqlens.data.codecs.subwords import SubwordsCodec
from seqlens.data.encoded import EncodedPairs, encode_pairs
from seqlens.data.examples import Pair
from seqlens.data.subword_dropout import SubwordDropout, build_subword_dropout
from seqlens.data.text import END_ID, SubwordsConfig, WordsConfig, fit_codec
from seqlens.errors import RequestError

TEXTS = tuple(
    f"the {noun} {verb} the {other}, and {number} more {noun}s"
    for noun, verb, other, number in itertools.product(
        ("cat", "dog", "walker"), ("walks", "finds", "talked to"), ("house", "houses", "talker"), (12, 125, 2009)
    )
)
ANY_TEXT = st.one_of(
    st.text(), st.text(alphabet="the cat\t\n  ▁<unk>é1290,", max_size=60), st.sampled_from(("walker" * 40, "1" * 150))
)
PROBABILITIES = st.sampled_from((0.05, 0.3, 0.8, 0.99))


def fit(**changes: object) -> SubwordsCodec:
    codec = fit_codec(SubwordsConfig(**{"vocab_size": 360, **changes}), TEXTS)  # type: ignore[arg-type]
    assert isinstance(codec, SubwordsCodec)
    return codec


CODECS = {"bytes": fit(), "no bytes": fit(byte_fallback=False, vocab_size=120), "digits": fit(max_digits=2)}


def dropout_of(codec: SubwordsCodec, dropout_p: float) -> BpeDropout:
    found = codec.dropout(dropout_p)
    assert found is not None
    return found


def row(codec: SubwordsCodec, text: str) -> np.ndarray:
    return np.array([*codec.encode(text), END_ID], dtype=np.int64)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
@settings(max_examples=60)
@given(text=ANY_TEXT, dropout_p=PROBABILITIES, seed=st.integers(0, 9))
def test_the_text_stays_the_same_however_it_is_cut(
    codec: SubwordsCodec, text: str, dropout_p: float, seed: int
) -> None:
    ids = dropout_of(codec, dropout_p).cut(row(codec, text), Random(seed).random)

    assert codec.decode(ids) == codec.decode(codec.encode(text))
    assert ids[-1] == END_ID
    assert END_ID not in ids[:-1]
    assert len(ids) >= len(row(codec, text))


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
@settings(max_examples=60)
@given(text=ANY_TEXT)
def test_where_nothing_is_passed_over_the_ids_are_the_codecs_own(codec: SubwordsCodec, text: str) -> None:
    own = row(codec, text)

    assert dropout_of(codec, 0.0).cut(own, lambda: 0.0) == own.tolist()
    # A draw just below one lets the next billions of merges pass.
    assert dropout_of(codec, 1e-9).cut(own, lambda: 1 - 2**-53) == own.tolist()


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_where_all_is_passed_over_there_are_characters(codec: SubwordsCodec) -> None:
    ids = dropout_of(codec, 0.999999).cut(row(codec, TEXTS[0]), lambda: 0.0)

    assert [codec.token(id) for id in ids[:-1]] == list("▁" + TEXTS[0].replace(" ", "▁"))


def test_a_word_is_cut_as_often_each_way_as_by_the_librarys_own_dropout() -> None:
    codec, dropout_p, size = CODECS["no bytes"], 0.3, 20_000
    content = codec._model.content()
    vocab = {piece: index for index, piece in enumerate(codec._model.pieces)}
    merges = [(left, right) for left, right in content["merges"]]
    library = Tokenizer(models.BPE(vocab=vocab, merges=merges, dropout=dropout_p))
    theirs = Counter(tuple(library.encode(" walker").tokens) for _ in range(size))
    ours_cut, draw = dropout_of(codec, dropout_p), Random(1).random
    word = np.array(codec.encode("walker"), dtype=np.int64)
    ours = Counter(tuple(codec.token(id).replace("▁", " ") for id in ours_cut.cut(word, draw)) for _ in range(size))

    assert len(ours) > 5
    for way in {*ours, *theirs}:
        share = max(ours[way], theirs[way]) / size
        # Five standard deviations of the difference of two shares.
        assert abs(ours[way] - theirs[way]) / size <= 5 * (2 * share * (1 - share) / size) ** 0.5 + 1e-3, way


def encoded(folder: Path, codec: SubwordsCodec) -> EncodedPairs:
    pairs = [Pair(source, target) for source, target in zip(TEXTS, reversed(TEXTS), strict=True)]
    return encode_pairs(pairs, codec, codec, folder=folder, key="pairs")


def test_a_pair_is_cut_by_seed_epoch_and_place_alone(tmp_path: Path) -> None:
    codec = CODECS["bytes"]
    pairs = encoded(tmp_path, codec)

    def rows(seed: int, epoch: int, indices: list[int], of: EncodedPairs = pairs) -> list[list[list[int]]]:
        cut = dropout_of(codec, 0.3)
        batch = SubwordDropout(cut, cut, seed=seed).batch(of, np.array(indices), epoch)
        assert batch.target is not None
        assert batch.indices == tuple(indices)
        return [
            [side.ids[number, : int(side.lengths[number])].tolist() for side in (batch.source, batch.target)]
            for number in range(len(indices))
        ]

    one = rows(1, 0, [3, 5, 7])
    assert rows(1, 0, [7, 3]) == [one[2], one[0]]
    assert rows(1, 0, [0, 1], pairs.subset([3, 5])) == one[:2]
    assert rows(2, 0, [3, 5, 7]) != one
    assert rows(1, 1, [3, 5, 7]) != one
    assert [codec.decode(side) for side in one[0]] == [TEXTS[3], TEXTS[-4]]


def test_a_row_that_would_be_too_long_is_left_as_it_was(tmp_path: Path) -> None:
    codec = CODECS["bytes"]
    pairs = encoded(tmp_path, codec)
    longest = int(pairs.lengths.max())
    cut = dropout_of(codec, 0.99)

    batch = SubwordDropout(cut, None, seed=1, max_length=longest).batch(pairs, np.arange(len(pairs)), 0)

    plain = pairs.batch(np.arange(len(pairs)))
    assert int(batch.source.lengths.max()) <= longest
    assert batch.source.ids.tolist() == plain.source.ids.tolist()
    assert batch.target is not None
    assert plain.target is not None
    assert batch.target.ids.tolist() == plain.target.ids.tolist()


def test_codecs_without_merges_are_refused_or_left_alone() -> None:
    words = fit_codec(WordsConfig(), TEXTS)
    unigram = fit_codec(SubwordsConfig(algorithm="unigram", vocab_size=340), TEXTS)

    assert build_subword_dropout(words, words, dropout_p=0.0, seed=0, max_length=None) is None
    assert build_subword_dropout(words, CODECS["bytes"], dropout_p=0.1, seed=0, max_length=None) is not None
    for source, target in ((words, words), (unigram, unigram), (words, unigram)):
        with pytest.raises(RequestError, match=r"'batches.subword_dropout_p' is 0.1.*'algorithm: bpe'"):
            build_subword_dropout(source, target, dropout_p=0.1, seed=0, max_length=None)
