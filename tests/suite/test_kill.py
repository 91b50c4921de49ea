"""kill -9 of any process at any moment: nothing lost, nothing twice, nothing altered."""

import os
import signal
import threading
import unittest

from killing import Killing, judge
from system import Workspace, wait_for

KILLS = int(os.environ.get("KILLS", "120"))
RATE = int(os.environ.get("RATE", "2000"))
SEED = int(os.environ.get("SEED", "1"))


class Kill(unittest.TestCase):
    def test_random_kills_of_every_process_under_load(self):
        """Killed at random, each process several times, at 2,000 events/s"""
        print(f"seed {SEED}, {KILLS} kills", flush=True)
        with Workspace() as place:
            killing = Killing(place, SEED, KILLS, RATE)
            self.finish(place, killing.run())

    def finish(self, place, killing):
        witness = judge(place.path)
        print(f"killed {killing.killed}; {witness.count_of_rows} rows, {len(witness.gaps)} gaps", flush=True)
        for line in witness.report():
            print("  " + line, flush=True)
        self.assertEqual([], witness.problems[:3], f"{len(witness.problems)} problems")
        if "ingest" not in killing.killed:
            self.assertEqual(sum(n.get("missing", 0) for n in witness.table.values()), 0)

    def test_everything_killed_at_once(self):
        with Workspace() as place:
            killing = Killing(place, SEED, 0, RATE)
            system = killing.system
            for _ in range(3):
                before = system.api.count()
                wait_for(lambda: system.api.count() > before + RATE, 30, "a second of events stored")
                for name in system.names():
                    killing.kill(name)
                wait_for(lambda: system.api.request("GET", "/health")[0] == 200, 30, "health after the kill")
                system.wait_live()
            self.finish(place, killing.run())

    def test_a_sink_stopped_for_30_seconds(self):
        """SIGSTOP: the home is not held back, the events wait in the capture log"""
        with Workspace() as place:
            killing = Killing(place, SEED, 0, RATE, "--strict")
            home, system = killing.home, killing.system
            wait_for(lambda: system.api.count() > RATE, 30, "a second of events stored")
            system.signal("sink", signal.SIGSTOP)
            wait_for(lambda: system.api.request("GET", "/health")[0] == 503, 60, "health to say so")
            before = home.stats()["events"]
            wait_for(lambda: home.stats()["events"] > before + 30 * RATE * 0.9, 60, "30 seconds of events")
            system.signal("sink", signal.SIGCONT)
            home.control("stop-events")
            self.finish(place, killing.run())

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small tmpfs")
    def test_a_full_disk(self):
        """The store's disk fills, is freed, and nothing is missing"""
        import subprocess
        with Workspace() as place:
            data = place.path / "data"
            data.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(data)], check=True)
            try:
                ballast = data / "ballast"
                ballast.write_bytes(b"x" * 6_000_000)
                killing = Killing(place, SEED, 0, RATE, data=data)
                home, system = killing.home, killing.system
                wait_for(lambda: system.api.request("GET", "/health")[0] == 503, 120, "the full disk to show")
                home.control("stop-events")
                pause = threading.Event()
                pause.wait(1)
                ballast.unlink()
                wait_for(lambda: system.api.request("GET", "/health")[0] == 200, 60, "health after the disk has room")
                self.finish(place, killing.run())
            finally:
                subprocess.run(["umount", "-l", str(data)], check=False)


if __name__ == "__main__":
    unittest.main(verbosity=2)
