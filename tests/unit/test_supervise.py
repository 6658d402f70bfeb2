"""What the watchdog decides about a component, without processes."""

from __future__ import annotations

from extension.supervise import BACKOFF_MAX_S, Backoff, Component


def _component() -> Component:
    return Component("collector", "extension.collector", 64 << 10, 0.25, lambda: 0.5)


def test_backoff_doubles_to_its_cap_for_ever_and_starts_over() -> None:
    backoff = Backoff(lambda: 0.5)
    assert [backoff.delay() for _ in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    backoff.reset()
    assert backoff.delay() == 1


def test_jitter_spreads_by_a_fifth_either_way() -> None:
    assert Backoff(lambda: 0.0).delay() == 0.8
    assert abs(Backoff(lambda: 0.999999).delay() - 1.2) < 1e-3
    assert BACKOFF_MAX_S == 300


def test_only_real_progress_resets_the_backoff() -> None:
    component = _component()
    for i in range(4):
        component.started(100 + i, float(i))
        component.progressed("idle", float(i))
        component.ended("ended", float(i))
    component.started(200, 10.0)
    component.progressed("idle", 10.0)
    assert component.ended("ended", 10.0) == 16
    component.started(201, 20.0)
    component.progressed("sample", 20.0)
    assert component.ended("ended", 20.0) == 1


def test_a_hang_is_missing_progress() -> None:
    component = _component()
    assert not component.hung(1e9)  # nothing runs
    component.started(1, 0.0)
    component.deadline = 45.0
    assert not component.hung(45.0)
    assert component.hung(45.1)
    component.progressed("sample", 45.0)
    assert not component.hung(90.0)


def test_a_shorter_deadline_counts_from_when_it_is_promised() -> None:
    component = _component()
    component.started(1, 0.0)
    component.promised(60.0, 0.1)
    assert not component.hung(50.0)
    component.promised(3.0, 50.0)  # reading the configuration took longer than a sample may
    assert not component.hung(53.0)
    assert component.hung(53.1)
    assert component.state == "starting"


def test_health_and_messages() -> None:
    component = _component()
    component.started(1, 0.0)
    assert not component.healthy
    component.progressed("sample", 1.0)
    component.reported("ok", "7 queries")
    assert component.healthy
    component.reported("warning", "x")
    assert component.healthy
    component.reported("error", "table refuses")
    assert not component.healthy
    component.ended("was ended by SIGKILL", 2.0)
    assert component.state == "backoff"
    assert "SIGKILL" in component.message
    assert "table refuses" in component.message
    assert component.restarts == 1


def test_memory_counts_at_once_cpu_only_when_it_lasts() -> None:
    component = _component()
    component.started(1, 0.0)
    assert "70 MiB" in component.over_limits(70 << 10, 0, 60.0, 100)
    assert component.over_limits(10 << 10, 0, 60.0, 100) == ""
    hot = [component.over_limits(10 << 10, 60 * 100 * i // 2, 60.0, 100) for i in range(1, 4)]
    assert hot[:2] == ["", ""]
    assert "50%" in hot[2]
    component.started(2, 0.0)
    for i, used in enumerate([0, 3000, 3001, 6000, 9000]):
        assert component.over_limits(10 << 10, used, 60.0, 100) == "", i
