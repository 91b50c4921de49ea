"""What we ask a real Home Assistant for beside its events: its calendars, its energy dashboard, a meter that it knows, its areas."""

import pathlib
import sys
import unittest
from datetime import datetime
from zoneinfo import ZoneInfo

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "suite"), str(pathlib.Path(__file__).resolve().parent)]
from home_assistant import HomeAssistant  # noqa: E402
from system import Clock, Workspace, microseconds, time_text, wait_for  # noqa: E402
from test_real import PYTHON  # noqa: E402

HOME = ZoneInfo("Europe/Amsterdam")
NOW = "2026-10-24T12:00:00+02:00"  # the Saturday before the clock is set back
SWITCH = "switch.decorative_lights"
FROM, TO = "2026-10-23T22:00:00Z", "2026-10-31T23:00:00Z"  # its day and seven more: one of them has 25 hours

CONFIGURATION = """
energy:
input_number:
  mains:
    name: Mains
    min: -10000
    max: 10000
    unit_of_measurement: W
template:
  - sensor:
      - name: House load
        unit_of_measurement: kW
        device_class: power
        state_class: measurement
        availability: "{{ states('input_number.mains') | float(0) != 9999 }}"
        state: "{{ states('input_number.mains') | float / 1000 }}"
"""

EVENTS = [
    {"dtstart": "2026-10-24T14:00:00+02:00", "dtend": "2026-10-24T18:00:00+02:00", "summary": "Work from home", "location": "Attic", "description": "Quiet"},
    {"dtstart": "2026-10-25T01:30:00+02:00", "dtend": "2026-10-25T05:00:00+02:00", "summary": "House party"},
    {"dtstart": "2026-10-25", "dtend": "2026-10-26", "summary": "Bins", "rrule": "FREQ=WEEKLY"},
    {"dtstart": "2026-10-19T08:00:00+02:00", "dtend": "2026-10-19T12:00:00+02:00", "summary": "Office", "rrule": "FREQ=WEEKLY;BYDAY=MO,FR"},
    {"dtstart": "2026-10-27", "dtend": "2026-10-29", "summary": "Vacation"},
]
OCCUPANCY = {  # by the clock on the wall, and its distance from UTC
    "2026-10-24T00:00:00+02:00": "wfh", "2026-10-24T14:00:00+02:00": "wfh", "2026-10-24T18:00:00+02:00": None,
    "2026-10-25T01:30:00+02:00": "home", "2026-10-25T02:30:00+02:00": "home", "2026-10-25T02:30:00+01:00": "home", "2026-10-25T04:00:00+01:00": None,
    "2026-10-26T07:59:59+01:00": None, "2026-10-26T08:00:00+01:00": "away", "2026-10-26T12:00:00+01:00": None,
    "2026-10-26T23:59:59+01:00": None, "2026-10-27T00:00:00+01:00": "vacation", "2026-10-28T23:59:59+01:00": "vacation", "2026-10-29T00:00:00+01:00": None,
    "2026-10-30T11:59:59+01:00": "away",
}

ENERGY = {"unit_of_measurement": "kWh", "device_class": "energy", "state_class": "total_increasing"}
KWH = {"sensor.mains_energy": 12, "sensor.mains_back": 2, "sensor.roof": 4, "sensor.battery_out": 1.5, "sensor.battery_in": 2.5,
       "sensor.kitchen": 5, "sensor.boiler": 3, "sensor.unnamed": 1}
COUNTED = {
    "meter": ("meter", 12 - 2 + 4 + 1.5 - 2.5), "sensor.mains_energy": ("import", 12), "sensor.mains_back": ("export", 2), "sensor.roof": ("production", 4),
    "sensor.battery_out": ("discharge", 1.5), "sensor.battery_in": ("charge", 2.5),
    "sensor.kitchen": ("device", 5), "sensor.boiler": ("device", 3), "untracked": ("untracked", 5),
}
PRICES = {"stat_cost": None, "entity_energy_price": None, "number_energy_price": None}
PREFS = {
    "energy_sources": [
        {"type": "grid", "cost_adjustment_day": 0, "flow_from": [{"stat_energy_from": "sensor.mains_energy", **PRICES, "number_energy_price": 0.3}],
         "flow_to": [{"stat_energy_to": "sensor.mains_back", "stat_compensation": None, "entity_energy_price": None, "number_energy_price": None}]},
        {"type": "solar", "stat_energy_from": "sensor.roof", "config_entry_solar_forecast": None},
        {"type": "battery", "stat_energy_from": "sensor.battery_out", "stat_energy_to": "sensor.battery_in"},
        {"type": "gas", "stat_energy_from": "sensor.gas", **PRICES},
        {"type": "water", "stat_energy_from": "sensor.water", **PRICES},
    ],
    "device_consumption": [{"stat_consumption": "sensor.kitchen"}, {"stat_consumption": "sensor.boiler"}, {"stat_consumption": "test:elsewhere"}],
}


