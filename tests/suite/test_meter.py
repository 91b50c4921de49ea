"""The meter as it runs: real processes, a pseudo-terminal for P1, a real mosquitto with TLS, a fake Shelly and a fake Octopus."""

import os
import pty
import signal
import socket
import ssl
import subprocess
import termios
import time
import unittest

from system import Workspace, free_port, wait_for
from test_sources import WithUpstream


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def telegram(power_kw, import_kwh):
    """As a meter of DSMR 5 sends it each second, of now: winter time is UTC+1."""
    when = time.strftime("%y%m%d%H%M%SW", time.gmtime(time.time() + 3600))
    lines = ["/HAI5\\2SYN-METER-01", "", "1-3:0.2.8(50)", f"0-0:1.0.0({when})", f"1-0:1.8.1({import_kwh:010.3f}*kWh)", "1-0:1.8.2(002345.678*kWh)",
             "1-0:2.8.1(000012.345*kWh)", "1-0:2.8.2(000067.890*kWh)", "0-0:96.14.0(0002)", f"1-0:1.7.0({power_kw:06.3f}*kW)", "1-0:2.7.0(00.000*kW)",
             "1-0:32.7.0(231.4*V)", "0-1:24.1.0(003)", f"0-1:24.2.1({when})(00321.098*m3)", "!"]
    body = "\r\n".join(lines).encode()
    return body + b"%04X\r\n" % crc16(body)


class Publisher:
    """As much of MQTT 3.1.1 as a meter needs to say something."""

    def __init__(self, port, ca, user, password):
        context = ssl.create_default_context(cafile=ca)
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost")
        self.send(0x10, self.text("MQTT") + b"\x04\xc2\x00\x3c" + self.text("meter") + self.text(user) + self.text(password))
        assert self.socket.recv(4)[3] == 0

    @staticmethod
    def text(text):
        return len(text).to_bytes(2, "big") + text.encode()

    def send(self, kind, body):
        size, rest = b"", len(body)
        while True:
            size += bytes([rest % 128 | (0x80 if rest >= 128 else 0)])
            rest //= 128
            if not rest:
                break
        self.socket.sendall(bytes([kind]) + size + body)

    def publish(self, topic, payload, retain=False):
        self.send(0x31 if retain else 0x30, self.text(topic) + payload.encode())


