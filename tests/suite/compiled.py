"""compiled.py - buckets of /api/v1/series against the statistics that a Home Assistant's recorder compiled of the same states.

Left out, because it means something else by them:
- the period in which the recorder began: it reads no history before its run, and takes the state of the moment at which it compiles.
- a mean of a bucket in which a value went away: it carries the old value on. One that only began without a value is compared.
- the mean of an hour that had not a value all the time: its own is the plain mean of its means of five minutes.
- the growth of a bucket in which a counter fell by less than 10 % or had not yet passed its old value: it counts the fall as a negative
  growth. What was left out is compared in one sum, from before the fall to where the old value was passed.
What it knows no number of (no valid state) has no row, and is null here."""

import math
import sqlite3
from bisect import bisect_right
from datetime import datetime, timezone

STEPS = {"5m": (300, "statistics_short_term"), "1h": (3600, "statistics")}
STATS = "mean,min,max,increase,seconds,last"


def close(a, b):
    return a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6)


def text(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(time):
    return datetime.fromisoformat(time).timestamp()


class Compiled:
    def __init__(self, path):
        self.path = path
        self.base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.metas = self.base.execute("SELECT id, statistic_id, unit_of_measurement, has_mean, has_sum FROM statistics_meta ORDER BY 1").fetchall()
        self.began = seconds_of(self.base.execute("SELECT start FROM recorder_runs ORDER BY run_id").fetchone()[0] + "+00:00")
        self.counted, self.left_out = {"5m": 0, "1h": 0}, {"mean": 0, "growth": 0}

    def close(self):
        self.base.close()

    def rows(self, step, meta):
        """start: (mean, min, max, sum)"""
        return {int(row[0]): row[1:] for row in self.base.execute(
            f"SELECT start_ts, mean, min, max, sum FROM {STEPS[step][1]} WHERE metadata_id = ? ORDER BY 1", (meta,))}

    def below(self, entity):
        """The times from a fall by less than 10 % to where the old value is passed."""
        stretches, highest, before, since = [], None, None, None
        for at, state, attributes in self.base.execute(
                "SELECT s.last_updated_ts, s.state, a.shared_attrs FROM states s JOIN states_meta m USING (metadata_id)"
                " JOIN state_attributes a USING (attributes_id) WHERE m.entity_id = ? ORDER BY s.last_updated_ts", (entity,)):
            if '"total_increasing"' not in attributes:
                return []
            number = float(state)
            if before is not None and number < 0.9 * before:
                highest, since = number, None
            elif highest is not None and number < highest:
                since = since or at
            else:
                if since:
                    stretches.append((since, at))
                highest, since = number, None
            before = number
        return stretches + ([(since, math.inf)] if since else [])

    def compare(self, test, api, step):
        """Of all that it compiled; gives the tiers that the buckets were read from."""
        tiers = {}
        for meta, entity, unit, has_mean, has_sum in self.metas:
            rows, size = self.rows(step, meta), STEPS[step][0]
            before = [rows.pop(start)[3] for start in list(rows) if start < self.began]
            with test.subTest(entity=entity, step=step):
                answer = api.get("/api/v1/series", ids=entity, step=step, stat=STATS, unit=unit, to=text(max(rows) + size), **{"from": text(min(rows))})
                series = answer["series"][0]
                tiers[entity] = answer["tier"]
                self.compare_values(test, series, rows, size) if has_mean else self.compare_growth(test, entity, series, rows, before[-1] if before else 0.0)
                self.counted[step] += len(rows)
                test.assertEqual(bool(has_mean), not has_sum)
        return tiers

    def compare_values(self, test, series, rows, size):
        went = sorted(seconds_of(since) for since, _ in series["unavailable"])
        for i, start in enumerate(map(seconds_of, series["start"])):
            mean, low, high, seconds = (series[name][i] for name in ("mean", "min", "max", "seconds"))
            if start not in rows:
                test.assertIsNone(mean, text(start))
                continue
            wanted = rows[start]
            test.assertTrue(close(low, wanted[1]) and close(high, wanted[2]), (text(start), low, high, wanted))
            inside = bisect_right(went, start) < bisect_right(went, start + size - 1e-6)
            if inside or (size == 3600 and seconds < size):
                self.left_out["mean"] += 1
            else:
                test.assertTrue(close(mean, wanted[0]), (text(start), mean, wanted[0], seconds))

    def compare_growth(self, test, entity, series, rows, before):
        below, waiting, size = self.below(entity), None, sorted(rows)[1] - min(rows)
        for i, start in enumerate(map(seconds_of, series["start"])):
            grown = series["increase"][i] or 0.0
            wanted = rows[start][3] - before
            before = rows[start][3]
            inside = [b for b in below if b[0] < start + size and b[1] >= start]
            if waiting is not None or inside:
                self.left_out["growth"] += 1
                waiting = [w + v for w, v in zip(waiting or (0.0, 0.0), (grown, wanted))]
                if any(b[1] >= start + size for b in inside):
                    continue
                grown, wanted = waiting
                waiting = None
            test.assertTrue(math.isclose(grown, wanted, rel_tol=1e-9, abs_tol=1e-9 * max(1, abs(before))), (text(start), grown, wanted))
