"""A recorder database through the whole chain: every row once, whatever came live before and whatever is killed meanwhile."""

import json
import os
import random
import shutil
import signal
import subprocess
import unittest

import recorder
from recorder import Recorder, ask, ended, imported, quiet_suite, run_import
from system import ROOT, Workspace, exact, microseconds, wait_for
from test_recordings import place_of, recorded_events

STATES = 60000


class Import(unittest.TestCase):
    def test_a_recorded_home_comes_live_and_then_from_its_recorder(self):
        """What came live stays as it is, with its id; the recorder adds exactly what was not there"""
        version = "2025.4.4"
        events = recorded_events(f"ha-{version}")
        with Workspace() as place:
            base = Recorder(recorder.unpack(version, place.path))
            home = place.home("--replay", place_of(f"ha-{version}"))
            system = place.system(home_port=home.port, INGEST_BACKFILL="false").start()
            system.settled(len({str(e) for e in events}))
            before = system.api.export()
            status = run_import(system, base.path)
            after = system.api.export()
            live, live_events = recorder.stored_states(before), recorder.stored_events(before)
            new = [key for key, _ in base.states() if key not in live]
            new_events = [key for key in base.events() if key not in live_events]
            self.assertGreater(len(live), 100)
            self.assertLess(len(new), status["states"])
            self.assertLess(len(new_events), status["events"])
            self.assertEqual(len(after), len(before) + len(new) + len(new_events))
            self.assertEqual([line for line in before if line not in set(after)], [])
            ids = [exact(line)["id"] for line in after]
            self.assertEqual(len(ids), len(set(ids)))
            self.assertEqual(system.api.get("/api/v1/quarantine")["count"], 0)
            run_import(system, base.path)
            self.assertEqual(system.api.export(), after)

    def test_a_recorder_before_what_comes_live(self):
        """The same the other way round: the live row takes the place of the imported one, whose id it keeps"""
        version = "2025.4.4"
        events = recorded_events(f"ha-{version}")
        with Workspace() as place:
            base = Recorder(recorder.unpack(version, place.path))
            system = quiet_suite(place)
            run_import(system, base.path)
            ids_before = {exact(line)["id"] for line in imported(system)}
            system.stop()
            home = place.home("--replay", place_of(f"ha-{version}"))
            system = place.system(home_port=home.port, data=system.data).start()
            live = {str(e) for e in events}
            wait_for(lambda: self.received(system) >= len(live), 30, "the recording to have come")
            rows = [exact(line) for line in system.api.export()]
            ids = [row["id"] for row in rows]
            self.assertEqual(len(ids), len(set(ids)))
            self.assertLessEqual(ids_before, set(ids))
            moments = {microseconds(event["time_fired"]) for event in events}
            self.assertEqual(sum(row["provenance"] == "live" and microseconds(row["timestamp"]) in moments for row in rows), len(live))

    def received(self, system):
        actors = system.api.get("/api/v1/health")["actors"]
        return next((a["counters"]["stored"] + a["counters"]["duplicate"] for a in actors if a["actor"] == "sink"), 0)

    def test_kills_of_every_process_while_it_runs(self):
        """Nothing lost, nothing twice, and it says truly that it is done"""
        with Workspace() as place:
            path = place.path / "recorder.db"
            subprocess.run([ROOT / "tests" / "bench" / "make_recorder", str(path), str(STATES)], check=True)
            base = Recorder(path)
            system = quiet_suite(place, IMPORT_IN_FLIGHT="512")
            status, _ = ask(system, path)
            self.assertEqual(status, 200)
            chance = random.Random(3)
            killed = []
            wait_for(lambda: system.api.count() > 1000, 40, "the first rows")
            for name in ["import", "sink", "enrich-1", "import", "broker", "query-1", "import", "gateway", "registry"]:
                before = self.done(system)
                if system.signal(name, signal.SIGKILL):
                    killed.append(name)
                wait_for(lambda: self.done(system) > before + 1000 or ended(system), 40, "it to go on", chance.uniform(0.05, 0.2))
            status = wait_for(lambda: ended(system), 300, "the end", 0.2)
            self.assertEqual(status["state"], "done", status)
            self.assertEqual(status["states"], STATES)
            self.assertIn("going on with", system.log_text())
            self.assertGreater(killed.count("import"), 1)
            lines = imported(system)
            self.assertEqual(len(lines), STATES + STATES // 100)
            series = recorder.compare(self, base, lines, status)
            for period in ("hour", "5minute"):
                self.assertEqual(recorder.stored_statistics(system.api, period), recorder.wanted_statistics(base, period))
            self.assertEqual(system.api.get("/api/v1/quarantine")["count"], 0)
            run_import(system, path)
            self.assertEqual(len(imported(system)), len(lines))
            print(f"killed {killed}: {len(lines)} rows of {len(series)} series, none lost, none twice", flush=True)

    def done(self, system):
        try:
            return system.api.get("/api/v1/import")["states"] or 0
        except (OSError, ValueError):
            return 0

    def test_a_stop_of_the_suite_and_a_start(self):
        """The user's stop, and the suite's: it goes on, and ends"""
        with Workspace() as place:
            path = place.path / "recorder.db"
            subprocess.run([ROOT / "tests" / "bench" / "make_recorder", str(path), "20000"], check=True)
            system = quiet_suite(place, IMPORT_IN_FLIGHT="64")
            self.assertEqual(system.api.get("/api/v1/import")["state"], "none")
            self.assertEqual(ask(system, path)[0], 200)
            self.assertEqual(ask(system, path)[0], 200)   # the same again is the same
            other = place.path / "other.db"
            shutil.copy(path, other)
            self.assertEqual(ask(system, other)[0], 409)
            wait_for(lambda: system.api.count() > 100, 40, "the first rows")
            status, _, body = system.api.request("DELETE", "/api/v1/import")
            self.assertEqual((status, json.loads(body)["state"]), (200, "stopped"))
            wait_for(lambda: system.pid("import") is None, 10, "import to stop")
            self.assertEqual(system.api.get("/api/v1/import")["state"], "stopped")
            self.assertEqual(system.api.request("DELETE", "/api/v1/import")[0], 409)
            before = system.api.count()
            self.assertLess(before, 20200)
            self.assertEqual(ask(system, path)[0], 200)
            wait_for(lambda: system.api.count() > before + 100, 40, "it to go on")
            system.stop()
            system = place.system(data=system.data).start(live=False)
            status = wait_for(lambda: ended(system), 60, "the end", 0.1)
            self.assertEqual((status["state"], status["states"]), ("done", 20000))
            self.assertEqual(len(imported(system)), 20200)
            wait_for(lambda: system.pid("import") is None, 10, "import to stay down")
            self.assertEqual(system.api.request("GET", "/health")[0], 200)

    def test_what_cannot_be_imported_is_told(self):
        with Workspace() as place:
            system = quiet_suite(place)
            for path, field in (("relative.db", "a whole path"), ("/no/such/file", "no such file"), (str(place.path), "no regular file")):
                status, body = ask(system, path)
                self.assertEqual((status, body["detail"]["field"]), (422, "path"))
                self.assertIn(field, body["error"])
            secret = place.path / "secret"
            secret.write_text("the password is hunter2 " * 20)
            self.assertEqual(ask(system, secret)[0], 200)
            status = wait_for(lambda: ended(system), 20, "the refusal")
            self.assertEqual(status["state"], "failed")
            self.assertIn("no SQLite database", status["text"])
            self.assertNotIn("hunter2", json.dumps(status))
            wait_for(lambda: system.pid("import") is None, 10, "import to stay down")
            base = recorder.unpack("2024.3.3", place.path)
            shown = subprocess.run([ROOT / "deploy" / "import", base], capture_output=True, text=True, timeout=60,
                                   env={**os.environ, "GATEWAY_PORT": str(system.port)})
            self.assertEqual((shown.returncode, shown.stdout.splitlines()[-1][:11]), (0, "done: done:"), shown)
            self.assertEqual(len(imported(system)), 612 + 949)
            # Its last word, so that nobody waits for it.
            wait_for(lambda: any(a["actor"] == "import" and a["status"] in ("stopping", "stopped")
                                 for a in system.api.get("/api/v1/health")["actors"]), 10, "import to say that it stops")


if __name__ == "__main__":
    unittest.main(verbosity=2)