class Mosquitto:
    def __init__(self, place):
        self.place = place
        self.port = free_port()
        self.ca, key = place / "cert.pem", place / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", self.ca, "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        subprocess.run(["mosquitto_passwd", "-b", "-c", place / "passwords", "us", "secret"], check=True, capture_output=True)
        os.chmod(place / "passwords", 0o600)
        user = "root" if os.getuid() == 0 else ""
        (place / "mosquitto.conf").write_text(f"listener {self.port} 127.0.0.1\ncertfile {self.ca}\nkeyfile {key}\nallow_anonymous false\n"
                                              f"password_file {place}/passwords\n" + (f"user {user}\n" if user else ""), encoding="utf-8")
        self.start()

    def start(self):
        program = next(path for path in ("/usr/sbin/mosquitto", "/usr/bin/mosquitto") if os.path.exists(path))
        self.process = subprocess.Popen([program, "-c", self.place / "mosquitto.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def is_up():
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                return False
        wait_for(is_up, 10, "mosquitto")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Meter(WithUpstream):
    def current(self, system):
        status, _, body = system.api.request("GET", "/api/v1/sources/smartmeter/current")
        return system.api.get("/api/v1/sources/smartmeter/current") if status == 200 else {"power_w": None, "why": body}

    def wait_power(self, system, power_w):
        return wait_for(lambda: (now := self.current(system))["power_w"] == power_w and now, 20, f"{power_w} W: {self.row(system, 'smartmeter')}")

    def series(self, system, *members):
        return system.api.get("/api/v1/series", ids=",".join(f"_smartmeter.{member}" for member in members), **{"from": "2020-01-01T00:00:00Z"}, step="raw")["series"]

    def test_telegrams_over_a_serial_line_become_readings_and_series(self):
        meter, line = pty.openpty()
        self.addCleanup(os.close, line)
        with Workspace() as place:
            home = place.home("--entities", "20", "--rate", "1")
            system = place.system(home_port=home.port, SMARTMETER_PROVIDER="p1", SMARTMETER_P1=os.ttyname(line), SMARTMETER_SERIES_S="1").start()
            self.wait_status(system, "smartmeter", "starting")
            speed = termios.tcgetattr(line)
            self.assertEqual((speed[4], speed[5], speed[2] & termios.CSIZE), (termios.B115200, termios.B115200, termios.CS8))
            os.write(meter, b"kW)\r\n!0000\r\n" + telegram(0.642, 1234.567))
            now = self.wait_power(system, 642)
            self.assertEqual((now["import_kwh"], now["export_kwh"], now["gas_m3"], now["voltage_l1_v"], now["stale"], now["phantom_w"]),
                             (3580.245, 80.235, 321.098, 231.4, False, None))
            self.assertEqual(system.api.get("/api/v1/sources/meter/current")["power_w"], 642)
            self.assertEqual(system.api.get("/api/v1/sources/smartmeter/circuits")["circuits"], [])
            wait_for(lambda: self.series(system, "power_w")[0]["value"] == [642], 20, "the series")
            system.signal("smartmeter", signal.SIGKILL)
            wait_for(lambda: system.pid("smartmeter") and self.row(system, "smartmeter")["polls"] == 0, 10, "smartmeter to come back")

            def again():
                os.write(meter, telegram(1.5, 1234.600))
                return self.current(system)["power_w"] == 1500
            wait_for(again, 20, "a reading after the kill")
            wait_for(lambda: 1500 in self.series(system, "power_w")[0]["value"], 20, "the series after the kill")
            self.assertEqual(self.series(system, "import_kwh")[0]["unit"], "kWh")
            for sum in system.api.get("/api/v1/conservation")["sources"]:
                self.assertIn(sum["missing"], (0, None))
            os.close(meter)
            row = self.wait_status(system, "smartmeter", "failing")
            self.assertIn("/dev/pts/", row["why"])
            system.stop()

    def test_a_meter_that_is_switched_off_ends_in_its_series_whatever_is_killed(self):
        meter, line = pty.openpty()
        self.addCleanup(os.close, line)
        self.addCleanup(os.close, meter)
        with Workspace() as place:
            system = place.system(SMARTMETER_PROVIDER="p1", SMARTMETER_P1=os.ttyname(line), SMARTMETER_SERIES_S="1")
            settings = {name: system.environment.pop(name) for name in ("SMARTMETER_PROVIDER", "SMARTMETER_P1", "SMARTMETER_SERIES_S")}
            (system.data / "config.yaml").write_text(f"smartmeter:\n  provider: p1\n  p1: {settings['SMARTMETER_P1']}\n  series_s: 1\n")
            system.start(live=False)
            self.wait_status(system, "smartmeter", "starting")

            def told():
                os.write(meter, telegram(0.642, 1234.567))
                return 642 in self.series(system, "power_w")[0]["value"]
            wait_for(told, 20, "the series")
            self.assertEqual(system.api.get("/api/v1/energy/current")["total_power_w"], 642)
            system.signal("ingest", signal.SIGSTOP)
            (system.data / "config.yaml").write_text("smartmeter:\n  provider: off\n")
            system.signal("smartmeter", signal.SIGHUP)
            self.wait_status(system, "smartmeter", "off")
            self.assertFalse((system.service("smartmeter") / "off").exists())  # it waits for ingest
            system.signal("smartmeter", signal.SIGKILL)
            system.signal("ingest", signal.SIGCONT)
            wait_for(lambda: (system.service("smartmeter") / "off").exists(), 30, "smartmeter to be off")

            def last():
                return self.series(system, "power_w")[0]["state"][-1]
            wait_for(lambda: last() == "unavailable", 20, "the series to end")
            self.assertIsNone(system.api.get("/api/v1/energy/current")["total_power_w"])
            self.assertEqual(self.row(system, "smartmeter")["status"], "off")
            state = system.api.get("/api/v1/states", entity_id="_smartmeter.power_w")
            self.assertEqual(state["states"][0]["state"], "unavailable")
            system.stop()

    def test_a_meter_behind_mosquitto_is_heard_and_again_after_it_was_away(self):
        with Workspace() as place:
            server = Mosquitto(place.path)
            self.addCleanup(server.stop)
            system = place.system(SMARTMETER_PROVIDER="mqtt", SMARTMETER_MQTT_URL=f"mqtts://localhost:{server.port}", SMARTMETER_MQTT_CA=str(server.ca),
                                  SMARTMETER_MQTT_USER="us", SMARTMETER_MQTT_PASSWORD="secret",
                                  SMARTMETER_MQTT_TOPICS="power_w=house/meter#now.kw*1000; import_kwh=house/total; circuit:Oven=oven/power").start(live=False)

            def say(power_kw):
                def once():
                    publisher = Publisher(server.port, server.ca, "us", "secret")
                    publisher.publish("house/total", "77", retain=True)  # what is kept is of nobody knows when
                    publisher.publish("house/meter", '{"now":{"kw":%s}}' % power_kw)
                    publisher.publish("house/total", "1234.5")
                    publisher.publish("oven/power", "600")
                    publisher.send(0xE0, b"")
                    publisher.socket.close()
                    return self.current(system)["power_w"] == power_kw * 1000
                return once
            wait_for(say(2.4), 20, "the first reading", 0.5)
            now = self.wait_power(system, 2400)
            self.assertEqual((now["import_kwh"], now["circuit_1_w"]), (1234.5, 600))
            oven = system.api.get("/api/v1/sources/smartmeter/circuits")["circuits"][0]
            self.assertEqual((oven["name"], oven["power_w"], oven["percent"]), ("Oven", 600, 25))
            server.stop()
            self.wait_status(system, "smartmeter", "failing")
            self.assertEqual(self.current(system)["power_w"], 2400)
            server.start()
            self.wait_status(system, "smartmeter", "ok")
            wait_for(say(0.1), 20, "a reading after it was away", 0.5)
            system.stop()

    def test_a_shelly_and_octopus_that_lie_hang_or_refuse_cost_no_reading(self):
        bad = [(fault, "failing") for fault in ("null", "missing", "wrong", "error", "empty", "deep", "huge", "bomb", "429")]
        faults = {"octopus": bad + [("gzip", "ok"), ("401", "refused"), ("500", "failing"), ("", "ok")], "shelly": bad[:3] + [("gzip", "ok"), ("slow", "failing")]}
        octopus = {"SMARTMETER_API_KEY": "k", "SMARTMETER_MPAN": "1", "SMARTMETER_SERIAL": "s"}
        for page, provider, more, value in (("shelly", "shelly", {"SMARTMETER_EVERY_S": "3600"}, ("power_w", 715.5)), ("octopus", "octopus", octopus, ("interval_kwh", 0.1))):
            with Workspace() as place, self.subTest(provider):
                system = place.system(SMARTMETER_PROVIDER=provider, SMARTMETER_URL=self.upstream.url(page), SMARTMETER_TIMEOUT_MS="500",
                                      SMARTMETER_TIME_ZONE="Europe/London", **more).start(live=False)
                self.wait_status(system, "smartmeter", "ok")
                for fault, status in faults[provider]:
                    self.poke_all(system, {"smartmeter": page}, fault, status)
                    self.assertEqual(self.current(system)[value[0]], value[1], fault)
                if provider == "octopus":
                    def stored():
                        return self.series(system, "interval_kwh")[0]["value"]
                    wait_for(lambda: len(stored()) == 3, 120, "the half hours as series")
                    self.assertEqual(stored(), [0.213, 0.198, 0.1])
                    self.assertEqual(len(system.api.get("/api/v1/sources/smartmeter/intervals")["intervals"]), 3)
                system.stop()


if __name__ == "__main__":
    unittest.main()
