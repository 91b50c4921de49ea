"""The scenarios that the system we replace fails: outages, storms, poison, renames, zones, secrets."""

import signal
import threading
import unittest

from system import TOKEN, Api, Home, Workspace, assert_same, exact, free_port, in_gaps, microseconds, wait_for


def stand_still(system, seconds=60):
    """Wait until the number of stored events stands still for two looks."""
    counts = [-1, -2]

    def still():
        counts.append(system.api.count())
        return counts[-1] == counts[-2] == counts[-3]

    wait_for(still, seconds, "the count to stand still", 0.7)


def check_all(test, home, system, nothing_missing=False):
    """Stop the home, compare everything that happened with everything that is stored."""
    home.control("stop-events")
    stand_still(system)
    gaps = system.api.gaps()
    test.assertNotIn(TOKEN, system.log_text())
    events, others = home.truth()

    def same():
        """Again where the count stood still because the machine did."""
        rows = system.api.export()
        missing = assert_same([row["event"] for row in events], rows, in_gaps(gaps))
        assert not missing or not nothing_missing, missing
        return [exact(row) for row in rows]
    return wait_for(same, 60, "the store to have all", 0.7), others


def more_events(system, count=50, seconds=30):
    before = system.api.count()
    wait_for(lambda: system.api.count() >= before + count, seconds, f"{count} more events stored")


