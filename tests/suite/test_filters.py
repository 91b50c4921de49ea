"""What the user's rules leave out and what the quarantine gives back, while events flow and processes are killed."""

import json
import signal
import sqlite3
import threading
import unittest

from system import Workspace, canonical, compare, exact, expected_row, microseconds, wait_for

RULES = [{"action": "exclude", "domain": "binary_sensor"}, {"action": "exclude", "event_type": "call_service"},
         {"action": "thin", "glob": "sensor.*", "interval_s": 2}]
SETTLED = ("stored", "duplicate", "redelivered", "filtered", "quarantined")


def send(system, method, path, body=None):
    status, _, text = system.api.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    return status, json.loads(text)


def counters(system, actor):
    """Of the process that answers now; None: it has just begun."""
    found = [a for a in system.api.get("/api/v1/health")["actors"] if a["actor"] == actor and a["status"] != "silent"]
    return found[0]["counters"] if found else None


def at_rest(system, home):
    """The sink's counters once nothing is on its way."""
    home.control("stop-events")

    def still():
        before, now = still.before, counters(system, "sink")
        still.before = now
        return (now and before and all(now[k] == before[k] for k in ("received", *SETTLED)) and now["received"] == sum(now[k] for k in SETTLED)
                and system.api.get("/api/v1/conservation")["sources"][0]["in_flight"] == 0 and now)
    still.before = None
    return wait_for(still, 60, "the sink to have nothing more", 2.2)


def number(row):
    try:
        return float(row["state"])
    except (TypeError, ValueError):
        return None


