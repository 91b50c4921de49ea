"""Gaps are filled from Home Assistant's history: nothing is missing but what the ledger says, nothing is there twice."""

import json
import signal
import threading
import unittest

from system import Workspace, exact, microseconds, time_text, wait_for
from witness import Witness

ENDED = ("filled", "partly_filled", "unrecoverable")


class House:
    """A home with a recorder that leaves entities out and takes its time, and the suite."""

    def __init__(self, place, *arguments, **settings):
        self.place = place
        self.home = place.home("--entities", 60, "--commit-delay", 0.7, "--exclude", "sensor.secret_*", *arguments)
        self.initial = self.home.states()
        self.system = place.system(home_port=self.home.port, enrich=1, INGEST_RETRY_MIN_MS=50, INGEST_RETRY_MAX_MS=300,
                                   INGEST_BACKFILL_COMMIT_MS=3000, **settings).start()
        self.api = self.system.api

    def set(self, *names, state):
        for name in names:
            self.home.control(f"set {name} {state}")

    def session(self):
        return self.api.get("/api/v1/ingest")["session"]

    def wait_back(self, session):
        wait_for(lambda: self.session() > session, 30, "a new session")
        self.system.wait_live()

    def wait_filled(self):
        wait_for(lambda: self.home.stats()["running"], 20, "the home to run")
        wait_for(lambda: all(g["state"] in ENDED for g in self.api.gaps()), 60, "the gaps to be filled")

    def witness(self, test):
        """Everything stops; truth, store and ledger are held against each other."""
        self.home.control("stop-events")
        self.wait_filled()
        counts = [-1, -2]

        def still():
            counts.append(self.api.count())
            return counts[-1] == counts[-2] == counts[-3]

        wait_for(still, 60, "the count to stand still", 0.5)
        gaps, rows = self.api.gaps(), self.api.export()
        (self.place.path / "gaps.json").write_text(json.dumps(gaps, indent=1))
        (self.place.path / "rows.ndjson").write_bytes(b"\n".join(rows))
        self.home.stop()
        with open(self.home.truth_path, "rb") as truth:
            witness = Witness(self.initial, gaps, rows).look(truth)
        for line in witness.report():
            print("  " + line, flush=True)
        test.assertEqual([], witness.problems[:5], f"{len(witness.problems)} problems")
        return gaps, [exact(row) for row in rows]


