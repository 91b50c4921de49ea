"""witness.py - the home's truth, the store and the ledger of gaps, held against each other.

Every event that happened is either stored as Home Assistant sent it, or given back by its history,
or missing; and whatever is missing has to be what the ledger says is missing.
"""

import bisect

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


class Gap:
    def __init__(self, gap):
        self.gap = gap
        self.start, self.end = microseconds(gap["start"]), microseconds(gap["end"]) if gap["end"] else 1 << 62
        self.lost = gap["unrecoverable"] or {}
        self.excluded = set(self.lost.get("excluded_entities", []))

    def predicts(self, kind, entity_id):
        """It says that such an event is missing."""
        if self.gap["state"] in ("open", "filling"):
            return True
        if kind == "other":
            return bool(self.lost.get("events"))
        if self.gap["state"] == "unrecoverable" or entity_id in self.excluded:
            return True
        return kind == "removal" and bool(self.lost.get("removals"))


class Witness:
    """Sort every event and every row; `problems` are sentences, none if all is as it was promised."""

    def __init__(self, events, others, initial, rows, gaps):
        self.problems, self.table = [], {}
        self.gaps = [Gap(gap) for gap in gaps]
        self.rows = [exact(row) for row in rows]
        self.used = set()
        self.initial = {(s["entity_id"], microseconds(s["last_updated"])): s for s in initial}
        self.index()
        for line in events:
            self.look_at(line["event"], bool(line["sent_to"]))
        for line in others:
            if line.get("what") == "gone":
                self.look_at_gone(int(line["t"]), line["entity_id"])
        self.look_for_inventions()

    def index(self):
        self.live, self.states, self.removals, ids = {}, {}, {}, {}
        for number, row in enumerate(self.rows):
            ids[row["id"]] = ids.get(row["id"], 0) + 1
            if row["provenance"] == "live":
                self.live.setdefault(canonical(stored_row(row)), []).append(number)
            elif row["event_type"] != "state_changed":
                self.problem(f"a {row['event_type']} of provenance {row['provenance']}", row)
            if row["event_type"] == "state_changed" and row["state"] is not None:
                key = (row["entity_id"], microseconds(row["last_updated"]))
                if key in self.states:
                    self.problem("the same state twice", row)
                self.states[key] = number
            elif row["event_type"] == "state_changed":
                self.removals.setdefault(row["entity_id"], []).append((microseconds(row["timestamp"]), number))
        self.problems += [f"id {key} {n} times" for key, n in ids.items() if n > 1]
        self.moments = {}
        for entity_id, at in sorted(self.states):
            self.moments.setdefault(entity_id, []).append(at)
        for found in self.removals.values():
            found.sort()

    def problem(self, what, thing):
        self.problems.append(f"{what}: {canonical(thing)[:600]}")

    def count(self, kind, column):
        row = self.table.setdefault(kind, {})
        row[column] = row.get(column, 0) + 1

    # --- one event ---------------------------------------------------------------------------

    def look_at(self, event, was_sent):
        data = event["data"]
        is_state = event["event_type"] == "state_changed"
        kind = "other" if not is_state else "state" if data["new_state"] else "removal"
        self.count(kind, "happened")
        if not was_sent:
            self.count(kind, "unheard")
        key = canonical(expected_row(event))
        if self.live.get(key):
            self.used.add(self.live[key].pop())
            self.count(kind, "live")
            return
        when, entity_id = microseconds(event["time_fired"]), data.get("entity_id") if is_state else None
        how = self.find_state(event) if kind == "state" else self.find_removal(entity_id, when) if is_state else None
        self.judge(event, kind, entity_id, when, how)

    def judge(self, event, kind, entity_id, when, how):
        gaps = [gap for gap in self.gaps if gap.start <= when <= gap.end]
        predicted = any(gap.predicts(kind, entity_id) for gap in gaps)
        self.count(kind, how or "missing")
        if not gaps:
            self.problem(f"{how or 'missing'}, but in no gap", event)
        elif not how and not predicted:
            self.problem("missing, and no gap says so", event)
        elif how == "backfill" and all(gap.predicts(kind, entity_id) for gap in gaps):
            self.problem("given back, but the gap says it is lost", event)

    def find_state(self, event):
        state = event["data"]["new_state"]
        number = self.states.get((state["entity_id"], microseconds(state["last_updated"])))
        if number is None or number in self.used:
            return None
        row = self.rows[number]
        self.used.add(number)
        self.compare_state(state, row)
        if row["provenance"] == "live":
            self.problem("altered", {"event": event, "row": row})
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
        for at, number in self.removals.get(entity_id, []):
            snapshot = self.rows[number]["provenance"] == "snapshot" and when < at
            if number not in self.used and (at == when or snapshot) and at < returned:
                self.used.add(number)
                return self.rows[number]["provenance"]
        return None

    def look_at_gone(self, when, entity_id):
        """It did not come back with Home Assistant: only who compares can know."""
        self.count("removal", "happened")
        self.count("removal", "unheard")
        self.judge({"gone": entity_id, "t": when}, "removal", entity_id, when, self.find_removal(entity_id, when))

    def look_for_inventions(self):
        for number, row in enumerate(self.rows):
            if number in self.used:
                continue
            state = self.initial.get((row.get("entity_id"), microseconds(row.get("last_updated"))))
            if state and row["event_type"] == "state_changed":
                self.compare_state(state, row)
            else:
                self.count("state" if row["event_type"] == "state_changed" else "other", "invented")
                self.problem("stored, but it never happened", row)

    # --- the figures ------------------------------------------------------------------------------

    def report(self):
        lines = []
        for kind, n in sorted(self.table.items()):
            happened, missing, invented = n.get("happened", 0), n.get("missing", 0), n.get("invented", 0)
            found = happened - missing
            lines.append(f"{kind}: {happened} happened, {n.get('unheard', 0)} of them unheard; "
                         f"{n.get('live', 0)} live, {n.get('backfill', 0)} from history, {n.get('snapshot', 0)} from a snapshot, "
                         f"{missing} missing as the ledger says; recall {found / max(happened, 1):.4f}, "
                         f"precision {found / max(found + invented, 1):.4f}")
        return lines
