"""sources.py - does a source that is slow, lying or dying cost the events anything? Latency from frame to row, in turns in one run.

Four sources against the fake internet, 4,000 events/s. In a turn: they rest; are asked every second and all is well; all hang; all get
garbage (deep, huge, wrong, bombs); are killed twice a second. Each phase lasts as long as the sink's histogram looks back at that rate.
The end: every event that happened is stored. Usage: HA_INGESTOR_BIN=build/bench TURNS=2 python3 tests/bench/sources.py
"""

import itertools
import json
import os
import pathlib
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
from system import ROOT, Api, Process, Workspace, free_port, wait_for  # noqa: E402

TURNS = int(os.environ.get("TURNS", "2"))
RATE, WINDOW = int(os.environ.get("RATE", "4000")), 2 * 32768  # events/s; rows that the sink's histogram has
SOURCES = {"weather": "open-meteo", "airquality": "open-meteo", "carbon": "uk", "electricity": "tibber"}
PHASES = {"resting": [""], "healthy": [""], "hanging": ["slow"], "garbage": ["deep", "huge", "wrong", "bomb"], "killed": [""]}


class Upstream:
    """The fake internet in a process of its own that takes no time from anybody."""

    def __init__(self, place):
        self.api = Api(free_port())
        command = f"echo 19 >/proc/self/autogroup; exec nice -n 19 {sys.executable} {ROOT}/tests/upstream/upstream.py --port {self.api.port}"
        self.process = Process(["sh", "-c", command], place.path / "upstream.log")
        wait_for(lambda: self.api.get("/log") == [], 20, "the fake internet to listen")

    def url(self, provider):
        return f"http://127.0.0.1:{self.api.port}/{provider}"

    def have(self, fault):
        self.api.request("POST", "/control", json.dumps({page: fault for page in ("air", "open-meteo", "uk", "tibber")}))


def settings(upstream):
    own = {"ELECTRICITY_TOKEN": "t0ken"}
    for source, provider in SOURCES.items():
        page = "air" if source == "airquality" else provider
        own.update({f"{source.upper()}_PROVIDER": provider, f"{source.upper()}_URL": upstream.url(page), f"{source.upper()}_TIMEOUT_MS": 3000})
    return own


def measure(system, home, upstream, phase):
    """One phase: (p50, p99) in ms; its events fill the histogram."""
    first = home.stats()["events"]
    for i, fault in enumerate(itertools.cycle(PHASES[phase])):
        upstream.have(fault)
        if phase != "resting":
            for source in SOURCES:
                system.signal(source, signal.SIGKILL if phase == "killed" else signal.SIGHUP)
        time.sleep(0.5 if phase == "killed" else 1)
        if home.stats()["events"] - first > WINDOW * 1.05:
            break
    counters = next(row["counters"] for row in system.api.get("/api/v1/health")["actors"] if row["actor"] == "sink")
    return counters["latency_p50_us"] / 1000, counters["latency_p99_us"] / 1000


def main():
    with Workspace() as place:
        upstream = Upstream(place)
        home = place.home("--rate", RATE, "--wait-for-client", truth=False)
        system = place.system(home_port=home.port, enrich=1, INGEST_BACKFILL="false", **settings(upstream)).start()
        wait_for(lambda: all(row["status"] == "ok" for row in system.api.get("/api/v1/sources")["sources"]), 30, "the sources to be ok")
        seen = {phase: [] for phase in PHASES}
        for _ in range(TURNS):
            for phase in PHASES:
                seen[phase].append(measure(system, home, upstream, phase))
        home.control("stop-events")
        happened = home.stats()["events"]

        def settled():
            ours = next(row for row in system.api.get("/api/v1/conservation")["sources"] if row["source"] == "ingest")
            return ours["in_flight"] == 0 and ours["received"] >= happened and ours
        ours = wait_for(settled, 60, "every event to be somewhere", 0.5)
        for phase, runs in seen.items():
            print(f"{phase:8} p50 {statistics.median(r[0] for r in runs):6.2f} ms, p99 {statistics.median(r[1] for r in runs):6.2f} ms; runs "
                  + ", ".join(f"{a:.2f}/{b:.2f}" for a, b in runs), flush=True)
        print(f"{happened} events happened, {ours['received']} received with those of the sources, {ours['missing']} missing", flush=True)
        assert ours["missing"] == 0, ours
        system.stop()
        upstream.process.stop()


if __name__ == "__main__":
    main()
