"""Steps of power as they run: a lamp is switched, the meter sees it, REST says which it was, whoever was killed."""

import json
import signal
import subprocess
import threading
import unittest

from system import Workspace, microseconds, wait_for

METER = "sensor.test_meter"


class Meter(threading.Thread):
    """A meter of the simulated home that says its power four times a second."""

    def __init__(self, home, watts):
        super().__init__(daemon=True)
        self.home, self.watts, self.stopped, self.said = home, watts, threading.Event(), 0

    def run(self):
        while not self.stopped.wait(0.25):
            self.said += 1
            self.home.control(f"set {METER} {self.watts + self.said % 3 * 0.7:.1f} "
                              + json.dumps({"unit_of_measurement": "W", "device_class": "power"}))

    def stop(self):
        self.stopped.set()
        self.join()


class Steps(unittest.TestCase):
    def turn(self, home, meter, entity, state, by):
        home.control(f"set {entity} {state}")
        meter.watts += by

    def kill(self, system):
        pid = system.pid("energy")
        system.signal("energy", signal.SIGKILL)
        wait_for(lambda: system.pid("energy") not in (None, pid), 10, "energy to come back")

    def test_a_switched_lamp_is_named_once_although_energy_is_killed_in_between(self):
        with Workspace() as place:
            home = place.home("--entities", "20", "--rate", "2")
            home.control("add light.test_lamp")
            home.control("set light.test_lamp off")
            system = place.system(home_port=home.port, enrich=1, ENERGY_POWER=METER, ENERGY_WINDOW_S=3, ENERGY_SETTLE_S=0.5).start()
            meter = Meter(home, 400)
            meter.start()
            self.addCleanup(meter.stop)

            def how():
                return system.api.get("/api/v1/energy/correlator")

            def steps(**query):
                return system.api.get("/api/v1/energy/correlations", min_delta=20, **query)
            wait_for(lambda: how()["samples"] > 30, 30, "a steady state of the meter")
            self.turn(home, meter, "light.test_lamp", "on", 60)
            wait_for(lambda: how()["total_events_processed"], 20, "the lamp's change to be seen")
            self.kill(system)  # it has been seen, and is not judged
            self.kill(system)
            found = wait_for(steps, 60, "the step of the lamp")
            self.assertEqual([(row["entity_id"], row["state"], row["previous_state"], row["domain"]) for row in found],
                             [("light.test_lamp", "on", "off", "light")])
            self.assertAlmostEqual(found[0]["power_delta_w"], 60, delta=3)
            self.assertGreater(found[0]["confidence"], 0.6)
            self.assertEqual(found[0]["meter"], METER)
            self.assertLess(abs(microseconds(found[0]["timestamp"]) - microseconds(found[0]["seen_at"])), 4 * 10**6)

            self.assertEqual(steps(entity_id="light.other"), [])
            self.assertEqual(len(steps(domain="light", limit=1)), 1)
            self.assertEqual(len(steps(**{"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"})), 0)
            loads = {row["entity_id"]: row for row in system.api.get("/api/v1/energy/loads")["loads"]}
            self.assertAlmostEqual(loads["light.test_lamp"]["watts"], 60, delta=3)
            self.assertEqual((loads["light.test_lamp"]["measured"], loads["light.test_lamp"]["changes"]), (1, 1))
            rows = system.api.get("/api/v1/series", ids="_energy.step_sensor_test_meter", **{"from": "2020-01-01T00:00:00Z"}, step="raw")["series"]
            self.assertEqual(len([w for w in rows[0]["value"] if abs(w) > 20]), 1)
            for total in system.api.get("/api/v1/conservation")["sources"]:
                self.assertIn(total["missing"], (0, None))
            meter.stop()
            system.stop()

    def test_without_a_meter_it_is_off(self):
        with Workspace() as place:
            system = place.system(enrich=1).start(live=False)
            wait_for(lambda: (system.service("energy") / "off").exists(), 10, "energy to be off")
            status, _, body = system.api.request("GET", "/api/v1/energy/correlator")
            self.assertEqual((status, "ENERGY_POWER" in json.loads(body)["error"]), (503, True), body)
            self.assertNotIn("energy", [row["source"] for row in system.api.get("/api/v1/sources")["sources"]])
            self.assertEqual(system.api.get("/api/v1/energy/correlations"), [])
            system.stop()

    def test_a_smart_meter_that_is_switched_on_later_is_seen(self):
        with Workspace() as place:
            home = place.home("--entities", "5", "--rate", "1")
            system = place.system(home_port=home.port, enrich=1).start()
            wait_for(lambda: system.pid("energy") is None, 20, "energy to end: nothing tells what the home draws")
            status, _, body = system.api.request("GET", "/api/v1/energy/correlator")
            self.assertEqual((status, "ENERGY_POWER" in json.loads(body)["error"]), (503, True), body)
            (system.data / "config.yaml").write_text(f"smartmeter:\n  provider: homeassistant\n  power_entity: {METER}\n")
            subprocess.run(["s6-svc", "-u", str(system.service("smartmeter"))], check=True)
            meter = Meter(home, 400)
            meter.start()
            self.addCleanup(meter.stop)
            meters = wait_for(lambda: system.api.get("/api/v1/energy/correlator")["meters"], 30, "energy to see the new meter")
            self.assertEqual([(meter["entity_id"], meter["whole"]) for meter in meters], [("_smartmeter.power_w", True)])
            wait_for(lambda: system.api.get("/api/v1/energy/correlator")["samples"], 30, "a sample of it")


if __name__ == "__main__":
    unittest.main()
