"""Questions that people ask, answered from runs: each returns a `Verdict`, or says that the runs cannot tell."""

from scaling.questions._audit.answer import audit, influence
from scaling.questions._audit.chain import chain
from scaling.questions._decade.answer import misses, next_decade
from scaling.questions._duplicates.answer import duplicates
from scaling.questions._index.answer import index, index_as_of
from scaling.questions._law.answer import which_law
from scaling.questions._locality.answer import locality
from scaling.questions._locality.flags import flags_known
from scaling.questions._memory.answer import memory
from scaling.questions._plateau.answer import plateau
from scaling.questions._preference.answer import preference
from scaling.questions._reasoning.answer import reasoning
from scaling.questions._repetition.answer import judge, repetition
from scaling.questions._repetition.cells import best_epochs, until_best_epoch, without_interventions
from scaling.questions._repetition.interventions import interventions
from scaling.questions._replay.answer import month_ends, replay
from scaling.questions._silence.answer import silence
from scaling.questions._synthetic.answer import Synthetic, synthetic
from scaling.questions._transfer.answer import transfer
from scaling.questions._transfer.fitted import fitted_laws
from scaling.questions._trend.answer import trend
from scaling.questions._wall.answer import Wall, wall
from scaling.questions._wall.inputs import Input, Inputs
from scaling.questions._wall.scenario import read_inputs

__all__ = [
    "Input",
    "Inputs",
    "Synthetic",
    "Wall",
    "audit",
    "best_epochs",
    "chain",
    "duplicates",
    "fitted_laws",
    "flags_known",
    "index",
    "index_as_of",
    "influence",
    "interventions",
    "judge",
    "locality",
    "memory",
    "misses",
    "month_ends",
    "next_decade",
    "plateau",
    "preference",
    "read_inputs",
    "reasoning",
    "repetition",
    "replay",
    "silence",
    "synthetic",
    "transfer",
    "trend",
    "until_best_epoch",
    "wall",
    "which_law",
    "without_interventions",
]
