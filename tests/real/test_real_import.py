"""The recorder database of a real Home Assistant, imported while that runs and writes: as SQL says it is."""

import pathlib
import random
import sys
import threading
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "suite"), str(pathlib.Path(__file__).resolve().parent)]
import recorder  # noqa: E402
from home_assistant import HomeAssistant  # noqa: E402
from recorder import Recorder, imported, quiet_suite, run_import  # noqa: E402
from system import Workspace, wait_for  # noqa: E402
from test_real import PYTHON, drive  # noqa: E402

HOURS = [{"start": f"2024-01-{1 + h // 24:02d}T{h % 24:02d}:00:00+00:00", "mean": 20 + h / 7, "min": -h, "max": 1e9 + h, "sum": h * 0.1,
          "state": h * 0.3} for h in range(72)]


@unittest.skipUnless(PYTHON, "PyPI cannot be reached: a real Home Assistant was NOT tested")
class RealImport(unittest.TestCase):
    def test_a_recorder_that_is_written_meanwhile(self):
        with Workspace() as place:
            ha = HomeAssistant(place.path)
            ha.start()
            stop = threading.Event()
            driver = None
            try:
                ha.make_user()
                self.keep_statistics(ha)
                driver = threading.Thread(target=self.drive, args=(ha, stop))
                driver.start()
                self.witness(place, ha, driver)
            finally:
                stop.set()
                if driver:
                    driver.join()
                if ha.process.child.poll() is None:
                    ha.stop()

    def drive(self, ha, stop):
        chance = random.Random(5)
        while not stop.is_set():
            drive(ha, 1, chance)

    def keep_statistics(self, ha):
        ha.command({"type": "recorder/import_statistics", "stats": HOURS, "metadata": {
            "has_mean": True, "has_sum": True, "name": "Of a test", "source": "test", "statistic_id": "test:kept", "unit_of_measurement": "kWh"}})
        base = Recorder(ha.database())
        wait_for(lambda: len(base.statistics("hour")) >= len(HOURS), 30, "the statistics to be kept")

    def witness(self, place, ha, driver):
        base = Recorder(ha.database())
        wait_for(lambda: base.ask("SELECT count(*) FROM states")[0][0] > 250, 60, "some states")
        system = quiet_suite(place, IMPORT_IN_FLIGHT="64")
        for turn in range(2):
            before = base.ask("SELECT count(*) FROM states")[0][0]
            status = run_import(system, base.path)
            lines = imported(system)
            series = recorder.compare(self, base, lines, status)
            self.assertGreaterEqual(status["states"], before)
            for period in ("hour", "5minute"):
                self.assertLessEqual(set(recorder.stored_statistics(system.api, period)), set(recorder.wanted_statistics(base, period)))
            self.assertGreaterEqual(status["statistics"], len(HOURS))
            self.assertTrue(driver.is_alive())
            print(f"{len(lines)} rows of {len(series)} series, {status['statistics'] + status['short_term']} statistics, while Home Assistant "
                  f"wrote: counts and values equal to SQL's", flush=True)
            wait_for(lambda: base.ask("SELECT count(*) FROM states")[0][0] > status["states"] + 20, 60, "more states")
        self.assertEqual(system.api.get("/api/v1/quarantine")["count"], 0)
        log = (ha.config / "home-assistant.log").read_text() if (ha.config / "home-assistant.log").exists() else ""
        self.assertNotIn("database is locked", log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
