"""store.py - our store beside InfluxDB and VictoriaMetrics: one run, one table. Usage: tests/bench/store [--help]

One generator (year.h) makes the same samples for all three: 200 entities over a year, the busiest
with 3.6 % of all samples, the typical one with 0.36 %. Ours gets them as enrich's events through the
store's writer, the peers as line protocol over HTTP, 5,000 lines a request, without attributes, contexts and
registry (VictoriaMetrics: numbers only, milliseconds). The clock runs only while a server or the store works.

Writing is told in fifths of the data, questions in rounds: each round restarts the server, lets the kernel
forget its files, asks each question once (cold), reads the files, then asks many times with other entities and times (warm). The
figure is the median of the rounds. Peers' memory is what they take by default.
"""

import argparse
import collections
import contextlib
import json
import math
import os
import pathlib
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
from peers import Influx, VictoriaMetrics, cpu_seconds, folder_bytes, forget_pages, load_pages, pss_mb  # noqa: E402
from system import BIN, Api, Process, free_port, wait_for  # noqa: E402

END = 1767225600 * 10**6
HOUR, DAY, YEAR = 3600 * 10**6, 86400 * 10**6, 365 * 86400 * 10**6
PARTS = 5
TYPICAL, BUSIEST = range(90, 110), range(1)

Entity = collections.namedtuple("Entity", "id domain kind share is_number")
Question = collections.namedtuple("Question", "kind entity begin end")

QUESTIONS = {  # name -> (title, questions a round)
    "day": ("24 h of one entity", 400),
    "typical": ("a year by hour, typical entity", 60),
    "busiest": ("a year by hour, busiest", 20),
    "house": ("whole house at T", 60),
    "unbounded": ("whole house at T, however old", 20),
}


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, math.ceil(len(values) * p / 100) - 1)]


