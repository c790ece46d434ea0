"""Translations from English with Transformers, for the two scores that a narrow one is published with."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.quality.entry import Entry, Goal
from benchmarks.quality.made import DiversifiedData

BEAM_5: Mapping[str, object] = {"method": "beam", "beam_width": 5, "length_penalty": 1.0}
MULTI30K_TESTS = ("test", "test_2017", "test_2017_mscoco")

FROM_ENGLISH = (("de", "German", 41.0), ("fr", "French", 61.8))
"""Languages of Multi30k that English is translated to, with the BLEU that Wu et al. 2021 publish."""

POST_NORM: dict[str, object] = {"task.model.encoder.norm": "post", "task.model.decoder.norm": "post"}
BY_THE_CLOCK: dict[str, object] = {"training.max_epochs": None, "training.schedule.follow_time": True}
"""The learning rate ends with the time, on any machine."""


def english_to_more(bleu: float) -> Goal:
    """What Wu et al. 2021 publish for translations from English."""
    return Goal(
        split="test",
        score="bleu_lowercase",
        to_reach=bleu,
        source="the translation issue: within 120 minutes of training on two cores",
        published=bleu,
        published_by="4+4 layers of width 128, lower-cased, beam 5, average of 10 checkpoints",
        max_training_minutes=120,
    )


def from_english(
    recipe: str,
    width: int,
    target: str,
    language: str,
    bleu: float,
    *,
    changes: Mapping[str, object],
    ending: str = "",
    words: str = "",
    starts_from: str | None = None,
) -> Entry:
    """A Transformer from English, as the published ones: lower-cased text, the mean of the last ten checkpoints."""
    return Entry(
        name=f"multi30k-en-{target}-{recipe}{ending}",
        title=f"Multi30k, English to {language}, Transformer of width {width}, lower-cased{words}",
        section="Translation",
        recipe=f"translation/{recipe}",
        seeds=(1,),
        splits=MULTI30K_TESTS,
        decoding=BEAM_5,
        overrides={
            "data.source": "en",
            "data.target": target,
            "task.codec.text.lowercase": True,
            "training.average_last": 10,
            "training.patience": None,
            **changes,
        },
        starts_from=starts_from,
        goals=(english_to_more(bleu),),
    )


def narrow(target: str, language: str, bleu: float, *, changes: Mapping[str, object] = {}, **fields: Any) -> Entry:
    """The published narrow Transformer, trained for 60 epochs or 118 minutes; `fields` are those of `from_english`."""
    changes = {"training.max_epochs": 60, "training.max_seconds": 7080, **changes}
    return from_english("transformer-tiny", 128, target, language, bleu, changes=changes, **fields)


def both_ways(
    target: str,
    language: str,
    bleu: float,
    *,
    ending: str = "",
    words: str = "",
    changes: Mapping[str, object] = {},
    seconds: tuple[int, int] = (2640, 4440),
) -> tuple[Entry, Entry]:
    """Both directions at once for a while, without tags, then the one alone (Ding, Wu and Tao 2021), in one's time."""
    first = narrow(target, language, bleu, ending=f"{ending}-both-ways", words=f"{words}, there and back")
    forth, back = (
        {"kind": "pairs", "path": "multi30k", "source": source, "target": into}
        for source, into in (("en", target), (target, "en"))
    )
    overrides = {name: value for name, value in first.overrides.items() if not name.startswith("data.")}
    parts = [{"data": forth, "name": "forth"}, {"data": back, "name": "back", "train_only": True}]
    first = replace(
        first,
        splits=("test",),
        goals=(),
        overrides={
            **overrides,
            **POST_NORM,
            **BY_THE_CLOCK,
            **changes,
            "data": {"kind": "mixture", "parts": parts},
            "training.max_seconds": seconds[0],
        },
    )
    then = narrow(
        target,
        language,
        bleu,
        ending=f"{ending}-after-both-ways",
        words=f"{words}, first there and back, then there alone",
        changes={**POST_NORM, **BY_THE_CLOCK, **changes, "training.max_seconds": seconds[1]},
        starts_from=first.name,
    )
    return first, then


