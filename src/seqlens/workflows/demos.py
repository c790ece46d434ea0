"""The demos of tasks that learn from examples: generated data, recipes that learn side by side. One is added here."""

from dataclasses import dataclass, field
from typing import Any, final


@final
@dataclass(frozen=True, slots=True)
class Demo:
    """Recipes that learn from the same generated data.

    Attributes:
        name: what a person asks for it by.
        title: of the report, and `summary` what it begins with.
        recipes: by name, in the order of the table; `longest_first` is the order in which two processes take them.
        measures: the scores in the table, by the names of the task's statistics.
        watched: the validation metric of the learning curves.
        speaker: the recipe whose answers are printed.
        share: of the recipes' steps, how many are trained here, so that the whole takes about a minute on two cores.
        prompts: what is asked, with `settings` of predict, instead of held-out inputs, where the task makes things up.
    """

    name: str
    title: str
    summary: str
    recipes: tuple[str, ...]
    measures: tuple[str, ...]
    watched: str
    speaker: str
    share: float = 1.0
    prompts: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def longest_first(self) -> tuple[str, ...]:
        """Transformers take longest, plain recurrent nets shortest: so two processes end at about the same time."""
        return tuple(reversed(self.recipes))


EXAMPLE_DEMOS: tuple[Demo, ...] = (
    Demo(
        name="moods",
        title="Opinions, praise or blame",
        summary=(
            "Five models read opinions that were made so that single words do not tell: three adjectives of ten are "
            "negated, what comes after 'but' counts, and a sentence at the start may turn it all round. Naive Bayes on "
            "pairs of words stands beside them."
        ),
        recipes=(
            "sentiment/moods-rnn",
            "sentiment/moods-lstm",
            "sentiment/moods-gru",
            "sentiment/moods-gru-attention",
            "sentiment/moods-transformer",
        ),
        measures=("accuracy", "log_loss"),
        watched="accuracy",
        speaker="sentiment/moods-gru-attention",
    ),
    Demo(
        name="people",
        title="Names in sentences: persons, places, organisations, dates",
        summary=(
            "Five models mark who and what is named in generated sentences; most names of the test split stand nowhere "
            "in training. A list of the names of training, and each word's commonest tag, stand beside them."
        ),
        recipes=(
            "ner/people-rnn",
            "ner/people-gru",
            "ner/people",
            "ner/people-attention",
            "ner/people-transformer",
        ),
        measures=("f1", "f1_seen", "f1_unseen"),
        watched="f1",
        speaker="ner/people",
        share=0.8,
    ),
    Demo(
        name="genes",
        title="Genes on generated DNA",
        summary=(
            "Letters in, coding regions out: strand, frame, exons. The longest stretches without a stop, the usual "
            "place of a gene, and counted words without training stand beside the model."
        ),
        recipes=("dna/toy-genes",),
        measures=("coding_f1", "either_strand_f1", "exon_sensitivity", "exon_precision"),
        watched="coding_f1",
        speaker="dna/toy-genes",
    ),
    Demo(
        name="names",
        title="Names in five invented languages, letter by letter",
        summary=(
            "Four models learn which letter comes next in names that no language has. Bits per character tell how "
            "well; n-grams with Kneser-Ney smoothing stand beside them. Each then makes up names of its own."
        ),
        recipes=(
            "language/names-rnn",
            "language/names-lstm",
            "language/names-gru",
            "language/names-transformer",
        ),
        measures=("bits_per_character", "perplexity"),
        watched="bits_per_character",
        speaker="language/names-lstm",
        share=0.3,
        prompts=("", "K", "Sha"),
        settings={"num_samples": 4, "temperature": 0.8, "max_tokens": 40},
    ),
)
"""By name, in the order in which help lists them."""
