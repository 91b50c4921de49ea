"""The sources as they run: real processes, a fake internet (tests/upstream), faults, kills, series."""

import json
import os
import signal
import sys
import time
import unittest

from system import ROOT, TOKEN, Workspace, wait_for

sys.path.insert(0, str(ROOT / "tests" / "upstream"))
from upstream import Upstream  # noqa: E402


PROVIDERS = {
    "weather": {"open-meteo": {}, "openweathermap": {"api_key": "k"}},
    "airquality": {"open-meteo": {}, "airnow": {"api_key": "k"}, "openaq": {"api_key": "k"}},
    "carbon": {"uk": {}, "electricitymaps": {"api_key": "k", "zone": "DE"}, "watttime": {"username": "u", "password": "p", "zone": "CAISO_NORTH"}},
    "electricity": {"awattar": {}, "energy-charts": {"area": "DE-LU"}, "octopus": {"product": "AGILE-24-10-01", "area": "C"}, "tibber": {"token": "t0ken"},
                    "entsoe": {"token": "t0ken", "area": "DE-LU"}, "awattar-at": {}, "tariff": {"tariff": "22:00-06:00 0.24; 0.36"}},
}
POLLED_AGAIN_S = 150  # an answer that comes too late on a busy machine is asked for again after a minute
HIDDEN = {"openaq", "electricitymaps", "watttime", "tibber"}  # what the request carries is for nobody else


def page_of(source, provider):
    """Where the fake internet has it."""
    return "air" if (source, provider) == ("airquality", "open-meteo") else provider.removesuffix("-at")


class WithUpstream(unittest.TestCase):
    """A fake internet, and how to let a source meet its faults."""

    def setUp(self):
        self.upstream = Upstream().start()
        self.addCleanup(self.upstream.stop)

    def row(self, system, source):
        return next((row for row in system.api.get("/api/v1/sources")["sources"] if row["source"] == source), None)

    def wait_status(self, system, source, *statuses):
        return wait_for(lambda: (row := self.row(system, source)) and row["status"] in statuses and row, POLLED_AGAIN_S, f"{source} to be {statuses}")

    def poke_all(self, system, pages, fault, status):
        """The same of several sources at once; the fault is of the page that each is served from."""
        before = {source: self.row(system, source)["polls"] for source in pages}
        for source, page in pages.items():
            self.upstream.faults[page] = fault
            system.signal(source, signal.SIGHUP)
        for source, page in pages.items():
            wanted = "failing" if fault == "redirect" and page in HIDDEN else status
            self.wait_poked(system, source, wanted, before[source], f"{page} to be {wanted} after {fault or 'nothing'}")

    def wait_poked(self, system, source, wanted, before, what):
        """Once more where a busy machine has answered too late; a poke that nobody followed is not repeated."""
        seen, again_at = None, time.monotonic() + 15

        def is_so():
            nonlocal seen, again_at
            seen = self.row(system, source)
            if seen["polls"] > before and seen["status"] != wanted and time.monotonic() > again_at:
                again_at = time.monotonic() + 15
                system.signal(source, signal.SIGHUP)
            assert seen["polls"] > before and seen["status"] == wanted, seen
            return True
        wait_for(is_so, POLLED_AGAIN_S, what)