def extremes(rows, interval_us):
    """Of each entity and interval the first, least, greatest and last row (of sensors, numbers only)."""
    groups = {}
    for row in rows:
        if row["event_type"] == "state_changed" and row["entity_id"].startswith("sensor.") and number(row) is not None:
            groups.setdefault((row["entity_id"], row["last_updated"] // interval_us), []).append(row)
    for group in groups.values():
        group.sort(key=lambda row: row["last_updated"])
        yield from (group[0], min(group, key=number), max(group, key=number), group[-1])


class Filters(unittest.TestCase):
    def test_rules_are_applied_live_and_a_killed_sink_loses_no_extreme(self):
        with Workspace() as place:
            home = place.home("--rate", 600, "--wait-for-client")
            system = place.system(home_port=home.port).start()
            wait_for(lambda: system.api.count() > 600, 30, "events before there are rules")
            status, preview = send(system, "POST", "/api/v1/filters/preview", {"rules": RULES})
            self.assertEqual(status, 200)
            self.assertTrue(0 < preview["thinned"] < preview["events"], preview)
            status, bad = send(system, "PUT", "/api/v1/filters", {"rules": [{**RULES[0], "glob": "x"}]})
            self.assertEqual((status, bad["detail"]["field"]), (422, "rules[0].glob"))
            status, view = send(system, "PUT", "/api/v1/filters", {"rules": RULES})
            self.assertEqual(status, 200)
            set_at = microseconds(view["set_at"])
            pause = threading.Event()
            for _ in range(4):
                before = wait_for(lambda: system.api.get("/api/v1/filters"), 30, "the sink to be back")["thinned"]
                wait_for(lambda: system.api.get("/api/v1/filters")["thinned"] > before + 200, 30, "rows taken back")
                pause.wait(0.37)
                system.signal("sink", signal.SIGKILL)
            counted = at_rest(system, home)
            self.assertEqual(counted["received"], sum(counted[key] for key in SETTLED))
            view = system.api.get("/api/v1/filters")
            self.assertEqual(view["filtered"], sum(rule["filtered"] for rule in view["rules"]))
            self.assertGreater(view["rules"][0]["filtered"], 0)
            self.assertIn("the filters were set: 3 rules are in force", system.log_text())
            self.compare_with_truth(home, system, set_at)

    def compare_with_truth(self, home, system, set_at):
        lines = system.api.export()
        truth = [row["event"] for row in home.truth()[0]]
        result = compare(truth, lines)
        self.assertEqual((result["twice"], result["unexpected"]), ([], []))
        for text in result["missing"]:
            row = json.loads(text)
            left_out = row["event_type"] == "call_service" or row.get("domain") in ("binary_sensor", "sensor")
            self.assertTrue(left_out and row.get("state", "") is not None, text)
        missing = set(result["missing"])
        needed = list(extremes([expected_row(event) for event in truth], 2_000_000))
        lost = [row for row in needed if canonical(row) in missing]
        self.assertEqual(lost, [])
        late = [row for row in map(exact, lines) if row.get("domain") == "binary_sensor" and row["state"] is not None
                and microseconds(row["timestamp"]) > set_at + 1_000_000]
        self.assertEqual(late, [])
        print(f"{len(truth)} events happened, {len(lines)} are stored, {len(needed)} of them because of what they are", flush=True)


def event(n, **more):
    return {"event_type": "made_up", "data": {"n": n}, "origin": "LOCAL", "time_fired": f"2026-01-02T03:04:{n % 60:02}.{n:06}+00:00",
            "context": {"id": f"{n:032x}", "parent_id": None, "user_id": None}, **more}


def refuse(system, rows):
    """Rows as an older version may have left them."""
    db = sqlite3.connect(system.data / "store.db")
    with db:
        for place, (stage, text) in enumerate(rows):
            db.execute("INSERT INTO bad (stage, identity, why, place, received_at, bytes) VALUES (?, ?, 'an older reader', ?, ?, ?)",
                       (stage, place, place, 1767323045000000, text.encode()))
    db.close()


class Quarantine(unittest.TestCase):
    def replay_all(self, system):
        """Until there is no more; a sink that is killed meanwhile is asked again."""
        query, done = {"all": True}, {"replayed": 0, "stored": 0, "refused": 0}
        while True:
            status, reply = send(system, "POST", "/api/v1/quarantine/replay", query)
            if status != 200:
                self.assertIn(status, (409, 503, 504), reply)
                threading.Event().wait(0.1)
                continue
            for key in done:
                done[key] += reply[key]
            if reply["next"] is None and reply["waiting"] == 0:
                return done
            query["from"] = reply["next"] if reply["next"] is not None else 0

    def test_what_an_older_version_refused_is_replayed_and_stored_once(self):
        with Workspace() as place:
            home = place.home("--rate", 20, truth=False)
            # Windows so small that what is given back and what is live fill them: neither may wait for the other.
            system = place.system(home_port=home.port, enrich=1, SINK_WINDOW_MESSAGES=24, ENRICH_WINDOW_MESSAGES=24).start()
            home.control("bad-json")
            wait_for(lambda: system.api.get("/api/v1/quarantine")["count"] > 0, 20, "a frame that cannot be read")
            row = system.api.get("/api/v1/quarantine", stage="ingest")["quarantine"][0]
            whole = system.api.get(f"/api/v1/quarantine/{row['id']}")
            self.assertEqual((whole["is_text"], len(whole["text"].encode()), whole["bytes"]), (True, row["size"], None))
            refused = system.api.get("/api/v1/quarantine")["count"]
            system.stop()
            refuse(system, [("enrich", json.dumps(event(n))) for n in range(1500)]
                   + [("enrich", json.dumps(event(1501, time_fired="never"))), ("sink", "no message")]
                   + [("ingest", json.dumps([{"type": "event", "event": event(n)} for n in range(2000, 2003)])) for _ in range(2)])
            system.start()
            killer = threading.Timer(0.15, lambda: system.signal("sink", signal.SIGKILL))
            killer.start()
            self.replay_all(system)
            killer.join()
            done = self.replay_all(system)
            self.assertEqual((done["stored"], done["refused"]), (0, refused + 2))
            stored = [exact(line) for line in system.api.export(event_type="made_up")]
            self.assertEqual(sorted(int(row["data"]["n"]) for row in stored), list(range(1500)) + [2000, 2001, 2002])
            left = system.api.get("/api/v1/quarantine")["quarantine"]
            self.assertEqual(len(left), refused + 2)
            self.assertEqual([row["why"] for row in left if row["why"] == "an older reader"], [])
            self.delete(system, left)
            counted = at_rest(system, home)
            self.assertEqual(counted["received"], sum(counted[key] for key in SETTLED))
            self.assertEqual(counted["discarded"], len(left))

    def delete(self, system, left):
        for row in left:
            self.assertEqual(send(system, "DELETE", f"/api/v1/quarantine/{row['id']}"), (200, {"id": row["id"]}))
        self.assertEqual(send(system, "DELETE", f"/api/v1/quarantine/{left[0]['id']}")[0], 404)
        self.assertEqual(system.api.get("/api/v1/quarantine")["count"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
