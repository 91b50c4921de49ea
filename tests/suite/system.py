"""system.py - start the whole suite as a user would, break it, and compare what it kept with the truth."""

import gzip
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("HA_INGESTOR_BIN", ROOT / "build" / "bench"))
TOKEN = "a-simulated-home-needs-no-secret-token"
ACTORS = ["broker", "ingest", "registry", "sink", "monitor", "gateway", "enrich-1", "enrich-2", "query-1"]


def free_port():
    """Below those that the kernel gives to connections (32768 and up), of which one could take it before who is to listen does, or while he is away."""
    while True:
        port = random.SystemRandom().randrange(10240, 20000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


PATIENCE_S = 300  # of a machine that does much else besides; what is right costs none of it


def wait_for(condition, seconds, what, every=0.03):
    """Wait until condition() is true; its value is returned. Fails loudly at the deadline: after `seconds`, and never before PATIENCE_S.

    What is not there yet may show as any error: a connection refused, a row that is missing, a table that is locked."""
    seconds = max(seconds, PATIENCE_S)
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except Exception as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}" + (f": {last!r}" if last else ""))
        pause.wait(every)


class Api:
    """The REST API, one request a call."""

    def __init__(self, port):
        self.port = port

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, dict((k.lower(), v) for k, v in response.getheaders()), response.read()
        finally:
            connection.close()

    def get(self, path, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        status, _, body = self.request("GET", path)
        if status != 200:
            raise ValueError(f"GET {path}: {status} {body[:300]!r}")
        return json.loads(body)

    def count(self, **query):
        return self.get("/api/v1/events/count", **query)["count"]

    def export(self, **query):
        """Every row, as text lines; an export cut short raises IncompleteRead."""
        path = "/api/v1/events/export?" + urllib.parse.urlencode({"format": "ndjson", **query})
        status, headers, body = self.request("GET", path, timeout=300)
        assert status == 200, (status, body[:300])
        assert headers["content-type"].startswith("application/x-ndjson"), headers
        return [line for line in body.split(b"\n") if line]

    def export_to(self, file):
        """The same into a file, however much it is; returns the number of rows."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("GET", "/api/v1/events/export?format=ndjson")
        response, rows = connection.getresponse(), 0
        assert response.status == 200, response.status
        while chunk := response.read(1 << 20):
            file.write(chunk)
            rows += chunk.count(b"\n")
        connection.close()
        return rows

    def gaps(self):
        return self.get("/api/v1/gaps")["gaps"]

    def gaps_are_settled(self):
        """For wait_for(): every gap has its end state; else which have not is said."""
        unsettled = [gap for gap in self.gaps() if gap["state"] in ("open", "filling")]
        assert not unsettled, unsettled
        return True


class Process:
    """A child whose output goes to a file, stopped at the end of a test."""

    def __init__(self, arguments, log, environment=None):
        self.log = open(log, "ab")
        self.child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                      env=environment, start_new_session=True)

    def stop(self, seconds=30):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()
                raise AssertionError(f"process {self.child.args} did not stop in {seconds} s")
        self.log.close()
        return self.child.returncode


class Home:
    """The simulated Home Assistant with its truth log."""

    def __init__(self, directory, *arguments, port=None, truth=True, environment=None):
        self.directory = pathlib.Path(directory)
        self.port = port or free_port()
        self.truth_path = self.directory / "truth.ndjson"
        self.process = Process([str(BIN / "home"), "--port", str(self.port), "--token", TOKEN,
                                *(["--truth", str(self.truth_path)] if truth else []), *map(str, arguments)],
                               self.directory / "home.log", {**os.environ, **(environment or {})})
        wait_for(self.stats, 10, "the simulated home to listen")

    def control(self, command, body=""):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/control/" + urllib.parse.quote(command), body)
            response = connection.getresponse()
            text = response.read()
            assert response.status == 200, (command, response.status, text)
            return text
        finally:
            connection.close()

    def stats(self):
        return json.loads(self.control("stats"))

    def states(self):
        """What get_states would say."""
        status, _, body = Api(self.port).request("GET", "/api/states", headers={"Authorization": "Bearer " + TOKEN})
        assert status == 200, (status, body)
        return exact(body)

    def stop(self):
        return self.process.stop()

    def truth(self):
        """(events, other lines); an event is the parsed line with its `event` exact. Stops the home."""
        self.stop()
        events, others = [], []
        with open(self.truth_path, "rb") as file:
            for line in file:
                row = exact(line)
                (events if "event" in row and isinstance(row["event"], dict) else others).append(row)
        return events, others


class Clock:
    """The wall clock of all processes that are started with its environment; a home's `sleep` turns it."""

    def __init__(self, directory):
        self.path = pathlib.Path(directory) / "clock"
        self.path.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(BIN / "libclock.so"), "CLOCK_FILE": str(self.path)}

    def ahead_us(self):
        return int.from_bytes(self.path.read_bytes(), sys.byteorder, signed=True)

    def turn_to(self, seconds):
        """To this time, as near as whole seconds come; written at once, for it is mapped."""
        with open(self.path, "r+b") as file:
            file.write(((int(seconds) - int(time.time())) * 10**6).to_bytes(8, sys.byteorder, signed=True))


