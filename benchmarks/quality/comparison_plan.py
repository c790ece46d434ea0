"""Which entries of the plan are compared, and what the comparison is to say."""

from benchmarks.quality.entry import Comparison

COMPARISONS: tuple[Comparison, ...] = (
    Comparison(
        name="multi30k-de-en-attention-against-bottleneck",
        question="Does attention help, and on which lengths? (Bahdanau et al. 2015, figure 2)",
        system="multi30k-de-en-gru-attention",
        baseline="multi30k-de-en-gru-bottleneck",
        by_length=True,
    ),
    Comparison(
        name="copying-unknown-words",
        question="Does copying help where the source has words that training never saw?",
        system="multi30k-de-en-gru-copy",
        baseline="multi30k-de-en-gru-words",
        unknown_only=True,
    ),
    Comparison(
        name="follow-time",
        question="Does a learning rate that ends with the time help a training that is cut by it?",
        system="multi30k-de-en-gru-8-minutes-follow-time",
        baseline="multi30k-de-en-gru-8-minutes",
    ),
    Comparison(
        name="bpe-dropout",
        question="Does BPE dropout help where there are few pairs? (Provilkov et al. 2020)",
        system="multi30k-tenth-de-en-gru-bpe-dropout",
        baseline="multi30k-tenth-de-en-gru",
    ),
    Comparison(
        name="back-translation",
        question="Does back-translated text help where there are few pairs? (Sennrich et al. 2016)",
        system="multi30k-tenth-de-en-gru-back-translated",
        baseline="multi30k-tenth-de-en-gru",
    ),
    Comparison(
        name="joiners-fr",
        question="Does it help that a word after an apostrophe is the word that it is elsewhere?",
        system="multi30k-en-fr-transformer-tiny-joiners-after-both-ways",
        baseline="multi30k-en-fr-transformer-tiny-after-both-ways",
    ),
    *(
        Comparison(
            name=f"diversified-{language}",
            question="Do pairs that a model of both directions makes help, within the same time? (Nguyen et al. 2020)",
            system=f"multi30k-en-{language}-transformer-tiny-diversified",
            baseline=f"multi30k-en-{language}-transformer-tiny-after-both-ways",
        )
        for language in ("de", "fr")
    ),
    Comparison(
        name="context-for-pronouns",
        question="Does the sentence before help to choose a pronoun's gender?",
        system="pronouns-context",
        baseline="pronouns-single",
        score="exact_match_cased",
    ),
)
