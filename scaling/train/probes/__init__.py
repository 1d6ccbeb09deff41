"""Probes: what is measured of the models of a stack, beside the loss that every run has.

A study asks for probes by name, `probes = ["position"]`: each is called at the end of every branch, and with ":curve"
behind its name at every point of the learning curve too. A new probe is one file here and its name in
`records.PROBES`. The file holds a class with a `name`, a `unit` and `measure`, and ends with an instance of it:

    class Confidence:
        name, unit = "confidence", "1"

        def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
            '''Share of held-out windows whose loss is below one nat, for each domain.'''
            tables = {domain: stack.evaluate(w) < 1 for domain, w in windows.items()}
            return [
                Reading(k, domain, float(sure[k].mean()), stderr(sure[k]), len(sure[k]))
                for domain, sure in tables.items()
                for k in range(len(stack.trunks))
            ]

    PROBE = Confidence()

A probe that asks a study's `[items]` ends with the class in place of an instance, which is then made of them.

It sees the stack, with its trunks, corpus and weights, and held-out windows of each domain. It changes none of them, so
a run is the same run whether it is measured or not. The loop gives each reading the id and the step of its run, and
writes it together with that run's rows: a job that is killed neither loses nor doubles it. A finished run is not
trained again for a probe that was asked for later, and a model that has diverged is not measured.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from scaling.corpora.corpus import Corpus
from scaling.corpora.items import Items
from scaling.corpora.synthetic import writer
from scaling.records import ON_CURVES, Measurement, check_probes
from scaling.train.stack import Stack

Kind = TypeVar("Kind")
Windows = Mapping[str, NDArray[np.int64]]
"""Held-out windows of each domain, `[windows, context + 1]` tokens each."""


@dataclass(frozen=True)
class Reading:
    """What a probe measured of one model of a stack, for one group of what it looked at."""

    model: int
    """Its place in the stack."""
    group: str
    value: float
    stderr: float
    n: int
    """Independent things, such as windows, that `value` is the mean of."""


class Probe(Protocol):
    """Something that can be measured of models as they are now."""

    name: str
    unit: str
    """Of the values, e.g. "nats/token"."""

    def measure(self, stack: Stack, windows: Windows) -> list[Reading]:
        """A reading for every model of the stack and every group."""
        ...


def asked_probes(asked: Sequence[str], *, on_curves: bool, items: Items | None = None) -> list[Probe]:
    """The probes that a study asks for, or those of them that it asks for on learning curves; and of what items.

    Held-out loss is none of them: it is measured in any case, and its rows are the runs and evaluations.

    Raises:
        BadValue: there is no such probe.
    """
    check_probes(asked)
    chosen = [name.removesuffix(ON_CURVES) for name in asked if not on_curves or name.endswith(ON_CURVES)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in dict.fromkeys(chosen)]
    probes = [module.PROBE for module in modules if module.PROBE.name != "heldout"]
    return [probe(items) if isinstance(probe, type) else probe for probe in probes]


def writers_of(corpus: Corpus, windows: Windows, kind: type[Kind]) -> Iterator[tuple[str, Kind]]:
    """The measured domains whose documents are of a kind, and who writes them."""
    for domain in sorted(windows.keys() & corpus.documents.keys()):
        about = corpus.documents[domain]
        writes = writer(about["kind"], tuple((key, value) for key, value in about["parameters"]))
        if isinstance(writes, kind):
            yield domain, writes


def measurements(
    probes: Sequence[Probe], stack: Stack, windows: Windows, ids: Mapping[int, str]
) -> dict[int, list[Measurement]]:
    """The rows of some models of a stack as they are now, each model's under its id."""
    rows: dict[int, list[Measurement]] = {k: [] for k in ids}
    for probe in probes if ids else ():
        for reading in probe.measure(stack, windows):
            if reading.model in rows:
                measured = Measurement(
                    run_id=ids[reading.model],
                    step=stack.step,
                    probe=probe.name,
                    group=reading.group,
                    value=reading.value,
                    stderr=reading.stderr,
                    n=reading.n,
                    unit=probe.unit,
                )
                rows[reading.model].append(measured)
    return rows
