# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where standard output and standard error go: output_file and error_file, opened by jobmill-exec as the owner."""

import os
import pathlib
import pwd
import stat
import threading

import pytest

from mill import PYTHON, expect, journal, run, systemctl, unit_properties, until
from test_inputs import DUMP, ODD, seen

BOTH = "echo out; echo err >&2"


def lines(mill, id_):
    """What the job's unit wrote to the journal."""
    return [e["MESSAGE"] for e in journal("_SYSTEMD_UNIT=" + mill.unit(id_))]


@pytest.mark.parametrize("user", ["root", "alice"])
def test_streams_and_owner(mill, folder, user):
    caller = mill if user == "root" else mill.user(user)
    id_ = caller.submit(BOTH, cwd=str(folder), output_file="out.%j", error_file="%%/err", umask=0o027)
    assert mill.wait(id_)["result"] == "exec"  # there is no folder "%"
    (folder / "%").mkdir(mode=0o777)
    (folder / "%").chmod(0o777)
    id_ = caller.submit(BOTH, cwd=str(folder), output_file="out.%j", error_file="%%/err", umask=0o027)
    assert mill.wait(id_)["result"] == "success"
    out, err = folder / ("out.%d" % id_), folder / "%/err"
    assert (out.read_text(), err.read_text()) == ("out\n", "err\n")
    for f in (out, err):
        s = f.stat()
        assert (s.st_uid, stat.S_IMODE(s.st_mode)) == (pwd.getpwnam(user).pw_uid, 0o640)
    assert not {"out", "err"} & set(lines(mill, id_))


def test_one_of_them(mill, folder):
    id_ = mill.submit(BOTH, output_file=str(folder / "f"))
    assert mill.wait(id_)["result"] == "success"
    assert (folder / "f").read_text() == "out\n"
    until(lambda: "err" in lines(mill, id_), 20)
    id_ = mill.submit(BOTH, error_file=str(folder / "g"))
    assert mill.wait(id_)["result"] == "success"
    assert (folder / "g").read_text() == "err\n"
    until(lambda: "out" in lines(mill, id_), 20)


@pytest.mark.parametrize("second", ["f", "./f", "symbolic", "hard"])
def test_one_file_for_both(mill, folder, second):
    f = folder / "f"
    f.write_text("old\n")
    f.chmod(0o666)
    (folder / "symbolic").symlink_to("f")
    os.link(f, folder / "hard")
    j = mill.run("for i in 1 2 3; do echo o$i; echo e$i >&2; done; "
                 "test $(stat -Lc %i /proc/$$/fd/1) = $(stat -Lc %i /proc/$$/fd/2)",
                 cwd=str(folder), output_file="f", error_file=second)
    assert j["result"] == "success"
    assert f.read_text() == "o1\ne1\no2\ne2\no3\ne3\n"


def test_attempts_append(mill, folder):
    f = folder / "f"
    f.write_text("of an earlier job\n")
    f.chmod(0o666)
    id_ = mill.user("alice").submit("echo $JOBMILL_ATTEMPT; exit 1", output_file=str(f))
    mill.wait(id_)
    assert f.read_text() == "1\n"
    mill.call("RetryJob", id_, {})
    mill.wait(id_)
    assert f.read_text() == "1\n2\n"


@pytest.mark.parametrize("key, status", [("output_file", 209), ("error_file", 222)])
@pytest.mark.parametrize("path, why", [
    ("/var/tmp/no/such/folder", "No such file or directory"), ("/var/tmp", "Is a directory"),
    ("/etc/jobmill-test-of-alice", "Permission denied"), ("/etc/shadow", "Permission denied"), ("/root/x", "Permission denied"),
])
def test_cannot_open(mill, key, status, path, why):
    before = os.stat("/etc/shadow")
    id_ = mill.user("alice").submit("true", **{key: path})
    j = mill.wait(id_)
    assert (j["result"], j["exit_status"]) == ("exec", status)
    assert j["reason"] == "cannot open %s '%s': %s" % (key, path, why)
    until(lambda: "jobmill-exec: " + j["reason"] in lines(mill, id_), 20)
    assert not os.path.exists("/etc/jobmill-test-of-alice")
    assert os.stat("/etc/shadow").st_mtime == before.st_mtime
    assert mill.tool("wait", id_).returncode == 127


