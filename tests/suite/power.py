"""power.py - record what a run does to the disk, cut the power anywhere in it, and look at what is left."""

import bisect
import contextlib
import ctypes
import ctypes.util
import os
import pathlib
import sqlite3
import struct
import subprocess

import disk
from system import BIN

BOOT_BEFORE, BOOT_AFTER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
CAPTURE_HEADER = 40
LATENCY_US = 1_000_000      # events are dated when they are fired: a gap begins so long before what is known
TICK_US = 250_000           # ingest looks that often whether a sync is due
RESTART_US = 4_000_000      # what a killed ingest had not synced waits until the next one has been started and has synced, or longer (stalls)
NOTE_US = 1_000_000 + TICK_US   # and writes `known` that often


def environment(data, trace, boot_file, sync_us=20000):
    """For System: its processes are recorded; a sync takes up to sync_us and is none."""
    return {"LD_PRELOAD": str(BIN / "disk.so"), "DISK_ROOT": os.path.realpath(data), "DISK_TRACE": str(trace),
            "DISK_BOOT_ID": str(boot_file), "DISK_SYNC_US": sync_us}


def boot_file(directory, boot):
    path = pathlib.Path(directory) / f"boot-{boot[:8]}"
    path.write_text(boot + "\n")
    return path


PACK_BIT, PACK_HEADER = 0x80000000, 12
zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")


def unpack(data, at):
    """(bytes it unpacks to, where it ends) of a packed piece of the capture log."""
    size, _, plain = struct.unpack_from("<III", data, at)
    size &= ~PACK_BIT
    room, packed = ctypes.create_string_buffer(plain), data[at + PACK_HEADER:at + PACK_HEADER + size]
    got = zstd.ZSTD_decompress(room, ctypes.c_size_t(plain), packed, ctypes.c_size_t(size))
    assert got == plain, "a piece of the capture log is whole"
    return room.raw, at + PACK_HEADER + size


class Received:
    """A record of the capture log, as the run wrote it."""
    __slots__ = ("index", "process", "place", "size", "events", "received_us")

    def __init__(self, *values):
        self.index, self.process, self.place, self.size, self.events, self.received_us = values


def written(data):
    """([(offset as if nothing were packed, header) of each record], length) of a write of the capture log."""
    at, base, found = 0, 0, []
    while at < len(data):
        if struct.unpack_from("<I", data, at)[0] & PACK_BIT:
            plain, at = unpack(data, at)
            headers, length = written(plain)
        else:
            header = struct.unpack_from("<IIqqIIII", data, at)
            headers, length = [(0, header)], CAPTURE_HEADER + header[0]
            at += length
        assert at <= len(data), "a write of the capture log holds whole records"
        found += [(base + offset, header) for offset, header in headers]
        base += length
    return found, base


def received(records):
    """What was captured in a run, in order; and the segments' names while they are walked."""
    starts, ends, result = {}, {}, []
    for index, record in enumerate(records):
        if record.operation in (disk.CREATE, disk.BIND):
            name = record.data.decode()
            start = int(name[8:-4]) if name.startswith("capture/") and name.endswith(".log") else None
            if starts.get(record.file) != start:  # else it is only opened again
                starts[record.file], ends[record.file] = start, 0
        elif record.operation == disk.WRITE and starts.get(record.file) is not None:
            headers, length = written(record.data)
            for offset, (size, _, received_us, _, _, _, events, kind) in headers:
                place = starts[record.file] + ends[record.file] + offset + CAPTURE_HEADER
                if kind & 0xff == 0:  # came live; the rest is fetched again, as long as it is not safe no gap counts as filled
                    result.append(Received(index, record.process, place, size, events, received_us))
            ends[record.file] += length
    return result


class Left:
    """What a data directory holds, looked at without starting anything."""

    def __init__(self, data, sync, sync_ms, now_us):
        data = pathlib.Path(data)
        for name in ("capture", "ingest"):
            (data / name).mkdir(mode=0o700, exist_ok=True)      # as ingest itself would
        look = subprocess.run([str(BIN / "look"), str(data), BOOT_AFTER, str(now_us), sync, str(sync_ms)],
                              capture_output=True, text=True, timeout=60)
        assert look.returncode == 0, f"ingest would not start: {look.stderr}"
        lines = [line.split() for line in look.stdout.splitlines()]
        self.captured = {int(line[1]) for line in lines if line[0] == "record"}
        self.gaps = [(int(line[1]), int(line[2]), line[3]) for line in lines if line[0] == "gap"]
        self.stored = []
        for path in sorted(data.glob("*.db")):
            check_database(path)
        store = data / "store.db"
        if store.exists() and store.stat().st_size > 0:
            with contextlib.closing(sqlite3.connect(store)) as db:
                if db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'event'").fetchone()[0]:
                    self.stored = sorted(place for place, in db.execute("SELECT place FROM event"))
                    assert len(self.stored) == len(set(self.stored)), "an event is stored twice"

    def has(self, record):
        """All events of it: their places are those of their first bytes in the frame."""
        if record.place in self.captured:
            return True
        first, end = (bisect.bisect_left(self.stored, at) for at in (record.place, record.place + record.size))
        return end - first == record.events


