"""What things were over a time and at a moment, through the real processes, against brute force over the same events."""

import http.client
import json
import math
import random
import unittest
import urllib.parse
from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from system import Workspace, microseconds, time_text, wait_for
from test_questions import write_recording

SECOND, HOUR, DAY = 10**6, 3600 * 10**6, 86400 * 10**6
START = microseconds("2025-10-20T00:00:00Z")
END = START + 12 * DAY  # with the 25 hours of 26 October in Berlin
ZONES = ["Europe/Berlin", "Asia/Kathmandu", "UTC"]
FIXED = {"5m": 300 * SECOND, "15m": 900 * SECOND, "30m": 1800 * SECOND, "1h": HOUR, "3h": 3 * HOUR, "12h": 12 * HOUR}
STATS = ["count", "mean", "min", "max", "first", "last", "increase", "resets", "seconds", "seconds_unavailable", "seconds_gap", "durations"]
ENTITIES = ["sensor.made_power", "sensor.made_energy", "sensor.made_rare", "light.made", "sensor.made_mode"]


def made_events(chance, count):
    """(time, entity, state or None, attributes), in the order of time, no two at the same."""
    times = sorted(chance.sample(range(START, END, 1000), count))
    events, energy, power = [], 100.0, 500.0
    for i, at in enumerate(times):
        entity = chance.choices(ENTITIES, [8, 5, 0.3, 2, 2])[0]
        attributes = {"friendly_name": f"{entity} {at // (4 * DAY)}"}
        if entity == "sensor.made_power":
            power = max(0.0, power + chance.uniform(-50, 50))
            state = chance.choices([f"{power:.1f}", "unavailable", "unknown", None], [90, 4, 2, 2])[0]
            attributes.update(unit_of_measurement="W", device_class="power", state_class="measurement")
        elif entity == "sensor.made_energy":
            energy = chance.choices([energy + chance.uniform(0, 2), energy * 0.97, 0.5], [90, 5, 5])[0]
            state = chance.choices([f"{energy:.3f}", "unavailable"], [95, 5])[0]
            attributes.update(unit_of_measurement="kWh", device_class="energy", state_class="total_increasing")
        elif entity == "sensor.made_rare":
            state, attributes["unit_of_measurement"] = str(i), "lx"
        elif entity == "light.made":
            state = chance.choice(["on", "off", "unavailable"])
        else:
            state = chance.choice(["eco", "away", "holiday", "boost \u00fc"])
        events.append((at, entity, state, None if state is None else attributes))
    return events


def as_home_assistant_says(events):
    """The same as events of Home Assistant."""
    texts, before = [], {}
    for n, (at, entity, state, attributes) in enumerate(events):
        time, context = time_text(at), {"id": f"c {n}", "parent_id": None, "user_id": None}
        new = state and {"entity_id": entity, "state": state, "attributes": attributes, "last_changed": time, "last_updated": time, "context": context}
        texts.append(json.dumps({"event_type": "state_changed", "origin": "LOCAL", "time_fired": time, "context": context,
                                 "data": {"entity_id": entity, "old_state": before.get(entity), "new_state": new}}))
        before[entity] = new
    return texts


# --- brute force: the definitions, word for word ---------------------------------------------------

