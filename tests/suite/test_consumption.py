"""Energy, cost and carbon through the real processes: of a home whose every kilowatt-hour is known by a formula, and of the simulated one."""

import json
import unittest

from system import Workspace, microseconds, time_text, wait_for
from test_questions import write_recording
from test_series import HOUR, as_home_assistant_says

MINUTE = 60 * 10**6
START, END = microseconds("2025-10-25T22:00:00Z"), microseconds("2025-10-26T23:00:00Z")  # the 25 hours of 26 October in Berlin
CHANGE, RESET, SILENT, BACK = START + 11 * HOUR + 20 * MINUTE, START + 8 * HOUR, START + 15 * HOUR, START + 17 * HOUR
ENERGY = {"device_class": "energy", "state_class": "total_increasing"}


def counted(entity, unit, per_kwh, watt, every=MINUTE, silent=False, reset=None):
    """A counter of a constant load, from an hour before the day to an hour after it."""
    for at in range(START - HOUR, END + HOUR, every):
        if not silent or not SILENT < at < BACK:
            since = reset if reset and at >= reset else START - HOUR
            begin = watt * every / 3.6e12 if reset and at >= reset else 1000  # it began anew with the number before
            yield at, entity, f"{(begin + watt * (at - since) / 3.6e12) * per_kwh:.6f}", {"unit_of_measurement": unit, **ENERGY}


def rates(entity, unit, *changes):
    for at, value in changes:
        yield at, entity, str(value), {"unit_of_measurement": unit, "state_class": "measurement"}


def a_day():
    """1.6 kW in all: 1 kW that is counted and reset, 300 W that nobody hears for two hours, 100 W of which the power alone is told."""
    power = {"unit_of_measurement": "W", "device_class": "power", "state_class": "measurement"}
    return sorted([
        *counted("sensor.grid_energy", "kWh", 1, 1600), *counted("sensor.oven_energy", "Wh", 1000, 1000, reset=RESET),
        *counted("sensor.pump_energy", "MJ", 3.6, 300, 5 * MINUTE, silent=True),
        (START - HOUR, "sensor.fridge_power", "0.1", {**power, "unit_of_measurement": "kW"}),
        (SILENT, "sensor.fridge_power", "unavailable", power), (BACK, "sensor.fridge_power", "100", power),
        *rates("_electricity.price", "EUR/kWh", (START - 2 * HOUR, 0.20), (CHANGE, 0.50)),
        *rates("_carbon.intensity_g_kwh", "g/kWh", *((START + hour * HOUR, 200 if hour < 10 else 400) for hour in range(-1, 26))),
    ])