def diversified(target: str, language: str, bleu: float) -> Entry:
    """As the second of `both_ways`, with pairs that the first's run made besides, and twelve minutes less to learn."""
    then = both_ways(target, language, bleu)[1]
    assert then.starts_from is not None
    made = DiversifiedData(corpus="multi30k", source="en", target=target, made_by=then.starts_from, search={**BEAM_5})
    overrides = {name: value for name, value in then.overrides.items() if not name.startswith("data.")}
    return replace(
        then,
        name=f"multi30k-en-{target}-transformer-tiny-diversified",
        title=f"{then.title}, with pairs made by the first",
        overrides={**overrides, "training.max_seconds": 3720},
        made=made,
    )


WIDE_CASED = Entry(
    name="multi30k-en-fr-transformer",
    title="Multi30k, English to French, Transformer of width 256",
    section="Translation",
    recipe="translation/transformer",
    seeds=(1,),
    splits=MULTI30K_TESTS,
    decoding=BEAM_5,
    overrides={
        "data.source": "en",
        "data.target": "fr",
        "training.max_epochs": 50,
        "training.max_seconds": 7080,
    },
    goals=(english_to_more(61.8),),
)
"""The recipe as it is: cased, the best weights on validation."""

FROM_ENGLISH_PLAN: tuple[Entry, ...] = (
    WIDE_CASED,
    *(
        from_english(
            "transformer",
            256,
            *language,
            # The name of the French one is that of the run above.
            ending="-4k" if language[0] == "fr" else "",
            changes={"task.codec.text.vocab_size": 4000, "training.max_seconds": 4800, **BY_THE_CLOCK},
            words=", 4,000 subwords",
        )
        for language in FROM_ENGLISH
    ),
    *(narrow(*language) for language in FROM_ENGLISH),
    narrow(
        *FROM_ENGLISH[0],
        ending="-r-drop",
        words=", R-Drop",
        # Each epoch has twice the steps, and each step reads its batch twice.
        changes={
            "task.r_drop_weight": 5.0,
            "batches.max_tokens": 2048,
            "training.validate_every": 440,
            "training.optimizer.learning_rate": 0.002,
        },
    ),
    narrow(
        *FROM_ENGLISH[0],
        ending="-4k",
        words=", 4,000 subwords",
        changes={"task.codec.text.vocab_size": 4000, **BY_THE_CLOCK},
    ),
    narrow(
        *FROM_ENGLISH[0],
        ending="-less-dropout",
        words=", dropout 0.2",
        changes={"task.model.encoder.dropout_p": 0.2, "task.model.decoder.dropout_p": 0.2},
    ),
    # Norms where the published ones have them; the second ones see as many tokens, too, 8,000 steps of 8,192.
    *(
        narrow(*language, ending=ending, words=words, changes={**POST_NORM, **changes})
        for ending, words, changes in (
            ("-post-norm", ", norms after the sums", {}),
            ("-post-norm-long", ", norms after the sums, 118 minutes", BY_THE_CLOCK),
        )
        for language in FROM_ENGLISH
    ),
    # The published learning rate: it ends at half of its peak, not at nothing, and the mean of ten checkpoints does
    # the rest. Batches are half of the published ones, and the rate falls with their square root.
    narrow(
        *FROM_ENGLISH[0],
        ending="-inverse-sqrt",
        words=", norms after the sums, learning rate by the inverse square root",
        changes={
            **POST_NORM,
            "training.max_epochs": None,
            "training.optimizer.learning_rate": 0.0035,
            "training.schedule": {"kind": "inverse_sqrt", "warmup_steps": 2000},
        },
    ),
    *(entry for language in FROM_ENGLISH for entry in (*both_ways(*language), diversified(*language))),
    # The published tokens part `l'` from `homme`, which then is the word that it is elsewhere.
    *both_ways(
        *FROM_ENGLISH[1],
        ending="-joiners",
        words=", joiners",
        changes={"task.codec.text.joiners": True},
        seconds=(2400, 4320),
    ),
)
