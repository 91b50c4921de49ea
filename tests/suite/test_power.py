"""A power cut at any moment: what is lost is young, lies in a gap of the ledger, and the suite starts again.

CUTS (60): of each run, in each model of the disk (disk.py), looked at without starting the processes.
STARTS (3): cuts after which the whole suite is started. RUN_SECONDS (8), RATE (300): of the recorded
runs. SEED (1). A long one: CUTS=1000 STARTS=40 RUN_SECONDS=90 SEED=7."""

import json
import os
import random
import shutil
import signal
import threading
import unittest

import disk
import power
from system import Workspace, assert_same, compare, exact, in_gaps, microseconds, wait_for

CUTS = int(os.environ.get("CUTS", "60"))
STARTS = int(os.environ.get("STARTS", "3"))
RUN_SECONDS = float(os.environ.get("RUN_SECONDS", "8"))
RATE = int(os.environ.get("RATE", "300"))
SEED = int(os.environ.get("SEED", "1"))
SLACK_US = 1_000_000        # the machine is busy with other things as well
NEVER_US = 35_000_000       # until the kernel has written by itself


class Run:
    """A recorded run: what it did to the disk, and what was captured in it."""

    def __init__(self, place, sync, sync_ms=1000, rate=RATE):
        self.place, self.sync, self.sync_ms = place, sync, sync_ms
        self.data, self.trace = place.path / "data", place.path / "trace"
        self.home = place.home("--rate", rate, "--wait-for-client", "--seed", SEED)
        self.system = place.system(home_port=self.home.port, HA_INGESTOR_SYNC=sync, HA_INGESTOR_SYNC_MS=sync_ms,
                                   INGEST_SEGMENT_BYTES=65536, INGEST_RETRY_MIN_MS=100,
                                   **power.environment(self.data, self.trace, power.boot_file(place.path, power.BOOT_BEFORE)))

    def live_through(self, seconds):
        """Kills, a lost connection, a sink that takes nothing, a stop in order: a cut may fall in any of it."""
        pause = threading.Event()
        self.system.start()
        pause.wait(seconds / 4)
        self.home.control("abort")
        pause.wait(seconds / 8)
        self.system.signal("sink", signal.SIGKILL)
        pause.wait(seconds / 8)
        self.system.signal("ingest", signal.SIGKILL)
        pause.wait(seconds / 8)
        self.system.signal("sink", signal.SIGSTOP)
        pause.wait(seconds / 6)
        self.system.signal("sink", signal.SIGCONT)
        pause.wait(seconds / 12)
        self.system.stop()
        self.system.start()
        pause.wait(seconds / 8)
        self.system.stop()
        self.home.control("stop-events")
        self.records = disk.read_trace(self.trace)
        self.captured, self.notes = power.received(self.records), power.notes(self.records)
        self.promised = power.promised_from(self.records)
        self.stall_us, self.restart_us = power.stalls(self.records, self.captured)

    def check_recorder(self):
        whole = disk.Disk()
        for record in self.records:
            whole.step(record)
        wrong = whole.differences(self.data)
        assert not wrong, f"changed by something that the recorder does not see: {wrong}"

    def bounds(self):
        """(how old the oldest lost may be, how long before the last note the gap may begin, what a restart adds to the former)"""
        unsafe_us = {"always": 0, "interval": self.sync_ms * 1000 + power.TICK_US, "never": NEVER_US}[self.sync]
        note_us = NEVER_US if self.sync == "never" else power.NOTE_US # how old the note on the disk may be
        slack_us = max(SLACK_US, self.stall_us)
        return unsafe_us + slack_us, unsafe_us + note_us + power.LATENCY_US + slack_us, max(power.RESTART_US, self.restart_us)

    def cuts(self, chance, count):
        """Sorted; a fifth of them in the first moments, where files are made."""
        early = self.promised + 200
        return sorted(chance.randrange(1, early if i % 5 == 0 else len(self.records)) for i in range(count))

    def visit(self, cuts):
        """(cut, the disk, what was captured by then, the last note): at each of them."""
        state, index, captured = disk.Disk(), 0, 0
        for cut in cuts:
            while index < cut:
                state.step(self.records[index])
                index += 1
            while captured < len(self.captured) and self.captured[captured].index < cut:
                captured += 1
            noted = [note for note in self.notes if note[0] < cut][-1:] if cut >= self.promised else []
            yield cut, state, self.captured[:captured], noted[0] if noted else None


def chance_of(cut, model):
    return random.Random(f"{SEED}/{cut}/{model}")


