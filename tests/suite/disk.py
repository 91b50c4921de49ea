"""disk.py - what a disk may hold after a power cut, from the record that tests/shim/disk.c made of a run.

The model. A file's bytes are on the disk when a sync of that file that began after they were
written has ended. Of what was written since, the disk holds any part: each write is torn into
sectors of 512 bytes (or pages of 4096) of which any are there, whatever their order; a part that
is missing within the file reads as what was there before, or as zeros. Sizes are those of the parts
that are there. The kernel writes by itself what is older than 35 s (dirty_expire_centisecs and a
turn of the flusher), and commits names that are older than 5 s.

Names (create, rename, unlink, mkdir, rmdir) in two models:
  ext4   one journal in order: of the operations not yet committed a prefix is there. A sync of a
         directory, or of a file that is new or has grown since its last one, commits all before it.
  any    any subset is there, each a whole; only a sync of the directory itself makes them safe, that
         of a file in it does not; none is committed by age; and files may have grown by zeros or by
         bytes of somebody else (delayed allocation, data=writeback) where nothing was written yet.

A cut lies between two records. What was in the middle of a sync then is as if it had not begun."""

import os
import pathlib
import shutil
import struct

HEADER = struct.Struct("<IIIIQqqq")
MAGIC = 0x44495343
BIND, CREATE, WRITE, SIZE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, MAKE_DIRECTORY, REMOVE_DIRECTORY = range(1, 11)
SECTOR, PAGE = 512, 4096
WRITEBACK_US, COMMIT_US = 35_000_000, 5_000_000
MODELS = ("ext4", "any")
STYLES = ("synced", "all", "prefix", "pages", "sectors")


class Record:
    __slots__ = ("operation", "process", "file", "at", "real_us", "monotonic_us", "data")

    def __init__(self, fields, data):
        _, self.operation, self.process, _, self.file, self.at, self.real_us, self.monotonic_us = fields
        self.data = data


def read_trace(path):
    raw = pathlib.Path(path).read_bytes()
    records, at = [], 0
    while at < len(raw):
        fields = HEADER.unpack_from(raw, at)
        assert fields[0] == MAGIC, f"the record at {at} is none"
        at += HEADER.size
        records.append(Record(fields, raw[at:at + fields[3]]))
        at += fields[3]
    return records


class Node:
    """A file or a directory: what is safe, and what was done since."""

    def __init__(self, is_directory, content=b""):
        self.is_directory = is_directory
        self.content = bytearray(content)
        self.size = len(content)        # as the processes see it
        self.pending = []               # (index, at, data or None: the size, time)
        self.is_new = True

    def do(self, index, at, data, time_us):
        self.size = at if data is None else max(self.size, at + len(data))
        self.pending.append((index, at, data, time_us))

    def synced(self, before):
        kept = []
        for step in self.pending:
            if step[0] < before:
                put(self.content, step[1], step[2])
            else:
                kept.append(step)
        self.pending = kept
        self.is_new = False

    def has_grown(self, before):
        return self.is_new or any(data is None or at + len(data) > len(self.content)
                                  for index, at, data, _ in self.pending if index < before)

    def whole(self):
        content = bytearray(self.content)
        for _, at, data, _ in self.pending:
            put(content, at, data)
        return content


def put(content, at, data):
    if data is None:
        if len(content) > at:
            del content[at:]
        else:
            content.extend(bytes(at - len(content)))
        return
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at:at + len(data)] = data


class Names:
    """Which names are safe in one model, and which operations are not yet."""

    def __init__(self):
        self.safe, self.pending = {}, []

    def make_safe(self, chosen):
        for step in self.pending:
            if chosen(step):
                apply_name(self.safe, step)
        self.pending = [step for step in self.pending if not chosen(step)]


def apply_name(names, step):
    _, operation, node, path, new_path, _ = step
    if operation in (CREATE, MAKE_DIRECTORY):
        names[path] = node
        return
    if names.get(path) is node:
        del names[path]
    if operation == RENAME:
        names[new_path] = node