class Sources(WithUpstream):
    def test_a_reading_is_told_kept_over_a_kill_and_stored_as_series(self):
        with Workspace() as place:
            home = place.home("--entities", "20", "--rate", "1")
            system = place.system(home_port=home.port, WEATHER_PROVIDER="open-meteo", WEATHER_URL=self.upstream.url("open-meteo")).start()
            self.wait_status(system, "weather", "ok")
            now = system.api.get("/api/v1/sources/weather/current")
            self.assertEqual((now["temperature_c"], now["sky"], now["stale"], now["provider"]), (6.4, "rain", False, "open-meteo"))
            self.assertIn("Open-Meteo", now["attribution"])
            forecast = system.api.get("/api/v1/sources/weather/forecast")
            self.assertGreaterEqual(len(forecast["forecast"]), 4)
            self.assertEqual(forecast["forecast"][0]["to"], forecast["forecast"][1]["from"])
            path, headers = self.upstream.log[0]
            self.assertIn("latitude=52.37&", path)  # as the home says, and no more exactly
            self.assertIn("ha-ingestor/", headers["User-Agent"])

            def series():
                return system.api.get("/api/v1/series", ids="_weather.temperature_c,_weather.sky", **{"from": "2020-01-01T00:00:00Z"}, step="raw")["series"]
            wait_for(lambda: series()[0]["value"], 20, "the series of the temperature")
            self.assertEqual((series()[0]["value"], series()[0]["unit"], series()[1]["state"]), ([6.4], "°C", ["rain"]))

            sensor = next(e["entity_id"] for e in system.api.get("/api/v1/states")["states"] if e["entity_id"].startswith("sensor.") and e["value"] is not None)
            both = system.api.get("/api/v1/series", ids=f"_weather.temperature_c,{sensor}", **{"from": "2025-01-01T00:00:00Z"}, step="1h", stat="mean")["series"]
            self.assertTrue(all(one["known"] and any(mean is not None for mean in one["mean"]) for one in both), both)  # one chart of both

            asked = len(self.upstream.log)
            pid = system.pid("weather")
            system.signal("weather", signal.SIGKILL)
            wait_for(lambda: system.pid("weather") not in (None, pid), 10, "weather to come back")
            wait_for(lambda: system.api.get("/api/v1/sources/weather/current")["temperature_c"] == 6.4, 10, "the reading to be told again")
            wait_for(lambda: self.row(system, "weather")["polls"] == 0, 10, "its new row")
            self.assertEqual(len(self.upstream.log), asked)
            self.assertEqual(len(series()[0]["value"]), 1)
            system.signal("ingest", signal.SIGKILL)  # a gap: Home Assistant is asked for all that it has, and does not have readings
            wait_for(lambda: len(system.api.gaps()) >= 2, 20, "a gap")
            wait_for(system.api.gaps_are_settled, 30, "the gap to be filled")
            self.assertEqual(system.api.gaps()[-1]["state"], "filled")
            self.assertEqual(system.api.count(entity_id="_weather.temperature_c"), 1)
            for sum in system.api.get("/api/v1/conservation")["sources"]:
                self.assertIn(sum["missing"], (0, None))
            system.stop()

    def choose(self, system, chosen):
        """The settings' file names these providers from now on, and the sources are told to read it."""
        lines = []
        for source, provider in chosen.items():
            own = {"provider": provider, "url": self.upstream.url(page_of(source, provider)), "timeout_ms": 400, **PROVIDERS[source][provider]}
            if source != "electricity":
                own.update(latitude=52.52, longitude=13.4)
            lines += [f"{source}:"] + [f"  {key}: {json.dumps(value)}" for key, value in own.items()]
        (system.data / "config.yaml").write_text("\n".join(lines) + "\n")
        if system.supervisor:
            for source in chosen:
                system.signal(source, signal.SIGHUP)

    def test_every_provider_survives_what_the_internet_does(self):
        """All providers one after another, four sources at once; who has a key in a header or in what it posts follows no redirect."""
        always = [("wrong", "failing"), ("error", "failing"), ("429", "failing"), ("gzip", "ok"), ("redirect", "ok")]
        more = {0: [("null", "failing"), ("missing", "failing"), ("empty", "failing"), ("deep", "failing"), ("huge", "failing"), ("401", "refused")],
                1: [("bomb", "failing"), ("loop", "failing"), ("500", "failing"), ("slow", "failing")]}
        with Workspace() as place:
            home = place.home("--entities", "20", "--rate", "1")
            system = place.system(home_port=home.port)
            for source in ("WEATHER", "AIRQUALITY"):
                del system.environment[source + "_PROVIDER"]
            for turn in range(max(map(len, PROVIDERS.values()))):
                chosen = {source: list(of)[turn] for source, of in PROVIDERS.items() if turn < len(of)}
                self.upstream.faults.clear()
                self.choose(system, chosen)
                if turn == 0:
                    system.start()
                for source, provider in chosen.items():
                    wait_for(lambda: (row := self.row(system, source)) and (row["provider"], row["status"]) == (provider, "ok"), POLLED_AGAIN_S, f"{provider} to be ok")
                if chosen == {"electricity": "tariff"}:
                    continue  # nobody is asked
                pages = {source: page_of(source, provider) for source, provider in chosen.items()}
                for fault, status in always + more.get(turn, []) + [("", "ok")]:
                    with self.subTest(fault=fault, of=chosen):
                        self.poke_all(system, pages, fault, status)
                    for source, provider in chosen.items():
                        now = system.api.get(f"/api/v1/sources/{source}/current")
                        self.assertEqual((now["provider"], now["stale"]), (provider, False), fault)
                if turn == 0:
                    self.assertEqual(system.api.get("/current-aqi")["aqi"], 71)
                    self.assertGreaterEqual(len(system.api.get("/api/v1/sources/airquality/forecast")["forecast"]), 2)
                    best = system.api.get("/api/v1/sources/carbon/cleanest", hours=0.5)
                    self.assertLessEqual(best["intensity_g_kwh"], best["now_g_kwh"])
            system.stop()

    def test_what_electricity_costs_and_when_it_costs_least(self):
        with Workspace() as place:
            home = place.home("--entities", "20", "--rate", "1")
            system = place.system(home_port=home.port, ELECTRICITY_PROVIDER="tibber", ELECTRICITY_TOKEN="t0ken",
                                  ELECTRICITY_URL=self.upstream.url("tibber")).start()
            self.wait_status(system, "electricity", "ok")
            self.assertEqual(self.upstream.log[0][1]["Authorization"], "Bearer t0ken")
            now = system.api.get("/api/v1/sources/electricity/current")
            self.assertEqual((now["price"], now["market"], now["net"], now["currency"], now["stale"]), (0.2853, 0.1012, None, "EUR", False))
            self.assertEqual(now["valid_to"], now["next_from"])
            wait_for(lambda: system.api.get("/api/v1/sources/pricing/current")["today_hours"] in (23, 24, 25), 10, "the home's day")
            slots = system.api.get("/api/v1/sources/electricity/forecast")["forecast"]
            self.assertGreater(len(slots), 80)
            least = min(slots, key=lambda slot: slot["price"])
            for path in ("/api/v1/sources/electricity/cheapest-hours", "/api/v1/sources/pricing/cheapest-hours", "/cheapest-hours"):
                for contiguous in ("true", "false"):
                    found = system.api.get(path, hours="0.25", contiguous=contiguous)
                    self.assertEqual([(part["from"], part["price"]) for part in found["cheapest_hours"]], [(least["from"], least["price"])])
            for wrong, field in (({"hours": "70"}, "hours"), ({"hours": "x"}, "hours"), ({"contiguous": "maybe"}, "contiguous")):
                status, _, body = system.api.request("GET", "/cheapest-hours?" + "&".join(f"{k}={v}" for k, v in wrong.items()))
                self.assertEqual(status, 422, body)
                self.assertIn(field, body.decode() if isinstance(body, bytes) else body)

            def series():
                return system.api.get("/api/v1/series", ids="_electricity.price", **{"from": "2020-01-01T00:00:00Z"}, step="raw")["series"][0]
            wait_for(lambda: series()["value"], 20, "the series of the price")
            self.assertEqual((series()["value"][0], series()["unit"]), (0.2853, "EUR/kWh"))
            system.stop()

    def test_who_is_at_home_by_home_assistants_calendars_and_by_a_file(self):
        with Workspace() as place:
            home = place.home("--entities", "20", "--rate", "1")
            system = place.system(home_port=home.port, CALENDAR_PROVIDER="home-assistant", CALENDAR_TITLES="true").start()
            self.wait_status(system, "calendar", "ok")
            now = system.api.get("/api/v1/sources/calendar/current")
            self.assertEqual((now["calendars"], now["calendars_failed"], now["stale"]), (2, 0, False))
            events = system.api.get("/api/v1/sources/calendar/events", start_time=now["known_from"])["events"]
            self.assertEqual({event["calendar"] for event in events}, {"calendar.family", "calendar.work"})
            self.assertEqual({event["state"] for event in events}, {"wfh", "away", "home"})
            wfh = next(event for event in events if event["title"] == "WFH")
            then = system.api.get("/api/v1/sources/calendar/occupancy", at=wfh["from"])
            self.assertEqual((then["state"], then["occupied"], then["title"], then["as_of"]), ("wfh", True, "WFH", wfh["from"]))
            spans = system.api.get("/api/v1/sources/calendar/forecast")["forecast"]
            self.assertTrue(all(one["to"] == other["from"] for one, other in zip(spans, spans[1:])))
            self.assertEqual(spans[-1]["to"], now["known_to"])
            status, _, body = system.api.request("GET", "/api/v1/sources/calendar/occupancy?at=2020-01-01T00:00:00Z")
            self.assertEqual((status, json.loads(body)["error_code"]), (422, "VALIDATION_ERROR"), body)

            def series(member):
                return system.api.get("/api/v1/series", ids=f"_calendar.{member}", **{"from": "2020-01-01T00:00:00Z"}, step="raw")["series"][0]
            wait_for(lambda: series("confidence")["value"], 20, "the series of the confidence")
            self.assertEqual(series("confidence")["value"][0], now["confidence"])
            self.assertEqual(series("state")["state"][0], now["state"] or "unknown")
            system.stop()

            self.upstream.log.clear()
            system = place.system(home_port=home.port, CALENDAR_PROVIDER="ics", CALENDAR_ICS=self.upstream.url("ics") + "/family.ics",
                                  CALENDAR_TIMEOUT_MS="2000").start()
            self.wait_status(system, "calendar", "ok")
            self.assertEqual(system.api.get("/api/v1/sources/calendar/events")["events"][0]["title"], None)
            self.assertEqual(self.upstream.log[0][0], "/ics/family.ics")
            for fault, status in (("error", "failing"), ("empty", "failing"), ("huge", "failing"), ("bomb", "failing"), ("429", "failing"),
                                  ("loop", "failing"), ("gzip", "ok"), ("redirect", "ok"), ("401", "refused"), ("", "ok")):
                self.poke_all(system, {"calendar": "ics"}, fault, status)
                self.assertEqual(system.api.get("/api/v1/sources/calendar/current")["provider"], "ics")
            system.stop()

    def test_home_assistants_calendars_may_say_anything(self):
        with Workspace() as place:
            home = place.home("--entities", "20", "--rate", "1")
            system = place.system(home_port=home.port, CALENDAR_PROVIDER="home-assistant", CALENDAR_TIME_ZONE="Europe/Berlin", CALENDAR_TIMEOUT_MS="2000",
                                  CALENDAR_URL=self.upstream.url("home-assistant")).start(live=False)
            self.wait_status(system, "calendar", "ok")
            self.assertEqual(self.upstream.log[0][1]["Authorization"], f"Bearer {TOKEN}")
            self.assertEqual(system.api.get("/api/v1/sources/calendar/current")["calendars"], 2)
            for fault, status in (("error", "failing"), ("empty", "failing"), ("deep", "failing"), ("huge", "failing"), ("429", "failing"), ("redirect", "failing"),
                                  ("gzip", "ok"), ("401", "refused"), ("", "ok")):
                self.poke_all(system, {"calendar": "home-assistant"}, fault, status)
                self.assertEqual(system.api.get("/api/v1/sources/calendar/current")["calendars"], 2)
            system.stop()

    def test_a_source_that_is_switched_off_is_told_as_off(self):
        with Workspace() as place:
            system = place.system().start(live=False)
            wait_for(lambda: (system.service("weather") / "off").exists(), 10, "weather to be off")
            self.assertIsNone(system.pid("weather"))
            status, _, body = system.api.request("GET", "/api/v1/sources/weather/current")
            self.assertEqual((status, json.loads(body)["error_code"]), (503, "ACTOR_UNAVAILABLE"))
            self.assertIn("weather is off: WEATHER_PROVIDER", json.loads(body)["error"])
            row = self.row(system, "weather")
            self.assertEqual((row["status"], row["provider"], row["next_poll_at"]), ("off", "off", None))
            self.assertIn("open-meteo, openweathermap", row["why"])
            system.stop()


if __name__ == "__main__":
    unittest.main()
