"""witness.py - the home's truth, the store and the ledger of gaps, held against each other.

Every event that happened is either stored as Home Assistant sent it, or given back by its history,
or missing; and whatever is missing has to be what the ledger says is missing. Rows and events are
read one by one, and of what is as it should be only a digest is kept: a million of them fit.
"""

import bisect
import hashlib

from system import canonical, exact, expected_row, microseconds, stored_row

# What Home Assistant's recorder leaves out of attributes (tests/home/history.c, from its source).
NEVER_RECORDED = {"attribution", "restored", "supported_features"}
NOT_RECORDED = {
    "automation": {"last_triggered", "mode", "current", "max", "id"},
    "climate": {"hvac_modes", "fan_modes", "swing_modes", "min_temp", "max_temp", "min_humidity", "max_humidity",
                "target_temp_step", "preset_modes"},
    "light": {"supported_color_modes", "effect_list", "min_mireds", "max_mireds", "min_color_temp_kelvin",
              "max_color_temp_kelvin", "brightness", "color_mode", "color_temp", "color_temp_kelvin", "effect", "hs_color",
              "rgb_color", "rgbw_color", "rgbww_color", "xy_color"},
    "media_player": {"entity_picture_local", "entity_picture", "source_list", "media_position_updated_at",
                     "media_position", "sound_mode_list"},
    "person": {"device_trackers"},
    "select": {"options"},
    "sun": {"azimuth", "elevation", "rising", "next_dawn", "next_dusk", "next_midnight", "next_noon", "next_rising",
            "next_setting"},
    "update": {"entity_picture", "in_progress", "release_summary"},
    "weather": {"forecast"},
}


def recorded(entity_id, attributes):
    left_out = NEVER_RECORDED | NOT_RECORDED.get(entity_id.split(".")[0], set())
    return {key: value for key, value in attributes.items() if key not in left_out}


def digest(row):
    return hashlib.blake2b(canonical(row).encode(), digest_size=16).digest()


class Gap:
    def __init__(self, gap):
        self.state = gap["state"]
        self.start, self.end = microseconds(gap["start"]), microseconds(gap["end"]) if gap["end"] else 1 << 62
        self.lost = gap["unrecoverable"] or {}
        self.excluded = set(self.lost.get("excluded_entities", []))

    def predicts(self, kind, entity_id, first=0):
        """It says that such an event is missing. `first`: when the entity was first heard of."""
        if kind == "other":
            return bool(self.lost.get("events"))
        if self.state in ("open", "filling", "unrecoverable") or entity_id in self.excluded:
            return True
        if self.lost.get("passing_entities") and first > self.end:
            return True
        return kind == "removal" and bool(self.lost.get("removals"))