class Disk:
    """Replays records one after the other, and tells what may be left if the power goes now."""

    def __init__(self, base=None):
        self.index = 0
        self.now = {}                   # path: node, as the processes see it
        self.names = {model: Names() for model in MODELS}
        self.files, self.syncs = {}, {}
        self.real_us = 0
        for path in sorted(pathlib.Path(base).rglob("*")) if base else []:
            name = str(path.relative_to(base))
            if name.split("/")[0] in ("run", "logs") or name.endswith("-shm"):
                continue
            node = Node(path.is_dir(), b"" if path.is_dir() else path.read_bytes())
            node.is_new = False
            self.now[name] = node
            for names in self.names.values():
                names.safe[name] = node
        self.now[""] = Node(True)

    def _name(self, operation, node, path, new_path=""):
        step = (self.index, operation, node, path, new_path, self.real_us)
        apply_name(self.now, step)
        for names in self.names.values():
            names.pending.append(step)

    def _synced(self, node, began):
        if not node.is_directory:
            commits = node.has_grown(began)
            node.synced(began)
        else:
            commits = True
            path = next(name for name, other in self.now.items() if other is node)
            self.names["any"].make_safe(lambda step: step[0] < began and os.path.dirname(step[3]) == path)
        if commits:
            self.names["ext4"].make_safe(lambda step: step[0] < began)

    def step(self, record):
        operation = record.operation
        self.real_us = record.real_us
        if operation in (BIND, CREATE):
            path = record.data.decode()
            if operation == CREATE:
                self._name(CREATE, Node(False), path)
            self.files[record.file] = self.now[path]
        elif operation == WRITE:
            self.files[record.file].do(self.index, record.at, record.data, record.real_us)
        elif operation == SIZE:
            self.files[record.file].do(self.index, record.at, None, record.real_us)
        elif operation == SYNC_BEGIN:
            self.syncs[record.at] = self.index
        elif operation == SYNC_END:
            self._synced(self.files[record.file], self.syncs.pop(record.at))
        elif operation == RENAME:
            path, new_path = record.data.decode().split("\0")
            self._name(RENAME, self.now[path], path, new_path)
        elif operation in (UNLINK, REMOVE_DIRECTORY):
            path = record.data.decode()
            self._name(operation, self.now[path], path)
        else:
            self._name(MAKE_DIRECTORY, Node(True), record.data.decode())
        self.index += 1

    # --- the power goes ---

    def names_left(self, model, chance):
        names = self.names[model]
        left, pending = dict(names.safe), names.pending
        if model == "ext4":
            first = sum(step[5] < self.real_us - COMMIT_US for step in pending)
            pending = pending[:chance.choice((first, len(pending), chance.randint(first, len(pending))))]
        else:
            part = chance.choice((0.0, 0.5, 1.0))
            pending = [step for step in pending if chance.random() < part]
        for step in pending:
            apply_name(left, step)
        return left

    def content_left(self, node, style, model, chance):
        content = bytearray(node.content)
        pending = node.pending
        until = {"synced": 0, "prefix": chance.randint(0, len(pending))}.get(style, len(pending))
        part = chance.choice((0.1, 0.5, 0.9))
        for i, (_, at, data, time_us) in enumerate(pending):
            if time_us < self.real_us - WRITEBACK_US or style == "all" or i < until and style == "prefix":
                put(content, at, data)
            elif data is None:
                if i < until and chance.random() < 0.5:
                    put(content, at, data)
            elif style in ("pages", "sectors") or (i == until and style == "prefix"):
                unit = SECTOR if style == "sectors" or chance.random() < 0.5 else PAGE
                put_parts(content, at, data, unit, lambda: chance.random() < part)
        if model == "any" and len(content) < node.size and chance.random() < 0.4:
            missing = chance.choice((node.size, chance.randint(len(content), node.size))) - len(content)
            content.extend(chance.randbytes(missing) if chance.random() < 0.3 else bytes(missing))
        return content

    def cut(self, target, model, chance):
        """Make `target` what the disk holds. The style of each file, for the report."""
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target, mode=0o700)
        common = chance.choice(STYLES + (None, None, None))
        left, styles = self.names_left(model, chance), {}
        for path in sorted(left):
            parent = os.path.dirname(path)
            if parent and not (parent in left and os.path.isdir(os.path.join(target, parent))):
                continue
            node, place = left[path], os.path.join(target, path)
            if node.is_directory:
                os.mkdir(place, 0o700)
                continue
            styles[path] = common or chance.choice(STYLES)
            with open(place, "wb") as file:
                file.write(self.content_left(node, styles[path], model, chance))
            if path.endswith("-wal") and chance.random() < 0.5:
                with open(place[:-3] + "shm", "wb") as file: # what a mapping left behind is never trusted
                    file.write(chance.randbytes(32768))
        return styles

    def differences(self, directory):
        """Files that are not what the records make of them: somebody wrote past the recorder."""
        wrong, found = [], set()
        for path in pathlib.Path(directory).rglob("*"):
            name = str(path.relative_to(directory))
            if name.split("/")[0] in ("run", "logs") or name.endswith("-shm") or not path.is_file():
                continue
            found.add(name)
            node = self.now.get(name)
            if not node or node.whole() != path.read_bytes():
                wrong.append(name)
        return wrong + [name for name, node in self.now.items() if name and not node.is_directory and name not in found]


def put_parts(content, at, data, unit, is_there):
    """Parts of a write, cut where sectors end."""
    here = 0
    while here < len(data):
        end = min(len(data), (at + here) // unit * unit + unit - at)
        if is_there():
            put(content, at + here, data[here:end])
        here = end
