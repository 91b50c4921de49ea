"""A real Home Assistant: what is stored equals what an independent subscriber saw and what its recorder kept."""

import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import unittest
import urllib.error

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
import home_assistant  # noqa: E402
from home_assistant import HomeAssistant  # noqa: E402
from system import Process, System, Workspace, assert_same, exact, in_gaps, microseconds, stored_row, wait_for  # noqa: E402

SECONDS = float(os.environ.get("REAL_SECONDS", "60"))
PYTHON = home_assistant.install()

ODD_STATES = ["", " 12 ", "0", "1", "1e5", "1E5", "inf", "NaN", "-0.0", "007", "1_000", "on", "unavailable", "unknown",
              "ü" * 255, "\u0000x", "2026-11-24T00:00:00+00:00", "😀", '"quoted"', "a\\b", "\t"]
ODD_ATTRIBUTES = [{}, {"n": 9223372036854775808}, {"n": 1e-7, "m": -0.0}, {"nul": "\u0000", "deep": [[None, {"a": []}]]},
                  {"long": "y" * 20000}, {"unit_of_measurement": "°F", "device_class": "temperature"},
                  {"options": ["a", "b"], "repeat": "all", "empty": "", "none": None}]

SERVICES = [("light/toggle", "light.bed_light"), ("light/toggle", "light.ceiling_lights"), ("switch/toggle", "switch.ac"),
            ("input_boolean/toggle", "input_boolean.guest"), ("counter/increment", "counter.steps"),
            ("cover/toggle", "cover.hall_window"), ("fan/toggle", "fan.living_room_fan"), ("lock/lock", "lock.front_door"),
            ("lock/unlock", "lock.front_door"), ("media_player/media_pause", "media_player.living_room"),
            ("media_player/media_play", "media_player.living_room"), ("button/press", "button.push")]


def drive(ha, seconds, chance):
    """Random services, odd states, removals and events of our own, one after the other."""
    until = time.monotonic() + seconds
    calls = 0
    while time.monotonic() < until:
        kind = chance.random()
        try:
            if kind < 0.6:
                service, entity = chance.choice(SERVICES)
                ha.call("POST", f"/api/services/{service}", {"entity_id": entity})
            elif kind < 0.85:
                ha.call("POST", f"/api/states/sensor.odd_{chance.randrange(6)}",
                        {"state": chance.choice(ODD_STATES), "attributes": chance.choice(ODD_ATTRIBUTES),
                         "force_update": chance.random() < 0.5})
            elif kind < 0.9:
                ha.call("DELETE", f"/api/states/sensor.odd_{chance.randrange(6)}")
            else:
                ha.call("POST", f"/api/events/custom_{chance.randrange(4)}", {"n": chance.randrange(100), "x": [None, 1e-7]})
        except urllib.error.HTTPError as error:
            if error.code not in (400, 404, 500):
                raise
        calls += 1
    return calls


def seen_events(path):
    with open(path, encoding="utf-8") as file:
        return [exact(line)["event"] for line in file if line.strip()]


