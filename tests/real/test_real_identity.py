"""Renames of a real Home Assistant: live, and two that change names while nobody listens."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
import home_assistant  # noqa: E402
from home_assistant import HomeAssistant  # noqa: E402
from system import Workspace, microseconds, wait_for  # noqa: E402

PYTHON = home_assistant.install()
AC, LIGHTS = "switch.ac", "switch.decorative_lights"


@unittest.skipUnless(PYTHON, "PyPI cannot be reached: a real Home Assistant was NOT tested")
class RealIdentity(unittest.TestCase):
    def test_history_follows_a_device(self):
        with Workspace() as place:
            ha = HomeAssistant(place.path)
            ha.start()
            try:
                self.rename(place, ha, ha.make_user())
            finally:
                if ha.process.child.poll() is None:
                    ha.stop()

    def rename(self, place, ha, token):
        system = place.system(home_port=ha.port, token=token, INGEST_BACKFILL_COMMIT_MS=10000).start()
        api = system.api

        def name(old, new):
            ha.command({"type": "config/entity_registry/update", "entity_id": old, "new_entity_id": new})

        def toggle(entity):
            ha.call("POST", "/api/services/switch/toggle", {"entity_id": entity})

        def names(entity):
            return [span["entity_id"] for span in api.get(f"/api/v1/entities/{entity}/lineage")["spans"]]

        def history(entity):
            """(time, state, friendly name) of the states in its spans."""
            rows = []
            for span in api.get(f"/api/v1/entities/{entity}/lineage")["spans"]:
                times = {key: span[of] for key, of in (("start_time", "from"), ("end_time", "to")) if span[of]}
                found = api.get("/api/v1/events", entity_id=span["entity_id"], event_type="state_changed", sort="asc", limit=1000, **times)
                rows += [(microseconds(row["timestamp"]), row["state"], (row["attributes"] or {}).get("friendly_name"))
                         for row in (found if isinstance(found, list) else found["events"])]
            return rows

        wait_for(lambda: api.count(entity_id=AC) and api.count(entity_id=LIGHTS), 30, "the states")
        wait_for(lambda: api.request("GET", "/api/entities/" + AC)[0] == 200, 30, "the registry")
        friendly = {entity: history(entity)[-1][2] for entity in (AC, LIGHTS)}
        toggle(AC)
        name(AC, "switch.climate")
        toggle("switch.climate")
        wait_for(lambda: names("switch.climate") == [AC, "switch.climate"], 20, "the rename")
        wait_for(lambda: len(history("switch.climate")) == 4, 20, "snapshot, toggle, the same under the new name, toggle")
        self.assertEqual({row[2] for row in history("switch.climate")}, {friendly[AC]})
        self.assertTrue(all(row[1] for row in history("switch.climate")), "a removal in a device's history")
        self.assertEqual(api.get("/api/v1/lineage")["lineage"][0]["found"], "event")
        name("switch.climate", AC)
        wait_for(lambda: names(AC) == [AC, "switch.climate", AC], 20, "the way back")
        wait_for(lambda: len(history(AC)) == 5, 20, "one state more")
        system.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