class Witness:
    """`problems` are sentences, none if all is as it was promised; `table` counts by class."""

    def __init__(self, initial, gaps, rows):
        self.problems, self.table, self.count_of_rows = [], {}, 0
        self.gaps = [Gap(gap) for gap in gaps]
        self.initial = {(s["entity_id"], microseconds(s["last_updated"])): s for s in initial}
        self.live = {}      # digest -> how many rows of provenance live
        self.made = {}      # (entity, last_updated) -> row of another provenance
        self.removals = {}  # entity -> [(time, row)] of another provenance
        self.moments = {}   # entity -> its states' times
        ids = set()
        for line in rows:
            self.take_row(exact(line), ids)
        for moments in self.moments.values():
            moments.sort()
            for one, next_one in zip(moments, moments[1:]):
                if one == next_one:
                    self.problem("the same state twice", moments)
        for found in self.removals.values():
            found.sort(key=lambda pair: pair[0])

    def problem(self, what, thing):
        self.problems.append(f"{what}: {canonical(thing)[:700]}")

    def count(self, kind, column):
        row = self.table.setdefault(kind, {})
        row[column] = row.get(column, 0) + 1

    def take_row(self, row, ids):
        self.count_of_rows += 1
        is_state = row["event_type"] == "state_changed"
        when = microseconds(row["last_updated"]) if is_state else None
        if row["id"] in ids:
            self.problem("an id twice", row)
        ids.add(row["id"])
        if is_state and row["state"] is not None:
            self.moments.setdefault(row["entity_id"], []).append(when)
        if row["provenance"] == "live":
            key = digest(stored_row(row))
            self.live[key] = self.live.get(key, 0) + 1
        elif not is_state:
            self.problem(f"provenance {row['provenance']} of what no history has", row)
        elif row["state"] is None:
            self.removals.setdefault(row["entity_id"], []).append((microseconds(row["timestamp"]), row))
        else:
            self.made[(row["entity_id"], when)] = row

    # --- the truth, line by line ------------------------------------------------------------------

    def look(self, lines):
        """Each line of the truth log; then whatever is left of the store was made up."""
        for line in lines:
            line = exact(line)
            if isinstance(line.get("event"), dict):
                self.look_at(line["event"], bool(line["sent_to"]))
            elif line.get("what") == "home assistant stopped":
                stopped = int(line["t"])
            elif line.get("what") == "gone":
                self.look_at_gone(stopped, line["entity_id"])
        self.look_for_inventions()
        return self

    def look_at(self, event, was_sent):
        data = event["data"]
        is_state = event["event_type"] == "state_changed"
        kind = "other" if not is_state else "state" if data["new_state"] else "removal"
        self.count(kind, "happened")
        if not was_sent:
            self.count(kind, "unheard")
        key = digest(expected_row(event))
        if self.live.get(key):
            self.live[key] -= 1
            self.count(kind, "live")
            return
        when, entity_id = microseconds(event["time_fired"]), data.get("entity_id") if is_state else None
        how = self.find_state(event) if kind == "state" else self.find_removal(entity_id, when) if is_state else None
        self.judge(event, kind, entity_id, when, how)

    def judge(self, event, kind, entity_id, when, how):
        gaps = [gap for gap in self.gaps if gap.start <= when <= gap.end]
        first = (self.moments.get(entity_id) or [1 << 62])[0]
        predicted = any(gap.predicts(kind, entity_id, first) for gap in gaps)
        self.count(kind, how or "missing")
        if not gaps:
            self.problem(f"{how or 'missing'}, but in no gap", event)
        elif not how and not predicted:
            self.problem("missing, and no gap says so", event)
        elif how == "backfill" and kind == "state" and all(gap.predicts(kind, entity_id) for gap in gaps):
            self.problem("given back, but the gap says it is lost", event)

    def find_state(self, event):
        state = event["data"]["new_state"]
        row = self.made.pop((state["entity_id"], microseconds(state["last_updated"])), None)
        if row is None:
            return None
        self.compare_state(state, row)
        return row["provenance"]

    def compare_state(self, state, row):
        attributes = state["attributes"]
        if row["provenance"] == "backfill":
            attributes = recorded(state["entity_id"], attributes)
        same = (row["state"] == state["state"] and microseconds(row["last_changed"]) == microseconds(state["last_changed"])
                and canonical(row["attributes"]) == canonical(attributes))
        if not same:
            self.problem(f"a {row['provenance']} row that is not the state", {"state": state, "row": row})

    def find_removal(self, entity_id, when):
        """By its own moment, or the first snapshot after it that saw it gone, if it had not come back."""
        moments = self.moments.get(entity_id, [])
        returned = (moments + [1 << 62])[bisect.bisect_right(moments, when)]
        found = self.removals.get(entity_id, [])
        for i, (at, row) in enumerate(found):
            if at == when or (row["provenance"] == "snapshot" and when < at < returned):
                del found[i]
                return row["provenance"]
        return None

    def look_at_gone(self, when, entity_id):
        """Since Home Assistant stopped: it did not come back with it, and only who compares can know.
        If it came back later, it was away as everything is during a restart, unless somebody compared meanwhile."""
        how, moments = self.find_removal(entity_id, when), self.moments.get(entity_id, [])
        if not how and moments and moments[-1] > when:
            return
        self.count("removal", "happened")
        self.count("removal", "unheard")
        self.judge({"gone": entity_id, "t": when}, "removal", entity_id, when, how)

    def look_for_inventions(self):
        """Live rows that no event made (an altered one is missing besides), and made rows of no state."""
        for key, n in self.live.items():
            for _ in range(n):
                self.count("live row", "invented")
                self.problem("stored live, but it never happened so", key.hex())
        for (entity_id, when), row in self.made.items():
            if (entity_id, when) in self.initial:
                self.compare_state(self.initial[(entity_id, when)], row)
            else:
                self.count("state", "invented")
                self.problem("stored, but it never happened", row)
        for found in self.removals.values():
            for _, row in found:
                self.count("removal", "invented")
                self.problem("removed, but it never was", row)

    # --- the figures ------------------------------------------------------------------------------

    def report(self):
        lines = []
        for kind, n in sorted(self.table.items()):
            happened, missing, invented = n.get("happened", 0), n.get("missing", 0), n.get("invented", 0)
            found = happened - missing
            lines.append(f"{kind}: {happened} happened, {n.get('unheard', 0)} of them unheard; "
                         f"{n.get('live', 0)} live, {n.get('backfill', 0)} from history, {n.get('snapshot', 0)} from a snapshot, "
                         f"{missing} missing; recall {found / max(happened, 1):.4f}, "
                         f"precision {found / max(found + invented, 1):.4f}")
        return lines
