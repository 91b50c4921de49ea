"""History follows the device: renames seen live, renames while nobody listened, renames while the writer is killed."""

import json
import random
import signal
import subprocess
import unittest

from system import Workspace, microseconds, wait_for


def names(api, entity_id, **query):
    return [span["entity_id"] for span in api.get(f"/api/v1/entities/{entity_id}/lineage", **query)["spans"]]


def registered(api, count):
    """Sensors that the registry knows, and that have a state."""
    there = {row["entity_id"] for row in api.get("/api/v1/states", limit=1000)["states"]}
    return [row["entity_id"] for row in api.get("/api/v1/entities", domain="sensor", limit=1000)["entities"]
            if row["registry_id"] and row["entity_id"] in there][:count]


def send(api, method, path, body=None):
    status, _, text = api.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
    return status, json.loads(text)


def states(api, spans):
    """Of each span the states that lie in it, by the list of events, which goes by name."""
    rows = []
    for span in spans:
        times = {key: span[name] for key, name in (("start_time", "from"), ("end_time", "to")) if span[name]}
        found = api.get("/api/v1/events", entity_id=span["entity_id"], event_type="state_changed", sort="asc", limit=1000, **times)
        rows += [row["state"] for row in (found if isinstance(found, list) else found["events"])]
    return rows


class Identity(unittest.TestCase):
    def test_history_follows_a_device_live_and_through_an_outage_and_by_hand(self):
        with Workspace() as place:
            home = place.home("--rate", 0, "--history-bytes", 1 << 26)
            system = place.system(home_port=home.port, INGEST_BACKFILL_COMMIT_MS=2000).start()
            api = system.api
            wait_for(lambda: len(registered(api, 4)) == 4, 30, "the registry and the states")
            one, two, three, four = registered(api, 4)

            def spans(name):
                return states(api, api.get(f"/api/v1/entities/{name}/lineage")["spans"])

            # live
            home.control(f"set {one} 11")
            home.control(f"rename {one} sensor.one")
            home.control("set sensor.one 12")
            wait_for(lambda: names(api, "sensor.one") == [one, "sensor.one"], 20, "the rename to be noted")
            self.assertEqual(names(api, one), [one, "sensor.one"])
            self.assertEqual(names(api, one, identity="role"), [one])
            noted = api.get("/api/v1/lineage")["lineage"]
            self.assertEqual([(row["kind"], row["from"], row["to"], row["found"]) for row in noted], [("rename", one, "sensor.one", "event")])

            # while ingest is down: two change names with a third, one is renamed
            subprocess.run(["s6-svc", "-d", str(system.service("ingest"))], check=True)
            wait_for(lambda: system.pid("ingest") is None, 20, "ingest to be down")
            for command in (f"rename {two} sensor.between", f"rename {three} {two}", f"rename sensor.between {three}",
                            f"set {three} 22", f"set {two} 32", f"set {four} 41", f"rename {four} sensor.four", "set sensor.four 42"):
                home.control(command)
            subprocess.run(["s6-svc", "-u", str(system.service("ingest"))], check=True)
            system.wait_live()
            wait_for(lambda: names(api, "sensor.four") == [four, "sensor.four"], 30, "the rename to be found")
            wait_for(lambda: names(api, two) == [three, two] and names(api, three) == [two, three], 30, "the exchange to be found")
            wait_for(api.gaps_are_settled, 60, "the gap to be filled")
            for name, mine, others in ((three, {"22"}, {"32"}), (two, {"32"}, {"22"})):
                wait_for(lambda name=name, mine=mine: mine <= set(spans(name)), 60, f"{mine} in the series of {name}")
                self.assertFalse(others & set(spans(name)), name)
            wait_for(lambda: spans("sensor.four")[-2:] == ["41", "42"], 60, "what went on at sensor.four")

            # by hand
            before = api.get("/api/v1/lineage")["lineage"]
            status, row = send(api, "POST", "/api/v1/lineage/merge", {"from": "sensor.one", "to": "sensor.four", "at": before[0]["noted_at"]})
            self.assertEqual(status, 200, row)
            self.assertEqual(names(api, "sensor.four"), [one, "sensor.one", "sensor.four"])
            self.assertEqual(send(api, "DELETE", f"/api/v1/lineage/{row['id']}")[0], 200)
            self.assertEqual(names(api, "sensor.four"), [four, "sensor.four"])
            self.assertEqual(send(api, "DELETE", f"/api/v1/lineage/{row['id']}")[0], 409)
            self.assertEqual(send(api, "DELETE", "/api/v1/lineage/123456")[0], 404)
            status, error = send(api, "POST", "/api/v1/lineage/merge", {"from": "sensor.nobody", "to": "sensor.four"})
            self.assertEqual((status, error["detail"]["field"]), (404, "from"))
            status, error = send(api, "POST", "/api/v1/lineage/split", {"entity_id": "sensor.one", "at": "2999-01-01T00:00:00Z"})
            self.assertEqual((status, error["detail"]["field"]), (400, "at"))
            self.assertEqual(api.request("GET", "/api/v1/entities/sensor.nobody/lineage")[0], 404)
            self.assertEqual(api.request("GET", f"/api/v1/entities/{two}/lineage?identity=owner")[0], 400)

            # nothing of it is forgotten
            lineage = api.get("/api/v1/lineage", undone="true")["lineage"]
            system.stop()
            system.start()
            self.assertEqual(api.get("/api/v1/lineage", undone="true")["lineage"], lineage)
            self.assertEqual(names(api, two), [three, two])

    def test_no_rename_is_lost_where_the_writer_is_killed(self):
        with Workspace() as place:
            home = place.home("--rate", 60, "--seed", 5)
            system = place.system(home_port=home.port).start()
            api, chance = system.api, random.Random(5)
            wait_for(lambda: len(registered(api, 6)) == 6, 30, "the registry and the states")
            now = {name: name for name in registered(api, 6)}
            for i in range(18):
                name = chance.choice(list(now))
                home.control(f"rename {now[name]} sensor.r{i}")
                now[name] = f"sensor.r{i}"
                if i % 3 == 1:
                    system.signal("sink", signal.SIGKILL)
            wait_for(lambda: len(api.get("/api/v1/lineage", limit=100)["lineage"]) == 18, 60, "all renames to be noted")
            wait_for(lambda: api.get("/api/v1/conservation")["sources"][0]["in_flight"] == 0, 60, "everything to be stored")
            home.control("stop-events")
            lineage = api.get("/api/v1/lineage", limit=100)["lineage"]
            chains = {name: names(api, latest) for name, latest in now.items()}
            system.stop()
            events, _ = home.truth()
            told = [(event["event"]["data"]["old_entity_id"], event["event"]["data"]["entity_id"], microseconds(event["event"]["time_fired"]))
                    for event in events if "old_entity_id" in (event["event"].get("data") or {})]
            self.assertEqual([(row["from"], row["to"], microseconds(row["at"])) for row in sorted(lineage, key=lambda row: row["at"])], told)
            self.assertEqual({row["found"] for row in lineage}, {"event"})
            for name, chain in chains.items():
                expected = [name]
                for old, new, _ in told:
                    expected += [new] if old == expected[-1] else []
                self.assertEqual(chain, expected)


if __name__ == "__main__":
    unittest.main()
