#!/usr/bin/env python3
"""kills.py - thousands of random SIGKILLs over all processes under load, in rounds that are judged one by one.

Usage: HA_INGESTOR_BIN=build/bench tests/bench/kills.py [KILLS [FIRST_SEED]]   (10000, 1)

A round is a fresh home and a fresh data directory with a seed of its own, ROUND_KILLS (250) kills at RATE
(5000) events/s, and then the comparison of everything that happened with everything that is stored,
while the next round runs. A round that fails keeps its directory, and the run goes on. Ends with 1
if one failed. One round again: ROUND_KILLS=250 tests/bench/kills.py 250 SEED
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
from killing import Killing, judge  # noqa: E402
from system import Workspace  # noqa: E402

RATE = int(os.environ.get("RATE", "5000"))
ROUND_KILLS = int(os.environ.get("ROUND_KILLS", "250"))
LONGEST_S = float(os.environ.get("LONGEST_S", "0.4"))


class Papers(Workspace):
    """A directory that outlives its round: the judge removes it, or nobody."""

    def __exit__(self, kind, error, trace):
        path, self.path = self.path, pathlib.Path(tempfile.mkdtemp())
        super().__exit__(None, None, None)
        self.path = path


def say(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def one_round(seed, kills):
    """Its directory, or None if it failed before there was anything to judge."""
    papers = Papers()
    try:
        with papers as place:
            began = time.monotonic()
            killing = Killing(place, seed, kills, RATE, longest_s=LONGEST_S).run()
            say(f"seed {seed}: {killing.count()} kills {killing.killed} in {time.monotonic() - began:.0f} s")
        shutil.rmtree(papers.path / "data")
        return papers.path, killing.count()
    except Exception as error:  # whatever it was: it is said, and the next round is another one
        say(f"seed {seed}: FAILED, kept for inspection: {papers.path}: {error!r}")
        return None, 0


def judge_one(seed, directory):
    witness = judge(pathlib.Path(directory))
    happened = sum(n.get("happened", 0) for n in witness.table.values())
    lines = "; ".join(witness.report())
    if witness.problems:
        say(f"seed {seed}: FAILED with {len(witness.problems)} problems, kept for inspection: {directory}\n  {lines}")
        for line in witness.problems[:5]:
            say("  " + line)
        return 1
    say(f"seed {seed}: {happened} events, {witness.count_of_rows} rows, {len(witness.gaps)} gaps, as it should be\n  {lines}")
    shutil.rmtree(directory)
    return 0


def main():
    if sys.argv[1:2] == ["--judge"]:
        return judge_one(sys.argv[2], sys.argv[3])
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    done, failed, judging = 0, 0, None
    while done < kills:
        directory, count = one_round(seed, min(ROUND_KILLS, kills - done))
        failed += directory is None
        done += count or ROUND_KILLS
        if judging:
            failed += judging.wait() != 0
        judging = subprocess.Popen(["nice", sys.executable, __file__, "--judge", str(seed), str(directory)]) if directory else None
        say(f"{done} kills so far, {failed} rounds failed")
        seed += 1
    if judging:
        failed += judging.wait() != 0
    say(f"{done} kills, {failed} rounds failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