class System:
    """All actors under s6, as deploy/supervise starts them."""

    def __init__(self, directory, home_port=None, enrich=2, query=1, token=TOKEN, data=None, **environment):
        self.directory = pathlib.Path(directory)
        self.data = pathlib.Path(data) if data else self.directory / "data"
        self.data.mkdir(exist_ok=True)
        self.port = free_port()
        self.api = Api(self.port)
        self.enrich, self.query = enrich, query
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("HOME_ASSISTANT_", "HA_INGESTOR_"))},
            "HA_INGESTOR_BIN": str(BIN), "HA_INGESTOR_DATA": str(self.data), "GATEWAY_PORT": str(self.port),
            "GATEWAY_WEB_ROOT": str(ROOT / "dashboard"),
            "ENRICH_WORKERS": str(enrich), "QUERY_WORKERS": str(query), "INGEST_RETRY_MAX_MS": "2000",
            "MONITOR_CANARY": "off",  # rows are counted
            "WEATHER_PROVIDER": "off", "AIRQUALITY_PROVIDER": "off",  # no test asks the internet
            "ASAN_OPTIONS": "detect_leaks=0",
            **{k: str(v) for k, v in environment.items()},
        }
        if home_port:
            self.environment["HOME_ASSISTANT_URL"] = f"http://127.0.0.1:{home_port}"
            self.environment["HOME_ASSISTANT_TOKEN"] = token
        self.supervisor = None

    def start(self, live=True):
        self.supervisor = Process([str(ROOT / "deploy" / "supervise")], self.directory / "supervise.log", self.environment)
        wait_for(lambda: self.api.request("GET", "/health")[0] == 200, 30, "the suite to be healthy")
        if live:
            self.wait_live()
        return self

    def wait_live(self, seconds=30):
        wait_for(lambda: self.api.get("/api/v1/ingest")["state"] == "live", seconds, "ingest to be live")

    def stop(self, seconds=30):
        return self.supervisor.stop(seconds)

    def service(self, name):
        return self.data / "run" / "services" / name

    def pid(self, name):
        out = subprocess.run(["s6-svstat", "-o", "pid", str(self.service(name))], capture_output=True, text=True)
        pid = int(out.stdout.strip() or -1)
        return pid if pid > 1 else None

    def signal(self, name, number):
        """True if the process was there to get it."""
        pid = self.pid(name)
        if not pid:
            return False
        try:
            os.kill(pid, number)
            return True
        except ProcessLookupError:
            return False

    def names(self):
        return (["broker", "ingest", "registry", "sink", "monitor", "gateway"] + [f"enrich-{i + 1}" for i in range(self.enrich)]
                + [f"query-{i + 1}" for i in range(self.query)])

    def pids(self):
        return {name: self.pid(name) for name in self.names()}

    def log_text(self):
        text = b""
        for file in sorted((self.data / "logs").glob("*")):
            if file.name in ("current",) or file.name.startswith("@"):
                text += file.read_bytes()
        return text.decode(errors="replace")

    def settled(self, expected, seconds=300):
        """Wait until `expected` rows are stored, no fewer."""
        return wait_for(lambda: self.api.count() >= expected, seconds, f"{expected} stored events", 0.2)


# --- JSON without loss: numbers are compared as they were written -----------------------------

class Number(str):
    """A JSON number as its text."""


def exact(text):
    return json.loads(text, parse_float=Number, parse_int=Number)


def microseconds(text):
    """RFC 3339 to microseconds since the epoch."""
    if text is None:
        return None
    from datetime import datetime, timezone
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    delta = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (delta.days * 86400 + delta.seconds) * 1000000 + delta.microseconds


def time_text(us):
    from datetime import datetime, timedelta, timezone
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def expected_row(event):
    """What the export must say of an event that Home Assistant sent, from the row's definition alone."""
    context = event.get("context") or {}
    row = {
        "event_type": event["event_type"], "timestamp": microseconds(event["time_fired"]), "origin": event.get("origin"),
        "context_id": context.get("id"), "context_parent_id": context.get("parent_id"), "context_user_id": context.get("user_id"),
    }
    if event["event_type"] != "state_changed":
        row["data"] = event.get("data")
        return row
    data = event["data"]
    new, old = data.get("new_state") or {}, data.get("old_state") or {}
    row.update({
        "entity_id": data["entity_id"], "domain": data["entity_id"].split(".")[0], "state": new.get("state"),
        "old_state": old.get("state"), "attributes": new.get("attributes"), "changed": new.get("state") != old.get("state"),
        **{key: microseconds(new.get(key)) for key in ("last_changed", "last_updated", "last_reported")},
    })
    return row