def seconds(text):
    return int(datetime.fromisoformat(text).timestamp())


def moment_of(value):
    """What Home Assistant means by a start or an end."""
    if "dateTime" in value:
        return microseconds(value["dateTime"])
    return microseconds(datetime.fromisoformat(value["date"]).replace(tzinfo=HOME).isoformat())


@unittest.skipUnless(PYTHON, "PyPI cannot be reached: a real Home Assistant was NOT tested")
class RealSources(unittest.TestCase):
    def test_what_else_is_asked_of_home_assistant(self):
        with Workspace() as place:
            clock = Clock(place.path)
            clock.turn_to(seconds(NOW))
            self.ha = HomeAssistant(place.path, clock.environment, CONFIGURATION)
            self.ha.start()
            try:
                token = self.ha.make_user()
                self.prepare()
                self.system = place.system(home_port=self.ha.port, token=token, enrich=1, CALENDAR_PROVIDER="home-assistant", CALENDAR_TITLES="true",
                                           QUERY_ENERGY_PRICE="0.5", **clock.environment)
                self.system.start()
                self.calendars()
                self.areas()
                self.dashboard(clock)
                self.meter()
                self.assertNotIn(token, self.system.log_text())
            finally:
                if self.ha.process.child.poll() is None:
                    self.ha.stop()

    def prepare(self):
        flow = self.ha.call("POST", "/api/config/config_entries/flow", {"handler": "local_calendar"})
        made = self.ha.call("POST", "/api/config/config_entries/flow/" + flow["flow_id"], {"calendar_name": "Family"})
        self.assertEqual(made["type"], "create_entry", made)
        wait_for(lambda: any(one["entity_id"] == "calendar.family" for one in self.ha.call("GET", "/api/calendars")), 60, "the calendar")
        made = self.ha.command(*({"type": "calendar/event/create", "entity_id": "calendar.family", "event": event} for event in EVENTS),
                               {"type": "energy/save_prefs", **PREFS}, {"type": "config/area_registry/create", "name": "Attic"},
                               {"type": "config/entity_registry/get", "entity_id": SWITCH})
        self.device = made[-1]["device_id"]
        self.ha.command({"type": "config/device_registry/update", "device_id": self.device, "area_id": "attic", "name_by_user": "Lights of the attic"})

    def get(self, path, **query):
        return self.system.api.get("/api/v1/" + path, **query)

    def calendars(self):
        """Each event is as Home Assistant says it, and who is at home when is right on both sides of the hour that comes twice"""
        listed = self.ha.call("GET", "/api/calendars")
        theirs = set()
        for one in listed:
            for event in self.ha.call("GET", f"/api/calendars/{one['entity_id']}?start={FROM}&end={TO}"):
                theirs.add((one["entity_id"], moment_of(event["start"]), moment_of(event["end"]), "date" in event["start"], event["summary"]))
        row = wait_for(lambda: next((row for row in self.get("sources")["sources"] if row["source"] == "calendar" and row["status"] == "ok"), None), 60,
                       "the calendars to be read")
        self.assertIsNone(row["why"], row)
        self.assertEqual(self.get("sources/calendar/current")["calendars"], len(listed))
        ours = self.get("sources/calendar/events")["events"]
        found = {(one["calendar"], microseconds(one["from"]), microseconds(one["to"]), one["all_day"], one["title"]) for one in ours}
        self.assertEqual(found, theirs)
        self.assertEqual(len(ours), len(theirs))
        self.assertGreaterEqual(len([one for one in theirs if one[0] == "calendar.family"]), 6)
        bins = next(one for one in ours if one["title"] == "Bins")
        self.assertEqual(microseconds(bins["to"]) - microseconds(bins["from"]), 25 * 3600 * 10**6)
        said = {at: self.get("sources/calendar/occupancy", at=at)["state"] for at in OCCUPANCY}
        self.assertEqual(said, OCCUPANCY)
        now = self.get("sources/calendar/current")
        self.assertEqual((now["state"], now["wfh_today"], microseconds(now["next_change_at"])), ("wfh", True, microseconds("2026-10-24T18:00:00+02:00")))
        print(f"{len(theirs)} events of {len(listed)} calendars: ours are those", flush=True)

    def count(self, clock):
        """Every counter goes on by its kilowatt-hours, in four steps of ten minutes; where it stood is known an hour before."""
        for step in range(5):
            clock.turn_to(seconds(NOW) + 3600 + 600 * step)
            for entity, kwh in KWH.items():
                self.ha.call("POST", f"/api/states/{entity}", {"state": str(1000 + kwh * step / 4), "attributes": ENERGY})

    def dashboard(self, clock):
        """Its meters and devices count, and no others"""
        self.count(clock)
        begin = time_text(microseconds(NOW))
        names = ",".join(KWH)
        wait_for(lambda: self.system.api.count(entity_id=names) >= 5 * len(KWH), 60, "the counters to be stored")
        table = wait_for(lambda: (lambda it: it if it["devices_by"] == "energy dashboard" else None)(
            self.get("energy/devices", step="all", **{"from": begin})), 60, "the dashboard to be known")
        rows = {row["entity_id"] or row["kind"]: row for row in table["rows"]}
        self.assertEqual({name: (row["kind"], row["kwh"]) for name, row in rows.items()}, COUNTED)
        self.assertEqual([rows[name]["cost"] for name in ("sensor.kitchen", "sensor.mains_energy", "meter")], [2.5, 6, 6.5])
        self.assertEqual((table["currency"], [one["entity_id"] for one in table["skipped"]]), ("EUR", ["test:elsewhere"]))
        print(f"the energy dashboard: {len(rows)} rows, of its meters and devices", flush=True)

    def areas(self):
        """An event has the device and the area that the user gave it, and who is at home by the calendar"""
        said = 0

        def carries_occupancy():
            nonlocal said
            said += 1
            self.ha.call("POST", "/api/states/sensor.asked", {"state": str(said)})
            return wait_for(lambda: [row for row in self.get("events", entity_id="sensor.asked", limit=5) if row["state"] == str(said)], 60, "its event")[0]["occupancy"]
        wait_for(carries_occupancy, 60, "events to say who is at home", 0.5)
        self.ha.call("POST", "/api/services/switch/toggle", {"entity_id": SWITCH})
        row = wait_for(lambda: next((row for row in self.get("events", entity_id=SWITCH, limit=5) if row["provenance"] == "live"), None), 60, "the switch's event")
        self.assertEqual((row["device_id"], row["area_id"], row["area"], row["integration"]), (self.device, "attic", "Attic", "demo"))
        self.assertEqual((row["state"], row["old_state"], row["attributes"]["friendly_name"]), ("off", "on", "Lights of the attic"))
        self.assertEqual(row["occupancy"]["state"], "wfh")
        device = self.get("devices/" + self.device)
        self.assertEqual((device["name"], device["area_id"], device["entity_count"]), ("Lights of the attic", "attic", 1))

    def meter(self):
        """A template sensor in kW and a counter become the meter: what is in force at the start, and what comes"""
        self.system.stop()
        self.system.environment.update(SMARTMETER_PROVIDER="homeassistant", SMARTMETER_POWER_ENTITY="sensor.house_load", SMARTMETER_IMPORT_ENTITY="sensor.mains_energy",
                                       SMARTMETER_SERIES_S="1")
        self.system.start()

        def says(power_w, import_kwh):
            def met():
                now = self.get("sources/smartmeter/current")
                return (now["power_w"], now["import_kwh"], now["stale"]) == (power_w, import_kwh, False)
            wait_for(met, 60, f"{power_w} W, {import_kwh} kWh")

        def stored(member):
            return self.get("series", ids="_smartmeter." + member, step="raw", **{"from": "2026-10-24T00:00:00Z"})["series"][0]

        says(-10000, 1012)
        self.ha.call("POST", "/api/services/input_number/set_value", {"entity_id": "input_number.mains", "value": 1234})
        says(1234, 1012)
        wait_for(lambda: stored("power_w")["value"][-1:] == [1234], 60, "the series of the power")
        self.ha.call("POST", "/api/services/input_number/set_value", {"entity_id": "input_number.mains", "value": 9999})  # then it is unavailable
        self.ha.call("POST", "/api/states/sensor.mains_energy", {"state": "1012.5", "attributes": ENERGY})
        says(None, 1012.5)
        wait_for(lambda: (stored("power_w")["state"][-1:], stored("import_kwh")["value"][-1:]) == (["unavailable"], [1012.5]), 60, "the series of both")
        self.assertEqual((stored("power_w")["unit"], stored("import_kwh")["unit"]), ("W", "kWh"))
        print("a template sensor and a counter are the meter", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
