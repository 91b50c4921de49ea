"""Old rows move into chunks while the house goes on: every answer stays as it was, whoever is killed, and a flipped bit is found."""

import json
import signal
import sqlite3
import unittest

from system import Workspace, wait_for


def answers(api):
    """All rows by their ids, from first to last."""
    rows = {row["id"]: row for row in map(json.loads, api.export())}
    assert len(rows) == api.count(), (len(rows), api.count())
    return rows


class Sealing(unittest.TestCase):
    def test_rows_are_in_one_place_whoever_is_killed_while_they_are_sealed(self):
        """and the same before and after; the sum holds; all chunks can be read"""
        with Workspace() as place:
            home = place.home("--rate", 800, "--entities", 8, "--wait-for-client", truth=False)
            system = place.system(home_port=home.port, enrich=1, INGEST_BACKFILL="false", SINK_SEAL_AFTER_S=0).start()
            api = system.api
            wait_for(lambda: api.count() > 9000, 60, "rows to seal, of weather.forecast_home, whose attributes change, too")
            home.control("stop-events")
            wait_for(lambda: self.has_all(api, home), 60, "everything to be stored")
            before = answers(api)
            system.stop()

            system = place.system(home_port=home.port, enrich=1, data=system.data, INGEST_BACKFILL="false", SINK_SEAL_AFTER_S=1).start()
            api, kills = system.api, 0
            while kills < 12:
                sealed = self.sealed(api)
                system.signal("sink", signal.SIGKILL)
                kills += 1
                wait_for(lambda: self.sealed(api) is not None, 30, "the sink to answer")
                if sealed and sealed > 4000:
                    break
            wait_for(lambda: (self.sealed(api) or 0) > 4000, 60, "rows to be sealed")
            wait_for(lambda: self.is_settled(api), 60, "everything to be stored")  # of what was received long ago
            self.assertEqual(before, {id: row for id, row in answers(api).items() if id in before})
            self.verify(api, bad=0)

            wait_for(lambda: self.packed_sets(system.data / "store.db") > 0, 60, "attribute sets of sealed rows to be packed")
            self.damage_a_set(system.data / "store.db", "x'00'")
            self.verify(api, bad=0)
            store = api.get("/api/v1/store")
            self.assertEqual((store["bad_sets"], len(store["bad"])), (1, 1), store)
            self.damage_a_set(system.data / "store.db", "x''")

            self.flip_a_bit(system.data / "store.db")
            self.verify(api, bad=1)
            health = api.get("/api/v1/health")
            sink = next(row for row in health["actors"] if row["actor"] == "sink")
            self.assertEqual(sink["status"], "degraded")
            self.assertIn("damaged", sink["why"])
            wait_for(lambda: any(alert["rule"] == "store_damaged" for alert in api.get("/api/v1/alerts/active")), 30, "the monitor to tell of the damage")
            bad = api.get("/api/v1/store")["bad"][0]
            left = answers(api)
            self.assertEqual(len(before.keys() - left.keys()), bad["rows"], "only what was in that chunk is gone")

    @staticmethod
    def sealed(api):
        try:
            return api.get("/api/v1/store")["sealed_rows"]
        except (ValueError, OSError):  # nobody answers
            return None

    @staticmethod
    def is_settled(api):
        total = api.get("/api/v1/conservation")["sources"][0]
        return total["in_flight"] == 0 and total["holds"] is True

    @staticmethod
    def has_all(api, home):
        """The sum may be some seconds old: in_flight 0 alone says nothing of what was fired since."""
        total = api.get("/api/v1/conservation")["sources"][0]
        settled = sum(total[term] for term in ("stored", "duplicate", "filtered", "thinned", "quarantined", "given_up"))
        return total["holds"] is True and total["in_flight"] == 0 and settled >= home.stats()["events"]

    def verify(self, api, bad):
        at = api.get("/api/v1/store")["verified_at"]
        api.request("POST", "/api/v1/store/verify", body="{}", headers={"Content-Type": "application/json"})
        wait_for(lambda: api.get("/api/v1/store")["verified_at"] != at and not api.get("/api/v1/store")["verifying"], 60, "all chunks to be read")
        self.assertEqual(api.get("/api/v1/store")["bad_chunks"], bad)

    @staticmethod
    def packed_sets(path):
        with sqlite3.connect(path, timeout=30) as db:
            return db.execute("SELECT count(*) FROM attribute_packed").fetchone()[0]

    @staticmethod
    def damage_a_set(path, with_bytes):
        with sqlite3.connect(path, timeout=30) as db:
            db.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT id, bytes FROM attribute_packed LIMIT 1")
            db.execute(f"UPDATE attribute_packed SET bytes = CAST((SELECT bytes FROM kept) || {with_bytes} AS BLOB) WHERE id = (SELECT id FROM kept)")

    @staticmethod
    def flip_a_bit(path):
        with sqlite3.connect(path, timeout=30) as db:
            number, main = db.execute("SELECT id, main FROM chunk_data ORDER BY id LIMIT 1").fetchone()
            middle = len(main) // 2
            db.execute("UPDATE chunk_data SET main = ? WHERE id = ?", (main[:middle] + bytes([main[middle] ^ 1]) + main[middle + 1:], number))


if __name__ == "__main__":
    unittest.main()
