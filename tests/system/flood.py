# SPDX-License-Identifier: LGPL-2.1-or-later
"""A user who takes of the socket what she gets, or one who wants little: run as that user, with the name of what to do. Prints a line of JSON when it has
done its worst, and stays until it is killed.

  submits N        N jobs by SubmitMany, whatever becomes of them, and then some one by one
  payloads N       N jobs, each with a MiB of input
  flows N          documents of N jobs
  connections N    opens N connections
  halves N         N connections, each with a message that has begun
  events N         N connections that follow all events and read none
  answers N        N connections that ask for lists and read none
  dear N           N connections that ask for what takes long, and read it
  workers N        registers N workers of the queue w
  neighbour        submits a job and cancels it, over and over; a line for each"""

import json
import resource
import select
import socket
import sys

PATH = "/run/jobmill/org.jobmill"
JOB = {"argv": ["/bin/true", "x" * 500], "hold": True}


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(120)
    s.connect(PATH)
    return s


def message(method, more=False, **parameters):
    return json.dumps({"method": "org.jobmill." + method, "parameters": parameters, **({"more": True} if more else {})}).encode() + b"\0"


def read(s):
    data = b""
    while not data.endswith(b"\0"):
        part = s.recv(1 << 20)
        if not part:
            return None
        data += part
    return json.loads(data[:-1])


def call(s, method, **parameters):
    s.sendall(message(method, **parameters))
    return read(s)


def said(replies):
    counts = {}
    for r in replies:
        what = r["error"].rpartition(".")[2] if r and "error" in r else "closed" if r is None else "taken"
        counts[what] = counts.get(what, 0) + 1
    print(json.dumps(counts), flush=True)


def submits(n):
    s = connect()
    replies = [call(s, "SubmitMany", jobs=[JOB] * 1000) for _ in range(n // 1000)]
    s.sendall(message("Submit", job=JOB) * 1000)
    data = b""
    while data.count(b"\0") < 1000:
        data += s.recv(1 << 20)
    said(replies + [json.loads(t) for t in data.split(b"\0")[:1000]])


def payloads(n):
    s = connect()
    job = {**JOB, "payload": "x" * (1 << 20)}
    said([call(s, "Submit", job=job) for _ in range(n)])


def flows(n):
    s = connect()
    jobs = [{**JOB, "name": "j%d" % i, "after": ["j%d" % (i - k) for k in range(1, min(i, 9) + 1)]} for i in range(n)]
    said([call(s, "SubmitFlow", flow={"jobs": jobs}) for _ in range(5)])


def open_all(n, text=b""):
    made = []
    for _ in range(n):
        s = connect()
        try:
            s.sendall(text)
        except BrokenPipeError:  # it was refused
            pass
        made.append(s)
    return made


def refused_of(made):
    """All but those that one user may have."""
    waiting, l = set(made), []
    while len(waiting) > 256:
        found = select.select(waiting, [], [], 120)[0]
        if not found:
            break
        for s in found:
            try:
                l.append(read(s))
            except ConnectionResetError:
                l.append(None)
            waiting.remove(s)
    said(l)


def connections(n):
    made = open_all(n)
    refused_of(made)
    return made


def halves(n):
    made = open_all(n, b'{"method":"org.jobmill.Submit","parameters":{"job":{"argv":["' + b"x" * 100000)
    refused_of(made)
    return made


def events(n):
    made = open_all(n, message("Events", more=True, after=0))
    said([])
    return made


def answers(n):
    made = open_all(n, message("List", limit=1000) * 20)
    said([])
    return made


def dear(n):
    ask = (message("List", filter={"tags": {"no": "such"}}) + message("List", limit=1000) + message("Report", filter={}, group_by="owner")) * 20
    made = open_all(n, ask)
    print("{}", flush=True)
    while True:
        for s in select.select(made, [], [])[0]:
            if not s.recv(1 << 20):
                made.remove(s)
            elif select.select([], [s], [], 0)[1]:
                s.sendall(message("List", filter={"tags": {"no": "such"}}))


def workers(n):
    made = open_all(n, message("Register", more=True, protocol=1, queues=["w"], slots=1000, metadata={"a": "x" * 4000}))
    said([read(s) for s in made])
    return made


def neighbour():
    s = connect()
    while True:
        id_ = call(s, "Submit", job={**JOB, "argv": ["/bin/true"]})["parameters"]["id"]
        assert "error" not in call(s, "Cancel", id=id_)
        print(id_, flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    kept = globals()[sys.argv[1]](*map(int, sys.argv[2:]))
    while True:
        select.select([], [], [])
