"""test_memory.py - what all processes take together, with everything on, and that a request leaves nothing behind."""

import os
import pathlib
import re
import signal
import unittest

from system import Workspace, wait_for
from test_sources import WithUpstream

PROMISE_MB = 40
SOURCES = ["weather", "airquality", "carbon", "electricity", "calendar", "smartmeter"]


def processes(system):
    """(pid, name) of all that have this system's data in their environment: actors, supervisors, the log, requests."""
    mine = f"HA_INGESTOR_DATA={system.data}".encode()
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mine in (path / "environ").read_bytes().split(b"\0"):
                yield int(path.name), (path / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def memory(system):
    """{name: MB}: the proportional set size."""
    of = {}
    for pid, name in processes(system):
        try:
            kb = re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            of[name] = of.get(name, 0) + int(kb[1]) / 1024
        except (FileNotFoundError, ProcessLookupError):
            continue
    return of


class Memory(WithUpstream):
    @unittest.skipIf("debug" in os.environ.get("HA_INGESTOR_BIN", ""), "sanitizers take more")
    def test_all_processes_with_everything_on_take_less_than_40_mb(self):
        page = self.upstream.url
        with Workspace() as place:
            home = place.home("--rate", "10", truth=False)
            system = place.system(home_port=home.port, enrich=1, MONITOR_CANARY="home", ENERGY_POWER="sensor.house_power",
                                  WEATHER_PROVIDER="open-meteo", WEATHER_URL=page("open-meteo"), AIRQUALITY_PROVIDER="open-meteo", AIRQUALITY_URL=page("air"),
                                  CARBON_PROVIDER="uk", CARBON_URL=page("uk"), ELECTRICITY_PROVIDER="awattar", ELECTRICITY_URL=page("awattar"),
                                  CALENDAR_PROVIDER="ics", CALENDAR_ICS=page("ics") + "/family.ics", SMARTMETER_PROVIDER="shelly",
                                  SMARTMETER_URL=page("shelly")).start()
            for source in SOURCES:
                self.wait_status(system, source, "ok")
            names = {name for _, name in processes(system)}
            self.assertLessEqual({*SOURCES, "energy", "broker", "ingest", "registry", "enrich", "sink", "query", "monitor", "gateway"}, names)
            wait_for(lambda: system.api.count() >= 300, 60, "events")

            def settled():
                now = memory(system)
                assert sum(now.values()) < PROMISE_MB, {name: round(mb, 1) for name, mb in sorted(now.items(), key=lambda one: -one[1])}
                return "fetch" not in now and now
            now = wait_for(settled, 20, f"less than {PROMISE_MB} MB in all", 0.2)
            print(f"all seven on: {sum(now.values()):.1f} MB", flush=True)
            system.stop()

    def test_a_request_ends_with_whoever_made_it(self):
        with Workspace() as place:
            system = place.system(WEATHER_PROVIDER="open-meteo", WEATHER_URL=self.upstream.url("open-meteo"), WEATHER_LATITUDE="52.52",
                                  WEATHER_LONGITUDE="13.4").start(live=False)
            self.wait_status(system, "weather", "ok")
            self.upstream.faults["open-meteo"] = "slow"
            system.signal("weather", signal.SIGHUP)

            def requests():
                return [pid for pid, name in processes(system) if name == "fetch"]
            first = wait_for(requests, 20, "a request")
            system.signal("weather", signal.SIGKILL)
            wait_for(lambda: not {*first} & {*requests()}, 5, "the request to end")
            system.stop()
            self.assertEqual(requests(), [])


if __name__ == "__main__":
    unittest.main()
