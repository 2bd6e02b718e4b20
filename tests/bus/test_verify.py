# SPDX-License-Identifier: LGPL-2.1-or-later
"""jobmill verify: all that is wrong with configuration files, told with file and line, without a daemon, as anybody."""

import os
import pathlib
import subprocess

import pytest

from conftest import AS_ROOT, DAEMON

TOOL = DAEMON.parent / "jobmill"


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


class Tree:
    def __init__(self, path):
        self.path = path
        self.directories = [path / d for d in ("etc", "run", "usr")]

    def put(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def verify(self, *files, options=(), prefix=(), cwd="/", **env):
        """(exit status, lines of standard error)."""
        env = {"PATH": os.environ["PATH"], "JOBMILL_DAEMON": str(DAEMON), "JOBMILL_CONFIG_PATH": ":".join(map(str, self.directories)),
               "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), **env}
        p = subprocess.run([*prefix, TOOL, *options, "verify", *map(str, files)], env=env, cwd=cwd, text=True, capture_output=True,
                           timeout=60, stdin=subprocess.DEVNULL)
        assert p.stdout == ""
        assert "Sanitizer" not in p.stderr and "runtime error" not in p.stderr, p.stderr
        return p.returncode, [line.replace(str(self.path), "") for line in p.stderr.splitlines()]


def test_nothing_is_wrong(tree):
    assert tree.verify() == (0, [])
    tree.put("usr/queues/default.queue", "[Queue]\nSlots=100%\nAllowUsers=*\n")
    tree.put("etc/jobmill.conf", "[Daemon]\nStorage=volatile\n")
    assert tree.verify() == (0, [])


def test_all_that_is_wrong(tree):
    tree.put("etc/jobmill.conf", "[Daemon]\nStorage=ram\nListPageMax=3\nNope=1\n[Other]\nX=1\n")
    tree.put("run/jobmill.conf.d/50.conf", "X=1\nnonsense\n")
    tree.put("usr/queues/a.queue", "[Queue]\nSlots=0\nAllowUsers=*\n[Service]\nMemoryMax=much\nExecStart=/bin/sh\n")
    tree.put("etc/queues/a.queue.d/10.conf", "[Queue]\nTimeoutSec=soon\n[Slice]\nNice=1\n")
    tree.put("etc/queues/B.queue", "[Queue]\nSlots=none\n")
    code, lines = tree.verify()
    assert code == 1
    heads = [":".join(line.split(":")[:2]) for line in lines]
    assert heads == ["/etc/jobmill.conf:2", "/etc/jobmill.conf:3", "/etc/jobmill.conf:4", "/etc/jobmill.conf:6",
                     "/run/jobmill.conf.d/50.conf:1", "/run/jobmill.conf.d/50.conf:2",
                     "/etc/queues/B.queue: not the name of a queue ([a-z0-9_]+ joined by '-', at most 64)", "/etc/queues/B.queue:2",
                     "/usr/queues/a.queue:2", "/usr/queues/a.queue:5", "/usr/queues/a.queue:6",
                     "/etc/queues/a.queue.d/10.conf:2", "/etc/queues/a.queue.d/10.conf:4"], lines
    assert lines[0] == "/etc/jobmill.conf:2: [Daemon] Storage=: 'ram' is not allowed (persistent or volatile)"
    assert lines[2] == "/etc/jobmill.conf:4: [Daemon] Nope=: unknown key"


def test_job_types(tree):
    tree.put("usr/jobs/fine.job", "[Job]\nCommand=true\n")
    tree.put("usr/jobs/later.job", "[Job]\nCommand=no-such-program\n")
    tree.put("usr/jobs/bad.job", "[Job]\nCommand=./here\nAccept=nonsense\nPayloadRequired=a:text\nStdin=x\n[Service]\nExecStart=x\n[Queue]\nSlots=1\n")
    tree.put("etc/jobs/bad.job.d/1.conf", "[Job]\nUMask=9\n")
    tree.put("usr/jobs/lent.job", "[Job]\nCommand=true\n[Service]\nUser=daemon\n")
    tree.put("usr/jobs/Bad.job", "[Job]\nCommand=true\n")
    code, lines = tree.verify()
    assert code == 1
    assert [line.split(": ")[0] for line in lines] == ["/usr/jobs/Bad.job", *("/usr/jobs/bad.job:%d" % n for n in (2, 3, 4, 5, 7, 9)),
                                                       "/etc/jobs/bad.job.d/1.conf:2", "/usr/jobs/later.job", "/usr/jobs/lent.job"], lines
    assert lines[1] == "/usr/jobs/bad.job:2: [Job] Command=: './here' is not allowed (an absolute path or a program's name, and arguments)"
    assert lines[-2].startswith("/usr/jobs/later.job: note: command no-such-program is not in ") and "AllowUsers=" in lines[-1]
    assert [tree.verify(tree.path / f)[0] for f in ("usr/jobs/fine.job", "etc/jobs/bad.job.d/1.conf")] == [0, 1]


def test_hidden_and_masked_files_do_not_count(tree):
    tree.put("usr/queues/a.queue", "nonsense\n")
    tree.put("etc/queues/a.queue", "[Queue]\nAllowUsers=*\n")
    tree.put("usr/queues/b.queue", "nonsense\n")
    (tree.path / "etc/queues/b.queue").symlink_to("/dev/null")
    tree.put("usr/queues/c.queue.d/1.conf", "nonsense\n")
    tree.put("etc/queues/c.queue.d/1.conf", "")
    assert tree.verify() == (0, [])


def test_notes(tree):
    """Allowed, but perhaps not meant: no fault."""
    tree.put("etc/queues/closed.queue", "[Queue]\nSlots=1\n")
    tree.put("etc/queues/closed-a.queue", "[Queue]\nSlots=4\nAllowGroups=video\n")
    tree.put("etc/queues/open.queue", "[Queue]\nAllowUsers=*\nOnFailure=mail@.service\n")
    tree.put("etc/queues/told.queue", "[Queue]\nAllowUsers=*\nCallbackURL=https://ci.example/\n")
    tree.put("etc/queues/open.queue.d/10.con", "")
    tree.put("etc/queues/gpu.que", "")
    (tree.path / "etc/queues/lost.queue").symlink_to("/nowhere/at/all")
    code, lines = tree.verify()
    assert code == 0
    assert sorted(lines) == [
        "/etc/queues/closed.queue: note: no AllowUsers= and no AllowGroups=: only root and queue managers may submit",
        "/etc/queues/gpu.que: note: not read, its name does not end in .queue",
        "/etc/queues/lost.queue: note: a link that leads nowhere, not read",
        "/etc/queues/open.queue.d/10.con: note: not read, its name does not end in .conf",
        "queues/closed-a.queue: note: Slots=4, but queue closed above it has 1",
        "queues/open.queue: note: OnFailure= has no effect, as there is no queue triggers",
        "queues/told.queue: note: CallbackURL= has no effect, as there is no queue callbacks",
    ]
    tree.put("etc/queues/callbacks.queue", "[Queue]\nExecutor=worker\n")
    tree.put("etc/queues/triggers.queue", "[Queue]\n")
    assert not [l for l in tree.verify()[1] if "no effect" in l]


def test_single_files_wherever_they_are(tree):
    elsewhere = tree.path / "elsewhere"
    queue = tree.put("elsewhere/gpu.queue", "[Queue]\nSlots=x\n")
    conf = tree.put("elsewhere/jobmill.conf", "[Daemon]\nx=1\n")
    drop_in = tree.put("elsewhere/gpu.queue.d/1.conf", "[Queue]\n\nSlots=x\n")
    other = tree.put("elsewhere/jobmill.conf.d/1.conf", "[Queue]\nSlots=1\n")
    assert tree.verify(queue, conf, drop_in, other)[1] == [
        "/elsewhere/gpu.queue:2: [Queue] Slots=: 'x' is not allowed (1…65536, or a percentage of the CPUs)",
        "/elsewhere/jobmill.conf:2: [Daemon] x=: unknown key",
        "/elsewhere/gpu.queue.d/1.conf:3: [Queue] Slots=: 'x' is not allowed (1…65536, or a percentage of the CPUs)",
        "/elsewhere/jobmill.conf.d/1.conf:2: [Queue]: unknown section"]
    # By a relative name, from inside its folder.
    code, (line,) = tree.verify("1.conf", cwd=drop_in.parent)
    assert code == 1 and line.startswith("1.conf:3: [Queue] Slots=")
    queue.write_text("[Queue]\nSlots=1\nAllowUsers=*\n")
    assert tree.verify(queue) == (0, [])
    for bad, said in (tree.put("elsewhere/notes.txt", "x"), "not a name that is read"), \
                     (elsewhere / "none.queue", "No such file or directory"), \
                     (elsewhere / "no/such/folder/x.queue", "No such file or directory"), \
                     (tree.put("elsewhere/a--b.queue", "[Queue]\nAllowUsers=*\n"), "not the name of a queue"):
        code, (line,) = tree.verify(bad)
        assert code == 1 and said in line, line
    assert tree.verify(tree.put("elsewhere/--user.queue", ""))[1][0].endswith("joined by '-', at most 64)")


def test_what_is_no_text(tree):
    tree.put("etc/queues/a.queue", b"[Queue]\nSlots=\xff\nAllowUsers=x\x1b[31m\n")
    tree.put("etc/queues/b.queue", b"[Queue]\nSlots=1\0\n")
    os.mkfifo(tree.path / "etc/queues/c.queue")
    (tree.path / "etc/queues/d.queue").mkdir()
    (tree.path / "etc/queues/e.queue").symlink_to("e.queue")
    code, lines = tree.verify()
    assert code == 1 and len(lines) == 6, lines
    assert "a.queue:2: Line is not valid UTF-8." in lines[0] and "a.queue:3: [Queue] AllowUsers=: 'x?[31m'" in lines[1]
    assert "NUL" in lines[2] and "c.queue: Not a regular file." in lines[3] and "d.queue: Is a directory." in lines[4]
    assert "queues/e.queue: Too many levels" in lines[5]


def test_what_may_not_be_read_is_told(tree):
    path = tree.put("etc/queues/a.queue", "[Queue]\nAllowUsers=*\n")
    path.chmod(0)
    (tree.path / "run/queues").mkdir(parents=True)
    (tree.path / "run/queues").chmod(0)
    plain = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if AS_ROOT else []
    try:
        code, lines = tree.verify(prefix=plain)
        assert code == 1 and "/run/queues: Permission denied" in lines
        (tree.path / "run/queues").chmod(0o755)
        assert tree.verify(prefix=plain) == (1, ["/etc/queues/a.queue: Permission denied."])
    finally:
        (tree.path / "run/queues").chmod(0o755)


def test_of_the_user(tree):
    """--user: the user's own directories."""
    tree.put("home/.config/jobmill/queues/a.queue", "[Queue]\nSlots=x\n")
    tree.put("rt/jobmill/jobmill.conf", "[Daemon]\nX=1\n")
    env = {"HOME": str(tree.path / "home"), "XDG_RUNTIME_DIR": str(tree.path / "rt")}
    env = {"PATH": os.environ["PATH"], "JOBMILL_DAEMON": str(DAEMON), **env}
    p = subprocess.run([TOOL, "--user", "verify"], env=env, text=True, capture_output=True, timeout=60)
    assert p.returncode == 1
    assert [line.replace(str(tree.path), "").split(": ")[0] for line in p.stderr.splitlines()
            if "/usr/lib" not in line] == ["/rt/jobmill/jobmill.conf:2", "/home/.config/jobmill/queues/a.queue:2"]


def test_not_elsewhere(tree):
    code, lines = tree.verify(options=["-H", "example.org"])
    assert code == 1 and "this machine" in lines[0]
    code, lines = tree.verify(JOBMILL_DAEMON="/nowhere/jobmilld")
    assert code == 1 and "/nowhere/jobmilld: No such file or directory" in lines[0]


def test_shipped_files(tree):
    units = pathlib.Path(__file__).resolve().parents[2] / "units"
    assert tree.verify(units / "jobmill.conf", units / "default.queue") == (0, [])


def test_calendars(tree):
    """Only systemd knows what one is: its tool is asked."""
    text = "[Job]\nCommand=/bin/true\n[Schedule]\nOnCalendar=Mon *-*-* 03:00 UTC\n"
    tree.put("usr/jobs/good.job", text)
    tree.put("usr/jobs/bad.job", text + "OnCalendar=*-*-* 25:00\nOnCalendar=--help\n")
    assert tree.verify() == (1, ["/usr/jobs/bad.job: [Schedule] OnCalendar=: '%s' is not allowed (see systemd-analyze calendar)" % c for c in ("*-*-* 25:00", "--help")])
    assert tree.verify(PATH="/nowhere") == (0, ["/usr/jobs/%s.job: note: OnCalendar= was not looked at: systemd-analyze: No such file or directory" % n
                                                for n in ("bad", "good")])