class Data:
    """What is asked for, the same for all."""

    def __init__(self, options):
        self.samples, self.years = options.samples, options.years
        out = subprocess.run([BIN / "bench_year", "entities", str(self.samples)], capture_output=True, text=True, check=True).stdout
        self.entities = [Entity(i, d, k, float(s), k in ("polled", "counter")) for i, d, k, s in map(str.split, out.splitlines())]
        self.begin = END - int(self.years * YEAR)
        self.year = max(self.begin, END - YEAR)

    def questions(self, name, count, seed):
        chance = random.Random(f"{name} {seed}")
        if name == "day":
            begins = [chance.randrange(self.begin, END - DAY) for _ in range(count)]
            return [Question("day", chance.choice([e for e in self.entities if e.kind != "media"]), b, b + DAY) for b in begins]
        if name in ("typical", "busiest"):
            ranks = [r for r in (TYPICAL if name == "typical" else BUSIEST) if self.entities[r].is_number]
            return [Question("hours", self.entities[chance.choice(ranks)], self.year, END) for _ in range(count)]
        at = [chance.randrange(self.begin + (END - self.begin) // 20, END) for _ in range(count)]
        return [Question("house", None, t, t) for t in at]


# --- asking ---------------------------------------------------------------------------------------------

def over_http(port, paths):
    """Microseconds of each; None where it is not answered."""
    out = subprocess.run([BIN / "bench_http", str(port)], input="".join(p + "\n" for p in paths), capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    rows = [line.split() for line in out.stdout.splitlines()]
    return [float(us) if status == "200" else None for status, _, us in rows]


def with_cpu(pids, ask):
    """What `ask` says, and the CPU ms a question that these processes took."""
    before = sum(cpu_seconds(pid) for pid in pids)
    times = ask()
    return times, (sum(cpu_seconds(pid) for pid in pids) - before) / len(times) * 1000


def in_actor(store, questions):
    lines = "".join(f"{q.kind} {q.entity.id if q.entity else '-'} {q.begin} {q.end}\n" for q in questions)
    out = subprocess.run([BIN / "bench_ask", store, str(4 << 20)], input=lines, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    rows = [list(map(float, line.split()[-4:])) for line in out.stdout.splitlines()[:-1]]
    return [row[0] for row in rows], statistics.mean(row[1] for row in rows) / 1000, float(out.stdout.split()[-1])


class Figures:
    """Rounds of cold and warm times by question."""

    def __init__(self):
        self.cold, self.warm, self.cpu, self.memory = *(collections.defaultdict(list) for _ in range(3)), []

    def add(self, name, cold, warm, cpu):
        self.cpu[name].append(cpu)
        if cold is not None:
            self.cold[name].append(cold)
        if warm and None not in warm:
            self.warm[name].append((percentile(warm, 50), percentile(warm, 99)))

    def tell(self, name):
        """(cold, p50, p99, CPU a question) in ms, medians of the rounds; None: not answered."""
        if not self.warm[name]:
            return None
        middle = statistics.median
        return tuple(x / 1000 for x in (middle(self.cold[name]) if self.cold[name] else math.nan,
                                        middle(w[0] for w in self.warm[name]), middle(w[1] for w in self.warm[name]), middle(self.cpu[name]) * 1000))


# --- ours ------------------------------------------------------------------------------------------------

class Ours:
    """Broker, query and gateway on a store that bench_year wrote."""

    def __init__(self, directory, exist_ok=False):
        self.data = pathlib.Path(directory)
        self.data.mkdir(parents=True, exist_ok=exist_ok)
        self.store = self.data / "store.db"
        self.port, self.processes = free_port(), {}

    def write(self, options):
        out = subprocess.run([BIN / "bench_year", "write", str(options.samples), str(options.years), self.store, str(options.commit_rows), str(options.hot_days), str(options.every_days)],
                             capture_output=True, text=True)
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)

    def parts(self, samples):
        """Bytes per sample by what they are for, whole pages; and what peers keep too, of a sealed sample: times, states, references, rollups."""
        base = sqlite3.connect(self.store)
        rows = base.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall()
        free = base.execute("PRAGMA freelist_count").fetchone()[0] * base.execute("PRAGMA page_size").fetchone()[0]
        owners = dict(base.execute("SELECT name, tbl_name FROM sqlite_schema"))
        states, rest, sealed, chunks = base.execute("SELECT sum(main_bytes), sum(rest_bytes), sum(rows), count(*) FROM chunk").fetchone()
        base.close()
        titles = {"event": "hot rows", "time": "hot rows: order of lists", "attribute": "attribute sets: plain", "attribute_packed": "attribute sets: packed",
                  "attribute_base": "attribute sets: packed", "rollup": "rollups", "rolled": "rollups", "chunk": "chunks: index"}
        parts = collections.Counter({"free pages": free})
        for name, size in rows:
            table = owners.get(name, name)
            parts[titles.get(table, table)] += size
        compared = None
        if sealed:
            whole = parts.pop("chunk_data")
            parts["chunks: times, states, references"] = states
            parts["chunks: contexts, arrival and the rest"] = rest
            parts["chunks: ends of pages"] = whole - states - rest
            of_states = states + (whole - states - rest) * states / (states + rest) + parts["chunks: index"]
            compared = of_states / sealed + parts["rollups"] / samples
        return {name: size / samples for name, size in parts.most_common()}, {"sealed": sealed or 0, "chunks": chunks, "compared": compared}

    def start(self):
        self.port = free_port()
        environment = {**{k: v for k, v in os.environ.items() if not k.startswith(("HOME_ASSISTANT_", "HA_INGESTOR_DATA"))},
                       "HA_INGESTOR_DATA": str(self.data), "GATEWAY_PORT": str(self.port),
                       "GATEWAY_WEB_ROOT": str(pathlib.Path(__file__).resolve().parents[2] / "dashboard")}
        (self.data / "run").mkdir(exist_ok=True)
        for name in ("broker", "query", "gateway"):
            self.processes[name] = Process([str(BIN / name)], self.data / f"{name}.log", environment)
        api = Api(self.port)
        wait_for(lambda: api.request("GET", "/api/v1/events?limit=1")[0] == 200, 30, "our REST to answer")
        return api

    def stop(self):
        processes, self.processes = list(self.processes.values()), {}
        with contextlib.ExitStack() as stack:
            for process in processes:  # the last one first; all of them, whatever one says
                stack.callback(process.stop)

    def memory(self):
        return {name: pss_mb(process.child.pid) for name, process in self.processes.items()}

    def path(self, q):
        if q.kind == "house":
            return "/api/v1/states?" + urllib.parse.urlencode({"at": q.begin / 1e6})
        how = {"step": "raw"} if q.kind == "day" else {"step": "1h", "stat": "min,mean,max", "time": "compact"}
        return "/api/v1/series?" + urllib.parse.urlencode({"ids": q.entity.id, "from": q.begin / 1e6, "to": q.end / 1e6, **how})


def ask_ours(ours, data, options):
    actor, rest = Figures(), Figures()
    for turn in range(options.rounds):
        for name, (_, count) in QUESTIONS.items():
            if name == "unbounded":
                continue  # that is what ours does anyway
            first, many = data.questions(name, 1, f"cold {turn}"), data.questions(name, count, turn)
            forget_pages(ours.data)
            cold, _, _ = in_actor(ours.store, first)
            load_pages(ours.data)
            warm, cpu, mb = in_actor(ours.store, many[:5] + many)
            actor.add(name, cold[0], warm[5:], cpu)
            actor.memory.append(mb)
        forget_pages(ours.data)
        opened, cpu, _ = in_actor(ours.store, [Question("open", None, 0, 0)] * 5)
        actor.add("open", opened[0], opened[1:], cpu)
        ours.start()
        try:
            ours_round(ours, data, rest, turn)
            rest.memory.append(ours.memory())
        finally:
            ours.stop()
    return actor, rest


def ours_round(ours, data, figures, turn):
    for name, (_, count) in QUESTIONS.items():
        if name == "unbounded":
            continue
        first, many = data.questions(name, 1, f"cold {turn}"), data.questions(name, count, turn)
        forget_pages(ours.data)
        cold = over_http(ours.port, [ours.path(q) for q in first])
        load_pages(ours.data)
        pids = [process.child.pid for process in ours.processes.values()]
        warm, cpu = with_cpu(pids, lambda: over_http(ours.port, [ours.path(q) for q in many[:5] + many]))
        figures.add(name, cold[0], warm[5:], cpu)


# --- the peers -------------------------------------------------------------------------------------------

def peer_path(peer, name, q):
    if q.kind == "house":
        return peer.house(q.begin, 0 if name == "unbounded" else DAY)
    return (peer.day if q.kind == "day" else peer.hours)(q.entity, q.begin, q.end)


def run_peer(peer, options):
    """Feed it; what writing took."""
    peer.start()
    peer.prepare()
    before = time.monotonic()
    lines = subprocess.Popen([BIN / "bench_year", "lines", str(options.samples), str(options.years), str(options.commit_rows),
                              "text" if peer.with_text else "numbers"], stdout=subprocess.PIPE)
    parts = peer.feed(lines.stdout, PARTS)
    assert lines.wait() == 0
    writing = {"parts": [{"rows": n, "rows_s": n / wall, "cpu_us": cpu / n * 1e6} for n, wall, cpu in parts], "rows": sum(p[0] for p in parts),
               "memory": pss_mb(peer.pid), "seconds": time.monotonic() - before}
    peer.settle()
    peer.stop()
    writing["bytes"] = folder_bytes(peer.directory) / writing["rows"]
    return writing


def ask_peer(peer, data, options):
    figures = Figures()
    for turn in range(options.rounds):
        forget_pages(peer.directory)
        began = time.monotonic()
        peer.start()
        figures.add("open", (time.monotonic() - began) * 1e6, [(time.monotonic() - began) * 1e6], cpu_seconds(peer.pid) * 1000)
        try:
            for name, (_, count) in QUESTIONS.items():
                if name == "unbounded" and turn > 0:
                    continue
                first, many = data.questions(name, 1, f"cold {turn}"), data.questions(name, count, turn)
                cold = over_http(peer.port, [peer_path(peer, name, q) for q in first])
                load_pages(peer.directory)
                warm, cpu = with_cpu([peer.pid], lambda: over_http(peer.port, [peer_path(peer, name, q) for q in many]))
                figures.add(name, cold[0], warm, cpu)
            figures.memory.append(pss_mb(peer.pid))
        finally:
            peer.stop()
    return figures


# --- the table ---------------------------------------------------------------------------------------------

def cell(figures, name):
    told = figures.tell(name) if figures else None
    return "-" if not told else f"{told[1]:.2f} / {told[2]:.2f}; {told[3]:.2f}; {told[0]:.1f}"


def middle(writing, key):
    return statistics.median(p[key] for p in writing["parts"])


def print_table(ours, actor, rest, writing, parts, peers):
    names = [peer.title for peer, _, _ in peers]
    print("\n| ms: p50 / p99; CPU; cold | ours, in the actor | ours, REST | " + " | ".join(names + [f"{n} : ours by REST, p50; CPU" for n in names]) + " |")
    print("|---" * (3 + 2 * len(names)) + "|")
    for name, (title, _) in QUESTIONS.items():
        mine = "house" if name == "unbounded" else name
        print(f"| {title} | {cell(actor, mine)} | {cell(rest, mine)} | "
              + " | ".join([cell(f, name) for _, _, f in peers]
                           + ["-" if not f.tell(name) or not rest.tell(mine) else f"{f.tell(name)[1] / rest.tell(mine)[1]:.1f}; {f.tell(name)[3] / rest.tell(mine)[3]:.1f}" for _, _, f in peers]) + " |")
    print(f"| bytes per sample at rest | {sum(parts.values()):.2f} | | " + " | ".join(f"{w['bytes']:.2f}" for _, w, _ in peers) + " |")
    print(f"| write, rows/s | {middle(writing, 'rows_s'):,.0f} | | " + " | ".join(f"{middle(w, 'rows_s'):,.0f}" for _, w, _ in peers) + " |")
    print(f"| write, CPU us a row | {middle(writing, 'cpu_us'):.2f} | | " + " | ".join(f"{middle(w, 'cpu_us'):.2f}" for _, w, _ in peers) + " |")
    print(f"| ... later, in the background: sealing, rollups | {middle(writing, 'seal_cpu_us'):.2f}, {middle(writing, 'roll_cpu_us'):.2f} | | " + "| " * len(peers) + "|")
    print(f"| longest commit and step, ms | {max(p['longest_commit_ms'] for p in writing['parts']):.0f}, "
          f"{max(p['longest_step_ms'] for p in writing['parts']):.0f} | | " + "| " * len(peers) + "|")
    print(f"| memory, MB | writing {writing['peak_rss_mb']:.0f}, asked {max(actor.memory):.0f} | "
          + ", ".join(f"{k} {v:.1f}" for k, v in rest.memory[-1].items()) + " | "
          + " | ".join(f"writing {w['memory']:.0f}, asked {max(f.memory):.0f}" for _, w, f in peers) + " |")
    print(f"| open, ms, cold | {cell(actor, 'open')} | | " + " | ".join(cell(f, "open") for _, _, f in peers) + " |")


def print_parts(parts, sealed, samples):
    print(f"\n| bytes per sample at rest, by part ({sealed['sealed']:,} of {samples:,} samples sealed, in {sealed['chunks']:,} chunks) | |\n|---|---|")
    for name, size in parts.items():
        if size >= 0.01:
            print(f"| {name} | {size:.2f} |")
    print(f"| all of it | {sum(parts.values()):.2f} |")
    if sealed["compared"]:
        print(f"| of these, what its peers keep too: times, states, attribute references, rollups (of a sealed sample, with their index and ends of pages) | {sealed['compared']:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--years", type=float, help="over how long; default a year for every ten million, at least one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commit-rows", type=int, default=8192, help="of ours, and lines of a request to a peer")
    parser.add_argument("--hot-days", type=float, default=3, help="rows younger than this are not sealed")
    parser.add_argument("--every-days", type=float, default=7, help="how often old rows are sealed and rolled up, in days of the data's time")
    parser.add_argument("--ours", action="store_true", help="without the peers")
    parser.add_argument("--directory", help="where the data is made; default a temporary one")
    parser.add_argument("--keep", action="store_true", help="leave the data")
    options = parser.parse_args()
    options.years = options.years or max(1.0, options.samples / 10_000_000)
    place = pathlib.Path(options.directory or tempfile.mkdtemp(prefix="bench-store-"))
    try:
        run(place, options)
    finally:
        if not options.keep:
            shutil.rmtree(place, ignore_errors=True)


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}, load {os.getloadavg()[0]:.1f}] {text}", flush=True)


def run(place, options):
    data, ours, peers = Data(options), Ours(place / "ours"), []
    say(f"{os.cpu_count()} cores; {options.samples:,} samples over {options.years:g} years, commits and requests of {options.commit_rows} rows")
    writing = ours.write(options)
    say("ours is written: " + ", ".join(f"{p['rows_s']:,.0f} rows/s at {p['cpu_us']:.2f} us, later {p['seal_cpu_us']:.2f} + {p['roll_cpu_us']:.2f} us" for p in writing["parts"]))
    parts, sealed = ours.parts(options.samples)
    actor, rest = ask_ours(ours, data, options)
    say("ours has been asked")
    for kind in () if options.ours else (Influx, VictoriaMetrics):
        peer = kind(place / kind.name)
        try:
            wrote = run_peer(peer, options)
            say(f"{peer.title} is written: " + ", ".join(f"{p['rows_s']:,.0f} rows/s at {p['cpu_us']:.2f} us" for p in wrote["parts"]))
            peers.append((peer, wrote, ask_peer(peer, data, options)))
            say(f"{peer.title} has been asked")
        finally:
            peer.stop()
            shutil.rmtree(peer.directory, ignore_errors=True)
    print_table(ours, actor, rest, writing, parts, peers)
    print_parts(parts, sealed, options.samples)


if __name__ == "__main__":
    main()
