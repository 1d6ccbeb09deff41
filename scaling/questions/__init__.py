"""Questions that people ask, answered from runs: each returns a `Verdict`, or says that the runs cannot tell."""

from scaling.questions._audit.answer import audit, chain, influence
from scaling.questions._decade.answer import next_decade
from scaling.questions._index.answer import index, replay
from scaling.questions._plateau.answer import plateau
from scaling.questions._repetition.answer import repetition
from scaling.questions._silence.answer import silence
from scaling.questions._trend.answer import trend
from scaling.questions._wall.answer import Wall, wall
from scaling.questions._wall.inputs import Input, Inputs, read_inputs

__all__ = [
    "audit",
    "chain",
    "influence",
    "index",
    "next_decade",
    "plateau",
    "repetition",
    "replay",
    "silence",
    "trend",
    "wall",
    "Wall",
    "read_inputs",
    "Inputs",
    "Input",
]
