"""The statistics that a real Home Assistant compiles, made anew, against our buckets of the same states."""

import pathlib
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "suite"), str(pathlib.Path(__file__).resolve().parent)]
import compiling  # noqa: E402
from compiled import Compiled  # noqa: E402
from recorder import quiet_suite, run_import  # noqa: E402
from system import Workspace  # noqa: E402
from test_real import PYTHON  # noqa: E402


@unittest.skipUnless(PYTHON, "PyPI cannot be reached: a real Home Assistant was NOT tested")
class RealStatistics(unittest.TestCase):
    def test_buckets_equal_what_home_assistant_compiled(self):
        with Workspace() as place:
            compiled = Compiled(compiling.record(place))
            self.addCleanup(compiled.close)
            system = quiet_suite(place)
            run_import(system, compiled.path)
            compiled.compare(self, system.api, "5m")
            compiled.compare(self, system.api, "1h")
            self.assertGreater(compiled.counted["5m"], 600)
            print(f"{compiled.counted} statistics of {len(compiled.metas)} sensors equal ours; left out {compiled.left_out}", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
