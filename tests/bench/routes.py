"""routes.py - what every reading route takes on a large store. Usage: tests/bench/routes.py [--help]

Writes a year of a house (bench_year), or takes a directory with a store.db, starts broker, query and gateway on it and asks each route some
times after one that counts as first: milliseconds p50, longest, bytes of the answer; then what memory the processes took at the most.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from store import BIN, DAY, END, YEAR, Ours, say  # noqa: E402


def paths(api, samples):
    """(what, path) of every question; a context, an event and an entity are looked up."""
    entities = subprocess.run([BIN / "bench_year", "entities", str(samples)], capture_output=True, text=True, check=True).stdout.split()[0::4]
    busiest, typical = entities[0], entities[100]
    end, begin = END / 1e6, max(0, (END - YEAR) / 1e6)
    day = end - DAY / 1e6

    def q(path, **names):
        return f"/api/v1/{path}?{urllib.parse.urlencode(names)}"

    event = json.loads(api.request("GET", q("events", entity_id=typical, end_time=end - 86400 * 40, limit=1))[2])[0]
    year, month = {"from": begin, "to": end}, {"from": end - 86400 * 30, "to": end}
    for group in ("entity", "domain", "area", "device"):
        yield f"statistics/by {group}, a year", q("statistics/by", group=group, **year)
    yield "statistics/by entity, sort=changes, a year", q("statistics/by", sort="changes", **year)
    yield "statistics/by entity, a month", q("statistics/by", **month)
    yield "statistics/by entity, a day", q("statistics/by", **{"from": day, "to": end})
    yield "storage/entities", q("storage/entities")
    yield "states, now", q("states")
    yield "states, half a year ago", q("states", at=end - 182 * 86400)
    yield "states/diff, a year", q("states/diff", **year)
    yield "states/diff, a day", q("states/diff", **{"from": day, "to": end})
    yield "events, newest 100", q("events", limit=100)
    yield "events, oldest 100 of all", q("events", limit=100, sort="asc")
    yield "events, 10,000 of a day", q("events", limit=10000, start_time=day - 86400 * 100, end_time=day - 86400 * 99)
    yield "events of one entity, 1,000", q("events", limit=1000, entity_id=busiest, end_time=day)
    yield "events of an area", q("events", limit=100, area_id=event.get("area_id") or "none")
    yield "events of a domain", q("events", limit=100, domain=typical.split(".")[0])
    yield "events, a text that is rare", q("events", limit=100, query="never to be found")
    yield "events/count, all", q("events/count")
    yield "events/count of an entity", q("events/count", entity_id=busiest)
    yield "events/count of a domain", q("events/count", domain=typical.split(".")[0])
    yield "events/count of an area", q("events/count", area_id=event.get("area_id") or "none")
    yield "events/count of a device", q("events/count", device_id=event.get("device_id") or "none")
    yield "events/count of a text", q("events/count", query="never to be found")
    yield "events/stats?period=30d", q("events/stats", period="30d")
    yield "events/types", q("events/types")
    yield "events/entities", q("events/entities", limit=1000)
    yield "events/{id}", q("events/" + event["id"])
    yield "events by context_id", q("events", context_id=event["context_id"])
    yield "automation-trace", q("events/automation-trace/" + event["context_id"])
    yield "series, a day, raw", q("series", ids=typical, step="raw", **{"from": day, "to": end})
    yield "series, a year by hour, typical", q("series", ids=typical, step="1h", stat="min,mean,max", time="compact", **year)
    yield "series, a year by day, 200 entities", q("series", ids=",".join(entities[:200]), step="1d", tz="UTC", stat="min,mean,max", **year)
    yield "series, a year, points=500, 20 entities", q("series", ids=",".join(entities[:20]), points=500, **year)
    yield "series, a year by hour, 20 entities", q("series", ids=",".join(entities[:20]), step="1h", stat="mean", **year)
    yield "series, a year by 5 min, busiest", q("series", ids=busiest, step="5m", stat="mean", **year)
    yield "series, a year, raw, busiest", q("series", ids=busiest, step="raw", **year)
    yield "series, a year by month", q("series", ids=busiest, step="1mo", tz="UTC", stat="mean,increase", **year)
    yield "entities/{id}/history, a month of events", q(f"entities/{typical}/history", start_time=end - 86400 * 30, end_time=end)
    yield "entities/{id}/lineage", q(f"entities/{busiest}/lineage")
    yield "entities/{id}/units", q(f"entities/{busiest}/units")
    yield "statistics/ids", q("statistics/ids")
    yield "quarantine", q("quarantine")
    yield "energy/devices, a year by day", q("energy/devices", step="1d", tz="UTC", **year)
    yield "energy/top-consumers", q("energy/top-consumers", days=30)
    yield "energy/correlations", q("energy/correlations", **year)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--years", type=float, default=1.0)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", default="", help="routes in whose title this occurs")
    parser.add_argument("--directory", help="one that has a store.db; it stays")
    options = parser.parse_args()
    place = pathlib.Path(options.directory or tempfile.mkdtemp(prefix="bench-routes-"))
    try:
        run(place, options)
    finally:
        if not options.directory:
            shutil.rmtree(place, ignore_errors=True)


def peak_mb(pid):
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def run(place, options):
    ours = Ours(place, exist_ok=True)
    if not ours.store.exists():
        command = [BIN / "bench_year", "write", str(options.samples), str(options.years), ours.store, "4096", "3", "7"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        say("the store is written")
    api = ours.start()
    try:
        print("| route | status | first, ms | p50 | longest | bytes |\n|---|---|---|---|---|---|")
        for title, path in paths(api, options.samples):
            if options.only not in title:
                continue
            rows = [line.split() for line in subprocess.run([BIN / "bench_http", str(ours.port)], input=(path + "\n") * (options.times + 1),
                                                            capture_output=True, text=True, check=True).stdout.splitlines()]
            times = [float(us) / 1000 for _, _, us in rows]
            print(f"| {title} | {'/'.join(sorted({status for status, _, _ in rows}))} | {times[0]:.1f} | {statistics.median(times[1:]):.1f} | {max(times[1:]):.1f} | {int(rows[-1][1]):,} |", flush=True)
        print("most memory, MB (resident): " + ", ".join(f"{name} {peak_mb(process.child.pid):.1f}" for name, process in ours.processes.items()))
    finally:
        ours.stop()


if __name__ == "__main__":
    main()
