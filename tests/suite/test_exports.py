"""Exports as files, read back and compared with the store; statistics by whom they are of; the user's own SQL."""

import csv
import http.client
import io
import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys
import unittest
import urllib.parse

from system import BIN, Clock, Workspace, microseconds, time_text, wait_for

EVENTS = 3000


def fetch(api, path, **query):
    status, headers, body = api.request("GET", path + "?" + urllib.parse.urlencode(query), timeout=120)
    assert status == 200, (status, body[:300])
    return headers["content-type"], body


def parse_lines(text):
    """Line protocol by its definition: [(measurement, tags, fields, time)]. Anything else is an error."""
    points = []
    for line in text.split("\n")[:-1]:
        if line.startswith("#"):
            continue
        at = 0

        def word(stops):
            nonlocal at
            out = ""
            while line[at] not in stops:
                if line[at] == "\\" and line[at + 1] in ", =":
                    at += 1
                out += line[at]
                at += 1
            return out

        def value():
            nonlocal at
            if line[at] != '"':
                token = word(", ")
                if token in ("true", "false"):
                    return token == "true"
                return int(token[:-1]) if token.endswith("i") else float(token)
            out, at = "", at + 1
            while line[at] != '"':
                if line[at] == "\\" and line[at + 1] in '"\\':
                    at += 1
                out += line[at]
                at += 1
            at += 1
            return out

        measurement, tags, fields = word(", "), {}, {}
        while line[at] == ",":
            at += 1
            name = word("=")
            at += 1
            tags[name] = word(", ")
            assert name and tags[name], line
        separator = " "
        while line[at] == separator and (separator == " " or line[at] == ","):
            at += 1
            name = word("=")
            at += 1
            assert name and name not in fields, line
            fields[name] = value()
            separator = ","
        assert line[at] == " " and fields, line
        points.append((measurement, tags, fields, int(line[at + 1:])))
    return points


def rows_of(body):
    return [json.loads(line) for line in body.decode().split("\n") if line]


def cell(value):
    """What CSV says of a JSON value that is no object."""
    if value is None:
        return ""
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, (bool, str)) else value


