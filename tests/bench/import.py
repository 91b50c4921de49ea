#!/usr/bin/env python3
"""import.py - a recorder database through the real suite: rows a second, memory, bytes a row.

STATES=10000000 python3 tests/bench/import.py      RECORDER=file: one that is there already
"""

import json
import os
import pathlib
import sqlite3
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "suite"), str(ROOT / "tests" / "bench")]
from chain import store_size  # noqa: E402
from system import Workspace, wait_for  # noqa: E402

STATES = int(os.environ.get("STATES", "10000000"))


def resident(pid):
    """(resident, of these of its own): MiB."""
    values = dict(line.split(":") for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(values["Rss"].split()[0]) / 1024, int(values["Pss"].split()[0]) / 1024


class Memory:
    def __init__(self, system):
        self.system, self.most, self.most_all = system, {}, 0

    def look(self):
        all_of_them = 0
        for name in self.system.names() + ["import"]:
            try:
                rss, pss = resident(self.system.pid(name))
            except (OSError, KeyError):
                continue
            self.most[name] = max(self.most.get(name, 0), rss)
            all_of_them += pss
        self.most_all = max(self.most_all, all_of_them)


def watch(system, memory):
    while True:
        status = system.api.get("/api/v1/import")
        memory.look()
        if status["state"] in ("done", "failed"):
            return status
        time.sleep(0.5)


def run(path):
    with Workspace() as place:
        system = place.system(enrich=1, query=1).start(live=False)
        wait_for(lambda: "registry of session" in system.log_text(), 30, "enrich to have a registry")
        memory = Memory(system)
        for turn in ("first", "second"):
            load = os.getloadavg()[0]
            before = time.monotonic()
            system.api.request("POST", "/api/v1/import", json.dumps({"path": str(path)}), {"Content-Type": "application/json"})
            status = watch(system, memory)
            seconds = time.monotonic() - before
            rows = status["states"] + status["events"] + status["statistics"] + status["short_term"]
            print(f"{turn} run: {status['text']}\n  {rows} rows in {seconds:.1f} s: {rows / seconds:.0f} rows/s, load {load:.1f} to "
                  f"{os.getloadavg()[0]:.1f}", flush=True)
            print("  most resident, MiB:", ", ".join(f"{name} {rss:.1f}" for name, rss in sorted(memory.most.items())),
                  f"; all at once (shared pages once) {memory.most_all:.1f}", flush=True)
        system.stop()
        size = store_size(system)
        base = sqlite3.connect(system.data / "store.db")
        events, statistics = (base.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("time", "statistic"))
        base.close()
        print(f"in the store: {events} events, {statistics} statistics, {size} bytes, {size / rows:.1f} a row")


if __name__ == "__main__":
    given = os.environ.get("RECORDER")
    path = pathlib.Path(given or f"/tmp/recorder-{STATES}-{os.getpid()}.db")
    try:
        if not given:
            os.spawnv(os.P_WAIT, ROOT / "tests" / "bench" / "make_recorder", ["make_recorder", str(path), str(STATES)])
        run(path)
    finally:
        if not given:
            path.unlink(missing_ok=True)
