# SPDX-License-Identifier: LGPL-2.1-or-later
"""Units with names of ours that no row knows: their numbers are not used, their slots are theirs, they are not ended."""

from conftest import end, spawn, until

TOKEN = "JOBMILL_ATTEMPT_ID=0123456789abcdef0123456789abcdef"


def start_stray(systemd, name, **more):
    systemd.do("start_stray", name=name, argv=["/bin/sleep", "60"], environment=[TOKEN, "JOBMILL_SLOTS=0"], **more)


def test_name_of_a_done_job(mill, systemd):
    """Only a unit with the token of the job is what the job left behind."""
    mill.start()
    id_ = mill.submit("true")
    assert mill.result(id_) == "success"
    until(lambda: not systemd.do("units"), 5, "its unit is released")
    mill.kill()
    start_stray(systemd, mill.unit(id_))
    mill.start()
    until(lambda: mill.stats()["strays"] == 1, 5, "it is counted")
    mill.bus.pump(0.2)
    assert systemd.do("units")[mill.unit(id_)]["sub"] == "running"
    assert mill.result(id_) == "success"


def test_number_is_not_used(mill, systemd):
    """As after an old copy was put back, in which the job had not run yet."""
    mill.start()
    id_ = mill.submit("exit 3", hold=True)
    mill.kill()
    start_stray(systemd, mill.unit(id_, 2))
    mill.start()
    until(lambda: mill.stats()["strays"] == 1, 5, "it is counted")
    mill.call("ReleaseJob", id_)
    result, outcome = mill.wait(id_)
    assert (result, outcome["attempt"]) == ("exit-code", 3)
    assert systemd.do("counts")["starts"] == {mill.unit(id_, 2): 1, mill.unit(id_, 3): 1}
    assert systemd.do("units")[mill.unit(id_, 2)]["sub"] == "running"


def test_id_is_not_used(mill, systemd):
    """Nor when the stray has gone, and nothing else was recorded in between."""
    mill.start()
    mill.settled()
    start_stray(systemd, mill.unit(900))
    mill.kill()
    mill.start()
    until(lambda: mill.stats()["strays"] == 1, 5, "it is counted")
    mill.kill()
    systemd.do("vanish", name=mill.unit(900))
    mill.start()
    assert mill.stats()["strays"] == 0
    assert mill.submit("true") == 901


def test_cannot_be_read(mill, systemd):
    """Whose slots it holds is not known, so nothing starts before it is."""
    mill.queue("default", Slots=1, AllowUsers="*")
    mill.start()
    id_ = mill.submit("true", hold=True)
    mill.kill()
    start_stray(systemd, mill.unit(900))
    systemd.fault("GetAll", "refuse", count=1, match="*jobmill_2djob_2d900*")
    mill.start()
    mill.call("ReleaseJob", id_)
    until(lambda: mill.stats()["dispatch"] == "", 10, "all is known")
    mill.bus.pump(0.2)
    assert mill.stats()["strays"] == 1
    assert mill.state(id_) == "ready" and mill.queue_properties("default")["SlotsUsed"] == 1


def test_scope(mill, systemd):
    """It says which slots are its own, too."""
    mill.queue("three", Slots=3, AllowUsers="*")
    mill.start()
    mill.settled()
    mill.kill()
    p = spawn(["/bin/sleep", "60"])
    systemd.do("start_stray", name="jobmill-job-900-1.scope", argv=[""], slice_="jobmill-three.slice", PIDs=[p.pid],
               Documentation=["man:other", "info:jobmill/0123456789abcdef0123456789abcdef/0,1"])
    mill.start()
    until(lambda: mill.stats()["strays"] == 1, 5, "it is counted")
    assert mill.queue_properties("three")["SlotsUsed"] == 2
    end(p)
    until(lambda: mill.queue_properties("three")["SlotsUsed"] == 0, 10, "it is gone")