def test_symbolic_links_are_the_owners(mill, folder):
    """Followed, with the owner's rights and no more."""
    target = folder / "target"
    target.write_text("x")
    os.chown(target, pwd.getpwnam("bob").pw_uid, -1)
    target.chmod(0o600)
    link = folder / "link"
    link.symlink_to(target)
    os.chown(link, pwd.getpwnam("alice").pw_uid, -1, follow_symlinks=False)
    assert mill.wait(mill.user("alice").submit("echo alice", output_file=str(link)))["result"] == "exec"
    assert target.read_text() == "x"
    assert mill.wait(mill.user("bob").submit("echo bob", output_file=str(target)))["result"] == "success"
    assert target.read_text() == "bob\n"


def test_as_another_user_is_polkits_matter(mill, folder):
    expect("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", mill.user("alice").submit, "true",
           uid=pwd.getpwnam("bob").pw_uid, output_file=str(folder / "f"))
    mill.run("echo x", uid=pwd.getpwnam("bob").pw_uid, output_file=str(folder / "f"))
    assert (folder / "f").stat().st_uid == pwd.getpwnam("bob").pw_uid


def test_status_of_the_command_is_its_own(mill, folder):
    for status in (203, 209, 222, 1):
        j = mill.run("sleep 0.2; exit %d" % status, output_file=str(folder / "f"))
        assert (j["result"], j["exit_status"]) == ("exit-code", status)
    j = mill.run("sleep 0.2; systemd-notify 'STATUS=nearly done'; exit 209", output_file=str(folder / "f"))
    assert j["result"] == "exit-code"


def test_what_cannot_be_executed(mill, folder):
    f = str(folder / "f")
    (folder / "script").write_text("echo no shebang\n")
    (folder / "script").chmod(0o755)
    (folder / "text").write_text("x")
    for argv, why in ((["no-such-command"], "No such file"), ([str(folder / "script")], "Exec format error"),
                      (["./script"], "Exec format error"), (["./text"], "Permission denied"), (["/"], "Permission denied"),
                      ([str(folder)], "Permission denied"), (["./nothing"], "No such file")):
        j = mill.run(argv, cwd=str(folder), output_file=f)
        assert (j["result"], j["exit_status"]) == ("exec", 203), argv
        assert j["reason"].startswith("cannot execute '%s': %s" % (argv[0], why))
        # And without the helper just so, in systemd's words.
        assert mill.run(argv, cwd=str(folder))["result"] == "exec", argv


def test_search_is_the_same(mill, folder):
    """PATH look-up with a file as without: first match, absolute directories only, argv[0] as it was typed."""
    for name, mode in (("a", 0o755), ("b", 0o755), ("c", 0o644)):
        (folder / name).mkdir()
        tool = folder / name / "the-tool"
        tool.write_text("#!/bin/sh\necho %s $0 >>%s\n" % (name, folder / "ran"))
        tool.chmod(mode)
    for path in ("%(f)s/c:%(f)s/a:%(f)s/b:/usr/bin", "a:%(f)s/b:/usr/bin", "%(f)s/a/../c:%(f)s/b:%(f)s/a"):
        environment = ["PATH=" + path % {"f": folder}]
        for spec in ({}, {"output_file": "/dev/null"}):
            assert mill.run(["the-tool"], cwd=str(folder), environment=environment, **spec)["result"] == "success"
    ran = (folder / "ran").read_text().splitlines()
    assert ran[::2] == ran[1::2] and [line[0] for line in ran] == list("aabbbb")
    # No absolute directory: the usual ones. No environment at all: the same.
    for spec in ({"environment": ["PATH=a:."]}, {}):
        assert mill.run(["the-tool"], cwd=str(folder / "a"), output_file="/dev/null", **spec)["result"] == "exec"
        j = mill.run(["sh", "-c", "echo $0 >%s/argv0; /bin/cat /proc/$$/cmdline >>%s/argv0" % (folder, folder)], output_file="/dev/null", **spec)
        assert j["result"] == "success"
        assert (folder / "argv0").read_text().startswith("sh\nsh\0-c\0")


@pytest.mark.parametrize("spec", [{}, {"output_file": "o"}, {"output_file": "o", "error_file": "e"}], ids=["plain", "out", "both"])
def test_words(mill, folder, spec):
    more = ["$X", "$$", "${X}", "%n%n", "\\", "\\x41\\", "'", '"', "a\nb", "\t", "", ";", "-o", "--output=x", "--append", "--", "{}"]
    words = ODD + more
    assert seen(mill, mill, folder, words, cwd=str(folder), **spec)["argv"] == words
    one = ["w" * (128 * 1024 - 1)]
    assert seen(mill, mill, folder, one, cwd=str(folder), **spec)["argv"] == one
    # One mebibyte in all, to the byte, with python, its program and the file.
    many = ["%07d" % i for i in range(65_000)] + ["v" * 100_000] * 4
    left = 1024 * 1024 - sum(len(w) + 1 for w in [PYTHON, "-c", DUMP, str(folder / "out.json"), *many])
    many.append("u" * (left - 1))
    assert seen(mill, mill, folder, many, cwd=str(folder), **spec)["argv"] == many
    expect("InvalidSpec", mill.submit, [PYTHON, "-c", DUMP, str(folder / "out.json"), *many, ""], cwd=str(folder), **spec)


