"""kill -9 of any process at any moment: nothing lost, nothing twice, nothing altered."""

import os
import random
import signal
import threading
import time
import unittest

from system import ACTORS, Workspace, assert_same, in_gaps, wait_for

KILLS = int(os.environ.get("KILLS", "56"))
RATE = int(os.environ.get("RATE", "2000"))
SEED = int(os.environ.get("SEED", "1"))


def subscribed_truth(home):
    """Every event that happened. What no connection of ours was sent must lie in a gap."""
    events, _ = home.truth()
    return [row["event"] for row in events]


class Kill(unittest.TestCase):
    def test_random_kills_of_every_process_under_load(self):
        """Killed at random, each process several times, at 2,000 events/s"""
        print(f"seed {SEED}, {KILLS} kills", flush=True)
        chance = random.Random(SEED)
        victims = (ACTORS * (KILLS // len(ACTORS) + 1))[:KILLS]
        chance.shuffle(victims)
        with Workspace() as place:
            home = place.home("--rate", RATE, "--wait-for-client", "--seed", SEED)
            system = place.system(home_port=home.port).start()
            pause = threading.Event()
            killed = {}
            for victim in victims:
                pause.wait(chance.uniform(0.05, 0.9))
                if wait_for(lambda: system.signal(victim, signal.SIGKILL), 10, f"{victim} to be there"):
                    killed[victim] = killed.get(victim, 0) + 1
            self.assertEqual(sum(killed.values()), KILLS)
            system.wait_live()
            before = home.stats()["events"]
            wait_for(lambda: home.stats()["events"] > before + RATE, 30, "another second of events")
            home.control("stop-events")
            self.finish(home, system, killed)

    def finish(self, home, system, killed):
        counted = [-1, 0]

        def still():
            counted.append(system.api.count())
            return counted[-1] == counted[-2] == counted[-3]

        wait_for(still, 120, "the count to stand still", 1.0)
        gaps = system.api.gaps()
        rows = system.api.export()
        self.assertEqual(len(rows), system.api.count())
        truth = subscribed_truth(home)
        missing = assert_same(truth, rows, in_gaps(gaps))
        print(f"killed {killed}; {len(truth)} events happened, {len(rows)} stored, {missing} inside "
              f"{len(gaps)} gaps of the ledger", flush=True)
        if "ingest" not in killed:
            self.assertEqual(missing, 0)
        self.assertEqual(system.api.get("/api/v1/quarantine")["count"], 0)

    def test_everything_killed_at_once(self):
        with Workspace() as place:
            home = place.home("--rate", RATE, "--wait-for-client")
            system = place.system(home_port=home.port).start()
            for _ in range(3):
                before = system.api.count()
                wait_for(lambda: system.api.count() > before + RATE, 30, "a second of events stored")
                for name in system.names():
                    system.signal(name, signal.SIGKILL)
                wait_for(lambda: system.api.request("GET", "/health")[0] == 200, 30, "health after the kill")
                system.wait_live()
            home.control("stop-events")
            self.finish(home, system, {"ingest": 3})

    def test_a_sink_stopped_for_30_seconds(self):
        """SIGSTOP: the home is not held back, the events wait in the capture log"""
        with Workspace() as place:
            home = place.home("--rate", RATE, "--wait-for-client", "--strict")
            system = place.system(home_port=home.port).start()
            wait_for(lambda: system.api.count() > RATE, 30, "a second of events stored")
            system.signal("sink", signal.SIGSTOP)
            wait_for(lambda: system.api.request("GET", "/health")[0] == 503, 10, "health to say so")
            before = home.stats()["events"]
            wait_for(lambda: home.stats()["events"] > before + 30 * RATE * 0.9, 60, "30 seconds of events")
            system.signal("sink", signal.SIGCONT)
            home.control("stop-events")
            self.finish(home, system, {})

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
                home = place.home("--rate", RATE, "--wait-for-client")
                system = place.system(home_port=home.port, data=data).start()
                wait_for(lambda: system.api.request("GET", "/health")[0] == 503, 120, "the full disk to show")
                home.control("stop-events")
                pause = threading.Event()
                pause.wait(1)
                ballast.unlink()
                wait_for(lambda: system.api.request("GET", "/health")[0] == 200, 60, "health after the disk has room")
                self.finish(home, system, {"ingest": 0})
                system.stop()
            finally:
                subprocess.run(["umount", "-l", str(data)], check=False)


if __name__ == "__main__":
    unittest.main(verbosity=2)
