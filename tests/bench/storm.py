"""storm.py - a home that sends more than the chain takes: is it ever dropped, what does it cost, how long until all is stored?

The simulated home applies Home Assistant's own limits (4096 messages pending, or more than 1024 for
ten seconds, and the client is cut). Prints the connection's fate, the peaks of the capture log and
of memory, the time to drain, and of every process the CPU time and the time it waited for a core
while the storm lasted. On a machine that is busy with other things only CPU time means anything.

Usage: tests/bench/storm.py [--seconds 60] [--entities 16384] [--rate 163840] [--coalesce]
    [--stall SECONDS]  stop the sink (SIGSTOP) for so long after two seconds, instead of the storm's own length
    [--array EVENTS]   also an array of so many events every second
    [--no-drain]       do not wait until everything is stored
    [--prefer NICE]    home and suite before the rest of the machine: -15 (needs root)
    [NAME=VALUE ...]   settings
"""

import argparse
import os
import pathlib
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
from system import Workspace, wait_for  # noqa: E402

EVERY_S = 0.25
MB = 1e6


def spent(pid):
    """(CPU, waiting for a core) of all threads, in seconds."""
    cpu = waited = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        ran, ready, _ = (task / "schedstat").read_text().split()
        cpu, waited = cpu + int(ran), waited + int(ready)
    return cpu / 1e9, waited / 1e9


def pss(pid):
    return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) * 1024 / MB


def capture_bytes(system):
    total = 0
    for file in (system.data / "capture").glob("*.log"):
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            pass
    return total / MB


class Watch:
    """Looks at everything a few times a second; the peaks are what it saw."""

    def __init__(self, home, system):
        self.home, self.system = home, system
        self.pids = {**{name: pid for name, pid in system.pids().items() if pid}, "home": home.process.child.pid}
        self.began = {name: spent(pid) for name, pid in self.pids.items()}
        self.peaks, self.peak_all, self.capture, self.pending = {}, 0, 0, 0

    def look(self):
        sizes = {name: pss(pid) for name, pid in self.pids.items()}
        for name, mb in sizes.items():
            self.peaks[name] = max(self.peaks.get(name, 0), mb)
        self.peak_all = max(self.peak_all, sum(mb for name, mb in sizes.items() if name != "home"))
        self.capture = max(self.capture, capture_bytes(self.system))
        stats = self.home.stats()
        self.pending = max(self.pending, stats.get("pending_peak", stats["pending"]))
        return stats

    def costs(self, events):
        """{process: (CPU us an event, % of the time it had to wait for a core)}"""
        spans = {name: [now - before for now, before in zip(spent(pid), self.began[name])] for name, pid in self.pids.items()}
        return {name: (cpu / events * 1e6, waited) for name, (cpu, waited) in spans.items()}


def prefer(pids, by):
    for pid in pids:
        group = pathlib.Path(f"/proc/{pid}/autogroup")
        if by and group.exists():
            group.write_text(str(int(group.read_text().split()[-1]) + by))
        elif by:
            os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + by)


def counters(system, actor):
    for row in system.api.get("/api/v1/health")["actors"]:
        if row["actor"] == actor:
            return row["counters"]
    return {}


def until(watch, end, each=lambda: None):
    last = 0
    while True:
        stats = watch.look()
        if end(stats):
            return stats
        if time.monotonic() - last >= 1:
            last = time.monotonic()
            each()
        time.sleep(EVERY_S)


def storm(options, place):
    settings = dict(pair.split("=", 1) for pair in options.settings)
    home = place.home("--rate", 10, "--entities", options.entities, "--wait-for-client", "--strict",
                      *(["--coalesce"] if options.coalesce else []), truth=False)
    system = place.system(home_port=home.port, enrich=1, **settings).start()
    wait_for(lambda: system.api.count() > 0, 60, "the first event in the store")
    watch = Watch(home, system)
    prefer(watch.pids.values(), options.prefer)
    first, connections = home.stats()["events"], home.stats()["connections"]
    print(f"quiet: {sum(pss(pid) for name, pid in watch.pids.items() if name != 'home'):.1f} MB PSS in all", flush=True)

    began = time.monotonic()
    home.control(f"rate {options.rate}")
    each = (lambda: home.control(f"array {options.array}")) if options.array else (lambda: None)
    seconds = options.seconds
    if options.stall:
        until(watch, lambda _: time.monotonic() - began > 2)
        system.signal("sink", signal.SIGSTOP)
        seconds = options.stall + 2
    until(watch, lambda _: time.monotonic() - began > seconds, each)
    if options.stall:
        system.signal("sink", signal.SIGCONT)
    home.control("stop-events")
    stopped = time.monotonic()
    stats = home.stats()
    events = stats["events"] - first
    costs = watch.costs(events)
    print(f"{events} events in {stopped - began:.1f} s: {events / (stopped - began):.0f}/s (asked: {options.rate}/s); "
          f"load {os.getloadavg()[0]:.1f}; dropped {stats['dropped']} times, {stats['connections'] - connections} new connections, "
          f"at most {watch.pending} messages pending")
    print("CPU us/event (s waited for a core): "
          + ", ".join(f"{name} {cpu:.2f} ({waited:.1f})" for name, (cpu, waited) in costs.items()), flush=True)

    if options.drain:
        def done(_):
            ingest = counters(system, "ingest")
            return ingest["published"] >= ingest["received"] - ingest.get("given_up", 0) and capture_bytes(system) < 9
        until(watch, done)
        sink, ingest = counters(system, "sink"), counters(system, "ingest")
        left = time.monotonic() - stopped
        print(f"drained {left:.1f} s later ({events / (time.monotonic() - began):.0f} events/s over all); "
              f"received {ingest['received']}, given up {ingest.get('given_up', 0)}, quarantined {ingest.get('quarantined', 0)}; sink: "
              + ", ".join(f"{k} {v}" for k, v in sink.items() if k in ("received", "stored", "duplicate", "quarantined")))
        print(f"stored {system.api.count()} rows of {stats['events']} events; gaps: "
              + ", ".join(sorted({g['cause'] for g in system.api.gaps()})))
    print(f"capture log at most {watch.capture:.0f} MB ({watch.capture * MB / max(events, 1):.0f} B/event of the storm)")
    print("PSS MB at most: " + ", ".join(f"{name} {mb:.1f}" for name, mb in watch.peaks.items())
          + f"; all of ours in one moment {watch.peak_all:.1f}")
    time.sleep(5)
    print(f"afterwards: {sum(pss(pid) for name, pid in watch.pids.items() if name != 'home'):.1f} MB", flush=True)
    problems = re.findall(r"^.*(?:ERROR|WARN).*$", system.log_text(), re.M)
    print("\n".join(problems[:10]))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--entities", type=int, default=16384)
    parser.add_argument("--rate", type=int, default=163840)
    parser.add_argument("--coalesce", action="store_true")
    parser.add_argument("--stall", type=float, default=0)
    parser.add_argument("--array", type=int, default=0)
    parser.add_argument("--prefer", type=int, default=0)
    parser.add_argument("--no-drain", dest="drain", action="store_false")
    parser.add_argument("settings", nargs="*")
    with Workspace() as place:
        storm(parser.parse_args(), place)


if __name__ == "__main__":
    main()
