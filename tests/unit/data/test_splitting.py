from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from seqlens.data.splitting import HashRule, find_rule, hash_sentence, normalise_sentence


def split_counts(sentences: list[str], validation_fraction: float, test_fraction: float) -> Counter[str]:
    rule = find_rule(sentences, validation_fraction=validation_fraction, test_fraction=test_fraction)
    return Counter(rule.split_of(sentence) for sentence in {normalise_sentence(sentence) for sentence in sentences})


@given(
    words=st.lists(st.integers(0, 10_000), min_size=0, max_size=30),
    validation_fraction=st.floats(0.001, 0.45),
    test_fraction=st.sampled_from([0.0, 0.001, 0.3, 0.45]),
)
def test_no_wanted_split_is_empty_where_there_are_sentences_enough(
    words: list[int], validation_fraction: float, test_fraction: float
) -> None:
    counts = split_counts([f"word {word}" for word in words], validation_fraction, test_fraction)
    wanted = ["train", "validation", "test"] if test_fraction else ["train", "validation"]
    served = min(len(set(words)), len(wanted))
    assert [split for split in wanted if counts[split]] == wanted[:served]


def test_fractions_are_kept_and_one_more_sentence_moves_no_other() -> None:
    sentences = [f"sentence number {number}" for number in range(20_000)]
    counts = split_counts(sentences, 0.02, 0.05)
    assert abs(counts["validation"] - 400) < 80  # four standard deviations of a binomial count
    assert abs(counts["test"] - 1000) < 125
    rule = find_rule(sentences, validation_fraction=0.02, test_fraction=0.05)
    assert rule == find_rule(["something else", *sentences[::-1]], validation_fraction=0.02, test_fraction=0.05)
    assert rule == HashRule.of_fractions(0.02, 0.05)


def test_a_large_corpus_is_not_read_to_its_end() -> None:
    taken = 0

    def sentences():  # type: ignore[no-untyped-def]
        nonlocal taken
        for number in range(1_000_000):
            taken += 1
            yield f"sentence number {number}"

    find_rule(sentences(), validation_fraction=0.02, test_fraction=0.02)
    assert taken < 2_000


def test_case_width_and_spacing_do_not_part_sentences() -> None:
    assert hash_sentence("Go  home!") == hash_sentence(" go home！\t")
    assert hash_sentence("cafe\u0301") == hash_sentence("café")
    assert hash_sentence("Go home!") != hash_sentence("Go home.")


def test_the_hash_never_changes() -> None:
    # A change here gives every user of a single file other splits.
    assert hash_sentence("Hello, world!") == 4870045032163135244