class Exports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = Workspace()
        cls.place.__enter__()
        cls.addClassCleanup(lambda: cls.place.__exit__(None, None, None))
        home = cls.place.home("--rate", 3000, "--wait-for-client", "--events", EVENTS, truth=False)
        cls.system = cls.place.system(home_port=home.port, enrich=1, query=2).start()
        cls.system.settled(EVENTS)
        home.stop()
        cls.api = cls.system.api
        cls.events = [json.loads(line) for line in cls.api.export()]
        cls.states = [row for row in cls.events if row["event_type"] == "state_changed"]

    def raw(self, entity):
        return sorted(({"entity_id": entity, "time": row["last_updated"] or row["timestamp"], "state": row["state"], "unit": row["unit"],
                        "removed": row["state"] is None} for row in self.states if row["entity_id"] == entity), key=lambda row: row["time"])

    def test_events_as_csv_are_the_same_rows(self):
        """Read with Python's csv: every cell of every event"""
        kind, body = fetch(self.api, "/api/v1/events/export", format="csv")
        self.assertTrue(kind.startswith("text/csv"))
        self.assertTrue(body.startswith(b"id,event_type,timestamp,") and body.endswith(b"\r\n"))
        rows = list(csv.DictReader(io.StringIO(body.decode(), newline=""), strict=True))
        self.assertEqual(len(rows), len(self.events))
        for row, event in zip(rows, self.events):
            self.assertEqual(set(event) - set(row), set())
            for name, value in event.items():
                if isinstance(value, (dict, list)):
                    self.assertEqual(json.loads(row[name]), value)
                elif isinstance(value, (int, float)) and not isinstance(value, bool):
                    self.assertEqual(float(row[name]), value)
                else:
                    self.assertEqual(row[name], cell(value))

    def test_events_as_line_protocol_are_the_same_rows(self):
        """Read with a strict parser: tags, types, times in both precisions"""
        for precision, factor in (("ns", 1000), ("us", 1)):
            _, body = fetch(self.api, "/api/v1/events/export", format="lp", precision=precision)
            points = parse_lines(body.decode())
            self.assertEqual(len(points), len(self.events))
            for (measurement, tags, fields, time), event in zip(points, self.events):
                self.assertEqual(measurement, "home_assistant_events")
                self.assertEqual(time, microseconds(event["timestamp"]) * factor)
                for name, value in tags.items():
                    self.assertEqual(value, event[name])
                for name, value in fields.items():
                    want = event[name]
                    if isinstance(want, (dict, list)):
                        self.assertEqual(json.loads(value), want)
                    elif name == "value":
                        self.assertTrue(isinstance(value, float) and value == float(want))
                    else:
                        self.assertEqual(value, want.replace("\n", "\\n") if isinstance(want, str) else want)
                self.assertTrue(fields.keys() >= {name for name in ("state", "value", "attributes", "data") if event.get(name) is not None})

    def test_a_series_is_exported_as_its_samples(self):
        """NDJSON, CSV and line protocol of some and of all, from the store's rows"""
        entities = sorted({row["entity_id"] for row in self.states})
        some = entities[3:6]
        _, body = fetch(self.api, "/api/v1/series/export", ids=",".join(some + ["sensor.nobody"]))
        rows = rows_of(body)
        numbers = [row.pop("value") for row in rows]
        self.assertEqual(rows, [row for entity in some for row in self.raw(entity)])
        _, body = fetch(self.api, "/api/v1/series/export", format="csv", ids=",".join(some))
        cells = list(csv.DictReader(io.StringIO(body.decode(), newline=""), strict=True))
        self.assertEqual([(row["entity_id"], row["time"], row["state"]) for row in cells],
                         [(row["entity_id"], row["time"], cell(row["state"])) for row in rows])
        _, body = fetch(self.api, "/api/v1/series/export", format="lp", ids=",".join(some))
        points = parse_lines(body.decode())
        self.assertEqual([(tags["entity_id"], time, fields.get("value"), fields.get("state")) for _, tags, fields, time in points],
                         [(row["entity_id"], microseconds(row["time"]) * 1000, number, row["state"]) for row, number in zip(rows, numbers)])
        _, body = fetch(self.api, "/api/v1/series/export")
        everything = {}
        for row in rows_of(body):
            row.pop("value")
            everything.setdefault(row["entity_id"], []).append(row)
        self.assertEqual(everything, {entity: self.raw(entity) for entity in entities})

    def test_a_span_of_a_series_begins_with_what_is_in_force(self):
        """And pages of any size are the same rows"""
        entity = max({row["entity_id"] for row in self.states}, key=lambda name: len(self.raw(name)))
        rows = self.raw(entity)
        begin, end = rows[len(rows) // 3]["time"], rows[len(rows) // 2]["time"]
        _, body = fetch(self.api, "/api/v1/series/export", ids=entity, **{"from": begin, "to": end})
        got = rows_of(body)
        expected = [row for row in rows if row["time"] < begin][-1:] + [row for row in rows if begin <= row["time"] < end]
        self.assertEqual([row["time"] for row in got], [row["time"] for row in expected])

    def test_buckets_are_exported_as_they_are_asked_for(self):
        """A day by 5 minutes, several of them, only the columns asked for; and bad questions are named"""
        entity = max((row for row in self.states if row["unit"]), key=lambda row: len(self.raw(row["entity_id"])))["entity_id"]
        numbers = [float(row["state"]) for row in self.raw(entity) if row["state"] not in (None, "unavailable", "unknown")]
        _, body = fetch(self.api, "/api/v1/series/export", format="csv", ids=entity, step="1h", stat="count,min,max,seconds")
        rows = list(csv.DictReader(io.StringIO(body.decode(), newline=""), strict=True))
        self.assertEqual(list(rows[0]), ["entity_id", "unit", "start", "count", "min", "max", "seconds"])
        self.assertEqual(sum(int(row["count"]) for row in rows), len(numbers))
        self.assertEqual(min(float(row["min"]) for row in rows if row["min"]), min(numbers))
        self.assertEqual(max(float(row["max"]) for row in rows if row["max"]), max(numbers))
        whole = {"ids": entity, "from": rows[0]["start"], "to": rows[-1]["start"], "step": "1h", "stat": "count,mean,min,max"}
        whole["from"] = time_text(microseconds(whole["from"]) - 5 * 3600_000000)
        seen = self.api.get("/api/v1/series", **whole)["series"][0]
        _, body = fetch(self.api, "/api/v1/series/export", **whole)
        got = rows_of(body)
        self.assertEqual(len(got), 5 + len(rows) - 1)
        for name in ("start", "count", "mean", "min", "max"):
            self.assertEqual([row[name] for row in got], seen[name])
        for query, field, status in (({"step": "2h"}, "step", 400), ({"step": "1h", "stat": "mode"}, "stat", 400), ({"format": "xml"}, "format", 400),
                                     ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from", 400),
                                     ({"from": "x"}, "from", 422), ({"ids": ",".join("abc" for _ in range(201))}, "ids", 422),
                                     ({"step": "1d", "tz": "Mars/Olympus"}, "tz", 400), ({"precision": "h"}, "precision", 400)):
            got, _, body = self.api.request("GET", "/api/v1/series/export?" + urllib.parse.urlencode(query))
            self.assertEqual((got, json.loads(body)["detail"]["field"]), (status, field), query)

    def test_who_says_how_much_is_counted_by_brute_force(self):
        """By entity, domain, area and device; shares add up"""
        whole = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "limit": 10000}
        for group, key in (("entity", "entity_id"), ("domain", "domain"), ("area", "area_id"), ("device", "device_id")):
            want, before = {}, {}
            for row in sorted(self.states, key=lambda row: row["last_updated"] or row["timestamp"]):
                one = want.setdefault(row[key], {"count": 0, "changes": 0, "entities": set(), "last": ""})
                one["count"] += 1
                one["changes"] += before.get(row["entity_id"], "nothing") != row["state"]
                one["entities"].add(row["entity_id"])
                one["last"] = max(one["last"], row["last_updated"] or row["timestamp"])
                before[row["entity_id"]] = row["state"]
            got = self.api.get("/api/v1/statistics/by", group=group, **whole)["groups"]
            self.assertEqual({row["key"]: (row["count"], row["changes"], row["entities"], row["last"]) for row in got},
                             {name: (one["count"], one["changes"], len(one["entities"]), one["last"]) for name, one in want.items()})
            self.assertEqual([row["count"] for row in got], sorted((row["count"] for row in got), reverse=True))
            self.assertAlmostEqual(sum(row["share"] for row in got), 1.0)
        self.assertEqual(len(self.api.get("/api/v1/statistics/by", limit=3)["groups"]), 3)
        for query, field in ({"group": "house"}, "group"), ({"sort": "size"}, "sort"), ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"):
            status, _, body = self.api.request("GET", "/api/v1/statistics/by?" + urllib.parse.urlencode(query))
            self.assertEqual((status, json.loads(body)["detail"]["field"]), (400, field))

    def test_storage_by_entity_adds_up_to_the_file(self):
        """Rows exactly, bytes within a third of what the file has"""
        got = self.api.get("/api/v1/storage/entities", limit=10000)["entities"]
        rows = {row["entity_id"] or row["event_type"]: row["rows"] for row in got}
        want = {}
        for row in self.events:
            name = row["entity_id"] if row["event_type"] == "state_changed" else row["event_type"]
            want[name] = want.get(name, 0) + 1
        self.assertEqual(rows, want)
        with sqlite3.connect(f"file:{self.system.data}/store.db?mode=ro", uri=True) as db:
            pages, size = (db.execute("PRAGMA " + name).fetchone()[0] for name in ("page_count", "page_size"))
            pages -= db.execute("SELECT count(*) FROM sqlite_master WHERE rootpage > 0").fetchone()[0]  # a table takes one at least
        self.assertTrue(0.5 < sum(row["bytes"] for row in got) / (pages * size) <= 1.1, (sum(row["bytes"] for row in got), pages * size))

    def test_views_say_what_the_api_says(self):
        """v_states and its companions by plain SQL, read-only, while the suite runs"""
        with sqlite3.connect(f"file:{self.system.data}/store.db?mode=ro", uri=True) as db:
            rows = db.execute("SELECT entity_id, iso, state, json FROM v_states LEFT JOIN v_attributes a ON a.id = attributes").fetchall()
            self.assertEqual(sorted((row[0], row[1], row[2] or "") for row in rows),
                             sorted((row["entity_id"], row["last_updated"] or row["timestamp"], row["state"] or "") for row in self.states))
            have = {(row["entity_id"], row["last_updated"]): row["attributes"] for row in self.states}
            for entity, iso, state, text in rows:
                if state is not None:
                    self.assertEqual(json.loads(text), have[entity, iso])
            self.assertEqual(sorted(row[0] for row in db.execute("SELECT entity_id FROM v_entities")), sorted({row["entity_id"] for row in self.states}))
            with self.assertRaises(sqlite3.OperationalError):
                db.execute("DELETE FROM event")

    def test_the_extension_says_what_the_api_says(self):
        """ha_series in the sqlite3 command, read-only: samples and buckets"""
        def ask(sql):
            out = subprocess.run(["sqlite3", "-readonly", "-json", "-cmd", f".load {BIN}/ha_ingestor", self.system.data / "store.db", sql],
                                 capture_output=True, check=True).stdout
            return json.loads(out or "[]")
        _, body = fetch(self.api, "/api/v1/series/export")
        rows = rows_of(body)
        got = ask("SELECT entity_id, iso AS time, value, state, removed, unit FROM ha_series")
        self.assertEqual([{**row, "removed": bool(row["removed"])} for row in got], rows)
        entity = rows[-1]["entity_id"]
        _, body = fetch(self.api, "/api/v1/series/export", ids=entity, step="1h", stat="count,min,mean,max,seconds_gap", to="2026-01-01T00:00:00Z", **{"from": "2025-12-31T00:00:00Z"})
        buckets = [{name: value for name, value in row.items() if name not in ("unit",)} for row in rows_of(body)]
        got = ask(f"SELECT entity_id, iso AS start, count, mean, min, max, seconds_gap FROM ha_series('{entity}', '2025-12-31T00:00:00Z', 1767225600, '1h')")
        self.assertEqual(got, buckets)
        self.assertEqual(len(got), 24)
        got = ask(f"SELECT entity_id, iso AS start, count, mean, min, max, seconds_gap FROM v_hourly WHERE entity_id = '{entity}'"
                  " AND at_us >= 1767139200000000 AND at_us < 1767225600000000")
        self.assertEqual(got, buckets)
        middle = rows[len(rows) // 2]
        bounds = f"entity_id = '{middle['entity_id']}' AND at_us > {microseconds(middle['time'])}"
        self.assertEqual([row["time"] for row in ask(f"SELECT iso AS time FROM ha_series WHERE {bounds}")],
                         [row["time"] for row in rows if row["entity_id"] == middle["entity_id"] and row["time"] > middle["time"]])
        self.assertEqual(ask(f"SELECT iso FROM ha_series WHERE {bounds} AND at_us < 5"), [])
        bad = subprocess.run(["sqlite3", "-readonly", "-cmd", f".load {BIN}/ha_ingestor", self.system.data / "store.db",
                              "SELECT * FROM ha_series('a', 'x')"], capture_output=True, text=True)
        self.assertIn("from: is no time", bad.stderr)


class Rows(unittest.TestCase):
    def test_hours_and_days_are_rows_for_any_sqlite(self):
        """v_hour and v_day by plain SQL, read-only, in the shape in which Grafana asks, the day after: the same as the API's buckets"""
        stats = ("count", "mean", "min", "max", "last", "increase", "seconds", "seconds_unavailable", "seconds_gap")
        with Workspace() as place:
            clock = Clock(place.path)
            home = place.home("--rate", 1000, "--wait-for-client", "--events", 1000, truth=False, environment=clock.environment)
            system = place.system(home_port=home.port, enrich=1, SINK_SQL_ROLLUPS="true", INGEST_BACKFILL="false", **clock.environment).start()
            system.settled(1000)
            home.stop()
            entities = sorted({row["entity_id"] for row in map(json.loads, system.api.export()) if row["event_type"] == "state_changed"})
            first = microseconds(json.loads(next(iter(system.api.export())))["timestamp"])
            clock.path.write_bytes((2 * 86400 * 1000000).to_bytes(8, sys.byteorder))
            begin = first // 86400000000 * 86400000 - 86400000  # $__from, $__to: the home's day begins an hour earlier than UTC's
            end = begin + 2 * 86400000
            with sqlite3.connect(f"file:{system.data}/store.db?mode=ro", uri=True) as db:
                left = "SELECT count(*) FROM series WHERE is_state AND id NOT IN (SELECT series FROM rolled WHERE tier = 3)"
                wait_for(lambda: db.execute(left).fetchone()[0] == 0, 120, "all of them to be rolled up")
                for view, step in (("v_hour", "1h"), ("v_day", "1d")):
                    _, body = fetch(system.api, "/api/v1/series/export", ids=",".join(entities), step=step, stat=",".join(stats),
                                    **{"from": begin // 1000, "to": end // 1000})
                    want = [row for row in rows_of(body) if begin <= microseconds(row["start"]) // 1000 < end and (row["seconds"] > 0 or row["count"] > 0)]
                    got = db.execute(f"SELECT entity_id, unit, at_us, {', '.join(stats)} FROM {view}"
                                     f" WHERE time >= {begin} / 1000 AND time < {end} / 1000 ORDER BY entity_id, time").fetchall()
                    self.assertTrue(want, (begin, end, body[:500]))
                    want.sort(key=lambda row: (row["entity_id"], row["start"]))
                    self.assertEqual([row[:3] for row in got], [(row["entity_id"], row["unit"], microseconds(row["start"])) for row in want])
                    for row, expected in zip(got, want):
                        for name, value in zip(stats, row[3:]):
                            if value is None or isinstance(value, str):
                                self.assertEqual(value, expected["last_state" if isinstance(value, str) else name], (row, name))
                            else:
                                self.assertAlmostEqual(value, expected[name], 6, (row, name))


class SlowReaders(unittest.TestCase):
    def test_a_slow_export_delays_no_commit_and_lets_the_log_begin_anew(self):
        """Held open while the store grows by more than the log may be; then a killed query, and the client goes"""
        with Workspace() as place:
            home = place.home("--rate", 20000, "--wait-for-client", "--events", 80000, truth=False)
            system = place.system(home_port=home.port, enrich=1).start()
            system.settled(20000)
            slow = socket.create_connection(("127.0.0.1", system.port))
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(b"GET /api/v1/series/export?format=csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertTrue(slow.recv(1000).startswith(b"HTTP/1.1 200"))
            log, sizes = system.data / "store.db-wal", []
            wait_for(lambda: sizes.append(os.path.getsize(log)) or system.api.count() >= 80000, 120, "all to be stored", 0.1)
            self.assertLess(max(sizes), 100 * 1024 * 1024)
            self.assertEqual(system.api.request("GET", "/api/v1/series/export?format=lp", timeout=120)[0], 200)  # all of it, beside the slow one
            for name in ("query-1", "gateway"):  # no more than a page of it at a time
                status = pathlib.Path(f"/proc/{system.pid(name)}/status").read_text()
                self.assertLess(int(status.split("VmHWM:")[1].split()[0]), 40 * 1024, name)
            with sqlite3.connect(system.data / "store.db", timeout=10) as db:  # nobody looks at an old moment: all of it can go
                self.assertEqual(wait_for(lambda: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone(), 10, "a checkpoint"), (0, 0, 0))
            self.assertTrue(slow.recv(1 << 16))
            slow.close()  # in the middle: its pages are asked for no more
            asked = []

            def nobody_asks():
                text = system.api.request("GET", "/metrics")[2].decode()
                asked.append([line for line in text.split("\n") if line.startswith("ha_ingestor_query_questions")])
                return len(asked) > 1 and asked[-1] and asked[-1] == asked[-2]
            wait_for(nobody_asks, 30, "the questions to end", 2.5)

    def test_an_export_of_series_outlives_the_query_process_that_reads_it(self):
        """Killed twice on the way, it is whole, in every form"""
        with Workspace() as place:
            home = place.home("--rate", 30000, "--wait-for-client", "--events", 30000, truth=False)
            system = place.system(home_port=home.port, enrich=1).start()
            system.settled(30000)
            home.stop()
            for form in ("csv", "lp"):
                path = "/api/v1/series/export?format=" + form + "&to=2100-01-01T00:00:00Z"
                expected = system.api.request("GET", path, timeout=60)[2]
                connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=60)
                connection.request("GET", path)
                response, got = connection.getresponse(), b""
                for part in (1, 2):
                    got += response.read(len(expected) * part // 4 - len(got))
                    pid = wait_for(lambda: system.pid("query-1"), 10, "the query process")
                    self.assertTrue(system.signal("query-1", 9))
                    wait_for(lambda: system.pid("query-1") not in (None, pid), 10, "another query process")
                got += response.read()
                connection.close()
                self.assertTrue(got == expected, f"{len(got)} of {len(expected)} bytes")


if __name__ == "__main__":
    unittest.main(verbosity=2)
