"""A power cut at any moment: what is lost is young, lies in a gap of the ledger, and the suite starts again.

CUTS: looked at without starting the processes, of each run (150). STARTS: of these, with which the
whole suite is started (5). RUN_SECONDS (12), RATE (300), SEED (1): of the recorded runs. The model of
the disk stands in disk.py."""

import os
import random
import shutil
import signal
import threading
import time
import unittest

import disk
import power
from system import Workspace, wait_for

CUTS = int(os.environ.get("CUTS", "150"))
STARTS = int(os.environ.get("STARTS", "5"))
RUN_SECONDS = float(os.environ.get("RUN_SECONDS", "12"))
RATE = int(os.environ.get("RATE", "300"))
SEED = int(os.environ.get("SEED", "1"))


class Run:
    """A recorded run: its trace, and what was captured in it."""

    def __init__(self, place, sync, sync_ms=1000, **settings):
        self.place, self.sync, self.sync_ms = place, sync, sync_ms
        self.data = place.path / "data"
        self.trace = place.path / "trace"
        self.home = place.home("--rate", RATE, "--wait-for-client", "--seed", SEED)
        self.system = place.system(home_port=self.home.port, HA_INGESTOR_SYNC=sync, HA_INGESTOR_SYNC_MS=sync_ms,
                                   INGEST_SEGMENT_BYTES=65536, **settings,
                                   **power.environment(self.data, self.trace, power.boot_file(place.path, power.BOOT_BEFORE)))

    def live_through(self, seconds):
        """What an installation lives through: kills, lost connections, a sink that does not take, a stop in order."""
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
        for name in self.system.names():
            self.system.signal(name, signal.SIGSTOP)    # so that nothing is half written down
        for name in self.system.names():
            self.system.signal(name, signal.SIGKILL)
        self.system.stop()

    def finish(self):
        self.records = disk.read_trace(self.trace)
        self.captured = power.received(self.records)


def promised_from(records):
    """The record after which the ledger has been live once, and that is on the disk."""
    renamed = False
    directory = None
    for index, record in enumerate(records):
        if record.operation == disk.RENAME and record.data == b"ingest/gaps.new\0ingest/gaps":
            renamed = True
        if record.operation == disk.BIND and record.data == b"ingest":
            directory = record.file
        if renamed and record.operation == disk.SYNC_END and record.file == directory:
            return index + 1
    raise AssertionError("the run was never live")


class PowerCut(unittest.TestCase):
    def look_at_cuts(self, run, chance, oldest_us, early_us, count):
        """Everything that needs no process: `count` cuts in each model."""
        promised = promised_from(run.records)
        cuts = sorted(chance.randrange(1, len(run.records)) for _ in range(count))
        state, lost, oldest, early, damaged, index, until = disk.Disk(), 0, 0, [], 0, 0, 0
        for cut in cuts:
            while index < cut:
                state.step(run.records[index])
                index += 1
            while until < len(run.captured) and run.captured[until].index < cut:
                until += 1
            for model in disk.MODELS:
                seed = f"{SEED}/{cut}/{model}"
                target = run.place.path / "cut"
                styles = state.cut(target, model, random.Random(seed))
                try:
                    left = power.Left(target, run.sync, run.sync_ms, state.real_us + 5_000_000)
                    verdict = power.judge(state, left, run.captured, until, cut >= promised, oldest_us, early_us)
                except AssertionError as error:
                    raise AssertionError(f"cut {cut} of {len(run.records)}, {model}, {styles}: {error}") from error
                lost += verdict.lost > 0
                oldest = max(oldest, verdict.oldest_lost_us)
                damaged += verdict.damaged > 0
                early += [verdict.early_us] if verdict.early_us else []
        early.sort()
        print(f"{run.sync}: {2 * count} cuts of a run of {len(run.records)} operations and {len(run.captured)} frames: {lost} lost "
              f"something, received {oldest / 1e6:.2f} s before the cut at most; the gap begins "
              f"{early[len(early) // 2] / 1e6:.2f} s (median), {early[-1] / 1e6:.2f} s (most) before it; {damaged} tell of damage",
              flush=True)

    def test_a_cut_at_any_moment_with_sync_interval(self):
        with Workspace() as place:
            run = Run(place, "interval")
            run.live_through(RUN_SECONDS)
            run.finish()
            whole = disk.Disk()
            for record in run.records:
                whole.step(record)
            self.assertEqual(whole.differences(run.data), [], "changed past the recorder")
            self.look_at_cuts(run, random.Random(SEED), 2_500_000, 6_000_000, CUTS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