class ClosedForm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        events = a_day()
        cls.workspace = Workspace()
        place = cls.workspace.__enter__()
        home = place.home("--replay", write_recording(place.path / "day.jsonl.gz", as_home_assistant_says(events)), truth=False)
        cls.system = place.system(home_port=home.port, enrich=1, INGEST_BACKFILL="false", HA_INGESTOR_ZONE="Europe/Berlin",
                                  QUERY_ENERGY_METER="sensor.grid_energy", QUERY_PAGE_BYTES=65536).start()
        cls.api = cls.system.api
        names = ",".join({entity for _, entity, _, _ in events})
        wait_for(lambda: cls.api.count(entity_id=names) >= len(events), 60, "the events to be stored")

    @classmethod
    def tearDownClass(cls):
        cls.workspace.__exit__(None, None, None)

    def table(self, step, **more):
        return self.api.get("/api/v1/energy/devices", **{"from": "2025-10-26T00:00:00+02:00", "to": "2025-10-27T00:00:00+01:00", "step": step, **more})

    def close(self, got, expected, part=0.001):
        self.assertLessEqual(abs(got - expected), abs(expected) * part, (got, expected))

    def check(self, row, kilowatt, hours=25):
        """Energy, cost and carbon of a load of the whole day."""
        share = hours / 25
        self.close(row["kwh"], kilowatt * hours)
        if share == 1:
            self.close(row["cost"], kilowatt * (0.20 * (11 + 1 / 3) + 0.50 * (13 + 2 / 3)))
            self.close(row["carbon_g"], kilowatt * (200 * 10 + 400 * 15))

    def test_a_day_of_25_hours_is_right_to_a_thousandth(self):
        """A price that changes at 20 past, a reset, a silence, and power that goes away"""
        answer = self.table("1d")
        self.assertEqual((answer["tz"], answer["currency"], answer["devices_by"]), ("Europe/Berlin", "EUR", "found"))
        rows = {row["entity_id"] or row["kind"]: row for row in answer["rows"]}
        self.assertEqual(len(rows), 5, answer)
        oven, pump, fridge, rest, meter = (rows[key] for key in ("sensor.oven_energy", "sensor.pump_energy", "sensor.fridge_power", "untracked", "sensor.grid_energy"))
        self.assertEqual((microseconds(oven["start"]), microseconds(oven["end"])), (START, END))
        for row, kilowatt, basis in ((oven, 1, "measured"), (pump, 0.3, "estimated"), (meter, 1.6, "measured")):
            self.check(row, kilowatt)
            self.assertEqual((row["basis"], row["cost_basis"], row["cost_share"], row["uncovered_s"]), (basis, basis, 1, 0), row)
        self.check(fridge, 0.1, 23)
        self.assertEqual((fridge["uncovered_s"], fridge["basis"]), (7200, "estimated"))
        self.close(rest["kwh"], 0.2 * 25 + 0.1 * 2)
        for part, digits in (("kwh", 5), ("cost", 5), ("carbon_g", 2)):
            self.assertAlmostEqual(sum(row[part] for row in (oven, pump, fridge, rest)), meter[part], digits - 1)

    def test_every_step_has_the_same_sum(self):
        """By quarters, hours and six hours of the clock on the wall, page after page"""
        whole = {row["entity_id"] or row["kind"]: row for row in self.table("all")["rows"]}
        for step, count in (("15m", 100), ("1h", 25), ("6h", 4)):
            sums = {}
            for row in self.table(step)["rows"]:
                key = row["entity_id"] or row["kind"]
                sums.setdefault(key, []).append(row)
            for key, rows in sums.items():
                self.assertEqual(len(rows), count, (step, key))
                for part in ("kwh", "cost", "carbon_g"):
                    self.assertAlmostEqual(sum(row[part] or 0 for row in rows), whole[key][part], 2 if part == "carbon_g" else 3)
        one = self.table("15m", **{"from": time_text(SILENT + HOUR), "to": time_text(SILENT + HOUR + 15 * MINUTE)})["rows"]
        pump = next(row for row in one if row["entity_id"] == "sensor.pump_energy")
        self.close(pump["kwh"], 0.075)
        self.assertEqual(pump["basis"], "estimated")
        self.assertIsNone(next(row for row in one if row["entity_id"] == "sensor.fridge_power")["kwh"])

    def test_what_cannot_be_asked_names_its_field(self):
        for query, status, field in (({"step": "7m"}, 400, "step"), ({"tz": "Nowhere"}, 400, "tz"), ({"from": "yesterday"}, 422, "from"),
                                     ({"to": "2025-10-25T00:00:00Z"}, 400, "to"), ({"from": "2015-01-01T00:00:00Z", "step": "all"}, 400, "step")):
            with self.subTest(query=query):
                query = {"from": "2025-10-26T00:00:00Z", **query}
                path = "/api/v1/energy/devices?" + "&".join(f"{key}={value}" for key, value in query.items())
                got, _, body = self.api.request("GET", path)
                self.assertEqual((got, json.loads(body)["detail"]["field"]), (status, field), body)
        for path, status, field in (("top-consumers?days=31", 422, "days"), ("circuits?hours=0", 422, "hours"), ("statistics?hours=x", 422, "hours")):
            got, _, body = self.api.request("GET", "/api/v1/energy/" + path)
            self.assertEqual((got, json.loads(body)["detail"]["field"]), (status, field), body)
        self.assertEqual(self.api.request("GET", "/api/v1/energy/device-impact/sensor.nobody")[0], 404)


class Simulated(unittest.TestCase):
    def test_the_energy_dashboard_of_home_assistant_says_who_counts(self):
        """The simulated home's: grid, sun and plugs; the power of now, and the routes of before"""
        with Workspace() as place:
            home = place.home("--rate", 2000, "--wait-for-client", "--events", 4000, truth=False)
            system = place.system(home_port=home.port, enrich=1, QUERY_ENERGY_PRICE="0.3").start()
            system.settled(4000)
            energy = lambda path, **query: system.api.get("/api/v1/energy/" + path, **query)
            start = time_text(microseconds(system.api.get("/api/v1/ingest")["since"]) - HOUR)
            answer = wait_for(lambda: (lambda a: a if a["devices_by"] == "energy dashboard" else None)(energy("devices", **{"from": start, "step": "all"})), 20,
                              "the dashboard to be known")
            kinds = [row["kind"] for row in answer["rows"]]
            self.assertEqual({kind: kinds.count(kind) for kind in ("untracked", "meter", "import", "production")},
                             {"untracked": 1, "meter": 1, "import": 1, "production": 1})
            meter = next(row for row in answer["rows"] if row["kind"] == "meter")
            parts = [row["kwh"] or 0 for row in answer["rows"] if row["kind"] in ("device", "untracked")]
            self.assertGreater(kinds.count("device"), 3)
            self.assertAlmostEqual(sum(parts), meter["kwh"], 4)
            now = energy("current")
            self.assertEqual(now["power_entity"], "sensor.house_power")
            self.assertGreater(now["total_power_w"], 0)
            self.assertLess(now["age_s"], 600)
            self.assertEqual(now["price"], 0.3)
            totals = energy("statistics", hours=1)
            self.assertGreaterEqual(totals["peak_power_w"], now["total_power_w"])
            self.assertTrue(all(row["power_w"] is None or row["percentage"] is not None for row in energy("circuits")))
            top = energy("top-consumers", days=1, limit=3)
            self.assertEqual([row["kwh"] for row in top], sorted((row["kwh"] for row in top), reverse=True))
            plug = next(row["entity_id"] for row in system.api.get("/api/v1/states", domain="switch")["states"])
            self.assertIn(energy("device-impact/" + plug, days=1)["basis"], ("measured", "no meter"))


if __name__ == "__main__":
    unittest.main()
