"""test_memory.py - what all processes take together, with everything on, and that a request leaves nothing behind."""

import os
import pathlib
import re
import signal
import unittest

from system import Workspace, wait_for
from test_sources import WithUpstream

ALONE_MB = 47  # 40.8 to 41.8 were seen; one process that maps curl or ICU again is 8 more
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
    """(PSS, alone, names) in MB: as shared with whatever else runs on this machine, and as it is where nobody else maps the same libraries,
    each part of a file once. The second is at most the truth, and the same on every machine."""
    shared, own, files, names = 0, 0, {}, set()
    for pid, name in processes(system):
        try:
            smaps = pathlib.Path(f"/proc/{pid}/smaps").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        names.add(name)
        for offset, inode, values in re.findall(r"^[0-9a-f]+-[0-9a-f]+ \S+ (\S+) \S+ (\d+) *.*\n((?:\w+:.*\n?)+)", smaps, re.M):
            kb = {key: int(value) for key, value in re.findall(r"^(Rss|Pss|Anonymous): +(\d+)", values, re.M)}
            shared, own = shared + kb["Pss"], own + kb["Anonymous"]
            files[inode, offset] = max(files.get((inode, offset), 0), kb["Rss"] - kb["Anonymous"])
    return shared / 1024, (own + sum(files.values())) / 1024, names


class Memory(WithUpstream):
    @unittest.skipIf("debug" in os.environ.get("HA_INGESTOR_BIN", ""), "sanitizers take more")
    def test_all_processes_with_everything_on_stay_small(self):
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
                shared, alone, names = memory(system)
                assert shared < ALONE_MB and alone < ALONE_MB, f"{shared:.1f} MB, {alone:.1f} alone on a machine"
                return "fetch" not in names and (shared, alone)
            shared, alone = wait_for(settled, 20, f"less than {ALONE_MB} MB in all", 0.2)
            print(f"all seven on: {shared:.1f} MB, {alone:.1f} alone on a machine", flush=True)
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