@pytest.mark.parametrize("name", ["-x", "@x", "+x", "!x", ":x", "!!x", "|x", "$x", "%n", "a b", "x;", "\\x", '"x"', "-", "--"])
@pytest.mark.parametrize("spec", [{}, {"output_file": "o"}], ids=["plain", "out"])
def test_odd_commands(mill, folder, name, spec):
    """What systemd gives a meaning to at the beginning of ExecStart=."""
    (folder / "bin").mkdir()
    tool = folder / "bin" / name
    tool.write_text('#!/bin/sh\nprintf %%s "$#$1" >%s/ran\n' % folder)
    tool.chmod(0o755)
    environment = ["PATH=%s/bin:/usr/bin:/bin" % folder]
    for command in (name, "bin/" + name, str(tool)):
        j = mill.run([command, "$HOME"], cwd=str(folder), environment=environment, **spec)
        assert j["result"] == "success", j
        assert (folder / "ran").read_text() == "1$HOME"
        (folder / "ran").unlink()


def test_fifo(mill, folder):
    """As in a shell: it waits for a reader, and can be cancelled meanwhile."""
    fifo = folder / "fifo"
    os.mkfifo(fifo, 0o666)
    fifo.chmod(0o666)
    id_ = mill.user("alice").submit(BOTH, output_file=str(fifo), error_file=str(fifo))
    mill.reach(id_, "running")
    mill.call("CancelJob", id_)
    assert mill.wait(id_)["result"] == "cancelled"
    id_ = mill.user("alice").submit(BOTH, output_file=str(fifo), error_file=str(fifo))
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
    reader.start()
    assert mill.wait(id_)["result"] == "success"
    reader.join(10)
    assert got == ["out\nerr\n"]


def test_in_a_sandbox(mill, folder):
    strict = ["ProtectSystem=strict", "NoNewPrivileges=yes", "PrivateTmp=yes", "ProtectHome=yes"]
    alice = mill.user("alice")
    j = mill.wait(alice.submit("echo x", output_file="/usr/x", properties=strict))
    assert j["result"] == "exec" and "Read-only file system" in j["reason"]
    j = mill.wait(alice.submit("echo x; cat /tmp/private", output_file="/tmp/private", properties=strict))
    assert j["result"] in ("success", "exit-code")  # cat: input file is output file
    assert not os.path.exists("/tmp/private")
    j = mill.run("echo x", output_file=str(folder / "f"), properties=["ReadOnlyPaths=" + str(folder)])
    assert j["result"] == "exec"
    j = mill.wait(alice.submit("echo x", output_file=str(folder / "f"), properties=["LimitFSIZE=0"]))
    assert j["result"] in ("exit-code", "signal")


def test_looks_sensible(mill, folder):
    id_ = mill.submit(["sleep", "1000"], output_file=str(folder / "f"))
    mill.reach(id_, "running")
    until(lambda: pathlib.Path("/proc/%d/comm" % mill.main_pid(id_)).read_text() == "sleep\n", 20)
    text = systemctl("status", "--no-pager", "--full", mill.unit(id_))
    assert "(sleep)" in text and "sleep 1000" in text
    assert "jobmill-exec --output=%s/f -- sleep 1000" % folder in unit_properties(mill.unit(id_), "ExecStart")["ExecStart"]
    mill.call("CancelJob", id_)
    mill.wait(id_)


def test_helper_by_hand():
    for argv in ([], ["--"], ["--x", "--", "true"]):
        p = run("/usr/libexec/jobmill/jobmill-exec", *argv, check=False)
        assert p.returncode == 1 and p.stderr.startswith("jobmill-exec: ")
    assert run("/usr/libexec/jobmill/jobmill-exec", "--", "echo", "--", "x") == "-- x\n"


def test_refused(mill):
    for spec, words in (({"output_file": "%x"}, "output_file"), ({"error_file": ""}, "error_file"),
                        ({"output_file": "a\nb"}, "output_file"), ({"error_file": "x" * 4096}, "error_file")):
        assert words in expect("InvalidSpec", mill.submit, "true", **spec)
