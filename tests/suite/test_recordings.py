"""Every frame that a real Home Assistant sent comes out of the export unchanged."""

import unittest

from system import Workspace, assert_same, exact, recording

VERSIONS = ["2024.3.3", "2025.4.4", "2026.2.3"]
KINDS = ["", "-coalesced", "-startup"]


def recorded_events(name):
    """The events of the frames that the recorded client's event subscriptions brought."""
    lines = recording(name)
    subscriptions = set()
    events = []
    for line in lines:
        frame = exact(line["text"]) if line["dir"] in "<>" else None
        for message in frame if isinstance(frame, list) else [frame]:
            if line["dir"] == ">" and message.get("type") == "subscribe_events":
                subscriptions.add(message["id"])
            if line["dir"] == "<" and message.get("type") == "event" and message["id"] in subscriptions:
                events.append(message["event"])
    return events


class Recordings(unittest.TestCase):
    def replay(self, name):
        events = recorded_events(name)
        self.assertGreater(len(events), 10)
        with Workspace() as place:
            home = place.home("--replay", place_of(name))
            system = place.system(home_port=home.port, enrich=2).start()
            system.settled(len({str(e) for e in events}))
            assert_same(events, system.api.export())
            self.assertEqual(system.api.get("/api/v1/quarantine")["quarantine"], [])


def place_of(name):
    from system import ROOT
    return ROOT / "tests" / "recorded" / (name + ".jsonl.gz")


def add(name):
    def test(self):
        self.replay(name)
    test.__doc__ = f"{name} comes out unchanged"
    setattr(Recordings, "test_" + name.replace(".", "_").replace("-", "_"), test)


for version in VERSIONS:
    for kind in KINDS:
        add(f"ha-{version}{kind}")

if __name__ == "__main__":
    unittest.main(verbosity=2)
