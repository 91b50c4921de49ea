"""compiling.py - three hours in the life of a real Home Assistant, in half a minute, with the statistics that it makes of them.

    tests/real/compiling.py FILE   writes its recorder database, packed (tests/recorded has one)

Its wall clock is turned (tests/shim/clock.c), states are set through its REST API, and a component of a few lines has its recorder compile
the statistics of each five minutes that are over, as its own timer would."""

import gzip
import pathlib
import random
import shutil
import sys
from datetime import datetime, timezone

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "suite"), str(pathlib.Path(__file__).resolve().parent)]
import home_assistant  # noqa: E402
from home_assistant import HomeAssistant  # noqa: E402
from system import Clock, Workspace  # noqa: E402

BEGIN = int(datetime(2024, 4, 1, 20, 57, tzinfo=timezone.utc).timestamp())
END = int(datetime(2024, 4, 2, 0, 0, tzinfo=timezone.utc).timestamp())
PERIOD = 300

COMPONENT = '''
from datetime import datetime
from homeassistant.components.recorder import get_instance
from homeassistant.components.recorder.tasks import StatisticsTask

async def async_setup(hass, config):
    async def compile_period(call):
        recorder = get_instance(hass)
        await recorder.async_block_till_done()  # what happened is in the database, as ten seconds later it would be
        recorder.queue_task(StatisticsTask(datetime.fromisoformat(call.data["start"]), False))
        await recorder.async_block_till_done()
    hass.services.async_register("witness", "compile", compile_period)
    return True
'''
MANIFEST = '{"domain": "witness", "name": "Witness", "version": "1.0.0", "dependencies": ["recorder"], "codeowners": [], "documentation": "", "iot_class": "local_push"}'

POWER = {"unit_of_measurement": "W", "device_class": "power", "state_class": "measurement"}
ENERGY = {"unit_of_measurement": "kWh", "device_class": "energy"}


class Sensors:
    """What they say next, and when: (seconds until then, state, attributes)."""

    def __init__(self, chance):
        self.chance, self.power, self.energy, self.total, self.cycle, self.dips, self.step = chance, 400.0, 1000.0, 50.0, 0.0, 500.0, 0
        self.since = BEGIN

    def next(self, name, now):
        return getattr(self, name)(now)

    def busy(self, now):
        self.power = max(0.0, self.power + self.chance.uniform(-60, 60))
        return self.chance.uniform(4, 40), f"{self.power:.1f}", POWER

    def rare(self, now):
        return self.chance.uniform(200, 1500), f"{self.chance.uniform(-5, 25):.2f}", {
            "unit_of_measurement": "°C", "device_class": "temperature", "state_class": "measurement"}

    def comes_and_goes(self, now):
        return self.chance.uniform(20, 300), self.chance.choice(["unavailable", "unknown", *[f"{self.chance.uniform(0, 9):.3f}"] * 4]), POWER

    def other_units(self, now):
        watts = self.chance.uniform(100, 900)
        kilo = now > BEGIN + 5400
        return self.chance.uniform(20, 90), f"{watts / 1000:.4f}" if kilo else f"{watts:.1f}", {**POWER, "unit_of_measurement": "kW" if kilo else "W"}

    def increasing(self, now):
        self.energy = 0.25 if self.chance.random() < 0.02 else self.energy + self.chance.uniform(0, 0.4)
        return self.chance.uniform(15, 120), f"{self.energy:.3f}", {**ENERGY, "state_class": "total_increasing"}

    def dipping(self, now):
        self.dips += self.chance.uniform(0, 1)
        return self.chance.uniform(30, 200), f"{self.dips - (3 if self.chance.random() < 0.1 else 0):.3f}", {**ENERGY, "state_class": "total_increasing"}

    def both_ways(self, now):
        self.total += self.chance.uniform(-1, 1.5)
        return self.chance.uniform(15, 120), f"{self.total:.3f}", {**ENERGY, "state_class": "total"}

    def in_cycles(self, now):
        if now - self.since > 2400:
            self.since, self.cycle = int(now), self.chance.uniform(0, 0.1)
        self.cycle += self.chance.uniform(0, 0.3)
        return self.chance.uniform(30, 150), f"{self.cycle:.3f}", {
            **ENERGY, "state_class": "total", "last_reset": datetime.fromtimestamp(self.since, timezone.utc).isoformat()}


NAMES = ["busy", "rare", "comes_and_goes", "other_units", "increasing", "dipping", "both_ways", "in_cycles"]


def prepare(ha):
    component = ha.config / "custom_components" / "witness"
    component.mkdir(parents=True)
    (component / "__init__.py").write_text(COMPONENT)
    (component / "manifest.json").write_text(MANIFEST)
    with open(ha.config / "configuration.yaml", "a", encoding="utf-8") as file:
        file.write("witness:\n")


def live(ha, clock):
    sensors = Sensors(random.Random(17))
    due = {name: BEGIN + 10.0 * i for i, name in enumerate(NAMES)}
    period = BEGIN // PERIOD * PERIOD
    while True:
        name = min(due, key=due.get)
        while period + PERIOD <= due[name]:  # no state is set until the one before is compiled
            clock.turn_to(period + PERIOD + 10)
            ha.call("POST", "/api/services/witness/compile", {"start": datetime.fromtimestamp(period, timezone.utc).isoformat()})
            period += PERIOD
        if due[name] >= END:
            return
        now = max(due[name], period + 11)
        clock.turn_to(now)
        wait, state, attributes = sensors.next(name, now)
        ha.call("POST", f"/api/states/sensor.{name}", {"state": state, "attributes": attributes})
        due[name] = now + wait


def record(place):
    """The path of its database, when it has stopped."""
    clock = Clock(place.path)
    clock.turn_to(BEGIN - 60)
    ha = HomeAssistant(place.path, clock.environment)
    prepare(ha)
    ha.start()
    try:
        ha.make_user()
        live(ha, clock)
    finally:
        ha.stop()
    return ha.database()


if __name__ == "__main__":
    if not home_assistant.install():
        sys.exit(77)
    with Workspace() as whole, gzip.GzipFile(sys.argv[1], "wb", mtime=0) as packed, open(record(whole), "rb") as base:
        shutil.copyfileobj(base, packed)
