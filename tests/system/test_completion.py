# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completion as it is installed: bash, zsh and fish find it by themselves, and complete what is typed. bash and zsh are typed
to at a terminal, as only there is a line editor; what was completed is seen by what the line is then made to print."""

import os
import pty
import select
import time

import pytest

from mill import SLOW, run, unit_properties, until


class Terminal:
    """A shell at a terminal, in a folder, as alice. type() is for one line, without its end: a tab completes."""

    def __init__(self, cwd, *argv, setup):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe("runuser", ["runuser", "-u", "alice", "--", *argv],
                       {"PATH": os.environ["PATH"], "HOME": str(cwd), "TERM": "dumb", "LANG": "C.UTF-8", "COLUMNS": "200"})
        self.out = ""
        for line in ("PS1='rea''dy> '", setup, "echo set''up"):
            self.write(line + "\n")
        self.until("setup\r\n")
        self.until("ready> ")

    def write(self, text):
        os.write(self.fd, text.encode())

    def until(self, text):
        deadline = time.monotonic() + 30 * SLOW
        while text not in self.out:
            assert time.monotonic() < deadline, "no %r in %r" % (text, self.out)
            if select.select([self.fd], [], [], 0.2)[0]:
                self.out += os.read(self.fd, 65536).decode(errors="replace")
        before, self.out = self.out.split(text, 1)
        return before

    def type(self, line):
        """(the words of the line, what was shown meanwhile)"""
        self.write(line)
        self.write("\x01printf '<%s>' \x05; echo '<E''ND>'\n")  # to the line's begin, its end
        shown = self.until("<END>")
        self.until("ready> ")
        typed, _, printed = shown.rpartition("<jobmill>")
        assert printed, shown
        return [w for w in printed.replace("\r\n", "").strip("<>").split("><") if w], typed

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


BASH = ["bash", "--norc", "-i"], ("bind 'set enable-bracketed-paste off'; bind 'set show-all-if-ambiguous on'; "
                                  "bind 'set bell-style none'; . /usr/share/bash-completion/bash_completion")
ZSH = ["zsh", "-f", "-i"], ("bindkey -e; unset zle_bracketed_paste; setopt no_beep no_auto_menu; unsetopt prompt_sp; "
                            "autoload -U compinit; compinit -D; LISTMAX=1000")


@pytest.fixture(scope="module")
def jobs(mill):
    """A job of alice that is held, one of bob."""
    mill.restart_daemon()  # nothing is activated below
    mine = mill.tool("submit", "--hold", "--name", "nightly", "--tag", "when=night", "true", user="alice", check=True).strip()
    other = mill.tool("submit", "--hold", "--name", "secret", "true", user="bob", check=True).strip()
    yield mine, other


@pytest.fixture
def home(folder):
    (folder / "order one.json").touch()
    (folder / "recipe.json").touch()
    (folder / "results").mkdir()
    (folder / "results/x").touch()
    return folder


@pytest.fixture(params=[BASH, ZSH], ids=["bash", "zsh"])
def terminal(request, home):
    argv, setup = request.param
    t = Terminal(home, *argv, setup=setup)
    t.name = argv[0]
    yield t
    t.close()


def test_terminal(terminal, jobs):
    mine, other = jobs

    def words(line):
        return terminal.type("jobmill " + line)[0]

    def asked(line, wanted):
        """The daemon, which is waited for a second at most: who types waits."""
        until(lambda: words(line) == wanted, 30, lambda: words(line))

    assert words("subm\t") == ["submit"]
    asked("queue pau\tdefa\t", ["queue", "pause", "default"])
    assert words("list --sta\thel\t") == ["list", "--state", "held"]
    assert words("list --state=held,ru\t") == ["list", "--state=held,running"]
    asked("list --tag when\t", ["list", "--tag", "when=night"])
    assert words("submit -p MemoryMa\t2G") == ["submit", "-p", "MemoryMax=2G"], "no space behind the ="
    assert words("queue set default Serv\tCPUWei\t9") == ["queue", "set", "default", "Service.CPUWeight=9"]
    assert words("submit --payload rec\t") == ["submit", "--payload", "recipe.json"]
    assert words("submit --payload=rec\t") == ["submit", "--payload=recipe.json"]
    assert words("submit -C r\t")[:2] == ["submit", "-C"]
    assert words("submit -C r\t")[2].rstrip("/") == "results"
    assert words("submit --payload order\t") == ["submit", "--payload", "order one.json"]
    # the command of submit is completed as if it stood alone
    assert words("submit --tag a=b -- systemd-ana\t") == ["submit", "--tag", "a=b", "--", "systemd-analyze"]
    assert words("submit -p MemoryMax=1G ls --inod\t") == ["submit", "-p", "MemoryMax=1G", "ls", "--inode"]
    assert words("submit -qdefault -- ls rec\t") == ["submit", "-qdefault", "--", "ls", "recipe.json"]
    # live ids: one's own
    assert words("show @la\t") == ["show", "@last"]
    assert words("release %s\t" % mine) == ["release", mine]
    shown = until(lambda: (lambda t: t if mine in t.split() else "")(terminal.type("jobmill release \t")[1]), 30, "it is offered")
    assert other not in shown.split()
    if terminal.name == "zsh":
        assert "held  nightly" in shown, shown


def fish(home, line):
    """[(candidate, description)]"""
    text = run("runuser", "-u", "alice", "--", "env", "HOME=%s" % home, "fish", "--private", "--command",
               "complete --do-complete '%s'" % line, cwd=home)
    return [tuple((l + "\t").split("\t")[:2]) for l in text.splitlines()]


def test_fish(home, jobs):
    mine, other = jobs

    def words(line):
        return [w for w, _ in fish(home, "jobmill " + line)]

    assert words("subm") == ["submit"]
    until(lambda: words("queue pause defa") == ["default"], 30, "the daemon answers in time")
    assert words("list --sta") == ["--state"]
    assert words("list --state=held,ru") == ["--state=held,running"]
    assert words("submit --payload=rec") == ["--payload=recipe.json"]
    assert words("submit --payload rec") == ["recipe.json"]
    assert words("submit -C r") == ["results/"]
    assert words("submit --tag a=b -- systemd-ana") == ["systemd-analyze"]
    assert "--inode" in words("submit -p MemoryMax=1G ls --inod")
    assert words("submit -qdefault -- ls rec") == ["recipe.json"]
    assert words("show @l") == ["@last"]
    until(lambda: ("%s" % mine, "held  nightly") in fish(home, "jobmill release "), 30, "it is offered")
    assert other not in words("release ")


def test_nothing_is_started(mill, jobs):
    """Completion asks a daemon that is there, and never starts one."""
    mine, _ = jobs
    until(lambda: mine in mill.tool("__complete", "--", "show", "", user="alice", check=True).split(), 30, "it is offered")
    run("systemctl", "stop", "jobmilld.service")
    try:
        assert mill.tool("__complete", "--", "show", "", user="alice", check=True) == "words\n"
        assert unit_properties("jobmilld.service", "ActiveState")["ActiveState"] == "inactive"
    finally:
        run("systemctl", "start", "jobmilld.service")


def test_no_question_of_ssh(home):
    """The terminal is not ssh's while somebody types."""
    (home / "ssh").write_text("#!/bin/sh\nif (: </dev/tty) 2>/dev/null; then echo terminal; else echo none; fi >>%s/said\n" % home)
    (home / "ssh").chmod(0o755)
    t = Terminal(home, *BASH[0], setup=BASH[1])
    try:
        t.write("PATH=%s:$PATH; jobmill __complete -- -H somehost show ''; echo wor''ked\n" % home)
        t.until("worked\r\n")
        t.until("ready> ")
        assert t.type("jobmill -H somehost show \t")[0] == ["-H", "somehost", "show"]
    finally:
        t.close()
    assert set((home / "said").read_text().split()) == {"none"}


def test_elsewhere(mill):
    """A host that cannot be reached, a machine that is not there: silence, and no password is asked for."""
    for option in ("-H", "nosuchhost.invalid"), ("-M", "nosuchmachine"):
        p = mill.tool("__complete", "--", *option, "show", "", user="alice", check=True)
        assert p == "words\n"
