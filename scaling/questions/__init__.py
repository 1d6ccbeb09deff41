"""Questions that people ask, answered from runs: each returns a `Verdict`, or says that the runs cannot tell."""

from scaling.questions.audit import audit, chain, influence
from scaling.questions.compute import next_decade
from scaling.questions.inputs import Input, Inputs, read_inputs
from scaling.questions.plateau import plateau
from scaling.questions.wall import Wall, wall

__all__ = [
    "audit",
    "chain",
    "influence",
    "next_decade",
    "plateau",
    "wall",
    "Wall",
    "read_inputs",
    "Inputs",
    "Input",
]
