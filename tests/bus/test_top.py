# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill top, in a real terminal (tmux): what it shows follows what happens, and keys act."""

import contextlib
import os
import shlex
import subprocess
import time

import pytest

from conftest import SLOW, until
from tool import argv_of, environment, tool

LINES = 24


class Screen:
    """The tool in a window of tmux, by itself on a server of its own."""

    def __init__(self, mill, *argv, columns=80, lines=LINES, env={}):
        self.socket = str(mill.folder / "tmux")
        self.mill = mill
        words = ["env", "-i", *("%s=%s" % kv for kv in environment(mill, TERM="screen", PATH=os.environ["PATH"], **env).items()),
                 *argv_of(["top", *argv])]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", lines, shlex.join(words) + "; echo status $?; exec sleep 1000")

    def tmux(self, *argv):
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        return subprocess.run(["tmux", "-u", "-S", self.socket, *map(str, argv)], env=env, check=True, stdout=subprocess.PIPE, text=True).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def lines(self):
        return [line.rstrip() for line in self.tmux("capture-pane", "-p").split("\n")[:-1]]

    def shows(self, what, not_=None):
        """Until a line has the words, in this order; that line."""
        words = what.split()

        def find():
            l = self.lines()
            found = [line for line in l if all(w in line for w in words)]
            return found[0] if found and not (not_ and any(not_ in line for line in l)) else None
        return until(find, 15 * SLOW, lambda: "%s is shown, and not %s, but:\n%s" % (what, not_, "\n".join(self.lines())))

    def end(self):
        """By its own key: LeakSanitizer does not bear that its terminal goes."""
        self.keys("Escape", "q")
        with contextlib.suppress(AssertionError):
            self.shows("status")
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stderr=subprocess.DEVNULL)


@pytest.fixture
def top(mill):
    """Starts one; the daemon runs with one job in each state."""
    mill.queue("gpu", Slots=1, AllowUsers="*")
    mill.queue("night", Slots=8, AllowUsers="*", Paused="yes")
    mill.start()
    mill.live = mill.submit("sleep 1000", queue="gpu", name="train")
    mill.reach(mill.live, "running")
    mill.next = mill.submit("true", queue="gpu", name="next-to-train")
    mill.held = mill.submit("true", queue="gpu", name="kept", hold=True)
    screens = []

    def start(*argv, **kwargs):
        screens.append(Screen(mill, *argv, **kwargs))
        return screens[-1]
    yield start
    for s in screens:
        s.end()


def test_follows(mill, top):
    s = top()
    s.shows("train gpu running")
    s.shows("next-to-train ready")
    l = s.lines()
    assert len(l) == LINES and all(len(line) <= 80 for line in l)
    assert l[0].startswith("●") and "1 running, 1 ready, 1 held" in l[0]
    assert [line[0] for line in l if " train " in line] == [">"]  # selected
    assert l[-1].startswith("s sort")
    new = mill.submit("sleep 1000", name="new")
    s.shows("%d new default running" % new)
    mill.call("CancelJob", new)
    s.shows("1 running", not_=" new ")
    mill.restart()
    again = mill.submit("true", hold=True, name="after-the-restart")
    s.shows("%d after-the-restart held" % again)


def test_keys_act(mill, top):
    s = top()
    s.shows("train running")
    s.keys("Down")
    s.shows("> next-to-train")
    s.keys("h")
    s.shows("next-to-train held")
    assert mill.state(mill.next) == "held"
    s.keys("h")
    s.shows("next-to-train ready")
    s.keys("c")
    assert "Cancel job %d, next-to-train? y or n" % mill.next in s.shows("Cancel job")
    s.keys("n")
    s.shows("s sort")
    assert mill.state(mill.next) == "ready"
    s.keys("c")
    s.shows("Cancel job")
    s.keys("y")
    s.shows("train", not_="next-to-train")
    assert mill.result(mill.next) == "cancelled"
    s.keys("p")  # the queue of the job that is selected now
    s.shows("gpu paused")
    s.keys("p")
    s.shows("gpu", not_="gpu paused")
    s.keys("Tab")
    s.shows("> gpu")
    s.keys("End")
    s.shows("> night")
    s.keys("p")
    until(lambda: not mill.queue_properties("night")["Paused"], 10, "it is resumed")
    s.keys("Tab", "g", "c", "y")  # who answers before he can have read it has not answered
    s.shows("Cancel job %d, train? y or n" % mill.live)
    s.keys("y")
    s.shows("kept", not_=" train ")
    s.keys("q")
    s.shows("status 0")


