"""Outages by chance: what is stored is the truth, and the ledger names exactly what is not.

CHAOS_OUTAGES (24) of them, one after the other, in one house: the network cut, Home Assistant restarted,
ingest killed, the connection half-open, or two of these at once; from a moment to simulated days.
CHAOS_SEED (1) makes them the same again.
"""

import json
import os
import random
import signal
import subprocess
import threading
import time
import unittest

from system import Clock, Workspace, wait_for
from witness import Witness

OUTAGES = int(os.environ.get("CHAOS_OUTAGES", "24"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
RATE = 20
EXCLUDED = "sensor.secret_*,sensor.*_voltage"


class House:
    """The home and the system under test, and the ways to part them."""

    def __init__(self, place, chance):
        self.chance = chance
        self.clock = Clock(place.path)
        self.home = place.home("--rate", RATE, "--entities", 60, "--wait-for-client", "--seed", SEED, "--exclude", EXCLUDED,
                               "--commit-delay", 0.5, environment=self.clock.environment)
        self.initial = self.home.states()
        self.system = place.system(home_port=self.home.port, enrich=1, INGEST_PING_MS=300, INGEST_SILENCE_MS=1200,
                                   INGEST_RETRY_MIN_MS=50, INGEST_RETRY_MAX_MS=300,
                                   INGEST_BACKFILL_COMMIT_MS=2000, **self.clock.environment).start()
        self.names = [f"sensor.chaos_{i}" for i in range(6)] + [f"sensor.secret_{i}" for i in range(3)]
        self.said = 0
        for name in self.names:
            self.home.control(f"set {name} 0")

    def pause(self, seconds):
        threading.Event().wait(seconds)

    def mischief(self):
        """A few things that happen while nobody listens, or while somebody does."""
        for _ in range(self.chance.randrange(5)):
            name = self.chance.choice(self.names)
            self.said += 1
            what = self.chance.choice([f"set {name} {self.said}", f"set {name} {self.said}", f"remove {name}", f"add {name}",
                                       f'fire chaos_{self.chance.randrange(3)} {{"n":{self.said}}}'])
            if "remove sensor.secret" in what:
                continue  # of an entity that came and went unseen, and that no history knows, nobody can tell
            try:
                self.home.control(what)
            except AssertionError:
                pass  # it was removed already, or Home Assistant is not there

    def while_away(self, days):
        """What happens during an outage: some of it, and perhaps days."""
        self.mischief()
        self.pause(self.chance.uniform(0.1, 0.8))
        if days:
            self.home.control(f"sleep {days:.6f} {min(1, 200 / (days * 86400)):.6f}")
            self.mischief()

    def service(self, order, name="ingest"):
        subprocess.run(["s6-svc", order, str(self.system.service(name))], check=True)

    # --- kinds of outage ------------------------------------------------------------------------

    def cut(self, days):
        self.home.control("cut 1000000 " + self.chance.choice(["", "silent"]))
        self.while_away(days)
        self.home.control("cut 0")

    def restart(self, days):
        self.home.control(f"restart {self.chance.uniform(0.3, 2):.3f}")
        self.while_away(days)

    def kill(self, days):
        self.service("-O" if days or self.chance.random() < 0.5 else "-u")  # -O: when it has died, it stays dead
        self.system.signal("ingest", signal.SIGKILL)
        self.while_away(days)
        self.service("-u")

    def half_open(self, days):
        self.home.control("halfopen")
        self.while_away(days)

    def both(self, days):
        first, second = self.chance.sample([self.cut, self.restart, self.kill, self.half_open], 2)
        first(0)
        second(days)

    def outage(self):
        kind = self.chance.choice([self.cut, self.restart, self.kill, self.half_open, self.both])
        # Half of them last for moments, the others for up to four days, as likely long as short.
        days = 0 if self.chance.random() < 0.5 else 10 ** self.chance.uniform(-4, 0.6)
        session = self.system.api.get("/api/v1/ingest")["session"]
        kind(days)
        wait_for(lambda: self.system.api.get("/api/v1/ingest")["session"] > session, 40, f"a new session after {kind.__name__}")
        self.system.wait_live()
        self.mischief()
        self.pause(self.chance.uniform(0.2, 1.2))
        return f"{kind.__name__} {days:.4f}"

    def settle(self):
        """Nothing happens any more, and all gaps have their end state."""
        wait_for(lambda: self.home.stats()["running"], 20, "the home to run")
        self.pause(1)
        self.home.control("stop-events")
        wait_for(self.system.api.gaps_are_settled, 90, "the gaps to be filled")
        counts = [-1, -2]

        def still():
            counts.append(self.system.api.count())
            return counts[-1] == counts[-2] == counts[-3]

        wait_for(still, 60, "the count to stand still", 0.7)


class Chaos(unittest.TestCase):
    def judge(self, place, house):
        """Nothing is missing but what the ledger says is missing."""
        began = time.monotonic()
        house.settle()
        gaps, rows = house.system.api.gaps(), house.system.api.export()
        (place.path / "gaps.json").write_text(json.dumps(gaps, indent=1))
        (place.path / "rows.ndjson").write_bytes(b"\n".join(rows))
        house.home.stop()
        with open(house.home.truth_path, "rb") as truth:
            witness = Witness(house.initial, gaps, rows).look(truth)
        print(f"{len(gaps)} gaps, {house.clock.ahead_us() / 86400e6:.1f} simulated days, settled and judged in "
              f"{time.monotonic() - began:.0f} s", flush=True)
        for line in witness.report():
            print("  " + line, flush=True)
        self.assertEqual([], witness.problems[:5], f"{len(witness.problems)} problems")

    def test_outages_by_chance(self):
        """Stored is what happened, and what is missing is what the ledger says"""
        print(f"seed {SEED}, {OUTAGES} outages", flush=True)
        with Workspace() as place:
            house = House(place, random.Random(SEED))
            for number in range(OUTAGES):
                what = house.outage()
                print(f"{number}: {what}", flush=True)
            self.judge(place, house)

    def test_a_history_that_does_not_reach_back_to_the_gap(self):
        """Three days away, and the recorder keeps one: the ledger does not call the other two filled"""
        with Workspace() as place:
            house = House(place, random.Random(SEED))
            house.pause(1)
            house.service("-O")
            house.system.signal("ingest", signal.SIGKILL)
            house.home.control("sleep 3 0.002")
            house.home.control("purge 86400")
            house.service("-u")
            house.system.wait_live()
            house.pause(1)
            self.judge(place, house)


if __name__ == "__main__":
    unittest.main(verbosity=2)