class Truth:
    def __init__(self, events, entity):
        self.samples = [(at, state, attributes) for at, name, state, attributes in events if name == entity]
        self.times = [sample[0] for sample in self.samples]
        self.is_states = entity in ("light.made", "sensor.made_mode")
        self.is_counter = entity == "sensor.made_energy"
        self.grown = self.growth()

    def value(self, state):
        if self.is_states:
            return None if state in (None, "unavailable", "unknown", "") else state
        try:
            return float(state)
        except (TypeError, ValueError):
            return None

    def growth(self):
        grown, previous, highest = {}, None, None
        for at, state, _ in self.samples:
            number = self.value(state)
            if not self.is_counter or number is None:
                continue
            if previous is None:
                grown[at], highest = (0, False), number
            elif number < 0.9 * previous:
                grown[at], highest = (number, True), number
            else:
                grown[at], highest = (max(0, number - highest), False), max(highest, number)
            previous = number
        return grown

    def at(self, moment):
        """The sample in force; None: none was yet."""
        i = bisect_right(self.times, moment)
        return self.samples[i - 1] if i else None

    def edges(self, start, end):
        return [start, *self.times[bisect_right(self.times, start):bisect_left(self.times, end)], end]

    def bucket(self, start, end):
        edges = self.edges(start, end)
        seconds, unavailable, integral, values, durations = 0, 0, 0.0, [], {}
        for a, b in zip(edges, edges[1:]):
            sample = self.at(a)
            value = self.value(sample[1]) if sample else None
            if value is None:
                unavailable += b - a
                continue
            seconds += b - a
            values.append(value)
            durations[value] = durations.get(value, 0) + (b - a) / 1e6
            integral += 0 if self.is_states else value * (b - a)
        first, last = self.at(start), self.at(end - 1)
        inside = self.samples[bisect_left(self.times, start):bisect_left(self.times, end)]
        growth = [self.grown[sample[0]] for sample in inside if sample[0] in self.grown]
        numeric = values and not self.is_states
        return {
            "count": sum(self.value(state) is not None for _, state, _ in inside),
            "mean": integral / seconds if numeric else None, "min": min(values) if numeric else None, "max": max(values) if numeric else None,
            "first": self.value(first[1]) if first else None, "last": self.value(last[1]) if last else None,
            "increase": sum(g for g, _ in growth) if self.is_counter else None,
            "resets": sum(reset for _, reset in growth) if self.is_counter else None,
            "seconds": seconds / 1e6, "seconds_unavailable": unavailable / 1e6, "seconds_gap": 0,
            "durations": durations if self.is_states else {},
        }

    def absent(self, start, end):
        """The stretches without a value."""
        edges, found = self.edges(start, end), []
        for a, b in zip(edges, edges[1:]):
            sample = self.at(a)
            if sample is None or self.value(sample[1]) is None:
                found = found[:-1] + [(found[-1][0], b)] if found and found[-1][1] == a else found + [(a, b)]
        return found


