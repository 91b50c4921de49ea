"""browser.py - headless Chromium, told what to do over WebDriver; nothing but Debian's packages and Python."""

import atexit
import base64
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars"]


class Browser:
    """One Chromium with one window and an empty profile, until stop()."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="ha-ingestor-browser-", ignore_cleanup_errors=True)
        self.log = open(pathlib.Path(self.directory.name) / "chromedriver.log", "wb")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=self.log, start_new_session=True, text=True,
                                       env={**os.environ, "HOME": self.directory.name})
        self.path = ""
        atexit.register(self.stop)  # Ctrl-C runs no other cleanup
        try:
            self.port = self.read_port()
            self.path = "/session/" + self.ask("POST", "/session", {"capabilities": {"alwaysMatch": self.wishes()}})["sessionId"]
        except BaseException:
            self.stop()
            raise

    def read_port(self):
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                return int(found.group(1))
        raise AssertionError("chromedriver did not start: " + pathlib.Path(self.log.name).read_text())

    def wishes(self):
        profile = pathlib.Path(self.directory.name) / "profile"
        return {"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": [*FLAGS, f"--user-data-dir={profile}"]},
                "timeouts": {"pageLoad": 20000, "script": 20000}}

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, self.path + path, None if body is None else json.dumps(body))
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{method} {path}: {value['error']}: {value['message'][:300]}")
        return value

    def chrome(self, command, **parameters):
        """A command of the DevTools protocol."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url):
        self.ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """What the script returns; it sees `arguments`."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": arguments})

    def find(self, selector):
        return next(iter(self.ask("POST", "/element", {"using": "css selector", "value": selector}).values()))

    def click(self, selector):
        """As a hand does it: fails where something else lies above."""
        self.ask("POST", f"/element/{self.find(selector)}/click", {})

    def type(self, selector, text):
        self.ask("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def clear(self, selector):
        self.ask("POST", f"/element/{self.find(selector)}/clear", {})

    def screen(self, width, height, dark=False):
        self.chrome("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.chrome("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, path):
        """The whole page, not only what fits on the screen."""
        image = self.chrome("Page.captureScreenshot", captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(image["data"]))

    def complaints(self):
        """What the console got since the last call: (source, message)."""
        return [(line["source"], line["message"]) for line in self.ask("POST", "/se/log", {"type": "browser"})
                if line["level"] in ("WARNING", "SEVERE")]

    def stop(self):
        atexit.unregister(self.stop)
        try:
            if self.path:
                self.ask("DELETE", "")
        finally:
            os.killpg(self.driver.pid, signal.SIGKILL)  # the browser too, should it not have gone
            self.driver.wait()
            self.driver.stdout.close()
            self.log.close()
            self.directory.cleanup()
