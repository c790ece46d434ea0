import math

from seqlens.metrics import Score


def test_a_score_shows_its_interval_where_it_has_one():
    assert str(Score("BLEU", 34.16, 32.94, 35.55, "", 10)) == "BLEU 34.2 [32.9, 35.5]"
    assert str(Score("BLEU", 34.16, math.nan, math.nan, "", 10)) == "BLEU 34.2"
    assert str(Score("exact match", 0.5, 0.25, 0.75, "", 10, decimals=3)) == "exact match 0.500 [0.250, 0.750]"
