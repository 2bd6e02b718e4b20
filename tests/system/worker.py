# SPDX-License-Identifier: LGPL-2.1-or-later
"""The worker of docs/workers.md, for the workload.

    worker.py SOCKET DOCS QUEUE"""

import os
import pathlib
import re
import signal
import sys

# work() is told by the words of the job: where to write that it was begun, and what to do.
WORK = '''
def work(job):
    proof, what = job["job"]["argv"]
    with open(proof, "a") as f:
        f.write("%d %d\\n" % (job["id"], job["attempt"]))
    if what == "leave":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            time.sleep(3600)
    if what in ("die", "leave"):
        os._exit(1)
    time.sleep({"slow": 0.4, "stubborn": 3600}.get(what, 0))
    return {"success": what != "no"}
'''

example = re.search(r"```python\n(.*?)```", pathlib.Path(sys.argv.pop(2)).read_text(), re.S)[1]
exec(re.sub(r"\ndef work\(job\):\n(    .*\n)+", lambda _: WORK, example, count=1), {"os": os, "signal": signal})
