# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client in a process of its own, for calls as another user. Reads [method, argument…] as JSON lines, answers
{"result": …} or {"error": name, "message": …}. Usage: remote.py ADDRESS, started with the uid of the user."""

import json
import sys

import client


def main(timeout=30):
    c = client.Client(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        member, *args = json.loads(line)
        try:
            if member == "get_all":
                answer = {"result": c.get_all(*args)}
            elif member == "SubmitMany":
                answer = {"result": c.call(member, [client.options(a) for a in args[0]])}
            elif member == "start":  # so many calls that are not waited for; the errors that came at once
                n, *call = args
                waiting = [c.start(*call) for _ in range(n)]
                c.call("GetStatistics")
                answer = {"result": [[p.error.name, p.error.message] for p in waiting if p.error]}
            else:
                answer = {"result": c.call(member, *args, timeout=timeout)}
        except client.BusError as e:
            answer = {"error": e.name, "message": e.message}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
