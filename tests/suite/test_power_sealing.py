"""A power cut at any moment of sealing and rolling up: what was synced is there once, as a hot row or in a chunk.

SEAL_CUTS (12), in each of the two models of the disk (disk.py). SEED (1)."""

import os
import random
import struct
import subprocess
import unittest

import disk
import power
from system import BIN, Workspace

CUTS = int(os.environ.get("SEAL_CUTS", "12"))
SEED = int(os.environ.get("SEED", "1"))


class PowerCutOfSealing(unittest.TestCase):
    def test_rows_are_there_once_wherever_the_power_goes(self):
        with Workspace() as place:
            data, trace = place.path / "data", place.path / "trace"
            data.mkdir()
            environment = {name: str(value) for name, value in power.environment(
                data, trace, power.boot_file(place.path, power.BOOT_BEFORE), sync_us=2000).items()}
            subprocess.run([BIN / "sealer", "live", data], env={**os.environ, **environment}, check=True, timeout=120)
            records = disk.read_trace(trace)
            self.check_recorder(records, data)
            synced, looked = self.synced_at(records), 0
            chance = random.Random(SEED)
            state, index = disk.Disk(), 0
            first = next(i for i, safe in enumerate(synced) if safe)
            for cut in sorted(chance.randrange(first, len(records)) for _ in range(CUTS)):
                while index < cut:
                    state.step(records[index])
                    index += 1
                for model in disk.MODELS:
                    target = place.path / "cut"
                    styles = state.cut(target, model, random.Random(f"{SEED}/{cut}/{model}"))
                    look = subprocess.run([BIN / "sealer", "look", target, str(synced[cut - 1])], capture_output=True, text=True, timeout=120)
                    self.assertEqual(look.returncode, 0, f"seed {SEED}, cut {cut} of {len(records)}, {model}, {styles}: {look.stderr}")
                    power.check_database(target / "store.db")
                    looked += 1
            print(f"{looked} cuts in {len(records)} operations: no row lost, twice or altered, no chunk damaged", flush=True)

    def check_recorder(self, records, data):
        whole = disk.Disk()
        for record in records:
            whole.step(record)
        self.assertEqual(whole.differences(data), [])

    @staticmethod
    def synced_at(records):
        """How many rows are safe after each record."""
        note, safe, result = None, 0, []
        for record in records:
            if record.operation == disk.CREATE and record.data == b"synced":
                note = record.file
            elif record.operation == disk.WRITE and record.file == note:
                safe = struct.unpack("q", record.data)[0]
            result.append(safe)
        return result


if __name__ == "__main__":
    unittest.main(verbosity=2)
