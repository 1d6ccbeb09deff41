"""Machines that share a study by a store on a bad network: what each does is what a launcher does, but for training."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from disturb import Tally, file_of, make_study, rows_of, runs_on_disk, write_missing
from flaky import Network, flaky

from scaling.store import SharedStore, StoreUnreachable
from scaling.study import read_study


def share_a_study(root: Path, share: float, *, seed: int, machines: int = 3) -> tuple[Tally, Network]:
    """What is left after machines have worked at once on a store of whose calls a share fails.

    Lost, doubled and changed are counted on every machine and in the store; work that two have done counts as doubled.
    """
    tally, made = Tally("network"), []
    names = [f"m{number}/runs" for number in range(machines)]
    folders = [make_study(root / name, "made") for name in names]
    sound = [row for trunk in read_study(folders[0]).trunks for group in rows_of(trunk) for row in group]
    sound = sorted((row["run"] for row in sound if "run" in row), key=lambda row: row["run_id"])

    def work(folder: Path) -> None:
        store = SharedStore(read_study(folder), f"flaky://{root}/shared")
        while True:
            try:
                store.check_unchanged()
                store.remember_study()
                return _take_what_is_free(store, made)
            except StoreUnreachable:  # whoever is refused types the same command again
                tally.named += 1

    with flaky(share, seed=seed) as network, ThreadPoolExecutor(machines) as threads:
        for done in [threads.submit(work, folder) for folder in folders]:
            done.result()
    tally.faults = network.faults
    with flaky(0.0):
        for folder in folders:
            SharedStore(read_study(folder), f"flaky://{root}/shared").check_unchanged()
    tally.doubled += len(made) - len(set(made))
    for folder in folders:
        tally.compare(runs_on_disk(folder), sound)
    return tally, network


def _take_what_is_free(store: SharedStore, made: list[str]) -> None:
    trunks = [rows_of(trunk) for trunk in store.study.trunks]
    waiting = {group[0][-1]["run"]["trunk_id"]: group for group in trunks}
    while waiting:
        finished = store.finished()
        for trunk, groups in list(waiting.items()):
            runs = {rows[-1]["run"]["run_id"] for rows in groups}
            if runs <= finished:
                del waiting[trunk]
            elif lease := store.claim(trunk):
                try:
                    store.bring(trunk, ())
                    if not runs <= store.finished(trunks=[trunk]):
                        made.append(trunk)
                        write_missing(file_of(store.local, groups), groups, lambda: time.sleep(0.002))
                        lease.refresh()
                        store.send(trunk, [trunk], (), done=True).result()
                finally:
                    lease.release()
        time.sleep(0.001)