@unittest.skipUnless(PYTHON, "PyPI cannot be reached: a real Home Assistant was NOT tested")
class RealHomeAssistant(unittest.TestCase):
    def test_stored_equals_seen_and_recorded(self):
        with Workspace() as place:
            ha = HomeAssistant(place.path)
            ha.start()
            try:
                token = ha.make_user()
                self.witness(place, ha, token)
            finally:
                if ha.process.child.poll() is None:
                    ha.stop()

    def listener(self, place, ha, token, name):
        seen = place.path / f"{name}.ndjson"
        log = place.path / f"{name}.log"
        listener = Process([str(PYTHON), str(pathlib.Path(__file__).with_name("subscriber.py")), "listen", str(ha.port),
                            token, str(seen)], log)
        wait_for(lambda: "subscribed" in log.read_text(), 20, "the independent subscriber")
        return listener, seen

    def witness(self, place, ha, token):
        system = place.system(home_port=ha.port, token=token, INGEST_BACKFILL_COMMIT_MS=10000).start()
        listener, seen = self.listener(place, ha, token, "first")
        self.assertNotIn(token, system.log_text())
        start = ha.call("POST", "/api/events/ingestor_test_begins")
        self.assertIn("message", start)
        chance = random.Random(7)
        calls = drive(ha, SECONDS, chance)
        ha.call("POST", "/api/events/ingestor_test_ends")
        wait_for(lambda: "ingestor_test_ends" in seen.read_text(), 20, "the subscriber's last event")
        wait_for(lambda: system.api.count(event_type="ingestor_test_ends") == 1, 20, "our last event")
        listener.stop()
        events = seen_events(seen)
        rows = self.between(system, events)
        assert_same(events, rows)
        print(f"{calls} calls, {len(events)} events: stored equals seen, value for value", flush=True)
        self.compare_recorder(ha, events, rows)
        self.check_registry(ha, system)
        self.outage(ha, system)
        self.restart(place, ha, system, token)

    def between(self, system, events):
        """Our rows of the span that the subscriber saw, both ends included."""
        first = next(e for e in events if e["event_type"] == "ingestor_test_begins")
        events[:] = events[events.index(first):]
        last = next(i for i, e in enumerate(events) if e["event_type"] == "ingestor_test_ends")
        del events[last + 1:]
        rows = system.api.export(start_time=first["time_fired"])
        kept = [r for r in rows if microseconds(exact(r)["timestamp"]) <= microseconds(events[-1]["time_fired"])]
        types = [exact(r)["event_type"] for r in kept]
        self.assertEqual(types[0], "ingestor_test_begins")
        return kept

    def compare_recorder(self, ha, events, rows):
        """Every state row that Home Assistant's own recorder kept is ours, and the reverse."""
        ours = {}
        for line in rows:
            row = exact(line)
            if row["event_type"] == "state_changed" and row["state"] is not None:
                ours[row["entity_id"], microseconds(row["last_updated"])] = row
        last = max(at for _, at in ours)

        def recorder():
            base = sqlite3.connect(f"file:{ha.database()}?mode=ro", uri=True)
            try:
                return base.execute(
                    "SELECT m.entity_id, s.state, s.last_updated_ts, a.shared_attrs FROM states s JOIN states_meta m USING"
                    " (metadata_id) LEFT JOIN state_attributes a USING (attributes_id) WHERE s.state IS NOT NULL").fetchall()
            finally:
                base.close()

        def micro(seconds):
            whole = int(seconds)
            return whole * 1000000 + round((seconds - whole) * 1e6)

        wait_for(lambda: any(micro(r[2]) >= last for r in recorder()), 20, "the recorder to commit")
        first = min(at for _, at in ours)
        theirs = {(e, micro(ts)): (state, attributes) for e, state, ts, attributes in recorder() if first <= micro(ts) <= last}
        self.assertEqual(sorted(set(theirs) - set(ours)), [], "rows of the recorder that we lack")
        self.assertEqual(sorted(set(ours) - set(theirs)), [], "rows of ours that the recorder lacks")
        for key, (state, attributes) in theirs.items():
            self.assertEqual(ours[key]["state"], state, key)
            kept = exact(attributes or "{}")
            mine = ours[key]["attributes"]
            self.assertEqual({k: v for k, v in mine.items() if k in kept}, kept, key)
        print(f"{len(theirs)} rows of the recorder: ours are the same", flush=True)

    def outage(self, ha, system):
        """ingest is killed and kept away while the house lives on: its recorder's rows are ours afterwards, once"""
        for name in ["while_away", *(f"odd_{i}" for i in range(6))]: # one that comes and goes unseen is known to nobody
            ha.call("POST", f"/api/states/sensor.{name}", {"state": "before"})
        wait_for(lambda: system.api.count(entity_id="sensor.odd_5", query="before", fields="state") > 0, 20, "them to be stored")
        down = lambda order: subprocess.run(["s6-svc", order, str(system.service("ingest"))], check=True)
        down("-d")
        system.signal("ingest", signal.SIGKILL)
        wait_for(lambda: not system.pid("ingest"), 10, "ingest to be gone")
        began = time.time()
        for i in range(5):
            ha.call("POST", "/api/states/sensor.while_away", {"state": ODD_STATES[i], "attributes": ODD_ATTRIBUTES[i]})
        drive(ha, 5, random.Random(9))
        ha.call("DELETE", "/api/states/sensor.while_away")
        ended = time.time()
        down("-u")
        system.wait_live()
        gaps = wait_for(lambda: [g for g in system.api.gaps() if g["state"] == "filled" and g["cause"] == "ingestor_down"], 60, "the gap to be filled")
        theirs = self.recorded(ha, began, ended)
        self.assertGreater(len(theirs), 20)
        wait_for(lambda: system.api.count(start_time=began, end_time=ended) >= len(theirs), 20, "them to be stored")
        ours = {}
        for row in map(exact, system.api.export(start_time=began, end_time=ended)):
            self.assertEqual(row["provenance"], "backfill", row)
            key = (row["entity_id"], microseconds(row["timestamp"]))
            self.assertNotIn(key, ours)
            ours[key] = (row["state"], row["attributes"] if row["state"] is not None else None)
        self.assertEqual(ours, theirs)
        self.assertIn(("sensor.while_away", None), {(entity, state) for (entity, _), (state, _) in ours.items()})
        self.assertGreaterEqual(gaps[-1]["recovered"]["states"], len(theirs))
        print(f"{len(theirs)} rows of an outage, removals too: ours are those of the recorder", flush=True)

    @staticmethod
    def recorded(ha, began, ended):
        base = sqlite3.connect(f"file:{ha.database()}?mode=ro", uri=True)
        try:
            rows = base.execute("SELECT m.entity_id, s.state, s.last_updated_ts, a.shared_attrs FROM states s JOIN states_meta m"
                                " USING (metadata_id) LEFT JOIN state_attributes a USING (attributes_id)"
                                " WHERE s.last_updated_ts >= ? AND s.last_updated_ts < ?", (began, ended)).fetchall()
        finally:
            base.close()
        return {(entity, int(at) * 1000000 + round((at - int(at)) * 1e6)): (state, exact(attributes or "{}") if state is not None else None)
                for entity, state, at, attributes in rows}

    def check_registry(self, ha, system):
        states = {s["entity_id"] for s in ha.call("GET", "/api/states")}
        page = system.api.get("/api/entities", limit=1000)
        ids = {e["entity_id"] for e in page["entities"]}
        self.assertGreater(len(ids & states), 20, "entities of the registry")

    def restart(self, place, ha, system, token):
        before = system.api.get("/api/v1/ingest")["session"]
        ha.stop()
        wait_for(lambda: system.api.get("/api/v1/ingest")["state"] != "live", 30, "ingest to notice")
        ha.start()
        wait_for(lambda: system.api.get("/api/v1/ingest")["session"] > before, 60, "ingest to come back")
        system.wait_live()
        listener, seen = self.listener(place, ha, token, "second")
        ha.call("POST", "/api/events/ingestor_test_begins")
        drive(ha, 5, random.Random(8))
        ha.call("POST", "/api/events/ingestor_test_ends")
        wait_for(lambda: system.api.count(event_type="ingestor_test_ends") == 2, 20, "our last event")
        wait_for(lambda: "ingestor_test_ends" in seen.read_text(), 20, "the subscriber's last event")
        listener.stop()
        events = seen_events(seen)
        assert_same(events, self.between(system, events))
        gaps = system.api.gaps()
        self.assertTrue(any(g["cause"] in ("home_assistant_restart", "connection_lost") for g in gaps), gaps)
        self.assertTrue(all(g["end"] for g in gaps), gaps)
        self.assertNotIn(token, system.log_text())
        print(f"restarted: {len(events)} events after it, the gap is in the ledger", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
