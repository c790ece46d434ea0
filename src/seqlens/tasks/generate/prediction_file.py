"""The file from which another program can compute bits per character and perplexity."""

import json
from collections.abc import Sequence

from seqlens.tasks.generate.answer import GeneratedText


def prediction_lines(answers: Sequence[GeneratedText]) -> str:
    """A JSON object a document: characters, tokens and their natural log-probabilities.

    Bits per character are `Σ (unknown_nats - Σ log_probs) / ln 2 / Σ characters`; perplexity is `exp(-Σ log_probs / Σ
    tokens)`.
    """
    lines = []
    for answer in answers:
        record = {
            "text": answer.text,
            "characters": answer.num_characters,
            "unknown_nats": answer.unknown_nats,
            "tokens": list(answer.tokens),
            "log_probs": list(answer.log_probs),
        }
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    return "".join(lines)