def stored_row(row):
    """The same part of an exported row."""
    keys = ["event_type", "timestamp", "origin", "context_id", "context_parent_id", "context_user_id"]
    if row["event_type"] == "state_changed":
        keys += ["entity_id", "domain", "state", "old_state", "attributes", "changed", "last_changed", "last_updated",
                 "last_reported"]
    else:
        keys += ["data"]
    times = ("timestamp", "last_changed", "last_updated", "last_reported")
    return {key: microseconds(row[key]) if key in times else row[key] for key in keys}


def canonical(row):
    return json.dumps(row, sort_keys=True, default=str)


class Remembered:
    """What happened, as far as Home Assistant remembers it: its history and its states, neither with every detail."""

    def __init__(self, events):
        self.states, self.removals, self.begin = {}, {}, None
        for event in events:
            data, key = event.get("data") or {}, canonical(expected_row(event))
            when = microseconds(event["time_fired"])
            self.begin = min(when, self.begin or when)
            if event["event_type"] == "state_changed" and data["new_state"]:
                self.states[data["entity_id"], microseconds(data["new_state"]["last_updated"])] = (key, data["new_state"])
            elif event["event_type"] == "state_changed":
                self.removals.setdefault(data["entity_id"], []).append((when, key))

    def find(self, row):
        """The events that a row which did not come live stands for; None: it was before the first. Raises KeyError."""
        if row["state"] is None:
            gone = [key for when, key in self.removals.get(row["entity_id"], []) if when <= microseconds(row["timestamp"])]
            if not gone:
                raise KeyError(row["entity_id"])
            return gone[-1]
        at = microseconds(row["last_updated"])
        if (row["entity_id"], at) not in self.states and at < self.begin:
            return None
        key, state = self.states[row["entity_id"], at]
        kept = {name: value for name, value in state["attributes"].items() if name in row["attributes"]}
        if state["state"] != row["state"] or kept != row["attributes"]:
            raise KeyError("altered")
        return key


def compare(expected_events, exported_lines):
    """{missing, twice, unexpected}: lists of canonical rows. An altered row is missing and unexpected. Rows that
    did not come live must be what Home Assistant remembers, and are then not missing."""
    want, have, ids, filled, invented = {}, {}, {}, {}, []
    remembered = Remembered(expected_events)
    for event in expected_events:
        key = canonical(expected_row(event))
        want[key] = want.get(key, 0) + 1
    for line in exported_lines:
        row = exact(line)
        ids[row["id"]] = ids.get(row["id"], 0) + 1
        if row["provenance"] != "live":
            try:
                key = remembered.find(row)
                filled[key] = filled.get(key, 0) + 1
            except KeyError:
                invented.append(canonical(row))
            continue
        key = canonical(stored_row(row))
        have[key] = have.get(key, 0) + 1
    filled.pop(None, None)
    return {
        "missing": [key for key in want if key not in have and key not in filled],
        "twice": [key for key, n in have.items() if n > want.get(key, 1)] + [i for i, n in ids.items() if n > 1]
                 + [key for key, n in filled.items() if n + have.get(key, 0) > want[key]],
        "unexpected": [key for key in have if key not in want] + invented,
    }


def assert_same(expected_events, exported_lines, allowed_missing=lambda row: False):
    """The export is the truth: nothing lost, nothing twice, nothing altered, but for rows allowed to be missing."""
    result = compare(expected_events, exported_lines)
    lost = [row for row in result["missing"] if not allowed_missing(json.loads(row))]
    assert not lost, f"{len(lost)} lost, the first: {lost[0]}\nunexpected: {result['unexpected'][:1]}"
    assert not result["twice"], f"{len(result['twice'])} twice, the first: {result['twice'][0]}"
    assert not result["unexpected"], f"{len(result['unexpected'])} altered or invented, the first: {result['unexpected'][0]}"
    return len(result["missing"])


def in_gaps(gaps, slack_us=0):
    """A predicate: the row's moment lies inside a gap of the ledger."""
    spans = [(microseconds(g["start"]) - slack_us, microseconds(g["end"]) + slack_us if g["end"] else 1 << 62) for g in gaps]
    return lambda row: any(start <= row["timestamp"] <= end for start, end in spans)


def recording(name):
    """The lines of a recorded session."""
    with gzip.open(ROOT / "tests" / "recorded" / (name + ".jsonl.gz"), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Workspace:
    """A directory for one test; kept when the test fails."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="ha-ingestor-"))
        self.things = []
        return self

    def home(self, *arguments, **options):
        home = Home(self.path, *arguments, **options)
        self.things.append(home)
        return home

    def system(self, **options):
        system = System(self.path, **options)
        self.things.append(system)
        return system

    def __exit__(self, kind, error, trace):
        for thing in reversed(self.things):
            try:
                process = getattr(thing, "supervisor", None) or getattr(thing, "process", None)
                if process:
                    process.stop()
            except AssertionError:
                if kind is None:
                    raise
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print(f"kept for inspection: {self.path}", flush=True)
