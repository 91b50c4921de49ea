#!/usr/bin/env python3
"""upstream.py - every provider on the internet, as far as a test wants it: a server of fixtures and of faults.

A provider's base address is http://127.0.0.1:<port>/<provider>; what follows picks the fixture (PAGES). POST /control
{"<provider>": "<fault>"} spoils all that it says from then on, {"<provider>": ""} mends it. GET /log tells what was asked for.
Fixtures are of 2026-01-01T00:00:00Z; their times are moved so that they are fresh: that moment is two minutes before the server's start, a
quarter of an hour later a quarter of an hour later, and so on. So no span of theirs ends in the first 12 minutes, while a test looks at it.

    tests/upstream/upstream.py --port 9100
"""

import argparse
import calendar
import gzip
import http.server
import json
import pathlib
import re
import threading
import time

FIXTURES = pathlib.Path(__file__).resolve().parent / "fixtures"
BOMB = gzip.compress(bytes(64 << 20), 1)
BEGIN = 1767225600  # the moment that the fixtures are about

# (path below the provider's base, fixture); the first that matches.
PAGES = [
    (r"uk/intensity/[^/]+/fw48h", "uk-intensity"),
    (r"uk/generation", "uk-generation"),
    (r"uk/regional/intensity/[^/]+/fw48h/regionid/13", "uk-regional"),
    (r"electricitymaps/v3/carbon-intensity/latest", "electricitymaps"),
    (r"electricitymaps/v3/power-breakdown/latest", "electricitymaps-mix"),
    (r"watttime/login", "watttime-login"),
    (r"watttime/v3/forecast", "watttime"),
    (r"air/v1/air-quality", "air"),
    (r"airnow/aq/observation/current/ziplatlong/", "airnow"),
    (r"openaq/v3/locations", "openaq-locations"),
    (r"openaq/v3/locations/42/latest", "openaq-latest"),
    (r"open-meteo/v1/forecast", "open-meteo"),
    (r"openweathermap/data/2.5/weather", "openweathermap"),
    (r"openweathermap/data/2.5/forecast", "openweathermap-forecast"),
    (r"awattar/v1/marketdata", "awattar"),
    (r"energy-charts/price", "energy-charts"),
    (r"octopus/v1/products/.*", "octopus"),
    (r"octopus/v1/electricity-meter-points/.*", "octopus-usage"),
    (r"octopus/v1/gas-meter-points/.*", "octopus-usage-gas"),
    (r"shelly/shelly", "shelly-gen2"),
    (r"shelly/rpc/Shelly.GetStatus", "shelly-em3"),
    (r"shelly-old/shelly", "shelly-gen1"),
    (r"shelly-old/status", "shelly-em"),
    (r"tibber/v1-beta/gql", "tibber"),
    (r"entsoe/api", "entsoe.xml"),
    (r"home-assistant/api/calendars", "calendars"),
    (r"home-assistant/api/calendars/calendar\.family", "calendar-family"),
    (r"home-assistant/api/calendars/calendar\.work", "calendar-work"),
    (r"ics/family\.ics", "family.ics"),
]

ISO = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?")


