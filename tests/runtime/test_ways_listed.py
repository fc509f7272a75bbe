"""tools/doctor.py lists which way of each network was measured as the quicker one."""
from jt_dfd import doctor
from jt_dfd.runtime import make_report_plan, ways


def test_the_doctor_lists_the_choices(machine, monkeypatch):
    monkeypatch.setattr(ways, "machine", lambda: "avx2, 2 thread(s), 0123")
    ways.keep("generator, demo", *([ways.Run(t, t, False)] * ways.RUNS for t in (0.002, 0.001)))
    line, = (line for line in doctor.words(make_report_plan("cpu").report()).splitlines() if "generator, demo" in line)
    assert "plain layers (2.0 ms channels last, 1.0 ms plain) [avx2, 2 thread(s), 0123]" in line
