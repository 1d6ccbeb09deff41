"""Questions that people ask, answered from runs: each returns a `Verdict`, or says that the runs cannot tell."""

from scaling.questions.compute import next_decade

__all__ = ["next_decade"]
