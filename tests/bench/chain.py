"""chain.py - the whole chain in figures: events from the simulated home over WebSocket to committed rows.

Prints events/s with 1 and 2 enrich workers, CPU per event of every process, latency from frame to
commit at several rates, PSS idle and under load, bytes per event on disk, and REST requests/s
beside nginx in the same run. Everything is Release; medians of RUNS (3). Usage: tests/bench/run
"""

import json
import os
import pathlib
import re
import sqlite3
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
from system import Process, Workspace, free_port, microseconds, wait_for  # noqa: E402

RUNS = int(os.environ.get("RUNS", "3"))
EVENTS = int(os.environ.get("EVENTS", "1000000"))
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def pss_kb(pid):
    return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


def processes(system, home=None):
    pids = {name: pid for name, pid in system.pids().items() if pid}
    if home:
        pids["home"] = home.process.child.pid
    return pids


def supervisors(system):
    """s6 itself and the logger."""
    out = subprocess.run(["pgrep", "-s", str(system.supervisor.child.pid)], capture_output=True, text=True).stdout
    return [int(p) for p in out.split()]


def memory(system):
    each = {name: pss_kb(pid) / 1024 for name, pid in processes(system).items()}
    s6 = 0
    for pid in supervisors(system):
        if pid not in system.pids().values():
            try:
                s6 += pss_kb(pid) / 1024
            except OSError:
                pass
    return {**each, "s6+log": s6}


def show(title, rows, unit):
    print(f"{title}: " + ", ".join(f"{k} {v:.2f}" for k, v in rows.items()) + f"; in all {sum(rows.values()):.2f} {unit}", flush=True)


def moment(text):
    return microseconds(text) / 1e6


def saturate(workers):
    """As fast as the chain takes them: (events/s, CPU us/event by process, peak PSS, bytes/event).

    The clock runs from the first frame received to the last row committed, both as the processes
    themselves noted them.
    """
    with Workspace() as place:
        home = place.home("--rate", 200000, "--wait-for-client", "--events", EVENTS, truth=False)
        system = place.system(home_port=home.port, enrich=workers, INGEST_BACKFILL="false").start(live=False)
        before = {name: cpu_seconds(pid) for name, pid in processes(system, home).items()}
        peak = {}

        def finished():
            for name, mb in memory(system).items():
                peak[name] = max(peak.get(name, 0), mb)
            sink = counters(system, "sink")
            return sink if sink.get("stored") and sink["stored"] >= EVENTS else None

        sink = wait_for(finished, 600, "all rows", 0.25)
        cpu = {name: (cpu_seconds(pid) - before[name]) / EVENTS * 1e6
               for name, pid in processes(system, home).items() if name in before}
        assert system.api.count() == EVENTS, "rows are missing"
        first = system.api.get("/api/v1/events", sort="asc", limit=1)[0]
        seconds = moment(sink["last_commit_at"]) - moment(first["received_at"])
        system.stop()
        return EVENTS / seconds, cpu, peak, store_size(system) / EVENTS


def store_size(system):
    """The file with everything in it that its write-ahead log held."""
    base = sqlite3.connect(system.data / "store.db")
    try:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        base.close()
    return (system.data / "store.db").stat().st_size


def counters(system, actor):
    for row in system.api.get("/api/v1/health")["actors"]:
        if row["actor"] == actor:
            return row["counters"]
    return {}


def latency(rate, seconds):
    """Frame received to committed, ms: p50, p99, from the sink's own histogram; CPU us/event."""
    with Workspace() as place:
        home = place.home("--rate", rate, "--wait-for-client", truth=False)
        system = place.system(home_port=home.port, enrich=1, INGEST_BACKFILL="false").start()
        wait_for(lambda: home.stats()["events"] > rate, 30, "a second of events")
        pids = processes(system)
        before, first = {n: cpu_seconds(p) for n, p in pids.items()}, home.stats()["events"]
        wait_for(lambda: home.stats()["events"] - first >= rate * seconds, seconds * 4, "events")
        events = home.stats()["events"] - first
        cpu = sum(cpu_seconds(p) - before[n] for n, p in pids.items()) / events * 1e6
        stats = counters(system, "sink")
        return stats["latency_p50_us"] / 1000, stats["latency_p99_us"] / 1000, cpu


