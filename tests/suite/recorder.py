"""recorder.py - a recorder database in plain SQL, and what the export must say of it."""

import gzip
import json
import pathlib
import sqlite3

from system import ROOT, exact, microseconds, wait_for

ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def micro(seconds):
    """Float seconds to microseconds: whole seconds first, the fraction rounded half to even."""
    whole = int(seconds)
    return whole * 1000000 + round((seconds - whole) * 1e6)


def ulid(binary):
    if not binary:
        return None
    number = int.from_bytes(binary, "big")
    return "".join(ULID[number >> 5 * (25 - i) & 31] for i in range(26))


def unpack(version, to, which="recorder"):
    """The recorded database of a version of Home Assistant; which="statistics": the one of tests/real/compiling.py."""
    path = pathlib.Path(to) / f"{which}-{version}.db"
    with gzip.open(ROOT / "tests" / "recorded" / f"ha-{version}-{which}.db.gz") as file:
        path.write_bytes(file.read())
    return path


class Recorder:
    """Opened anew for each question, so that it never stands in anybody's way."""

    def __init__(self, path):
        self.path = path

    def ask(self, sql, *arguments):
        base = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            return base.execute(sql, arguments).fetchall()
        finally:
            base.close()

    def states(self, count=-1):
        """The first rows: (entity, microseconds, context) and (state, old state, attributes)."""
        rows = self.ask("SELECT m.entity_id, s.last_updated_ts, s.context_id_bin, s.state, o.state, a.shared_attrs FROM states s"
                        " JOIN states_meta m USING (metadata_id) LEFT JOIN state_attributes a USING (attributes_id)"
                        " LEFT JOIN states o ON o.state_id = s.old_state_id ORDER BY s.state_id LIMIT ?", count)
        return [((e, micro(ts), ulid(c)), (state, old, None if state is None else exact(attributes or "null")))
                for e, ts, c, state, old, attributes in rows]

    def events(self, count=-1):
        """(type, microseconds, context, data as text)."""
        rows = self.ask("SELECT t.event_type, e.time_fired_ts, e.context_id_bin, coalesce(d.shared_data, '{}') FROM events e"
                        " JOIN event_types t USING (event_type_id) LEFT JOIN event_data d USING (data_id) ORDER BY e.event_id LIMIT ?", count)
        return [(kind, micro(ts), ulid(c), canonical(data)) for kind, ts, c, data in rows]

    def statistics(self, period):
        table = {"hour": "statistics", "5minute": "statistics_short_term"}[period]
        return self.ask(f"SELECT m.statistic_id, s.start_ts, s.mean, s.min, s.max, s.state, s.sum, s.last_reset_ts, m.unit_of_measurement,"
                        f" m.source FROM {table} s JOIN statistics_meta m ON m.id = s.metadata_id ORDER BY 1, 2")


def canonical(text):
    return json.dumps(exact(text), sort_keys=True)


def stored_states(lines):
    """Exported states by their key, as Recorder.states says them."""
    rows = {}
    for line in lines:
        row = exact(line)
        if row["event_type"] == "state_changed":
            key = (row["entity_id"], microseconds(row["last_updated"] or row["timestamp"]), row["context_id"])
            rows.setdefault(key, []).append((row["state"], row["old_state"], row["attributes"]))
    return rows


def stored_events(lines):
    rows = {}
    for line in lines:
        row = exact(line)
        if row["event_type"] != "state_changed":
            key = (row["event_type"], microseconds(row["timestamp"]), row["context_id"], json.dumps(row["data"], sort_keys=True))
            rows[key] = rows.get(key, 0) + 1
    return rows


def stored_statistics(api, period):
    """All of them, page after page."""
    rows, cursor = [], None
    while True:
        path = f"/api/v1/statistics?period={period}&limit=997" + (f"&cursor={cursor}" if cursor else "")
        status, headers, body = api.request("GET", path)
        assert status == 200, (status, body[:300])
        rows += json.loads(body)["statistics"]
        cursor = headers.get("x-next-cursor")
        if not cursor:
            break
    return sorted((r["statistic_id"], microseconds(r["start"]) / 1e6, r["mean"], r["min"], r["max"], r["state"], r["sum"],
                   None if r["last_reset"] is None else microseconds(r["last_reset"]), r["unit"], r["source"]) for r in rows)


def wanted_statistics(recorder, period):
    return sorted((i, start, mean, low, high, state, total, None if reset is None else micro(reset), unit, source)
                  for i, start, mean, low, high, state, total, reset, unit, source in recorder.statistics(period))


def compare(test, recorder, lines, status):
    """Every row that the import has counted is there as SQL says it, once, and none besides."""
    wanted = {}
    for key, row in recorder.states(status["states"]):
        wanted.setdefault(key, []).append(row)
    stored = stored_states(lines)
    test.assertEqual(sorted(wanted), sorted(stored))
    series = {}
    for key, rows in wanted.items():
        test.assertEqual(sorted(map(str, rows)), sorted(map(str, stored[key])), key)
        series[key[0]] = series.get(key[0], 0) + len(rows)
    events = {}
    for key in recorder.events(status["events"]):
        events[key] = events.get(key, 0) + 1
    test.assertEqual(events, stored_events(lines))
    return series


# --- the import itself ---

def ask(system, path):
    status, _, body = system.api.request("POST", "/api/v1/import", json.dumps({"path": str(path)}), {"Content-Type": "application/json"})
    return status, json.loads(body)


def ended(system):
    status = system.api.get("/api/v1/import")
    return status if status["state"] in ("done", "failed") else None


def run_import(system, path, seconds=600):
    status, body = ask(system, path)
    assert status == 200, (status, body)
    status = wait_for(lambda: ended(system), seconds, f"the import of {path}", 0.1)
    assert status["state"] == "done", status
    return status


def quiet_suite(place, **options):
    """A suite whose home says next to nothing, so that enrich has a registry at once."""
    home = place.home("--wait-for-client", "--events", 1)
    return place.system(home_port=home.port, **options).start()


def imported(system):
    return [line for line in system.api.export() if b'"provenance":"import"' in line]