def check_database(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        answer = db.execute("PRAGMA integrity_check").fetchall()
    assert answer == [("ok",)], f"{path.name}: {answer[:3]}"


def notes(records):
    """(index, up to when everything was known, process) of each line that ingest wrote into `known`."""
    files, result = set(), []
    for index, record in enumerate(records):
        if record.operation in (disk.CREATE, disk.BIND):
            (files.add if record.data == b"ingest/known" else files.discard)(record.file)
        elif record.operation == disk.WRITE and record.file in files:
            result.append((index, int(record.data.split()[1]), record.process))
    return result


def promised_from(records):
    """The record after which the ledger has been live once, and that is on the disk."""
    renamed, directory = False, None
    for index, record in enumerate(records):
        renamed |= record.operation == disk.RENAME and record.data == b"ingest/gaps.new\0ingest/gaps"
        if record.operation == disk.BIND and record.data == b"ingest":
            directory = record.file
        if renamed and record.operation == disk.SYNC_END and record.file == directory:
            return index + 1
    raise AssertionError("the run was never live")


def stalls(records, captured):
    """(how long an ingest was held up, how long it took from the last act of one to the first sync of the next): a machine
    that is busy with other things makes what is promised of time later by so much, and not by more."""
    processes = {record.process for record in captured}
    last, syncing, synced = {}, {}, {}
    pause_us = sync_us = restart_us = 0
    for record in records:
        if record.process not in processes:
            continue
        pause_us = max(pause_us, record.monotonic_us - last.get(record.process, record.monotonic_us))
        last[record.process] = record.monotonic_us
        if record.operation == disk.SYNC_BEGIN:
            syncing[record.process, record.file] = record.monotonic_us
        elif record.operation == disk.SYNC_END:
            sync_us = max(sync_us, record.monotonic_us - syncing.pop((record.process, record.file), record.monotonic_us))
            synced.setdefault(record.process, record.monotonic_us)
    for end_us in last.values():
        later = [first_us for first_us in synced.values() if first_us > end_us]
        restart_us = max(restart_us, min(later) - end_us if later else 0)
    return pause_us + sync_us, restart_us


class Verdict:
    def __init__(self):
        self.lost = 0
        self.oldest_lost_us = 0     # how long before the cut the oldest of them was received
        self.early_us = None        # how long before the last note the gap begins, without what lies in other gaps
        self.damaged = 0


def judge(cut_us, left, captured, note, oldest_us, early_us, restart_us):
    """What is missing of `captured` is young enough and lies in a gap that is not too long. note: the last
    that was written; None: the ledger had promised nothing yet. restart_us: what a kill adds to oldest_us."""
    verdict = Verdict()
    for record in captured:
        if left.has(record):
            continue
        verdict.lost += 1
        age = cut_us - record.received_us
        verdict.oldest_lost_us = max(verdict.oldest_lost_us, age)
        bound_us = oldest_us + (restart_us if note and note[2] != record.process else 0)
        assert age <= bound_us, f"lost though received {age / 1e6:.3f} s before the cut: place {record.place}"
        assert any(start <= record.received_us and (end == 0 or record.received_us <= end) for start, end, _ in left.gaps), \
            f"lost silently: place {record.place}, {age / 1e6:.3f} s before the cut; gaps end with {left.gaps[-3:]}"
    verdict.damaged = sum(cause == "capture_damaged" for _, _, cause in left.gaps)
    opened = [gap for gap in left.gaps if gap[1] == 0]
    assert len(opened) <= 1, opened
    if note is None:
        return verdict
    known_us = note[1]
    assert opened, f"no gap is open after the cut: {left.gaps[-3:]}"
    if opened[0][2] == "power_loss":
        start = opened[0][0]
        told = sum(max(0, min(end, known_us) - max(begin, start)) for begin, end, _ in left.gaps if end)
        verdict.early_us = known_us - start - told
        assert verdict.early_us <= early_us, \
            f"the gap begins {verdict.early_us / 1e6:.3f} s before the last note, without what other gaps tell of: {left.gaps[-3:]}"
    return verdict
