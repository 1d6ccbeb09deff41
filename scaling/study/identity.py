"""What tells one run from another: every hash of a trunk, a run or a study is made here.

A key at its default leaves no trace in a hash, so that a run keeps its id when a later version can ask for more; keys
of the first committed rows are always spelled out, as they were then. What a study keeps or measures on the way makes
no run another one, and is in no hash.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from scaling.corpora.source import CorpusSource
from scaling.study.spec import Study, Trunk, leaves

FROZEN: dict[type, frozenset[str]] = {
    Trunk: frozenset({
        "width", "depth", "head_dim", "context", "seed", "budgets", "tokens_per_step", "peak_lr", "warmup_tokens",
        "cooldown", "cooldown_shape", "weight_decay", "beta2_half_life", "unique_budget", "max_epochs", "blend",
    }),
    CorpusSource: frozenset({"source", "packages", "path"}),
}  # fmt: skip
"""Keys of the first committed rows. Never add one; and a default of any other key, once released, must stay. The name
of a frozen key must never be given another meaning: ids that are committed were hashed with the one it has."""


def identifying(asked: Trunk | CorpusSource) -> dict[str, Any]:
    """The keys and values that tell it from others: the frozen ones, and the rest where they are not at the default."""
    (frozen,) = (keys for kind, keys in FROZEN.items() if isinstance(asked, kind))
    return {f.name: value for f, value in leaves(asked) if f.name in frozen or value != f.default}


def digest(asked: object) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def config_hash(trunk: Trunk) -> str:
    """Hash of everything but seed, member and budgets."""
    asked = identifying(trunk)
    return digest({key: asked[key] for key in asked.keys() - {"seed", "member", "budgets"}})


def trunk_id(trunk: Trunk, corpus_hash: str) -> str:
    """Hash of configuration, seed, member and corpus; the budgets that branch off do not change a trunk."""
    asked = [config_hash(trunk), trunk.seed, corpus_hash]
    return digest([*asked, trunk.member] if trunk.member else asked)


def run_id(trunk: Trunk, corpus_hash: str, budget: int, kind: str = "annealed", members: int = 1) -> str:
    """Hash of the trunk and one budget, and of the kind and the members where they are not the usual ones."""
    asked = [trunk_id(trunk, corpus_hash), budget, kind, members]
    return digest(asked[: 4 if members > 1 else 3 if kind != "annealed" else 2])


def parent_run(trunk: Trunk, corpus_hash: str) -> str | None:
    """The run whose weights a trunk starts from; None where they are drawn."""
    parent = trunk.parent_trunk
    return parent and run_id(parent, corpus_hash, max(parent.schedule.budgets))


def spell_out(study: Study) -> str:
    """What a study trains, its corpus and then a trunk a line, in JSON."""
    lines = [{"corpus": identifying(study.corpus)}, *map(identifying, study.trunks)]
    return "".join(json.dumps(line, default=asdict) + "\n" for line in lines)


def difference(before: str, now: str) -> str:
    """The lines of only one of two spelled-out studies, marked - where the first has it and + where the second does.

    Neither the order of the lines nor that of the keys in one is a difference.
    """
    old, new = (
        dict.fromkeys(json.dumps(json.loads(line), sort_keys=True) for line in text.splitlines())
        for text in (before, now)
    )
    lost, added = (
        [sign + line for line in a if line not in b] for sign, a, b in (("-", old, new), ("+", new, old))
    )
    return "\n".join([*lost, *added])