class Scenarios(unittest.TestCase):
    def outage(self, command, causes, **settings):
        with Workspace() as place:
            home = place.home("--rate", 100, "--wait-for-client")
            system = place.system(home_port=home.port, **settings).start()
            more_events(system)
            session = system.api.get("/api/v1/ingest")["session"]
            home.control(command)
            wait_for(lambda: system.api.get("/api/v1/ingest")["session"] > session, 30, "a new session")
            system.wait_live()
            more_events(system)
            wait_for(lambda: home.stats()["clients"] == 1, 10, "a single connection")
            gap = wait_for(lambda: [g for g in system.api.gaps() if g["cause"] != "first_start"], 20, "the gap")
            self.assertEqual(len(gap), 1, gap)
            self.assertIn(gap[0]["cause"], causes)
            wait_for(lambda: system.api.gaps()[-1]["state"] == "filled", 20, "the gap to be filled")
            check_all(self, home, system)

    def test_01_server_closes(self):
        self.outage("close", ("connection_lost",))

    def test_01_server_aborts(self):
        self.outage("abort", ("connection_lost",))

    def test_01_connection_goes_half_open(self):
        self.outage("halfopen", ("silent_connection",), INGEST_PING_MS=500, INGEST_SILENCE_MS=4000)

    def test_01_home_assistant_restarts(self):
        self.outage("restart 1", ("home_assistant_restart",))

    def test_02_home_assistant_absent_at_boot(self):
        """One connection, one delivery"""
        with Workspace() as place:
            port = free_port()
            system = place.system(home_port=port).start(live=False)
            wait_for(lambda: system.api.get("/api/v1/ingest")["state"] == "waiting", 20, "ingest to wait for the home")
            home = place.home("--rate", 100, "--wait-for-client", port=port)
            system.wait_live()
            more_events(system)
            self.assertEqual(home.stats()["clients"], 1)
            check_all(self, home, system, nothing_missing=True)

    def joined(self, *commands):
        with Workspace() as place:
            home = place.home("--rate", 100, "--wait-for-client")
            for command in commands:
                home.control(command)
            system = place.system(home_port=home.port).start()
            more_events(system, 200)
            rows, _ = check_all(self, home, system, nothing_missing=True)
            known = {r["entity_id"]: r for r in rows if r["event_type"] == "state_changed" and r["device_id"]}
            self.assertGreater(len(known), 10)
            unjoined = [r for r in rows if r.get("entity_id") in known and r["event_type"] == "state_changed" and not r["device_id"]]
            self.assertEqual(unjoined, [], "events that arrived while the registries loaded and were not joined")

    def test_03_slow_registries(self):
        """Events wait for the registries: none lost, all joined"""
        self.joined("registry-delay 2000")

    def test_04_a_registry_of_8_megabytes(self):
        self.joined("registry-size 8000000")

    def sink_outage(self, rate, seconds):
        with Workspace() as place:
            home = place.home("--rate", rate, "--wait-for-client", "--strict")
            system = place.system(home_port=home.port).start()
            more_events(system, 20)
            system.signal("sink", signal.SIGSTOP)
            before = home.stats()["events"]
            wait_for(lambda: home.stats()["events"] >= before + rate * seconds * 0.9, seconds * 3, f"{seconds} s of events")
            system.signal("sink", signal.SIGCONT)
            rows, _ = check_all(self, home, system, nothing_missing=True)
            last = {}
            for row in rows:
                if row["event_type"] == "state_changed" and row["last_updated"]:
                    self.assertLessEqual(last.get(row["entity_id"], ""), row["last_updated"])
                    last[row["entity_id"]] = row["last_updated"]

    def test_05_sink_away_for_15_seconds_at_20_a_second(self):
        self.sink_outage(20, 15)

    def test_05_sink_away_for_15_seconds_at_1000_a_second(self):
        self.sink_outage(1000, 15)

    def test_06_stopped_and_started_in_order(self):
        """TERM mid-batch: what was captured is stored after the start, once"""
        with Workspace() as place:
            home = place.home("--rate", 1000, "--wait-for-client")
            system = place.system(home_port=home.port).start()
            for _ in range(2):
                more_events(system, 500)
                system.stop()
                system.start()
            more_events(system, 500)
            check_all(self, home, system)
            causes = {g["cause"] for g in system.api.gaps()}
            self.assertIn("ingestor_down", causes)

    def test_07_poison(self):
        """What cannot be read goes to quarantine with its reason; the others are not held up"""
        with Workspace() as place:
            home = place.home("--rate", 100, "--wait-for-client")
            system = place.system(home_port=home.port).start()
            more_events(system)
            home.control("bad-json")
            wait_for(lambda: system.api.get("/api/v1/quarantine")["count"] == 1, 20, "the quarantine")
            bad = system.api.get("/api/v1/quarantine")["quarantine"][0]
            self.assertTrue(bad["why"] and bad["stage"] and bad["size"], bad)
            more_events(system)
            check_all(self, home, system, nothing_missing=True)

    def test_09_renamed_moved_removed(self):
        """Events from 3 s after a change of the registry carry the new mapping, later where the machine is busy"""
        with Workspace() as place:
            home = place.home("--rate", 200, "--wait-for-client")
            system = place.system(home_port=home.port).start()
            more_events(system, 300)
            moved = next(e for e in system.api.get("/api/entities", limit=1000)["entities"]
                         if e["device_id"] and e["domain"] == "sensor")
            areas = system.api.get("/api/v1/areas")["areas"]
            area = next(a for a in areas if a["area_id"] != moved["area_id"])
            renamed = next(e for e in system.api.get("/api/entities", limit=1000)["entities"]
                           if e["domain"] == "binary_sensor")
            home.control(f"move {moved['entity_id']} {area['area_id']}")
            home.control(f"rename {renamed['entity_id']} binary_sensor.renamed_by_test")
            pause = threading.Event()
            pause.wait(3)
            said = 424242

            def carried():
                """An event of each, and what the newest that is stored carries; once more where that was too soon."""
                nonlocal said
                said += 1
                home.control(f"set {moved['entity_id']} {said}")
                home.control(f"set binary_sensor.renamed_by_test {'on' if said % 2 else 'off'}")
                row = wait_for(lambda: system.api.get("/api/v1/events", entity_id=moved["entity_id"], query=str(said))[0], 20, "the moved one's event")
                other = wait_for(lambda: system.api.get("/api/v1/events", entity_id="binary_sensor.renamed_by_test")[0], 20, "the renamed one's event")
                self.assertEqual((row["area_id"], row["area"], other["device_id"]), (area["area_id"], area["name"], renamed["device_id"]))
                return True
            wait_for(carried, 20, "events to carry the new mapping", 0.5)
            wait_for(lambda: system.api.request("GET", "/api/entities/" + renamed["entity_id"])[0] == 404, 20, "the old name to be gone")
            check_all(self, home, system, nothing_missing=True)

    def test_10_arrays_and_pings_under_load(self):
        """Frames of 4,095 messages; the home's pings are answered while 5,000 events a second come"""
        with Workspace() as place:
            home = place.home("--rate", 5000, "--wait-for-client", "--coalesce", "--strict")
            system = place.system(home_port=home.port).start()
            more_events(system, 5000)
            for _ in range(3):
                home.control("array 4095")
            more_events(system, 20000)
            self.assertEqual(home.stats()["dropped"], 0)
            self.assertEqual(system.api.get("/api/v1/ingest")["session"], 1)
            check_all(self, home, system, nothing_missing=True)

    def test_10_a_frame_of_64_mebibytes(self):
        with Workspace() as place:
            home = place.home("--rate", 20, "--wait-for-client")
            system = place.system(home_port=home.port).start()
            more_events(system, 10)
            home.control(f"big-frame {64 * 1024 * 1024}")
            wait_for(lambda: system.api.count(start_time="2000-01-01T00:00:00Z") >= home.stats()["events"] - 5, 60, "the big one")
            more_events(system, 20)
            check_all(self, home, system, nothing_missing=True)

    def test_11_a_refused_token(self):
        """No retry storm: one attempt, then a long wait, said plainly"""
        with Workspace() as place:
            home = place.home("--rate", 10)
            system = place.system(home_port=home.port, token="b" * 40).start(live=False)
            wait_for(lambda: system.api.get("/api/v1/ingest")["state"] == "auth_refused", 20, "the refusal to show")
            attempts = home.stats()["connections"]
            pause = threading.Event()
            pause.wait(3)
            self.assertEqual(home.stats()["connections"], attempts)
            self.assertLessEqual(attempts, 2)
            health = system.api.get("/health")
            self.assertNotEqual(health["dependencies"]["ingest"]["status"], "healthy")
            self.assertNotIn("b" * 40, system.log_text())

    def test_12_another_time_zone(self):
        """The process' zone changes nothing: UTC is stored"""
        with Workspace() as place:
            home = place.home("--rate", 100, "--wait-for-client")
            system = place.system(home_port=home.port, TZ="Asia/Kathmandu").start()
            more_events(system, 200)
            check_all(self, home, system, nothing_missing=True)

    def test_14_no_token_in_any_log_line(self):
        with Workspace() as place:
            home = place.home("--rate", 100, "--wait-for-client")
            system = place.system(home_port=home.port, HA_INGESTOR_LOG_LEVEL="debug").start()
            home.control("close")
            wait_for(lambda: system.api.get("/api/v1/ingest")["session"] == 2, 30, "the second session")
            more_events(system, 50)
            log = system.log_text()
            self.assertIn("ingest", log)
            self.assertNotIn(TOKEN, log)
            for path in ("/api/v1/health", "/metrics", "/api/v1/ingest", "/openapi.json"):
                self.assertNotIn(TOKEN.encode(), system.api.request("GET", path)[2])

    def test_15_a_second_endpoint_and_the_way_back(self):
        """The first way fails: the second is taken; the first returns: so do we, and nothing is lost in between"""
        with Workspace() as place:
            home = place.home("--rate", 100, "--wait-for-client")
            dead = free_port()
            system = place.system(HOME_ASSISTANT_URL=f"http://127.0.0.1:{dead}", HOME_ASSISTANT_TOKEN=TOKEN,
                                  HOME_ASSISTANT_URL_2=f"ws://127.0.0.1:{home.port}/api/websocket",
                                  INGEST_BETTER_MS=500).start()
            self.assertIn(str(home.port), system.api.get("/api/v1/ingest")["endpoint"])
            more_events(system, 100)
            proxy = Forward(dead, home.port)
            try:
                wait_for(lambda: str(dead) in system.api.get("/api/v1/ingest")["endpoint"], 30, "the better endpoint")
                more_events(system, 100)
                check_all(self, home, system, nothing_missing=True)
            finally:
                proxy.stop()


    def test_16_ingest_stands_still(self):
        """Stopped until Home Assistant gives it up: what it read afterwards was old, and the gap says so"""
        with Workspace() as place:
            home = place.home("--rate", 4000, "--wait-for-client", "--strict")
            system = place.system(home_port=home.port).start()
            more_events(system, 500)
            system.signal("ingest", signal.SIGSTOP)
            wait_for(lambda: home.stats()["dropped"] == 1, 30, "the home to give it up")
            before = home.stats()["events"]
            wait_for(lambda: home.stats()["events"] > before + 4000, 30, "events that nobody gets")
            system.signal("ingest", signal.SIGCONT)
            wait_for(lambda: system.api.get("/api/v1/ingest")["session"] >= 2, 30, "the second session")
            more_events(system, 500)
            check_all(self, home, system)


class Forward:
    """A TCP port that leads to another."""

    def __init__(self, port, target):
        import socket
        self.listener = socket.create_server(("127.0.0.1", port))
        self.target = target
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        import socket
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(2)
            except OSError:
                pass

    def stop(self):
        self.listener.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