def step_edges(step, zone, start, end):
    """The beginnings of the steps that start .. end lies in, and the end of the last."""
    if step in FIXED:
        edges = [start // FIXED[step] * FIXED[step]]
        while edges[-1] < end:
            edges.append(edges[-1] + FIXED[step])
        return edges
    zone = ZoneInfo(zone)
    day = datetime.fromtimestamp(start // SECOND, zone).date()
    day = day.replace(day=1) if step == "1mo" else day

    def begins(day):
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * SECOND
    edges = [begins(day)]
    while edges[-1] < end:
        day = (day.replace(day=1) + timedelta(days=32)).replace(day=1) if step == "1mo" else day + timedelta(days=1)
        edges.append(begins(day))
    return edges


def close(got, expected):
    if isinstance(expected, dict):
        return got is not None and set(got) == set(expected) and all(close(got[key], expected[key]) for key in expected)
    if isinstance(expected, float) and isinstance(got, (int, float)):
        return math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-6)
    return got == expected


def pairs(stretches):
    return [tuple(microseconds(edge) for edge in stretch) for stretch in stretches]


class Series(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.chance = random.Random(11)
        cls.events = made_events(cls.chance, 2500)
        cls.truth = {entity: Truth(cls.events, entity) for entity in ENTITIES}
        cls.workspace = Workspace()
        place = cls.workspace.__enter__()
        home = place.home("--replay", write_recording(place.path / "made.jsonl.gz", as_home_assistant_says(cls.events)), truth=False)
        cls.system = place.system(home_port=home.port, enrich=1, query=2, INGEST_BACKFILL="false", QUERY_PAGE_BYTES=65536).start()
        cls.api = cls.system.api
        wait_for(lambda: cls.api.count(entity_id=",".join(ENTITIES)) >= len(cls.events), 60, "the events to be stored")

    @classmethod
    def tearDownClass(cls):
        cls.workspace.__exit__(None, None, None)

    def moments(self):
        start, end = sorted(self.chance.sample(range(START - DAY, END + DAY, 1000), 2))
        return (start, end) if self.chance.random() < 0.7 else (start, min(end, start + DAY // 3))

    def check_series(self, series, truth, edges, stats):
        self.assertEqual([microseconds(start) for start in series["start"]], edges[:-1])
        for i, (start, end) in enumerate(zip(edges, edges[1:])):
            expected = truth.bucket(start, end)
            for stat in stats:
                got, wanted = series[stat][i], expected[stat]
                if stat == "increase" and wanted == 0:
                    wanted = got if got in (None, 0) else wanted  # nothing was said, or nothing was added
                self.assertTrue(close(got, wanted), (series["entity_id"], time_text(start), stat, got, wanted))
        self.assertEqual(pairs(series["unavailable"]), truth.absent(edges[0], edges[-1]))
        self.assertEqual(series["gaps"], [])

    def test_every_step_is_what_brute_force_finds(self):
        """Random entities, times, steps and zones: two processes answer, page after page"""
        for _ in range(60):
            start, end = self.moments()
            step = self.chance.choice([*FIXED, "1d", "1d", "1d", "1mo"])
            zone, stats = self.chance.choice(ZONES), self.chance.sample(STATS, self.chance.choice([2, 5, len(STATS)]))
            ids = self.chance.sample(ENTITIES, self.chance.choice([1, 3, 5]))
            query = {"ids": ",".join(ids), "from": time_text(start), "to": time_text(end), "step": step, "tz": zone, "stat": ",".join(stats)}
            with self.subTest(query=query):
                answer = self.api.get("/api/v1/series", **query)
                self.assertEqual([series["entity_id"] for series in answer["series"]], ids)
                self.assertEqual((answer["from"], answer["to"], answer["step"]), (query["from"], query["to"], step))
                self.assertIn(answer["tier"], ("raw", "15m", "1h", "1d"))
                for series in answer["series"]:
                    self.check_series(series, self.truth[series["entity_id"]], step_edges(step, zone, start, end), stats)

    def test_samples_begin_with_the_one_in_force(self):
        """step=raw, and points that are enough for it"""
        for _ in range(20):
            start, end = self.moments()
            entity, how = self.chance.choice(ENTITIES), self.chance.choice([{"step": "raw"}, {"points": 10000}])
            answer = self.api.get("/api/v1/series", ids=entity, to=time_text(end), **{"from": time_text(start)}, **how)
            truth, series = self.truth[entity], answer["series"][0]
            expected = [sample for sample in truth.samples if start <= sample[0] < end]
            before = truth.at(start - 1)
            if before and before[1] is not None and not (expected and expected[0][0] == start):
                expected.insert(0, before)
            self.assertEqual(answer["step"], "raw")
            self.assertEqual([microseconds(time) for time in series["time"]], [at for at, _, _ in expected])
            self.assertEqual(series["state"], [state for _, state, _ in expected])
            numbers = [None if truth.is_states else truth.value(state) for _, state, _ in expected]
            self.assertEqual(series["value"], numbers)
            self.assertEqual(pairs(series["unavailable"]), truth.absent(start, end))

    def test_points_choose_the_step(self):
        """At most so many, as many as there may be"""
        for points in (2, 10, 100, 1000, 5000):
            answer = self.api.get("/api/v1/series", ids="sensor.made_power", points=points, stat="mean", tz="Asia/Kathmandu",
                                  **{"from": time_text(START + 7 * HOUR), "to": time_text(END)})
            series = answer["series"][0]
            self.assertLessEqual(len(series["start"]), points)
            self.check_series(series, self.truth["sensor.made_power"],
                              step_edges(answer["step"], "Asia/Kathmandu", START + 7 * HOUR, END) if answer["step"] in (*FIXED, "1d", "1mo")
                              else [microseconds(t) for t in series["start"]] + [END], ["mean"])

    def test_rows_of_one_say_the_same(self):
        """History with an interval, and without: the events, the one in force first"""
        path, truth = "/api/v1/entities/sensor.made_power/history", self.truth["sensor.made_power"]
        start, end = START + 3 * DAY + 5 * HOUR, START + 8 * DAY
        rows = self.api.get(path, start_time=time_text(start), end_time=time_text(end), interval="1d", tz="Europe/Berlin")
        edges = step_edges("1d", "Europe/Berlin", start, end)
        self.assertEqual([row["start"] for row in rows], [time_text(edge) for edge in edges[:-1]])
        self.assertIn(25 * 3600, [row["seconds"] + row["seconds_unavailable"] for row in rows])
        for row, a, b in zip(rows, edges, edges[1:]):
            for stat, wanted in truth.bucket(a, b).items():
                if stat not in ("durations", "increase"):
                    self.assertTrue(close(row[stat], wanted), (row, stat, wanted))
        events = self.api.get(path, start_time=time_text(start), end_time=time_text(end))
        expected = [sample for sample in truth.samples if start <= sample[0] < end]
        before = truth.at(start)
        self.assertEqual([(microseconds(row["timestamp"]), row["state"]) for row in events],
                         [(at, state) for at, state, _ in ([before] if before and before[1] is not None else []) + expected])
        self.assertGreater(len(events), 100)

    def in_force(self, moment):
        rows = {entity: truth.at(moment) for entity, truth in self.truth.items()}
        return {entity: sample for entity, sample in rows.items() if sample and sample[1] is not None}

    def test_the_whole_house_at_a_moment(self):
        """States, names and units as they were"""
        for _ in range(20):
            moment = self.chance.randrange(START - HOUR, END + HOUR)
            answer = self.api.get("/api/v1/states", at=time_text(moment))
            got = {row["entity_id"]: row for row in answer["states"] if row["entity_id"] in ENTITIES}
            expected = self.in_force(moment)
            self.assertEqual(answer["at"], time_text(moment))
            self.assertEqual(set(got), set(expected))
            for entity, (at, state, attributes) in expected.items():
                row = got[entity]
                self.assertEqual((row["state"], row["attributes"], row["name"], row["unit"], microseconds(row["last_updated"])),
                                 (state, attributes, attributes["friendly_name"], attributes.get("unit_of_measurement"), at))
                self.assertAlmostEqual(row["age_s"], (moment - at) / 1e6, 5)
        self.assertEqual(self.api.get("/api/v1/states", entity_id="light.made")["count"], 1)

    def test_what_was_different_between_two_moments(self):
        """Added, removed, changed: and nothing else"""
        for _ in range(20):
            start, end = self.moments()
            changes = self.api.get("/api/v1/states/diff", **{"from": time_text(start), "to": time_text(end), "entity_id": ",".join(ENTITIES)})
            before, after = self.in_force(start), self.in_force(end)
            expected = {}
            for entity in set(before) | set(after):
                a, b = before.get(entity), after.get(entity)
                if a and b and a[1:] == b[1:]:
                    continue
                expected[entity] = ("changed" if a and b else "added" if b else "removed", a and a[1], b and b[1])
            got = {row["entity_id"]: (row["change"], row["before"] and row["before"]["state"], row["after"] and row["after"]["state"])
                   for row in changes["changes"]}
            self.assertEqual(got, expected)
            self.assertEqual(changes["count"], len(expected))

    def status(self, path, **query):
        status, headers, body = self.api.request("GET", path + "?" + urllib.parse.urlencode(query))
        return status, headers, json.loads(body) if body else None

    def test_bad_questions_name_the_field(self):
        """400 what contradicts itself, 422 what cannot be read"""
        good = {"ids": "sensor.made_power", "from": time_text(START), "to": time_text(END)}
        bad = [({"step": "7h"}, 400, "step"), ({"stat": "median"}, 400, "stat"), ({"to": time_text(START)}, 400, "to"), ({"tz": "Mars"}, 400, "tz"),
               ({"unit": "m"}, 400, "unit"), ({"time": "x"}, 400, "time"), ({"step": "1h", "points": 5}, 400, "points"),
               ({"ids": ",".join(f"sensor.s{i}" for i in range(201))}, 422, "ids"), ({"from": "yesterday"}, 422, "from"),
               ({"points": 0}, 422, "points"), ({"points": 10001}, 422, "points"), ({"ids": ""}, 422, "ids")]
        for change, status, field in bad:
            got, _, body = self.status("/api/v1/series", **{**good, **change})
            self.assertEqual((got, body["detail"]["field"]), (status, field), body)
        for change, status, field in [({"interval": "7h"}, 400, "interval"), ({"end_time": time_text(START)}, 400, "end_time"),
                                      ({"start_time": "x"}, 422, "start_time"), ({"interval": "1h", "unit": "m"}, 400, "unit")]:
            got, _, body = self.status("/api/v1/entities/sensor.made_power/history", **{"start_time": time_text(START), "end_time": time_text(END), **change})
            self.assertEqual((got, body["detail"]["field"]), (status, field), body)
        self.assertEqual(self.status("/api/v1/states", at="never")[0], 422)
        self.assertEqual(self.status("/api/v1/states/diff", **{"from": time_text(END), "to": time_text(START)})[0], 400)
        answer = self.api.get("/api/v1/series", **{**good, "ids": "sensor.nobody,sensor.made_power", "step": "1d"})
        self.assertEqual([series["known"] for series in answer["series"]], [False, True])
        self.assertEqual(answer["series"][0]["start"], [])

    def test_what_is_over_for_good_may_be_kept(self):
        """ETag, 304, immutable; and the same question in a body"""
        query = {"ids": "sensor.made_power", "from": time_text(START), "to": time_text(END), "step": "1d"}
        status, headers, body = self.api.request("GET", "/api/v1/series?" + urllib.parse.urlencode(query))
        self.assertIn("immutable", headers["cache-control"])
        again = self.api.request("GET", "/api/v1/series?" + urllib.parse.urlencode(query), headers={"If-None-Match": headers["etag"]})
        self.assertEqual((again[0], again[2]), (304, b""))
        posted = self.api.request("POST", "/api/v1/series", json.dumps({**query, "ids": [query["ids"]]}), {"Content-Type": "application/json"})
        self.assertEqual((posted[0], posted[2]), (200, body))
        now = datetime.now(timezone.utc) - timedelta(hours=2)
        status, headers, body = self.api.request("GET", "/api/v1/series?" + urllib.parse.urlencode({"ids": query["ids"], "from": now.isoformat(), "step": "1h"}))
        self.assertNotIn("immutable", headers["cache-control"])
        self.assertTrue(json.loads(body)["series"][0]["open"])
        compact = self.api.get("/api/v1/series", **query, tz="UTC", time="compact")["series"][0]
        self.assertIn("start", compact)  # days are not all of one length
        compact = self.api.get("/api/v1/series", **{**query, "step": "1h", "time": "compact"})["series"][0]
        self.assertEqual((compact["t0"], compact["step_us"]), (query["from"], HOUR))

    def test_a_long_answer_outlives_the_process_that_reads_it_and_holds_up_no_commit(self):
        """Half read, its query process is killed, and what happens meanwhile is stored"""
        query = urllib.parse.urlencode({"ids": ",".join(ENTITIES * 6), "from": time_text(START), "to": time_text(END), "step": "5m", "stat": ",".join(STATS)})
        connection = http.client.HTTPConnection("127.0.0.1", self.system.port, timeout=60)
        connection.request("GET", "/api/v1/series?" + query)
        response = connection.getresponse()
        got = response.read(100000)
        for name in ("query-1", "query-2"):
            self.assertTrue(self.system.signal(name, 9))
        stored = self.api.get("/api/v1/health")["actors"]
        sink = next(actor for actor in stored if actor["actor"] == "sink")
        self.assertEqual(sink["status"], "healthy")
        got += response.read()
        connection.close()
        answer = json.loads(got)
        self.assertEqual([series["entity_id"] for series in answer["series"]], ENTITIES * 6)
        edges = step_edges("5m", "UTC", START, END)
        for series in answer["series"][:5]:
            self.check_series(series, self.truth[series["entity_id"]], edges, ["count", "seconds", "mean"])
        self.assertEqual(answer["series"][:5], answer["series"][25:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
