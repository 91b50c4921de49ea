"""peers.py - InfluxDB 1.6 and VictoriaMetrics 1.79 beside our store: start, feed, ask, measure, stop.

Debian's packages, on loopback and a free port, data in a temporary directory. Nothing of them is left behind.
"""

import http.client
import os
import pathlib
import re
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
from system import Process, free_port, wait_for  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def pss_mb(pid):
    return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) / 1024


def private_mb(pid):
    """Without what is only mapped from files."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(r"^(?:Private_Dirty|Pss_Anon):\s+(\d+)", text, re.M)[-1:]) / 1024


def folder_bytes(folder):
    """What its files take on the disk, each link once."""
    seen, total = set(), 0
    for path in pathlib.Path(folder).rglob("*"):
        try:
            stat = path.lstat()
        except OSError:
            continue  # a compaction has just ended
        if path.is_file() and (stat.st_dev, stat.st_ino) not in seen:
            seen.add((stat.st_dev, stat.st_ino))
            total += stat.st_blocks * 512
    return total


def forget_pages(folder):
    """The kernel forgets what it has cached of these files: the next read is a cold one."""
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            file = os.open(path, os.O_RDONLY)
            try:
                os.fdatasync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


def load_pages(folder):
    """The kernel has read all of these files: the reads after that are warm ones."""
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            with open(path, "rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass


class Peer:
    """One server process. Times are microseconds."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process = None

    @property
    def pid(self):
        return self.process.child.pid

    def start(self):
        self.process = Process(self.command(), self.directory.parent / f"{self.name}.log", {**os.environ, **self.environment()})
        wait_for(lambda: self.request("GET", self.health)[0] in (200, 204), 60, f"{self.name} to answer")
        return self

    def stop(self):
        if self.process:
            self.process.stop(60)
            self.process = None

    def environment(self):
        return {}

    def request(self, method, path, body=None, timeout=600):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def feed(self, pipe, parts):
        """Batches of lines from a pipe: [(wall seconds, CPU seconds, bytes)] of each batch; made while nobody measures."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        batches = []
        while head := pipe.read(8):
            body = pipe.read(int.from_bytes(head, sys.byteorder))
            if not body:
                continue
            cpu, began = cpu_seconds(self.pid), time.monotonic()
            connection.request("POST", self.write, body)
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 204, (self.name, response.status, answer[:300])
            batches.append((body.count(b"\n"), time.monotonic() - began, cpu_seconds(self.pid) - cpu))
        connection.close()
        size = -(-len(batches) // parts)
        groups = [batches[i:i + size] for i in range(0, len(batches), size)]
        return [tuple(sum(column) for column in zip(*group)) for group in groups]

    def settle(self, seconds=240):
        """Until its files have not changed for a while: compaction is over."""
        deadline, size, since = time.monotonic() + seconds, -1, time.monotonic()

        def is_still():
            nonlocal size, since
            now = folder_bytes(self.directory)
            if now != size:
                size, since = now, time.monotonic()
            return time.monotonic() - since > 20 or time.monotonic() > deadline
        wait_for(is_still, seconds + 60, f"{self.name} to come to rest", 1)
        return size


class Influx(Peer):
    name, title, with_text, health = "influxdb", "InfluxDB", True, "/ping"
    write = "/write?db=house&precision=u"

    def command(self):
        config = self.directory.parent / "influxdb.conf"
        config.write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
dir = "{self.directory}/meta"
[data]
dir = "{self.directory}/data"
wal-dir = "{self.directory}/wal"
index-version = "inmem"
query-log-enabled = false
cache-snapshot-write-cold-duration = "5s"
compact-full-write-cold-duration = "10s"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
""")
        return ["influxd", "-config", str(config)]

    def prepare(self):
        status, answer = self.request("POST", "/query?" + urllib.parse.urlencode({"q": "CREATE DATABASE house"}), b"")
        assert status == 200, answer

    def ask(self, q):
        return "/query?" + urllib.parse.urlencode({"db": "house", "epoch": "u", "q": q})

    def day(self, entity, begin, end):
        field = "value" if entity.is_number else "text"
        return self.ask(f"SELECT {field} FROM state WHERE entity_id='{entity.id}' AND time >= {begin}u AND time < {end}u")

    def hours(self, entity, begin, end):
        return self.ask(f"SELECT min(value), mean(value), max(value) FROM state WHERE entity_id='{entity.id}'"
                        f" AND time >= {begin}u AND time < {end}u GROUP BY time(1h) fill(none)")

    def house(self, at, bound_us):
        since = f" AND time > {at - bound_us}u" if bound_us else ""
        return self.ask(f"SELECT last(value), last(text) FROM state WHERE time <= {at}u{since} GROUP BY entity_id")


class VictoriaMetrics(Peer):
    name, title, with_text, health = "victoria-metrics", "VictoriaMetrics", False, "/health"
    write = "/write?precision=u"

    def command(self):
        return ["victoria-metrics", f"-storageDataPath={self.directory}", f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=100y", "-selfScrapeInterval=0", "-search.latencyOffset=0s", "-loggerLevel=WARN"]

    def prepare(self):
        pass

    def settle(self, seconds=240):
        for step in ("/internal/force_flush", "/internal/force_merge"):
            self.request("GET", step)
        return super().settle(seconds)

    def day(self, entity, begin, end):
        match = f'state_value{{entity_id="{entity.id}"}}'
        return "/api/v1/export?" + urllib.parse.urlencode({"match[]": match, "start": begin / 1e6, "end": end / 1e6})

    def hours(self, entity, begin, end):
        query = f'rollup(state_value{{entity_id="{entity.id}"}}[1h])'
        return "/api/v1/query_range?" + urllib.parse.urlencode({"query": query, "start": begin / 1e6 + 3600, "end": end / 1e6,
                                                               "step": "1h", "nocache": 1})

    def house(self, at, bound_us):
        window = f"{bound_us // 3600000000}h" if bound_us else "10y"
        return "/api/v1/query?" + urllib.parse.urlencode({"query": f"last_over_time(state_value[{window}])", "time": at / 1e6, "nocache": 1})