def idle():
    """A house of 10 events/s and nobody asking: (PSS, CPU % by process), over 20 seconds or so."""
    with Workspace() as place:
        home = place.home("--rate", 10, "--wait-for-client", truth=False)
        system = place.system(home_port=home.port, enrich=1, INGEST_BACKFILL="false").start()
        wait_for(lambda: home.stats()["events"] > 20, 30, "the start to be over", 0.2)
        clock = time.monotonic
        began, before, first = clock(), {n: cpu_seconds(p) for n, p in processes(system).items()}, home.stats()["events"]
        wait_for(lambda: home.stats()["events"] - first >= 200, 60, "200 events", 0.5)
        seconds = clock() - began
        cpu = {n: (cpu_seconds(p) - before[n]) / seconds * 100 for n, p in processes(system).items()}
        return memory(system), cpu


def wrk(url, seconds=4, connections=16):
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url], capture_output=True, text=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    def ms(text):
        number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
        return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return rate, *(ms(re.search(rf"^\s+{percent}%\s+(\S+)", out, re.M)[1]) for percent in (50, 99))


def rest():
    """One small read through the broker, and nginx `return` beside it, alternating."""
    with Workspace() as place:
        port = free_port()
        conf = place.path / "nginx.conf"
        conf.write_text(f"daemon off; worker_processes 1; pid {place.path}/nginx.pid; error_log stderr;"
                        f"events {{}} http {{ access_log off; server {{ listen 127.0.0.1:{port};"
                        f" location / {{ default_type application/json; return 200 '{{\"count\":123456,\"x\":\"0123456789abcdef\"}}'; }} }} }}")
        nginx = Process(["nginx", "-c", str(conf), "-p", str(place.path)], place.path / "nginx.log")
        home = place.home("--rate", 100, "--wait-for-client", truth=False)
        system = place.system(home_port=home.port, enrich=1, INGEST_BACKFILL="false").start()
        wait_for(lambda: system.api.count() > 500, 30, "some events")
        home.control("stop-events")
        try:
            rows = []
            for _ in range(RUNS):
                rows.append((wrk(f"http://127.0.0.1:{system.port}/api/v1/events?limit=1"),
                             wrk(f"http://127.0.0.1:{system.port}/api/v1/ingest"), wrk(f"http://127.0.0.1:{port}/")))
            for i, name in enumerate(("events?limit=1", "ingest status", "nginx return")):
                rates = [r[i][0] for r in rows]
                print(f"REST {name}: {statistics.median(rates):.0f} requests/s (runs {', '.join(f'{x:.0f}' for x in rates)}), "
                      f"p50 {statistics.median(r[i][1] for r in rows):.2f} ms, p99 {statistics.median(r[i][2] for r in rows):.2f} ms; "
                      f"ratio to nginx {statistics.median(r[i][0] / r[2][0] for r in rows):.2f}", flush=True)
        finally:
            nginx.stop()


def main():
    print(f"machine: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {RUNS} runs, {EVENTS} events each", flush=True)
    most = 0
    for workers in (1, 2):
        runs = [saturate(workers) for _ in range(RUNS)]
        rates = sorted(r[0] for r in runs)
        most = max(most, statistics.median(rates))
        middle = min(runs, key=lambda r: abs(r[0] - statistics.median(rates)))
        print(f"{workers} enrich worker(s): {statistics.median(rates):.0f} events/s (runs {', '.join(f'{x:.0f}' for x in rates)})", flush=True)
        show("  CPU us/event", middle[1], "us")
        show("  PSS MB, peak", middle[2], "MB")
        print(f"  bytes/event on disk: {middle[3]:.0f}", flush=True)
    # As long as the sink's histogram looks back, so that the start, which waits for the registry, is out of it.
    for rate, seconds in ((100, 70), (1000, 70), (10000, 12), (int(most * 0.8), 6)):
        p50, p99, cpu = latency(rate, seconds)
        print(f"{rate}/s: frame to commit p50 {p50:.1f} ms, p99 {p99:.1f} ms; CPU of ours {cpu:.0f} us/event", flush=True)
    pss, cpu = idle()
    show("PSS MB at 10 events/s", pss, "MB")
    show("CPU % at 10 events/s", cpu, "%")
    rest()


if __name__ == "__main__":
    main()
