"""How answers read: names, gains and models in words, and one style in every sentence."""

import re

import pytest
from test_verdicts import ASKED

from scaling.questions.phrases import amount, gain_of, models, moves, named

INTERVAL = r"\d+ % (interval -?[\d.]+\S* to -?[\d.]+|bound)"


def test_languages_have_a_capital_and_other_domains_none():
    assert named("loops in english") == "loops in English"
    assert named("shuffled code") == "shuffled code"


def test_a_gain_says_what_it_does_to_what_was_measured():
    ends = 0.053, 0.0096, 0.0969, 0.95
    assert (
        moves(gain_of(*ends, "nats/token"))
        == "lowers the loss by 0.053 nats/token (95 % interval 0.010 to 0.097)"
    )
    assert (
        moves(gain_of(*ends, "of answers"))
        == "brings 5.3 points more right answers (95 % interval 1.0 to 9.7)"
    )
    loss = gain_of(-0.02, -0.05, 0.01, 0.95, "of answers")
    assert moves(loss) == "brings 2.0 points fewer right answers (95 % interval -1.0 to 5.0)"
    assert moves(gain_of(*ends, "bits/parameter")).startswith("brings 0.053 bits/parameter more (95 %")
    assert amount(0.053, "of answers") == "5.3 points"


def test_models_are_told_by_size_and_seeds():
    assert models(6_144, 393_216, 8) == "models of 6.1k to 390k parameters, 8 seeds"
    assert models(98_304, 98_304, 1) == "models of 98k parameters, 1 seed"


@pytest.mark.parametrize("name", ASKED)
def test_every_answer_begins_short_in_bold_and_writes_intervals_in_one_way(name):
    said = ASKED[name]().sentence
    assert said.startswith("**") and said.endswith(".")
    first = re.split(r"(?<=[.!?]) (?=[A-Z*])", said)[0]
    assert len(re.sub(rf"\({INTERVAL}\)", "", first).split()) <= 36, first
    assert said.count(" interval ") + said.count(" bound)") == len(re.findall(rf"\({INTERVAL}", said))
    assert not re.search(r"[+]\d|n = \d|\bnan\b|e\+\d|\benglish\b|-0\.0+\b", said)
