"""deploy/run as a newcomer meets it: starts, answers, stops within five seconds, leaves nothing behind."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import unittest

from system import BIN, ROOT, Api, Workspace, free_port, wait_for


def left_behind(data):
    """Commands of processes that still name the data directory in their environment."""
    return [command for _, command in processes_of(data)]


def processes_of(data):
    """(pid, command) of each."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if str(data).encode() in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                found.append((int(process.name), (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()))
        except (OSError, ValueError):
            pass
    return found


def listening(data):
    """Addresses, as the kernel writes them, on which these processes wait for TCP."""
    inodes = set()
    for pid, _ in processes_of(data):
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(fd))
            except OSError:
                pass
    rows = [line.split() for table in ("tcp", "tcp6") for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()]
    return [row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]


class StartStop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """What deploy/run would build in a clean clone, while a test waits for its address."""
        subprocess.run([str(ROOT / "deploy" / "build"), "release"], check=True)

    def setUp(self):
        self.stops = []  # seconds that each took

    def start(self, place, name, **settings):
        """deploy/run as a child; its data directory is given as a relative path."""
        data = place.path / name
        port = free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("HOME_ASSISTANT_", "HA_INGESTOR_"))}
        environment.update({"HA_INGESTOR_DATA": name, "GATEWAY_PORT": str(port), "LOG_TERMINAL": "0", "WEATHER_PROVIDER": "off", "AIRQUALITY_PROVIDER": "off", **settings})
        log = open(place.path / f"{name}.log", "wb")
        run = subprocess.Popen([str(ROOT / "deploy" / "run")], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                               start_new_session=True, cwd=place.path)
        log.close()
        return run, data, Api(port), place.path / f"{name}.log"

    def stop(self, run, data, number):
        began = time.monotonic()
        run.send_signal(number)
        run.wait(60)
        self.stops.append(time.monotonic() - began)
        self.assertEqual(run.returncode, 0)
        self.assertEqual(left_behind(data), [])

    def test_two_side_by_side_start_answer_and_stop(self):
        with Workspace() as place:
            began, runs = time.monotonic(), [self.start(place, name) for name in ("one", "the second one")]
            try:
                for run, data, api, log in runs:
                    wait_for(lambda: "Ctrl-C stops" in log.read_text(), 600, "the address to be printed")
                    self.assertIn(f"http://127.0.0.1:{api.port}/", log.read_text())
                    self.assertRegex(log.read_text(), r"carbon +off\n")
                    if time.monotonic() - began < 10:  # later it may have been told of a busy machine that is not well yet
                        self.assertIn("Health:         healthy", log.read_text())
                        self.assertNotIn("NOT READY", log.read_text())
                    wait_for(lambda: api.count() > 20, 30, "events of the simulated home")
                    wait_for(lambda: api.get("/health")["status"] == "healthy", 30, "all to be well")
                self.assertEqual(listening(runs[0][1]), ["0100007F"] * 2)  # the gateway and the home, 127.0.0.1
                self.intrude(place, "one")
                wait_for(lambda: runs[0][2].get("/health")["status"] == "healthy", 30, "it to be as well as before")
                self.stop(*runs[0][:2], signal.SIGINT)
                wait_for(lambda: runs[1][2].get("/health")["status"] == "healthy", 30, "the other to be as well as before")
                self.stop(*runs[1][:2], signal.SIGTERM)
                count = self.again(place, runs[1])
                self.assertGreater(count, 20)
                self.assertLess(min(self.stops), 5.0, self.stops)  # of three, two of them on a machine that does nothing else of ours
            finally:
                for run, *_ in runs:
                    if run.poll() is None:
                        run.kill()

    def intrude(self, place, name):
        """A third one on the data of a running one is turned away."""
        run, _, _, log = self.start(place, name)
        self.assertEqual(run.wait(120), 100, log.read_text())
        self.assertIn("Another instance is using", log.read_text())

    def test_a_killed_supervisor_leaves_nothing_behind(self):
        """Killed alone, deploy/run ends the rest; killed with deploy/run, the next start does."""
        with Workspace() as place:
            for alone in (True, False):
                run, data, api, log = self.start(place, "data")
                try:
                    wait_for(lambda: "Ctrl-C stops" in log.read_text(), 180, "the address to be printed")
                    for pid, command in processes_of(data):
                        if command.startswith("s6-svscan"):
                            os.kill(pid, signal.SIGKILL)
                    if not alone:
                        run.kill()
                    self.assertEqual(run.wait(60), 111 if alone else -signal.SIGKILL)
                    if alone:
                        self.assertEqual(left_behind(data), [])
                finally:
                    if run.poll() is None:
                        run.kill()
            run, data, api, log = self.start(place, "data")
            try:
                wait_for(lambda: "Ctrl-C stops" in log.read_text(), 180, "the start after that")
                commands = left_behind(data)
                self.assertEqual(len([c for c in commands if c.endswith("/sink ")]), 1, commands)
                self.stop(run, data, signal.SIGHUP)
            finally:
                if run.poll() is None:
                    run.kill()

    def test_wrong_settings_are_said_at_once_and_nothing_stays(self):
        cases = [
            ({"ENRICH_WORKERS": "abc"}, "ENRICH_WORKERS=abc is no number from 1 to 64"),
            ({"QUERY_WORKERS": "0"}, "QUERY_WORKERS=0 is no number from 1 to 64"),
            ({"GATEWAY_PORT": "0"}, "GATEWAY_PORT=0 is no number from 1 to 65535"),
            ({"GATEWAY_BIND": "0.0.0.0"}, "bind: 0.0.0.0 is no loopback address"),
            ({"HOME_ASSISTANT_URL": "ftp://home", "HOME_ASSISTANT_TOKEN": "x"}, "the URL must begin with"),
        ]
        for settings, words in cases:
            with self.subTest(settings), Workspace() as place:
                run, data, _, log = self.start(place, "data", **settings)
                self.assertEqual(run.wait(120), 100, log.read_text())
                self.assertIn(words, log.read_text())
                self.assertEqual(left_behind(data), [])

    def again(self, place, before):
        """What was stored is there after the next start."""
        _, data, _, _ = before
        run, data, api, log = self.start(place, data.name)
        try:
            wait_for(lambda: "Ctrl-C stops" in log.read_text(), 180, "the second start")
            count = api.count()
            self.stop(run, data, signal.SIGINT)
            return count
        finally:
            if run.poll() is None:
                run.kill()

    def test_a_wrong_setting_is_said_and_not_restarted(self):
        """The key is named and the process stays down"""
        environment = {**os.environ, "HA_INGESTOR_DATA": "/tmp/ha-ingestor-wrong", "INGEST_PING_MS": "soon"}
        done = subprocess.run([str(BIN / "ingest")], env=environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 100, done.stderr)
        self.assertIn("INGEST_PING_MS", done.stderr)

    def test_an_address_beyond_loopback_is_refused(self):
        environment = {**os.environ, "HA_INGESTOR_DATA": "/tmp/ha-ingestor-wrong", "GATEWAY_BIND": "0.0.0.0"}
        done = subprocess.run([str(BIN / "gateway")], env=environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 100, done.stderr)
        self.assertRegex(done.stderr, re.compile("bind", re.I))

    def test_help_is_printed_from_the_rows(self):
        for name in ("broker", "ingest", "registry", "enrich", "sink", "query", "monitor", "gateway"):
            done = subprocess.run([str(BIN / name), "--help"], capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, name)
            self.assertIn("HA_INGESTOR_DATA", done.stdout, name)

    def test_the_document_of_the_settings_is_what_the_processes_print(self):
        """docs/make-settings build/release > docs/settings.md"""
        made = subprocess.run([str(ROOT / "docs" / "make-settings"), str(BIN)], capture_output=True, text=True, timeout=300)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(made.stdout, (ROOT / "docs" / "settings.md").read_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