def moved(text, by):
    """Times in the text, moved: seconds and milliseconds since the epoch, and RFC 3339 as it is written there."""
    def iso(match):
        old = match.group(0)
        plain = old.split(".")[0]
        form = "%Y-%m-%dT%H:%M:%S" if plain.count(":") == 2 else "%Y-%m-%dT%H:%M"
        seconds = calendar.timegm(time.strptime(plain, form)) + by
        return time.strftime(form, time.gmtime(seconds)) + old[len(plain):]
    def airnow(match):
        at = calendar.timegm(time.strptime(match.group(1) + match.group(2), "%Y-%m-%d%H:%M")) + by
        return time.strftime('"dateObserved":"%Y-%m-%d","hourObserved":"%H:00"', time.gmtime(at))
    text = re.sub(r'"dateObserved":"([-0-9]+)","hourObserved":"([0-9:]+)"', airnow, text)
    def date(match):
        return time.strftime('"date":"%Y-%m-%d"', time.gmtime(calendar.timegm(time.strptime(match.group(1), "%Y-%m-%d")) + by // 86400 * 86400))
    def ics(match):
        form = "%Y%m%dT%H%M%S" if "T" in match.group(0) else "%Y%m%d"
        return time.strftime(form, time.gmtime(calendar.timegm(time.strptime(match.group(0), form)) + (by if "T" in form[5:] else by // 86400 * 86400)))
    text = re.sub(r'"date":"([-0-9]+)"', date, text)
    text = re.sub(r"\b20(25|26)\d{4}(T\d{6}\b|\b(?![-T]))", ics, text) if "BEGIN:VCALENDAR" in text else text
    text = ISO.sub(iso, text)
    text = re.sub(r"\b17[56]\d{10}\b", lambda m: str(int(m.group(0)) + by * 1000), text)
    return re.sub(r"\b17[56]\d{7}\b", lambda m: str(int(m.group(0)) + by), text)


def spoilt(value, how):
    """null: every number is null; missing: no number is there; wrong: every number is an object."""
    if isinstance(value, dict):
        return {k: spoilt(v, how) for k, v in value.items() if how != "missing" or not isinstance(v, (int, float))}
    if isinstance(value, list):
        return [spoilt(v, how) for v in value if how != "missing" or not isinstance(v, (int, float))]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return None if how == "null" else {"unexpected": True}
    return value


class Upstream(http.server.ThreadingHTTPServer):
    """`log` has (path with query, headers) of all that was asked for; `faults` by provider."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.port, self.begin = self.server_address[1], (int(time.time()) - 120) // 60 * 60
        self.log, self.faults = [], {}
        self.ending = threading.Event()

    def url(self, provider):
        return f"http://127.0.0.1:{self.port}/{provider}"

    def asked(self, provider):
        return [path for path, _ in self.log if path.startswith(f"/{provider}/")]

    def handle_error(self, *_):
        """Who hangs up in the middle, as they do when an answer is too long, is no news."""

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.ending.set()
        self.shutdown()
        self.server_close()

    def fixture(self, path):
        for pattern, name in PAGES:
            if re.match(pattern + r"(\?|$)", path):
                by = self.begin - BEGIN + int(time.time() - self.begin) // 900 * 900
                return moved((FIXTURES / (name if "." in name else f"{name}.json")).read_text(encoding="utf-8"), by)
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, **headers):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/control":
            self.server.faults.update(json.loads(body))
            self.send(200, "{}")
        else:
            self.page()

    def do_GET(self):
        if self.path == "/log":
            self.send(200, json.dumps([path for path, _ in self.server.log]))
            return
        self.page()

    def page(self):
        self.server.log.append((self.path, dict(self.headers)))
        path = self.path.lstrip("/")
        body = self.server.fixture(path)
        if body is None:
            self.send(404, '{"error":"no such page"}')
            return
        fault = self.server.faults.get(path.split("/")[0], "")
        getattr(self, "fault_" + fault.replace("-", "_") if fault else "good")(body)

    def good(self, body):
        self.send(200, body, Content_Type="application/json")

    def spoil(self, body, how):
        if body.startswith("<"):
            self.good(re.sub(r">-?[0-9.]+<", "><x/><" if how == "wrong" else "><", body))
        else:
            self.good(json.dumps(spoilt(json.loads(body), how)))

    def fault_null(self, body):
        self.spoil(body, "null")

    def fault_missing(self, body):
        self.spoil(body, "missing")

    def fault_wrong(self, body):
        self.spoil(body, "wrong")

    def fault_huge(self, body):
        self.good(body[:-2] + " " * (4 << 20) + body[-2:])

    def fault_slow(self, _):
        self.server.ending.wait(60)

    def fault_429(self, _):
        self.send(429, '{"error":true,"reason":"Hourly API request limit exceeded."}', Retry_After="3600")

    def fault_401(self, _):
        self.send(401, '{"message":"no such key"}')

    def fault_500(self, _):
        self.send(500, "<html>")

    def fault_error(self, _):
        self.good('{"error":true,"reason":"x","cod":"500","WebServiceError":[{"Message":"x"}],"errors":[{"message":"x"}]}')

    def fault_empty(self, _):
        self.good("{}")

    def fault_redirect(self, body):
        if "again=1" in self.path:
            self.good(body)
        else:
            self.send(302, "", Location=self.path + ("&" if "?" in self.path else "?") + "again=1")

    def fault_loop(self, _):
        self.send(302, "", Location=self.path)

    def fault_gzip(self, body):
        self.send(200, gzip.compress(body.encode()), Content_Encoding="gzip")

    def fault_bomb(self, _):
        self.send(200, BOMB, Content_Encoding="gzip")

    def fault_deep(self, _):
        self.good("[" * 100000 + "]" * 100000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=9100)
    server = Upstream(parser.parse_args().port)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()
