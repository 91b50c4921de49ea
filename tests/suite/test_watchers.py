"""Whoever breaks is noticed: each hop is broken while the real processes run, and monitor, or the health, must say so.

The settings are shortened so that it takes seconds: monitor looks every 200 ms, what must last lasts a tenth, a canary
goes every 2 s and is late after 2 s. With the settings as they are, the same takes at most: a beat of 2 s and 10 s of
silence, or 40 s of a condition, or 30 s until the next canary and 20 s until it is late, and 2 s until the next look. That
is shown in virtual time by tests/monitor."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from system import BIN, Workspace, wait_for

SHORT = dict(MONITOR_CHECK_MS=200, MONITOR_FOR_PERCENT=10, MONITOR_CANARY="home", MONITOR_CANARY_S=2, MONITOR_CANARY_LATE_S=2,
             INGEST_PING_MS=300, INGEST_SILENCE_MS=1000, INGEST_RETRY_MIN_MS=200, INGEST_RETRY_MAX_MS=500, INGEST_AUTH_RETRY_MS=1000)
NOTICED = 60  # seconds; a process is silent after 5 at least, whatever the percentage


class Watched:
    """A house whose alerts can be asked for, and whose processes can be exchanged."""

    def __init__(self, place, data=None, **settings):
        self.bin = place.path / "bin"
        self.bin.mkdir()
        for file in BIN.iterdir():
            if file.is_file() and os.access(file, os.X_OK):
                (self.bin / file.name).symlink_to(file)
        self.home = place.home("--rate", 40)
        self.system = place.system(home_port=self.home.port, data=data, HA_INGESTOR_BIN=self.bin, **{**SHORT, **settings}).start()
        self.api = self.system.api

    def open(self):
        return {(alert["rule"], alert["subject"]): alert for alert in self.api.get("/api/v1/alerts/active")}

    def wait_open(self, condition, seconds, what):
        last = {}

        def is_met():
            nonlocal last
            last = self.open()
            return condition(set(last))

        try:
            return wait_for(is_met, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; open are {list(last)}") from None

    def see(self, *wanted, seconds=NOTICED):
        """All of these alerts are open at one moment."""
        return self.wait_open(lambda now: set(wanted) <= now, seconds, f"{wanted} to be noticed")

    def over(self, *wanted, seconds=NOTICED):
        return self.wait_open(lambda now: not set(wanted) & now, seconds, f"{wanted} to be over")

    def seen(self, *wanted):
        """They were noticed while nobody could ask."""
        wait_for(lambda: set(wanted) <= {(a["rule"], a["subject"]) for a in self.api.get("/api/v1/alerts")}, 5, f"{wanted} to be told")

    def quiet(self):
        """Nothing is wrong but what is history."""
        past = {"gap", "gap_partly", "actor_restarts", "quarantine_growing", "clock_jump", "given_up"}
        return self.wait_open(lambda now: not [key for key in now if key[0] not in past], 20, "everything to be well")

    @contextlib.contextmanager
    def stopped(self, *names):
        for name in names:
            assert self.system.signal(name, signal.SIGSTOP), name
        try:
            yield
        finally:
            for name in names:
                self.system.signal(name, signal.SIGCONT)

    def exchange(self, name, program):
        """From now on it is another program, and so at once."""
        link = self.bin / name.split("-")[0]
        link.unlink()
        link.symlink_to(BIN / program)
        self.system.signal(name, signal.SIGKILL)

    def pid_heard(self, actor):
        return [a["pid"] for a in self.api.get("/api/v1/health")["actors"] if a["actor"] == actor][0]

    def sum(self):
        return self.api.get("/api/v1/conservation")["sources"][0]

    def settled(self):
        """The sum of a moment in which nothing is under way, or nothing."""
        row = self.sum()
        return row if row["holds"] and row["in_flight"] == 0 else None

    def change(self, path, method="POST", **body):
        status, _, answer = self.api.request(method, "/api/v1/alerts/" + path, json.dumps(body), {"Content-Type": "application/json"})
        return status, json.loads(answer)


class Watchers(unittest.TestCase):
    """What breaks here is mostly waited for, so the houses stand side by side."""

    def test_whatever_breaks_is_noticed(self):
        scenes = [getattr(self, name) for name in dir(self) if name.startswith("scene_")]
        with ThreadPoolExecutor(len(scenes)) as threads:
            running = {scene: threads.submit(scene) for scene in scenes}
        for scene, future in running.items():
            with self.subTest(scene.__doc__):
                future.result()

    def scene_a_process_that_stands_still_is_named(self):
        """SIGSTOP of every one, the watcher among them; the log's reader; the broker"""
        with Workspace() as place:
            house = Watched(place)
            wait_for(lambda: house.system.api.get("/api/v1/events", event_type="ha_ingestor_canary"), 20, "a canary")
            house.quiet()
            with house.stopped("ingest", "registry", "enrich-1", "enrich-2", "sink", "query-1", "log"):
                house.see(("logs_stuck", "log"),
                          *[("actor_silent", name) for name in ("ingest/1", "registry/1", "enrich/1", "enrich/2", "sink/1", "query/1")])
                self.assertEqual(house.api.request("GET", "/health")[0], 503)
            house.quiet()
            with house.stopped("monitor"):
                wait_for(lambda: self.health(house)["dependencies"]["monitor"]["status"] == "unhealthy", NOTICED, "its silence to show")
                self.assertEqual(self.health(house)["status"], "degraded")
            with house.stopped("gateway"):
                self.let_pass(9)
            house.seen(("actor_silent", "gateway/1"))
            with house.stopped("broker"):
                self.let_pass(9)
            house.seen(("actor_silent", "broker/1"))
            house.quiet()
            wait_for(lambda: house.sum()["holds"], 10, "the sum to hold")

    def scene_what_says_yes_and_drops_is_found_out(self):
        """enrich acknowledges and passes nothing on; sink commits nothing; query finds nothing; ingest keeps nothing"""
        with Workspace() as place:
            house = Watched(place, enrich=1)
            house.quiet()
            wait_for(lambda: house.sum()["received"] and house.sum()["holds"], 10, "a first sum")
            house.exchange("enrich-1", "mutant-enrich")
            house.see(("conservation", "ingest"), ("canary_missing", "home"))
            missing = house.sum()["missing"]
            self.assertGreater(missing, 0)
            house.exchange("enrich-1", "enrich")
            house.over(("canary_missing", "home"))
            alert = house.open()["conservation", "ingest"]  # what is lost stays lost, until somebody says that he knows
            self.assertEqual(house.change(f"{alert['id']}/resolve", by="me", notes="a mutant")[0], 200)
            self.assertEqual(house.change(f"{alert['id']}/resolve")[0], 409)
            house.quiet()
            house.exchange("sink", "mutant-sink")
            house.see(("conservation", "ingest"), ("canary_missing", "home"))
            house.exchange("sink", "sink")
            house.over(("canary_missing", "home"))
            house.change(f"{house.open()['conservation', 'ingest']['id']}/resolve")
            house.exchange("query-1", "mutant-query")
            house.see(("canary_missing", "home"))
            house.exchange("query-1", "query")
            house.quiet()
            house.exchange("ingest", "mutant-ingest")
            house.see(("canary_missing", "home"), ("canary_missing", "edge"))
            house.exchange("ingest", "ingest")
            house.quiet()
            for _ in range(5):
                before = house.pid_heard("registry")
                house.system.signal("registry", signal.SIGKILL)
                wait_for(lambda: house.pid_heard("registry") != before, 20, "a newcomer to be heard")
            house.see(("actor_restarts", "registry/1"))

    def scene_home_assistant_that_is_not_what_it_seems_is_found_out(self):
        """A subscription that is silent, events that are not fired, a network that is gone, a token that is revoked, bad events"""
        with Workspace() as place:
            house = Watched(place)
            wait_for(lambda: house.system.api.get("/api/v1/events", event_type="ha_ingestor_canary"), 20, "a canary")
            house.home.control("swallow")
            house.see(("canary_missing", "home"))
            house.home.control("swallow off")
            house.over(("canary_missing", "home"))
            house.home.control("silence")  # pings are answered, and fire_event, but nothing comes
            house.see(("canary_missing", "home"))
            house.home.control("abort")
            house.over(("canary_missing", "home"))
            for _ in range(12):
                house.home.control("bad-json")
            house.see(("quarantine_growing", "sink"))
            house.home.control("cut 6 silent")
            house.see(("home_lost", "home"))
            house.over(("canary_missing", "edge"))  # it goes on; late, on a busy machine
            house.over(("home_lost", "home"), seconds=20)
            self.assertTrue([gap for gap in house.api.gaps() if gap["cause"] != "first_start"])  # an alert only where history lacks it
            house.home.control("refuse-auth")
            house.home.control("abort")
            house.see(("token_refused", "home"))
            house.home.control("refuse-auth off")
            house.quiet()
            status, rule = house.change("rules/disk_full", "PUT", threshold=101)
            self.assertEqual((status, rule["threshold"], rule["changed"]), (200, 101, True))
            house.see(("disk_full", "data"))
            self.assertEqual(house.change("rules/disk_full", "PUT", enabled=False)[0], 200)
            house.over(("disk_full", "data"))

    def scene_a_disk_that_takes_nothing_is_told_although_the_alert_cannot_be_kept(self):
        """The store, the capture log and the ledger of gaps cannot be written, nor monitor.db"""
        if os.geteuid() != 0:
            return  # a small tmpfs cannot be mounted
        with Workspace() as place:
            data = place.path / "data"
            data.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(data)], check=True)
            try:
                house = Watched(place, data=data)
                house.quiet()
                blocker = data / "ingest" / "gaps.new"
                blocker.mkdir()  # a gap cannot be written
                house.home.control("abort")
                house.see(("actor_unhealthy", "ingest/1"))
                blocker.rmdir()
                house.quiet()
                with contextlib.suppress(OSError):
                    with open(data / "filler", "wb", buffering=0) as file:
                        while True:
                            file.write(bytes(65536))
                house.see(("actor_unhealthy", "sink/1"), ("actor_unhealthy", "ingest/1"), ("disk_full", "data"), seconds=30)
                (data / "filler").unlink()
                house.quiet()
                wait_for(lambda: house.sum()["holds"], 10, "the sum to hold")
                house.system.stop()
            finally:
                subprocess.run(["umount", "-l", str(data)], check=True)

    def scene_the_sum_holds_at_any_moment_whoever_is_killed(self):
        """kill -9 of everybody, filters and duplicates included in the sum; alerts outlive their keeper"""
        with Workspace() as place:
            house = Watched(place, MONITOR_CANARY_S=1)
            house.home.control("rate 600")
            seen = set()
            for victim in ("sink", "ingest", "enrich-1", "broker", "monitor", "query-1", "sink", "ingest", "sink", "monitor"):
                wait_for(lambda: house.system.signal(victim, signal.SIGKILL), 10, f"{victim} to be there")
                for _ in range(6):
                    self.let_pass(0.1)
                    with contextlib.suppress(ValueError, OSError):
                        row = house.sum()
                        seen.add(row["holds"])
                        self.assertFalse(row["missing"], row)
            house.home.control("stop-events")
            row = wait_for(lambda: house.settled(), 60, "everything to be settled")  # one answer: the next canary is under way at once
            self.assertEqual(row["excess"], 0, row)
            self.assertEqual(row["received"], sum(row[term] for term in ("stored", "duplicate", "filtered", "thinned", "quarantined")), row)
            self.assertGreater(row["redelivered"], 0)
            self.assertNotIn("conservation", [a["rule"] for a in house.api.get("/api/v1/alerts")])
            self.assertIn(True, seen)

    def health(self, house):
        return json.loads(house.api.request("GET", "/health")[2])

    def let_pass(self, seconds):
        """Of a process that stands still nothing can be waited for but time."""
        threading.Event().wait(seconds)


if __name__ == "__main__":
    unittest.main(verbosity=2)
