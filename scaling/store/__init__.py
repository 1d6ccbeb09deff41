"""The run store: what every study asked for and what came out.

    runs/<study>/study.toml            what was asked
    runs/<study>/runs.parquet          what came out, committed; its metadata holds the study spelled out
    runs/<study>/evaluations.parquet   learning curves and per-domain losses, committed
    runs/<study>/measurements.parquet  what probes measured, committed, where a study asked for any
    runs/<study>/SHA256SUMS            check sums of these tables; whoever opens one compares it
    .store/<study>/rows/*.jsonl        the same rows as this machine made them, not committed
    .store/<study>/weights             weights of finished runs, where a study keeps them
    .store/<study>/{asked,leases,checkpoints,logs}

Machines without a common disk share a store by a URL (see `shared`): each works in its `.store` as above.

A row is known by `run_id`: configuration, seed, budget and corpus. Where this machine has made a committed row again,
its own row is the one that is read.
"""

from scaling.store.opening import (
    BadCondition,
    ceiling_share,
    open_evaluations,
    open_measurements,
    open_runs,
    select_rows,
    studies,
)
from scaling.store.rows import Store, StudyChanged
from scaling.store.shared import SharedStore, StoreUnreachable, shared_or_own
from scaling.store.tables import ChangedTable

__all__ = [
    "BadCondition",
    "ChangedTable",
    "SharedStore",
    "Store",
    "StoreUnreachable",
    "StudyChanged",
    "ceiling_share",
    "open_evaluations",
    "open_measurements",
    "open_runs",
    "select_rows",
    "shared_or_own",
    "studies",
]
