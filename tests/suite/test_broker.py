"""The broker's process as an enemy meets it: its socket, spoken to byte by byte, beside honest actors."""

import ctypes
import os
import random
import resource
import socket
import struct
import subprocess
import unittest

from system import BIN, ROOT, Process, Workspace, free_port, wait_for

VERBS = [line.split("(")[1].split(",")[0] for line in (ROOT / "broker" / "verbs.tbl").read_text().splitlines()
         if line.startswith("VERB ")]


class Peer:
    """A DEALER of ZMTP 3.0 and of docs/wire.md, with nothing in between."""

    def __init__(self, path, name=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.heard = b""
        self.socket.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        self.take(64)
        self.socket.sendall(b"\x04\x1c\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER")
        self.frame()
        if name:
            self.say("HELLO", name, b"1", count=1, number=random.getrandbits(63) + 1)
            self.until("WELCOME")

    def __del__(self):
        self.socket.close()

    def take(self, size):
        while len(self.heard) < size:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.heard += data
        taken, self.heard = self.heard[:size], self.heard[size:]
        return taken

    def frame(self):
        flags = self.take(1)[0]
        size = struct.unpack(">Q", self.take(8))[0] if flags & 2 else self.take(1)[0]
        return flags, self.take(size)

    def until(self, verb):
        """The next letter of this verb: its number, its count, its parts."""
        while True:
            frames, flags = [], 1
            while flags & 1:
                flags, data = self.frame()
                frames.append(data)
            said, _, _, count, number, _, _ = struct.unpack("<BBHIQQQ", frames[0][:32])
            if VERBS[said] == verb:
                return number, count, frames[1:]

    @staticmethod
    def frames(*parts):
        sizes = [bytes([len(part)]) if len(part) < 256 else struct.pack(">Q", len(part)) for part in parts]
        return b"".join(bytes([(i + 1 < len(parts)) | (len(size) > 1) * 2]) + size + part
                        for i, (size, part) in enumerate(zip(sizes, parts)))

    @staticmethod
    def header(verb, flags=0, topic=0, count=0, number=0, size=0, extra=0):
        return struct.pack("<BBHIQQQ", verb, flags, topic, count, number, size, extra)

    def say(self, verb, *parts, **fields):
        self.socket.sendall(self.frames(self.header(VERBS.index(verb), **fields), *parts))

    def ask(self, service):
        self.say("ASK", service, b"\x80", number=1, extra=2000)
        _, verdict, parts = self.until("ANSWERED")
        return verdict, parts


class Broker(unittest.TestCase):
    def setUp(self):
        self.place = Workspace()
        self.data = self.place.__enter__().path
        self.addCleanup(self.place.__exit__, None, None, None)
        self.socket = self.data / "broker.ipc"

    def start(self, name="broker", data=None, limit=None, **settings):
        environment = {"HA_INGESTOR_DATA": str(data or self.data), **settings}
        command = [str(BIN / name)]
        if limit:
            command = ["prlimit", f"--nofile={limit}:", *command]
        process = Process(command, self.data / f"{name}.log", {**environment, "PATH": os.environ["PATH"]})
        self.addCleanup(process.stop)
        if name == "broker":
            wait_for(lambda: Peer(self.socket), 20, "the broker to listen")
        return process

    def test_more_connections_than_descriptors_were_given_do_not_kill_it(self):
        broker = self.start(limit=256)
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        enemies = []
        for _ in range(500):
            enemies.append(socket.socket(socket.AF_UNIX))
            wait_for(lambda: enemies[-1].connect(str(self.socket)) is None, 10, "a connection")
        wait_for(lambda: len(os.listdir(f"/proc/{broker.child.pid}/fd")) > 500, 10, "the broker to take them")
        self.assertEqual(Peer(self.socket, b"late").ask(b"broker.ping"), (0, [b"", b"\x80"]))
        for enemy in enemies:
            enemy.close()

    def test_rubbish_loses_nothing_of_others(self):
        broker = self.start()
        dice = random.Random(5)
        publisher, sink = Peer(self.socket, b"publisher"), Peer(self.socket, b"sink")
        sink.say("LISTENS", b"t", b"sink", count=100, size=1 << 20)
        publisher.say("PUBLISHES", b"t", b"sink")
        for number in range(1, 61):
            enemy = Peer(self.socket, dice.choice([None, b"enemy", b"other"]))
            enemy.socket.sendall(b"".join(self.rubbish(dice) for _ in range(100)))
            publisher.say("PUBLISH", b"%d" % number, count=1, number=number)
            delivery, _, parts = sink.until("DELIVER")
            while parts != [b"%d" % number]:  # what the enemy had to say of the topic, in the name of another
                sink.say("ACK", number=delivery)
                delivery, _, parts = sink.until("DELIVER")
            sink.say("ACK", number=delivery)
            enemy.socket.close()
        acked = 0
        while acked < 60:
            acked += publisher.until("ACKED")[1] or 1
        self.assertIsNone(broker.child.poll())

    @staticmethod
    def rubbish(dice):
        header = Peer.header(dice.randrange(len(VERBS) + 3), dice.randrange(4), dice.choice([0, 1, 1023, 1024, 65535]),
                             dice.choice([0, 1, 3, 128, 2**32 - 1]), dice.choice([0, 1, 2, 2**64 - 1]),
                             dice.choice([0, 1, 100, 2**64 - 1]), dice.choice([0, 1, 2**64 - 1]))
        if dice.random() < 0.1:
            header = dice.randbytes(dice.randrange(80))
        words = [b"", b"t", b"nobody", b"service", dice.randbytes(dice.randrange(300))]
        return Peer.frames(header, *(dice.choice(words) for _ in range(dice.choice([0, 1, 2, 2, 3, 5]))))

    def test_the_longest_names_are_listed_among_the_queues(self):
        self.start()
        peer = Peer(self.socket, b"n" * 64)
        peer.say("LISTENS", b"s" * 128, b"", flags=2, count=1, size=1)
        verdict, (_, rows) = peer.ask(b"broker.queues")
        self.assertEqual(verdict, 0)
        self.assertIn(b"s" * 128, rows)

    def test_a_second_broker_of_the_data_is_refused_whatever_it_is_called(self):
        self.start()
        second = self.start("query", HA_INGESTOR_INSTANCE="2")
        done = subprocess.run([str(BIN / "broker")], env={"HA_INGESTOR_DATA": str(self.data), "HA_INGESTOR_INSTANCE": "2"},
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 111, done.stderr)
        wait_for(lambda: Peer(self.socket, b"asker").ask(b"query.ping")[0] == 0, 10, "the actor to answer as before")
        self.assertIsNone(second.child.poll())

    def test_keys_let_in_whom_the_broker_knows_and_a_new_one_at_once(self):
        (server, secret), friend, late = keys(), keys(), keys()
        clients = self.data / "clients"
        clients.mkdir()
        (clients / "friend").write_text(f'curve\n    public-key = "{friend[0]}"\n')
        (self.data / "secret").write_text(secret + "\n")
        address = f"tcp://127.0.0.1:{free_port()}"
        self.start(BROKER_LISTEN=address, BROKER_PUBLIC_KEY=server, BROKER_SECRET_KEY_FILE=str(self.data / "secret"),
                   BROKER_CLIENTS=str(clients))
        for name, pair in (("query", friend), ("enrich", late)):
            self.start(name, self.data / "remote", HA_INGESTOR_BROKER=address, HA_INGESTOR_BROKER_KEY=server,
                       HA_INGESTOR_PUBLIC_KEY=pair[0], HA_INGESTOR_SECRET_KEY=pair[1])
        answers = lambda service: Peer(self.socket, b"asker").ask(service)[0]
        wait_for(lambda: answers(b"query.ping") == 0, 10, "the friend to be let in")
        wait_for(lambda: late[0] in (self.data / "broker.log").read_text(), 10, "the log to tell whose key is unknown")
        self.assertEqual(answers(b"enrich.ping"), 1001)
        (clients / "late").write_text(f'curve\n    public-key = "{late[0]}"\n')
        wait_for(lambda: answers(b"enrich.ping") == 0, 20, "the new one to be let in")
        self.assertNotIn(secret, (self.data / "broker.log").read_text())


def keys():
    """A public and a secret key of CURVE, Z85."""
    pair = ctypes.create_string_buffer(41), ctypes.create_string_buffer(41)
    assert ctypes.CDLL("libzmq.so.5").zmq_curve_keypair(*pair) == 0
    return tuple(key.value.decode() for key in pair)


if __name__ == "__main__":
    unittest.main(verbosity=2)
