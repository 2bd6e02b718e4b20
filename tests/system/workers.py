# SPDX-License-Identifier: LGPL-2.1-or-later
"""The workers of the workload: that of docs/workers.md, and one of alice's who is given what ends badly. Whoever goes is there again.

    workers.py SOCKET DOCS"""

import ctypes
import os
import pathlib
import pwd
import re
import signal
import sys
import time

# work() is told by the words of the job: where to write that it was begun, and what to do.
WORK = '''
def work(job):
    proof, what = job["job"]["argv"]
    with open(proof, "a") as f:
        f.write("%d %d\\n" % (job["id"], job["attempt"]))
    if what == "die":
        os._exit(1)
    time.sleep({"slow": 0.4, "stubborn": 3600}.get(what, 0))
    return {"success": what != "no"}
'''
KINDS = [("crash-worker", "root"), ("crash-worker-rough", "alice")]


def begin(text, path, queue, user):
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG; not beyond a change of uid
    u = pwd.getpwnam(user)
    if u.pw_uid != os.geteuid():
        os.initgroups(user, u.pw_gid)
        os.setgid(u.pw_gid)
        os.setuid(u.pw_uid)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    sys.argv[1:] = path, queue
    exec(text, {"os": os, "__name__": "__main__"})


def main():
    path, docs = sys.argv[1:]
    example = re.search(r"```python\n(.*?)```", pathlib.Path(docs).read_text(), re.S)[1]
    text = compile(re.sub(r"\ndef work\(job\):\n(    .*\n)+", lambda _: WORK, example, count=1), docs, "exec")
    running = {begin(text, path, *kind): kind for kind in KINDS}
    while True:
        kind = running.pop(os.wait()[0])
        time.sleep(0.05)
        running[begin(text, path, *kind)] = kind


main()
