"""home_assistant.py - install (from PyPI), start, restart and drive a real Home Assistant."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
from system import Process, free_port, wait_for  # noqa: E402

VERSION = "2024.3.3"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "ha-ingestor"
ENVIRONMENT = CACHE / f"home-assistant-{VERSION}"
REQUIREMENTS = [f"homeassistant=={VERSION}", "josepy<2", "ical==7.0.3"]  # josepy 2 breaks it; ical: local calendars

CONFIGURATION = """
homeassistant:
  name: Witness
  latitude: 52.37
  longitude: 4.89
  elevation: 2
  unit_system: metric
  time_zone: Europe/Amsterdam
  country: NL
  currency: EUR
http:
  server_host: 127.0.0.1
  server_port: {port}
api:
websocket_api:
recorder:
  commit_interval: 1
history:
onboarding:
config:
demo:
input_boolean:
  guest:
    name: Guest mode
counter:
  steps:
    name: Steps
"""


def install():
    """The Python of the environment, or None where PyPI cannot be reached."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "complete"
    if stamp.exists() and stamp.read_text() == "\n".join(REQUIREMENTS):
        return python
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    done = subprocess.run([str(ENVIRONMENT / "bin" / "pip"), "install", "-q", "--retries", "1", "--timeout", "20", *REQUIREMENTS],
                          capture_output=True, text=True)
    if done.returncode:
        print("pip: " + done.stderr.strip()[-400:])
        return None
    stamp.write_text("\n".join(REQUIREMENTS))
    return python


class HomeAssistant:
    def __init__(self, directory, environment=None, configuration=""):
        self.directory = pathlib.Path(directory)
        self.environment = {**os.environ, **(environment or {})}
        self.port = free_port()
        self.config = self.directory / "config"
        self.config.mkdir()
        (self.config / "configuration.yaml").write_text(CONFIGURATION.format(port=self.port) + configuration)
        self.process = None
        self.token = None

    def start(self, seconds=300):
        self.process = Process([str(ENVIRONMENT / "bin" / "hass"), "-c", str(self.config)], self.directory / "hass.log",
                               self.environment)
        wait_for(self.is_running if self.token else self.answers, seconds, "Home Assistant to answer", 0.3)

    def stop(self, number=signal.SIGTERM):
        self.process.child.send_signal(number)
        self.process.child.wait(60)

    def answers(self):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/onboarding", timeout=5)
            return True
        except urllib.error.HTTPError:
            return True

    def is_running(self):
        return self.call("GET", "/api/config")["state"] == "RUNNING"

    def call(self, method, path, body=None, form=False):
        data, headers = None, {}
        if body is not None:
            data = (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read() or b"null")

    def make_user(self):
        """A first user and a long-lived token, as the app would make them."""
        client = f"http://127.0.0.1:{self.port}/"
        code = self.call("POST", "/api/onboarding/users", {"client_id": client, "name": "Witness", "username": "witness",
                                                            "password": "witness-of-truth", "language": "en"})["auth_code"]
        self.token = self.call("POST", "/auth/token", {"client_id": client, "grant_type": "authorization_code",
                                                       "code": code}, form=True)["access_token"]
        self.token = self.subscriber("token")[0]
        wait_for(self.is_running, 300, "Home Assistant to be running", 0.3)
        return self.token

    def subscriber(self, what, *more):
        """The lines that it printed."""
        script = pathlib.Path(__file__).with_name("subscriber.py")
        out = subprocess.run([str(ENVIRONMENT / "bin" / "python"), str(script), what, str(self.port), self.token, *more],
                             capture_output=True, text=True, check=True, timeout=120)
        return out.stdout.splitlines()

    def command(self, *commands):
        """The result of each, sent over one WebSocket; all must succeed."""
        answers = [json.loads(line) for line in self.subscriber("command", *map(json.dumps, commands))]
        assert all(answer["success"] for answer in answers), answers
        return [answer["result"] for answer in answers]

    def database(self):
        return self.config / "home-assistant_v2.db"
