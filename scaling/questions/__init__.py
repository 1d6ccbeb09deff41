"""Questions that people ask, answered from runs: each returns a `Verdict`, or says that the runs cannot tell."""

from scaling.questions.audit import audit, chain, influence
from scaling.questions.compute import next_decade
from scaling.questions.index import index, replay
from scaling.questions.inputs import Input, Inputs, read_inputs
from scaling.questions.plateau import plateau
from scaling.questions.repetition import repetition
from scaling.questions.silence import silence
from scaling.questions.trend import trend
from scaling.questions.wall import Wall, wall

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
