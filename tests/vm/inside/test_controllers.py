# SPDX-License-Identifier: LGPL-2.1-or-later
"""All controllers of cgroup v2 bite, and what they count is what is recorded."""

MIB = 1 << 20
SECOND = 1_000_000
EAT = "import time; x = bytearray(%d << 20); x[::4096] = b'x' * len(x[::4096]); time.sleep(%g)"


def python(text):
    return ["/usr/bin/python3", "-c", text]


def test_memory_max(mill):
    info = mill.run(python(EAT % (200, 1)), properties=["MemoryMax=40M", "MemorySwapMax=0"], timeout=60)
    print("MemoryMax=40M, 200 MiB wanted: %s, peak %s" % (info["result"], info.get("memory_peak")))
    assert info["result"] == "oom-kill"
    assert info.get("memory_peak", 0) <= 41 * MIB


def test_memory_max_of_a_child(mill):
    """OOMPolicy=kill: the whole job is over when a part of it was killed."""
    info = mill.run("/usr/bin/python3 -c \"%s\"; echo survived; exec sleep 600" % (EAT % (200, 1)),
                    properties=["MemoryMax=40M", "MemorySwapMax=0"], timeout=60)
    assert info["result"] == "oom-kill"


def test_memory_peak(mill):
    info = mill.run(python(EAT % (60, 4)), timeout=60)
    assert info["result"] == "success"
    print("60 MiB held for 4 s: peak %.1f MiB%s"
          % (info["memory_peak"] / MIB, ", sampled" if info.get("memory_peak_sampled") else ""))
    assert 60 * MIB <= info["memory_peak"] < 200 * MIB


def test_tasks_max(mill):
    fork = ("import os, sys, time\n"
            "n = 0\n"
            "try:\n"
            "    while n < 50:\n"
            "        if os.fork() == 0:\n"
            "            time.sleep(60)\n"
            "        n += 1\n"
            "except BlockingIOError:\n"
            "    sys.exit(n)\n")
    info = mill.run(python(fork), properties=["TasksMax=8"], timeout=60)
    print("TasksMax=8: %s children" % info.get("exit_status"))
    assert info["result"] == "exit-code" and info["exit_status"] == 7


def test_cpu(mill):
    burn = "import time\nwhile time.process_time() < 2: pass"
    info = mill.run(python(burn), timeout=60)
    print("2 s of CPU burned: %.2f s recorded" % (info["cpu_usec"] / SECOND))
    assert info["cpu_usec"] >= 2 * SECOND
    info = mill.run(python(burn), properties=["CPUQuota=25%"], timeout=120)
    print("with CPUQuota=25%%: %.2f s in %.2f s" % (info["cpu_usec"] / SECOND, info["runtime_usec"] / SECOND))
    assert info["runtime_usec"] > 2 * info["cpu_usec"]


def test_io(mill):
    """systemd before 256 forgets what it was not asked for in time; so the jobs stay for a look."""
    file = "/var/tmp/io-test"
    info = mill.run("dd if=/dev/zero of=%s bs=1M count=16 oflag=direct; sleep 5" % file, timeout=60)
    print("16 MiB written: %s recorded" % info.get("io_write_bytes"))
    assert info["result"] == "success" and info["io_write_bytes"] >= 16 * MIB
    info = mill.run("dd if=%s of=/dev/null bs=1M iflag=direct; sleep 5; rm %s" % (file, file), timeout=60)
    print("16 MiB read: %s recorded" % info.get("io_read_bytes"))
    assert info["result"] == "success" and info["io_read_bytes"] >= 16 * MIB


def test_nothing_is_null(mill):
    """Even of a job that does nothing: what can be known is not null."""
    info = mill.run("sleep 2")
    for key in ("cpu_usec", "memory_peak", "io_read_bytes", "io_write_bytes"):
        assert info.get(key) is not None, key


def test_in_a_pool(mill):
    """The same of jobs that have no unit of their own."""
    mill.write_queue("pool", "Slots=4", "Executor=pool")
    eats = "/usr/bin/python3 -c \"%s\"; echo survived; exec sleep 600" % (EAT % (200, 1))
    info = mill.run(eats, "pool", properties=["MemoryMax=40M", "MemorySwapMax=0"], timeout=60)
    assert info["result"] == "oom-kill" and info["memory_peak"] <= 41 * MIB
    info = mill.run(python(EAT % (60, 0)), "pool", timeout=60)
    assert info["result"] == "success" and 60 * MIB <= info["memory_peak"] < 200 * MIB and info["tasks_peak"] in (1, None)
    info = mill.run("sh -c 'sleep 60 & sleep 60 & sleep 60 & sleep 60'; exit 3", "pool", properties=["TasksMax=4"], timeout=60)
    assert info["result"] == "exit-code" and info.get("tasks_peak") in (4, None)
    info = mill.run(python("import time\nwhile time.process_time() < 1: pass"), "pool", properties=["CPUQuota=25%"], timeout=120)
    assert info["cpu_usec"] >= SECOND and info["runtime_usec"] > 2 * info["cpu_usec"]
    info = mill.run("dd if=/dev/zero of=/var/tmp/io-pool bs=1M count=16 oflag=direct", "pool", timeout=60)
    assert info["result"] == "success" and info["io_write_bytes"] >= 16 * MIB and info["io_read_bytes"] is not None


def test_limits_of_the_queue(mill):
    """All jobs of a queue together: the slice."""
    mill.write_queue("small", "Slots=4", "AllowUsers=*", "[Slice]", "MemoryMax=60M", "MemorySwapMax=0")
    jobs = [mill.user("alice").submit(python(EAT % (45, 5)), "small") for _ in range(2)]
    results = sorted(mill.wait(j, 60)["result"] for j in jobs)
    print("two jobs of 45 MiB in a queue of 60 MiB:", results)
    assert "oom-kill" in results


def test_memory_grows_until_it_is_enough(mill):
    """After an oom-kill the next attempt has more; what the queue allows is the most."""
    mill.write_queue("bounded", "Slots=4", "AllowUsers=*", "[Service]", "MemoryMax=100M")
    more = {"properties": ["MemoryMax=40M", "MemorySwapMax=0"], "max_attempts": 3, "memory_growth": 2, "backoff_base_usec": 50_000}
    info = mill.run(python(EAT % (120, 0.5)), timeout=90, **more)
    attempts = mill.attempts(info["id"])
    print("120 MiB wanted, MemoryMax=40M, doubled: %s" % [(a["result"], a["memory_max"] // MIB) for a in attempts])
    assert [(a["result"], a["memory_max"] // MIB) for a in attempts] == [("oom-kill", 40), ("oom-kill", 80), ("success", 160)]
    job = mill.wait(mill.user("alice").submit(python(EAT % (120, 0.5)), "bounded", **more), 90)
    assert [(a["result"], a["memory_max"] // MIB) for a in mill.attempts(job["id"])] == [("oom-kill", 40), ("oom-kill", 80), ("oom-kill", 100)]
    assert job["dead"]
