# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk with a volatile write cache, for power cuts: an NBD server for qemu. What is written stays in memory until the guest
flushes; a cut loses it, or leaves some sectors of it, as disks do. Killing qemu alone would lose only what is in the guest's
memory: a file of this machine keeps what was written and never flushed."""

import contextlib
import os
import random
import socket
import struct
import threading

SECTOR = 512
MAGIC, OPTION_MAGIC, REPLY_MAGIC = 0x4E42444D41474943, 0x49484156454F5054, 0x3E889045565A9
OPT_EXPORT_NAME, OPT_ABORT, OPT_GO = 1, 2, 7
REP_ACK, REP_INFO, REP_UNSUPPORTED = 1, 3, 0x80000001
CMD_READ, CMD_WRITE, CMD_DISCONNECT, CMD_FLUSH = 0, 1, 2, 3
FLAGS = 1 | 4  # has flags, takes FLUSH


class Disk:
    def __init__(self, file, path, seed=0):
        self.fd = os.open(file, os.O_RDWR)
        self.size = os.fstat(self.fd).st_size
        self.path = path
        self.random = random.Random(seed)
        self.cache = {}  # sector: bytes
        self.flushes = 0
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def drive(self):
        """For qemu's -drive."""
        return "format=raw,cache=none,file.driver=nbd,file.server.type=unix,file.server.path=%s" % self.path

    def close(self):
        self.listener.close()
        os.close(self.fd)

    def cut(self, keep):
        """The power is gone: of each sector in the cache it is chance whether it came to the disk. Returns how many were lost
        and kept. qemu is dead already."""
        with self.lock:
            kept = [s for s in self.cache if self.random.random() < keep]
            for s in kept:
                os.pwrite(self.fd, self.cache[s], s * SECTOR)
            lost = len(self.cache) - len(kept)
            self.cache.clear()
        return lost, len(kept)

    # -- the protocol --

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError):
                if self._greet(connection):
                    self._answer(connection)

    @staticmethod
    def _receive(c, n):
        data = b""
        while len(data) < n:
            part = c.recv(n - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def _greet(self, c):
        c.sendall(struct.pack(">QQH", MAGIC, OPTION_MAGIC, 3))
        self._receive(c, 4)
        while True:
            _, option, length = struct.unpack(">QII", self._receive(c, 16))
            self._receive(c, length)

            def reply(kind, data=b""):
                c.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)

            if option == OPT_EXPORT_NAME:
                c.sendall(struct.pack(">QH", self.size, FLAGS))
                return True
            if option == OPT_GO:
                reply(REP_INFO, struct.pack(">HQH", 0, self.size, FLAGS))
                reply(REP_ACK)
                return True
            reply(REP_ACK if option == OPT_ABORT else REP_UNSUPPORTED)
            if option == OPT_ABORT:
                return False

    def _answer(self, c):
        while True:
            _, _, command, cookie, offset, length = struct.unpack(">IHHQQI", self._receive(c, 28))
            data = b""
            if command == CMD_WRITE:
                written = self._receive(c, length)
            elif command == CMD_DISCONNECT:
                return
            with self.lock:
                if command == CMD_READ:
                    data = self._read(offset, length)
                elif command == CMD_WRITE:
                    for i in range(0, length, SECTOR):
                        self.cache[(offset + i) // SECTOR] = written[i:i + SECTOR]
                elif command == CMD_FLUSH:
                    self._flush()
            c.sendall(struct.pack(">IIQ", 0x67446698, 0, cookie) + data)

    def _read(self, offset, length):
        data = os.pread(self.fd, length, offset)
        first, n = offset // SECTOR, length // SECTOR
        hit = [s for s in range(first, first + n) if s in self.cache] if self.cache else ()
        if hit:
            data = bytearray(data)
            for s in hit:
                data[(s - first) * SECTOR:(s - first + 1) * SECTOR] = self.cache[s]
        return bytes(data)

    def _flush(self):
        for s, data in self.cache.items():
            os.pwrite(self.fd, data, s * SECTOR)
        self.cache.clear()
        self.flushes += 1
