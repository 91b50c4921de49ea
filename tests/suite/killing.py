"""killing.py - kill -9 of any process at any moment under load, and the papers to judge it by."""

import json
import random
import signal
import threading

from system import exact, wait_for
from witness import Witness

VICTIMS = ("broker", "ingest", "registry", "sink", "gateway", "enrich-1", "enrich-2", "query-1", "monitor", "log")


class Killing:
    """One home and one suite, and so many kills. Its papers are files in the place's directory."""

    def __init__(self, place, seed, kills, rate, *home_arguments, longest_s=0.6, **settings):
        self.place, self.chance, self.kills, self.rate, self.longest_s = place, random.Random(seed), kills, rate, longest_s
        self.killed = {}
        self.home = place.home("--rate", rate, "--wait-for-client", "--seed", seed, "--history-bytes", 1 << 30, *home_arguments)
        self.write("initial.json", self.home.states())
        self.system = place.system(home_port=self.home.port, INGEST_BACKFILL_COMMIT_MS=3000, **settings).start()

    def write(self, name, thing):
        (self.place.path / name).write_text(json.dumps(thing))

    def kill(self, name):
        """One that is not there just now, because it was killed a moment ago, is not counted."""
        if self.system.signal(name, signal.SIGKILL):
            self.killed[name] = self.killed.get(name, 0) + 1

    def kill_by_chance(self):
        """Most of them one by one, some two or three at once, a few all together."""
        pause = threading.Event()
        while self.count() < self.kills:
            pause.wait(self.chance.uniform(0.02, self.longest_s))
            how_many = self.chance.choices((1, 2, 3, len(VICTIMS)), (86, 8, 4, 2))[0]
            for name in self.chance.sample(VICTIMS, min(how_many, self.kills - self.count())):
                self.kill(name)

    def count(self):
        return sum(self.killed.values())

    def settle(self):
        """A second of undisturbed events, then nothing, until all gaps have their end state and all is stored."""
        api = self.system.api
        wait_for(lambda: api.request("GET", "/health")[0] in (200, 503), 30, "the gateway")
        self.system.wait_live()
        stats = self.home.stats()
        if stats["generating"]:
            wait_for(lambda: self.home.stats()["events"] > stats["events"] + self.rate, 60, "another second of events")
            self.home.control("stop-events")
        counts = [-1, -2]

        def still():
            counts.append(api.count())
            return counts[-1] == counts[-2] == counts[-3]

        wait_for(api.gaps_are_settled, 300, "the gaps to be filled", 0.3)
        wait_for(still, 300, "the count to stand still", 1.0)
        wait_for(lambda: self.sum()["in_flight"] == 0 and self.sum()["holds"] is not None, 60, "everything to be settled", 0.3)

    def sum(self):
        return self.system.api.get("/api/v1/conservation")["sources"][0]

    def close(self):
        """The papers: gaps, rows, truth. What is said at once is checked at once."""
        api = self.system.api
        self.write("gaps.json", api.gaps())
        assert api.get("/api/v1/quarantine")["count"] == 0, "something was quarantined"
        total = self.sum()
        settled = sum(total[term] for term in ("stored", "duplicate", "filtered", "thinned", "quarantined", "given_up"))
        assert total["holds"] and total["received"] == settled and total["excess"] == 0, total
        with open(self.place.path / "rows.ndjson", "wb") as file:
            rows = api.export_to(file)
        assert rows == total["stored"], (rows, total)
        assert rows == api.count(), (rows, api.count())
        self.system.stop()
        self.home.stop()

    def run(self):
        self.kill_by_chance()
        self.settle()
        self.close()
        return self


def judge(directory):
    """The papers of a directory, held against each other."""
    initial, gaps = (exact((directory / name).read_text()) for name in ("initial.json", "gaps.json"))
    with open(directory / "rows.ndjson", "rb") as rows:
        witness = Witness(initial, gaps, rows)
    with open(directory / "truth.ndjson", "rb") as truth:
        return witness.look(truth)
