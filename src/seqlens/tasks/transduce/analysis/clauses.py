"""How many clauses a sentence has, by a rule of thumb: no parser, so a count to sort sentences by and no more."""

from itertools import pairwise

from seqlens.tasks.transduce.analysis.words import Token

SHORTEST_CLAUSE = 3
"""Words; shorter pieces, such as the members of a list, are no clause."""

# What ends a clause in most scripts. Apostrophes and hyphens join words and are not here.
_CUTS = frozenset(",;:.!?…–—()，、。；：！？（）،؛؟।")

# Words that begin a clause nearly wherever they stand. Words for `and` and `or` are not here: they join nouns as often.
_OPENERS = {
    "en": "that which who whom whose because although though while whereas if unless until when whenever where "
    "since before after but so whether",
    "de": "dass weil obwohl während wenn falls ob bevor nachdem sobald solange damit indem welche welcher welches "
    "denen deren dessen aber sondern wobei wo",
    "fr": "que qui dont où lequel laquelle lesquels lesquelles parce puisque lorsque quand si comme mais car tandis "
    "quoique qu lorsqu puisqu quoiqu s'il s'ils",
    "cs": "že který která které kteří kterou kterého kterém kterým jenž protože když aby jestli zatímco pokud "
    "jakmile ale než kde",
}
_OPENER_SETS = {language: frozenset(words.split()) for language, words in _OPENERS.items()}

CLAUSE_NOTE = (
    "A rule of thumb: a sentence is cut at punctuation (not inside numbers) and, for en, de, fr and cs, before "
    "conjunctions and relative words; a piece of three words or more counts as a clause, and there is at least one."
)


def count_clauses(tokens: list[Token], language: str) -> int:
    """The number of clauses by the rule of `CLAUSE_NOTE`; `language` is a code such as `de`, or any other word."""
    openers = _OPENER_SETS.get(language.lower().replace("_", "-").split("-")[0], frozenset())
    num_clauses = num_words = 0
    for place, token in enumerate(tokens):
        opens = token.text in openers or _elided(tokens, place) in openers
        if token.is_word and not opens:
            num_words += 1
            continue
        if opens or (token.text in _CUTS and not _inside_number(tokens, place)):
            num_clauses += num_words >= SHORTEST_CLAUSE
            num_words = int(token.is_word)
    return max(1, num_clauses + (num_words >= SHORTEST_CLAUSE))


def _elided(tokens: list[Token], place: int) -> str:
    """A word with what follows its apostrophe: `s'il`."""
    found = tokens[place : place + 3]
    is_one = all(left.end == right.start for left, right in pairwise(found))
    return "".join(token.text for token in found).replace("\u2019", "'") if is_one else ""


def _inside_number(tokens: list[Token], place: int) -> bool:
    """Whether digits stand right before and right after a symbol: `1,5`, `10:30`."""
    if not 0 < place < len(tokens) - 1:
        return False
    before, symbol, after = tokens[place - 1 : place + 2]
    close = before.end == symbol.start and symbol.end == after.start
    return close and before.text[-1].isdigit() and after.text[0].isdigit()