class PowerCut(unittest.TestCase):
    def look_at_cuts(self, run, count):
        """Everything that can be seen without starting a process."""
        lost, oldest, early, damaged = 0, 0, [], 0
        bounds = run.bounds()
        for cut, state, captured, note in run.visit(run.cuts(random.Random(SEED), count)):
            for model in disk.MODELS:
                target = run.place.path / "cut"
                styles = state.cut(target, model, chance_of(cut, model))
                try:
                    left = power.Left(target, run.sync, run.sync_ms, state.real_us + 5_000_000)
                    verdict = power.judge(state.real_us, left, captured, note, *bounds)
                except AssertionError as error:
                    raise AssertionError(f"seed {SEED}, cut {cut} of {len(run.records)}, {model}, {styles}: {error}") from error
                lost += verdict.lost > 0
                oldest = max(oldest, verdict.oldest_lost_us)
                damaged += verdict.damaged > 0
                early += [verdict.early_us] if verdict.early_us is not None else []
        early.sort()
        print(f"\nsync {run.sync}, seed {SEED}: {2 * count} cuts in {len(run.records)} operations of a run of {len(run.captured)} frames: "
              f"{lost} lost something, received {oldest / 1e6:.2f} s before the cut at most; the gap begins "
              f"{early[len(early) // 2] / 1e6:.2f} s (median), {early[-1] / 1e6:.2f} s (most) before the last note; "
              f"{damaged} tell of damage", flush=True)

    def start_after(self, run, cuts):
        """The whole suite, on what a cut has left, and the home goes on."""
        seen = 0
        for cut, state, captured, note in run.visit(cuts):
            model = disk.MODELS[cut % 2]
            with self.subTest(seed=SEED, cut=cut, model=model):
                data = run.place.path / f"data-{cut}"
                state.cut(data, model, chance_of(cut, model))
                system = run.place.system(home_port=run.home.port, data=data, HA_INGESTOR_SYNC=run.sync,
                                          LD_PRELOAD=str(power.BIN / "disk.so"), INGEST_RETRY_MIN_MS=100,
                                          DISK_BOOT_ID=str(power.boot_file(run.place.path, power.BOOT_AFTER)))
                seen += self.goes_on(run, system, note is not None)
                shutil.rmtree(data)
        return seen

    def goes_on(self, run, system, promised):
        system.start()
        health = wait_for(lambda: [h for h in [system.api.get("/api/v1/health")] if h["status"] == "healthy"], 30, "all to be well")
        self.assertTrue(health)
        before = system.api.count()
        run.home.control("rate", "100")
        wait_for(lambda: system.api.count() > before + 50, 30, "events of after the cut")
        run.home.control("stop-events")
        run.home.control("flush")
        truth = [row["event"] for row in map(exact, run.home.truth_path.read_bytes().splitlines())
                 if isinstance(row.get("event"), dict)]
        gaps = wait_for(lambda: (now := system.api.gaps()) and all(gap["end"] for gap in now) and now, 30, "all gaps to have an end")
        first = next(microseconds(gap["end"]) for gap in gaps if gap["cause"] == "first_start")
        inside = in_gaps(gaps)
        self.settles(system, truth, lambda row: inside(row) or row["timestamp"] <= first)
        missing = self.comes_back(system, truth, first)
        if promised:
            self.assertTrue(any(gap["cause"] in ("power_loss", "connection_lost", "ingestor_down") for gap in gaps), gaps)
        self.assertEqual(system.api.get("/api/v1/quarantine")["count"], 0)
        self.assertGreater(system.api.get("/api/v1/devices", limit=1)["count"], 0)
        self.assertNotIn("ledger was damaged", system.log_text())
        system.stop()
        return missing

    def comes_back(self, system, truth, first):
        """Every state that the cut has cost comes back from Home Assistant's history: how many events do not."""
        wait_for(system.api.gaps_are_settled, 90, "the gaps to be filled", 0.5)
        missing = []

        def all_states():   # the last of them may be on the way to the store
            rows = [json.loads(row) for row in compare(truth, system.api.export())["missing"]]
            missing[:] = [row for row in rows if row["timestamp"] > first]
            states = [row for row in missing if row.get("state") is not None]
            assert not states, f"{len(states)} states are missing, such as {states[0]}"
            return True
        wait_for(all_states, 20, "every state to come back", 0.5)
        return len(missing)

    def settles(self, system, truth, allowed):
        """What was in flight arrives; in the end only what lies in gaps is missing, nothing is there twice or altered."""
        last = []

        def same():
            try:
                last.append(assert_same(truth, system.api.export(), allowed))
                return True
            except AssertionError as error:
                last.append(error)
                return False
        try:
            wait_for(same, 20, "the store to have all", 0.5)
        except AssertionError:
            raise last[-1] from None
        return last[-1]

    def test_sync_interval(self):
        with Workspace() as place:
            run = Run(place, "interval", sync_ms=2500) # longer than what a gap begins early anyway
            run.live_through(RUN_SECONDS)
            run.check_recorder()
            self.look_at_cuts(run, CUTS)
            missing = self.start_after(run, run.cuts(random.Random(SEED + 1), STARTS))
            print(f"{STARTS} starts, {missing} events missing, each in a gap; every state came back", flush=True)

    def test_sync_always(self):
        with Workspace() as place:
            run = Run(place, "always", rate=RATE // 4) # each read is synced before the next
            run.live_through(RUN_SECONDS / 2)
            run.check_recorder()
            self.look_at_cuts(run, CUTS // 3)

    def test_sync_never(self):
        with Workspace() as place:
            run = Run(place, "never")
            run.live_through(RUN_SECONDS / 2)
            run.check_recorder()
            self.look_at_cuts(run, CUTS // 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