def test_search_sort_and_help(mill, top):
    burn = mill.submit("while :; do :; done", queue="default", name="burn")
    mill.reach(burn, "running")
    s = top()
    s.shows("burn running")
    s.keys("/", "T", "R", "A", "x", "BSpace", "Enter")
    s.shows("search: TRA")
    s.shows("next-to-train", not_="burn")
    s.keys("/", "x", "x", "x", "Enter")
    s.shows("No job matches.")
    s.keys("Escape")
    s.shows("burn")
    for order in "CPU time", "memory", "run time":
        s.keys("s")
        s.shows("by " + order)
    order = [line.split()[1 + line.startswith(">")] for line in s.lines() if " running" in line and "gpu" in line or "burn" in line]
    assert order == ["train", "burn"]
    s.keys("R")
    s.shows("by run time, least first")
    until(lambda: [line for line in s.lines() if "burn" in line or " train " in line][0].count("burn"), 10, "the newest first")
    s.keys("?")
    s.shows("cancel the job")
    s.keys("x")
    s.shows("burn", not_="cancel the job")


def test_many(mill, top):
    """Ten thousand, in small and large windows."""
    ids = mill.submit_many(["true"] * 10_000, queue="night")
    s = top()
    s.shows("10001 ready")
    s.keys("End")
    s.shows("> %d kept held" % mill.held)
    s.keys("PageUp", "PageUp", "/")
    s.keys(*str(ids[5000]), "Enter")
    s.shows("%d night" % ids[5000], not_=" %d " % ids[5001])
    s.keys("Escape", "g")
    s.shows("> train")
    for columns, lines in (40, 8), (200, 60), (80, 24):
        s.tmux("resize-window", "-x", columns, "-y", lines)

        def drawn():
            l = s.lines()  # between two looks the terminal may show the old lines in the new size
            return (len(l) == lines and "train" in "".join(l) and l[-1].startswith("s sort") and l[0].startswith("●") and
                    all(len(line) <= columns for line in l) and len([line for line in l if " ready" in line]) >= 2)
        until(drawn, 15, lambda: "\n".join(s.lines()))


def test_filter_and_columns(mill, top):
    s = top("-q", "gpu", "--state", "ready,held", "-o", "id,name,command")
    s.shows("ID NAME COMMAND")
    s.shows("next-to-train", not_="sleep 1000")


def test_daemon_is_away(mill, top):
    s = top()
    s.shows("train running")
    mill.kill()
    s.shows("jobmilld")  # and why
    s.shows("train running")
    mill.start()
    s.shows("s sort")


def test_no_terminal(mill):
    mill.start()
    p = tool(mill, "top", check=False)
    assert p.returncode == 1 and "top: it needs a terminal" in p.stderr
    p = tool(mill, "top", "--json=short", check=False)
    assert p.returncode == 1 and "no JSON" in p.stderr


def test_interrupted(mill, top):
    """The shell's screen is back, and its ways."""
    s = top()
    s.shows("train running")
    pid = int(s.tmux("display-message", "-p", "#{pane_pid}"))
    tool_pid = until(lambda: subprocess.run(["pgrep", "-P", str(pid), "jobmill"], stdout=subprocess.PIPE, text=True).stdout.strip(), 10)
    s.tmux("send-keys", "C-c")
    s.shows("status 0", not_="train")
    assert not os.path.exists("/proc/%s" % tool_pid)
