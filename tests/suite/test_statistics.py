"""A real Home Assistant's own statistics, of five minutes and of hours, and our buckets of the same states: equal, from samples and from rollups."""

import signal
import unittest

import recorder
from compiled import Compiled
from recorder import quiet_suite, run_import
from system import Workspace, wait_for


class Statistics(unittest.TestCase):
    def test_buckets_equal_what_home_assistant_compiled(self):
        with Workspace() as place:
            path = recorder.unpack("2024.3.3", place.path, "statistics")
            compiled = Compiled(path)
            self.addCleanup(compiled.close)
            system = quiet_suite(place)
            run_import(system, path)
            compiled.compare(self, system.api, "5m")
            compiled.compare(self, system.api, "1h")
            system.signal("sink", signal.SIGKILL)  # a new one looks at once for what is to be rolled up
            hour = {"ids": "sensor.busy,sensor.increasing", "from": "2024-04-01T21:00:00Z", "to": "2024-04-02T00:00:00Z", "step": "1h"}
            wait_for(lambda: system.api.get("/api/v1/series", **hour)["tier"] == "1h", 30, "the hours to be rolled up")
            self.assertIn("1h", compiled.compare(self, system.api, "1h").values())
            self.assertGreater(compiled.counted["5m"], 600)
            self.assertLess(sum(compiled.left_out.values()), 60)
            print(f"{compiled.counted} statistics of {len(compiled.metas)} sensors; left out {compiled.left_out}", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