class Backfill(unittest.TestCase):
    def test_what_was_missed_in_a_cut_comes_back(self):
        """A connection is cut: states and removals come back, an entity without a recorder is named"""
        with Workspace() as place:
            house = House(place, "--rate", 50, "--wait-for-client")
            house.set("sensor.kept", "sensor.gone", "sensor.back", "sensor.secret_1", "sensor.secret_idle", state=1)
            wait_for(lambda: house.api.count(entity_id="sensor.secret_idle") > 0, 20, "the last of them")
            threading.Event().wait(1.5)  # a gap begins a second before what came last
            session = house.session()
            house.home.control("cut 1000000")
            house.set("sensor.kept", "sensor.back", "sensor.secret_1", "sensor.new", state=2)
            house.home.control("remove sensor.gone")
            house.home.control("remove sensor.back")
            house.home.control('fire a_custom_event {"n":1}')
            house.set("sensor.back", "sensor.kept", state=3)
            threading.Event().wait(1)
            house.home.control("cut 0")
            house.wait_back(session)
            house.wait_filled()
            gaps, rows = house.witness(self)
            gap = gaps[-1]
            self.assertEqual(gap["state"], "partly_filled", gap)
            self.assertEqual(gap["unrecoverable"]["excluded_entities"], ["sensor.secret_1"])
            self.assertEqual(gap["unrecoverable"]["contexts"], gap["recovered"]["states"])
            self.assertNotIn("removals", gap["unrecoverable"])
            told = {(r["entity_id"], r["state"]): r["provenance"] for r in rows if r["event_type"] == "state_changed"}
            self.assertEqual([told[key] for key in [("sensor.kept", "2"), ("sensor.kept", "3"), ("sensor.gone", None),
                                                    ("sensor.back", None), ("sensor.back", "3"), ("sensor.new", "2")]], ["backfill"] * 6)
            self.assertEqual(told["sensor.secret_1", "2"], "snapshot")

    def test_a_kill_in_mid_fill(self):
        """ingest is killed while it is down, and again and again while it fills: each row once, counted once"""
        with Workspace() as place:
            house = House(place, "--rate", 400, "--wait-for-client")
            wait_for(lambda: house.api.count() > 500, 20, "events")
            for number in range(6):
                wait_for(lambda: house.system.signal("ingest", signal.SIGKILL), 10, "ingest to be there")
                wait_for(lambda: house.system.pid("ingest"), 10, "ingest to be started again")
                threading.Event().wait(0.25 + 0.15 * number)
            house.system.wait_live()
            house.home.control("restart 1")
            threading.Event().wait(0.5)
            wait_for(lambda: house.home.stats()["running"], 20, "the home to run")
            house.system.wait_live()
            gaps, rows = house.witness(self)
            for gap in gaps[1:]:
                start, end = microseconds(gap["start"]), microseconds(gap["end"])
                inside = [r for r in rows if r["event_type"] == "state_changed" and start <= r_at(r) < end]
                brought = [r for r in inside if r["provenance"] == "backfill"]
                self.assertLessEqual(len(brought), gap["recovered"]["states"], gap)
                self.assertLessEqual(gap["recovered"]["states"], len(inside), gap)
            restored = [r for r in rows if r.get("restored")]
            self.assertGreater(len(restored), 10)
            self.assertLess(len(restored), 200)

    def test_the_days_before_the_first_start(self):
        """A request fetches what the recorder has of the time before us; what makes no sense is refused"""
        with Workspace() as place:
            house = House(place, "--rate", 100)
            first = next(g for g in house.api.gaps() if g["cause"] == "first_start")
            wait_for(lambda: house.api.gaps()[0]["state"] == "filled", 10, "the first states")
            wait_for(lambda: sum(exact(r)["provenance"] == "snapshot" for r in house.api.export()) > 50, 20, "the snapshot to be stored")
            self.assertIn("POST /api/v1/gaps/backfill", house.api.get("/api/v1/ingest")["backfill"])
            start = time_text(microseconds(first["start"]) - 3600 * 1000000)
            for question, status in ({"start_time": start}, 422), ({"start_time": first["end"], "end_time": start}, 422), \
                    ({"start_time": start, "end_time": "2999-01-01T00:00:00Z"}, 422):
                self.assertEqual(self.post(house, question)[0], status, question)
            status, reply = self.post(house, {"start_time": start, "end_time": first["end"]})
            self.assertEqual(status, 202)
            again, _ = self.post(house, {"start_time": start, "end_time": first["end"]})
            house.wait_filled()
            request = next(g for g in house.api.gaps() if g["id"] == reply["id"])
            self.assertEqual((request["cause"], request["state"]), ("requested", "filled"))
            self.assertIn(again, (202, 409))
            house.home.control("stop-events")
            wait_for(lambda: any(exact(r)["provenance"] == "backfill" for r in house.api.export(end_time=first["start"])), 20,
                     "what was before to be stored")
            spans = house.api.get("/api/v1/coverage")["spans"]
            self.assertEqual({s["states"] for s in spans}, {"live"}, spans)
            self.assertEqual(spans[0]["start"], first["start"])

    def post(self, house, question):
        status, _, body = house.api.request("POST", "/api/v1/gaps/backfill", json.dumps(question), {"Content-Type": "application/json"})
        return status, json.loads(body)


def r_at(row):
    return microseconds(row["timestamp"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
