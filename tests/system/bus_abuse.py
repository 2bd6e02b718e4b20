# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that takes from the system bus what it gets: run as an unprivileged user, with the name of what to do. It speaks D-Bus by
hand, because libraries read what they are sent. Prints a line when it has done its worst, and stays until it is killed.

  connections    opens all connections that it is given
  unread N       calls with large answers, on N connections, none of which is read
  calls          calls that want no answer, as fast as the bus takes them
  large          calls as large as the bus takes them, whose caller has to be asked about
  signals        signals to nobody in particular, and to jobmilld
  lists N        calls that take long, on N connections, whose answers are read
  held N         calls that wait, as many as the bus allows on N connections
  vanish         calls whose caller is gone before the answer, over and over"""

import os
import select
import socket
import struct
import sys
import time

BUS = "/run/dbus/system_bus_socket"
NAME, PATH, MANAGER = "org.jobmill1", "/org/jobmill1", "org.jobmill1.Manager"


def string(s):
    return struct.pack("<I", len(s)) + s.encode() + b"\0"


def pad(data, to):
    return data + b"\0" * (-len(data) % to)


def message(serial, member, signature="", body=b"", kind=1, flags=0, to=NAME, path=PATH, interface=MANAGER):
    fields = b""
    for code, type_, value in ((1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", to), (8, "g", signature)):
        if value:
            text = bytes([len(value)]) + value.encode() + b"\0" if type_ == "g" else None
            fields = pad(fields, 8) + bytes([code, 1]) + type_.encode() + b"\0"
            fields = fields + text if text else pad(fields, 4) + string(value)
    return pad(struct.pack("<4BII", ord("l"), kind, flags, 1, len(body), serial) + struct.pack("<I", len(fields)) + fields, 8) + body


class Connection:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(BUS)
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        if not self.socket.recv(1000).startswith(b"OK"):
            raise OSError("refused")
        self.socket.sendall(b"BEGIN\r\n")
        self.serial = 0
        self.send("Hello", to="org.freedesktop.DBus", path="/org/freedesktop/DBus", interface="org.freedesktop.DBus")
        if not self.socket.recv(1):
            raise OSError("refused")

    def send(self, member, *args, **kwargs):
        self.serial += 1
        self.socket.sendall(message(self.serial, member, *args, **kwargs))

    def try_to_send(self, member, *args, **kwargs):
        """False: the bus takes nothing for a while."""
        self.socket.settimeout(2)
        try:
            self.send(member, *args, **kwargs)
            return True
        except socket.timeout:
            return False


LIST = ("a{sv}su", struct.pack("<II", 0, 0) + pad(string(""), 4) + struct.pack("<I", 0))


def connections():
    made = []
    while True:
        try:
            made.append(Connection())
        except OSError:
            return made


def unread(n):
    made = [Connection() for _ in range(n)]
    sent = 0
    for _ in range(120):  # no more than the bus lets be unanswered at a time on each
        for c in made:
            c.send("ListJobs", *LIST)
            sent += 1
    for _ in range(int(sys.argv[3])):
        time.sleep(0.5)
        for c in made:
            for _ in range(100):
                if not c.try_to_send("ListJobs", *LIST):
                    break
                sent += 1
    print("sent", sent, flush=True)
    return made


def calls():
    c = [Connection() for _ in range(20)]
    print("at it", flush=True)
    while True:
        for x in c:
            for _ in range(50):
                x.send("GetStatistics", flags=1)


def large():
    c = Connection()
    argv = string("/bin/true")
    argv = struct.pack("<I", len(argv)) + argv
    key = string("payload") + bytes([2]) + b"ay\0"
    blob = b"x" * (16 << 20)
    body = pad(string(""), 4) + argv
    entry = pad(key, 4) + struct.pack("<I", len(blob)) + blob
    body = pad(body, 4) + struct.pack("<I", len(entry))
    body = pad(body, 8) + entry
    print("at it", flush=True)
    n = 0
    while True:
        n += 1
        c.send("Submit", "sasa{sv}", body, flags=1)


def signals():
    c = Connection()
    print("at it", flush=True)
    while True:
        for _ in range(50):
            c.send("PropertiesChanged", "s", string("org.freedesktop.systemd1.Unit"), kind=4, to="",
                   path="/org/freedesktop/systemd1/unit/jobmill_2djob_2d1_2d1_2eservice", interface="org.freedesktop.DBus.Properties")
            c.send("Reloading", "b", struct.pack("<I", 0), kind=4, to=NAME, path="/org/freedesktop/systemd1",
                   interface="org.freedesktop.systemd1.Manager")


def held(n):
    made = [Connection() for _ in range(n)]
    for c in made:
        for _ in range(128):
            c.send("WaitJob", "tt", struct.pack("<QQ", int(sys.argv[3]), 2**64 - 1))
    print("held", n * 128, flush=True)
    return made


def lists(n):
    made = [Connection() for _ in range(n)]
    for _ in range(100):
        for c in made:
            c.send("ListJobs", *LIST)
    print("sent", n * 100, flush=True)
    while True:
        for s in select.select([c.socket for c in made], [], [])[0]:
            s.recv(1 << 20)


def vanish():
    print("at it", flush=True)
    while True:
        c = Connection()
        for _ in range(20):
            c.send("ListJobs", *LIST)
            c.send("WaitJob", "tt", struct.pack("<QQ", int(sys.argv[2]), 2**64 - 1))
        c.socket.close()


if __name__ == "__main__":
    what = {"connections": connections, "calls": calls, "large": large, "signals": signals, "vanish": vanish}.get(sys.argv[1])
    kept = what() if what else {"unread": unread, "held": held, "lists": lists}[sys.argv[1]](int(sys.argv[2]))
    if sys.argv[1] == "connections":
        print("opened", len(kept), flush=True)
    while True:
        time.sleep(1000)
