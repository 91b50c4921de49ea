"""What went on outside when something happened: live, after an outage, out of an old database; killed, and with nobody to ask."""

import importlib.machinery
import importlib.util
import json
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

from recorder import run_import
from system import ROOT, Workspace, microseconds, wait_for

sys.path.insert(0, str(ROOT / "tests" / "upstream"))
from upstream import Upstream  # noqa: E402

DAY = 86400


def recorder_of(path, states):
    """A recorder's database of (entity, state, seconds)."""
    loader = importlib.machinery.SourceFileLoader("make_recorder", str(ROOT / "tests" / "bench" / "make_recorder"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("make_recorder", loader))
    write = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    sys.dont_write_bytecode = write
    base = sqlite3.connect(path)
    base.executescript(module.TABLES)
    base.execute("INSERT INTO schema_changes VALUES (1, 50, '2025-01-01 00:00:00')")
    base.execute("INSERT INTO state_attributes VALUES (1, 1, '{}')")
    entities = sorted({entity for entity, _, _ in states})
    base.executemany("INSERT INTO states_meta VALUES (?, ?)", [(i + 1, entity) for i, entity in enumerate(entities)])
    base.executemany("INSERT INTO states (state_id, state, last_updated_ts, attributes_id, metadata_id) VALUES (?, ?, ?, 1, ?)",
                     [(i + 1, state, at, entities.index(entity) + 1) for i, (entity, state, at) in enumerate(states)])
    base.commit()
    base.close()
    return path


class Enrichment(unittest.TestCase):
    def setUp(self):
        self.upstream = Upstream().start()
        self.addCleanup(self.upstream.stop)

    def start(self, place, **settings):
        self.home = place.home("--entities", "5", "--rate", "1")
        return place.system(home_port=self.home.port, enrich=1, WEATHER_PROVIDER="open-meteo", WEATHER_URL=self.upstream.url("open-meteo"),
                            ELECTRICITY_PROVIDER="tariff", ELECTRICITY_TARIFF="0.32", ELECTRICITY_CURRENCY="EUR", **settings).start()

    def row(self, system, entity, state, of="rows"):
        def find():
            return [row for row in system.api.get("/api/v1/events", entity_id=entity) if row["state"] == state]
        return wait_for(find, 20, f"{entity} to be {state}")[0]

    def kill_enrich(self, system):
        pid = system.pid("enrich-1")
        system.signal("enrich-1", signal.SIGKILL)
        wait_for(lambda: system.pid("enrich-1") not in (None, pid), 10, "enrich to come back")

    def test_events_carry_the_readings_of_their_hour_however_they_come(self):
        with Workspace() as place:
            system = self.start(place)
            wait_for(lambda: system.api.count(entity_id="_weather.temperature_c,_electricity.price") == 2, 20, "the readings to be series")

            self.home.control("set sensor.live 1")
            live = self.row(system, "sensor.live", "1")
            self.assertEqual((live["weather"]["temperature_c"], live["weather"]["sky"], live["price"]["price"], live["price"]["currency"]), (6.4, "rain", 0.32, "EUR"))
            self.assertEqual((live["carbon"], live["air"], live["occupancy"], live["meter"]), (None, None, None, None))
            self.assertLessEqual(microseconds(live["weather"]["as_of"]), microseconds(live["timestamp"]))
            self.assertIn(live["time_of_day"], ("night", "morning", "afternoon", "evening"))
            self.assertTrue(-62 < live["sun_elevation"] < 62, live["sun_elevation"])  # at 52 degrees north
            own = self.row(system, "_weather.temperature_c", "6.4")
            self.assertEqual((own["weather"], own["price"], own["time_of_day"], own["sun_elevation"]), (None, None, None, None))

            self.home.control("cut 2")  # an outage, in which something happens
            time_of = time.time()
            self.home.control("set sensor.missed 2")
            missed = self.row(system, "sensor.missed", "2")
            self.assertIn(missed["provenance"], ("backfill", "snapshot"))
            self.assertEqual((missed["weather"], missed["price"]), (live["weather"], live["price"]))
            self.assertLess(abs(microseconds(missed["timestamp"]) / 1e6 - time_of), 30)

            noon = int(time.time()) // DAY * DAY - 5 * DAY + 12 * 3600
            metered = [("_smartmeter.power_w", "500", noon - 7), ("_smartmeter.power_w", "510", noon + 7), ("_smartmeter.power_w", "520", noon + 290),
                       ("_smartmeter.import_kwh", "77.25", noon - 900), ("_smartmeter.power_w", "unavailable", noon + 3600)]
            run_import(system, recorder_of(place.path / "readings.db", metered + [("_weather.temperature_c", "-7.5", noon), ("_weather.temperature_c", "-3", noon + 3600)]))
            self.kill_enrich(system)  # it learns anew what there is
            run_import(system, recorder_of(place.path / "states.db", [("sensor.old", "10", noon - 1), ("sensor.old", "11", noon + 60.5), ("sensor.old", "15", noon + 599), ("sensor.old", "12", noon + 3601),
                                                                      ("sensor.old", "13", noon + 9001), ("sensor.old", "14", noon - 30 * DAY)]))
            def temperature(state):
                row = self.row(system, "sensor.old", state)
                self.assertEqual(row["provenance"], "import")
                return row["weather"] and row["weather"]["temperature_c"]
            self.assertEqual([temperature(state) for state in ("10", "11", "12", "13", "14")], [None, -7.5, -3, None, None])
            meters = [self.row(system, "sensor.old", state)["meter"] for state in ("10", "11", "15", "12", "14")]  # by the beginning of their five minutes
            self.assertEqual([meter and (meter.get("power_w"), meter["import_kwh"], microseconds(meter["as_of"]) // 10**6 - noon) for meter in meters],
                             [(None, 77.25, -300), (500, 77.25, 0), (520, 77.25, 300), (None, 77.25, 3600), None])

            rows = system.api.count()
            run_import(system, place.path / "states.db")  # the same once more: nothing is twice, and nothing changes
            self.assertEqual(system.api.count(entity_id="sensor.old"), 6)
            self.assertGreaterEqual(system.api.count(), rows)
            self.assertEqual(self.row(system, "sensor.live", "1"), live)
            for sum in system.api.get("/api/v1/conservation")["sources"]:
                self.assertIn(sum["missing"], (0, None))
            system.stop()

    def test_nobody_waits_where_there_is_nobody_to_ask(self):
        with Workspace() as place:
            system = self.start(place)
            wait_for(lambda: system.api.count(entity_id="_weather.temperature_c") == 1, 20, "the reading to be a series")
            query = str(system.service("query-1"))
            subprocess.run(["s6-svc", "-d", query], check=True)
            wait_for(lambda: system.pid("query-1") is None, 10, "query to be gone")
            stored = lambda: next(a for a in system.api.get("/api/v1/health")["actors"] if a["actor"] == "sink")["counters"]["stored"]
            self.kill_enrich(system)
            before = stored()
            self.home.control("set sensor.unasked 1")
            wait_for(lambda: stored() > before + 2, 20, "events to be stored while query is down")
            subprocess.run(["s6-svc", "-u", query], check=True)
            row = self.row(system, "sensor.unasked", "1")
            self.assertEqual(row["weather"]["temperature_c"], 6.4)
            self.assertEqual(row["provenance"], "live")

            system.signal("weather", signal.SIGSTOP)  # a source that hangs, and one that is dead
            system.signal("electricity", signal.SIGKILL)
            self.home.control("set sensor.later 1")
            self.assertEqual(self.row(system, "sensor.later", "1")["weather"]["temperature_c"], 6.4)
            system.signal("weather", signal.SIGCONT)
            system.stop()


if __name__ == "__main__":
    unittest.main()
