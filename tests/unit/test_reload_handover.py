"""Old components go when their successors are ready, or at the latest after a while; copies of configurations."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from extension import accepted
from extension.descriptor import Descriptor
from extension.handover import READY_S, STOP_S, Handover
from extension.supervise import Component


def _component(name: str, pid: int) -> Component:
    made = Component(name, f"extension.{name}", 1, 1.0, lambda: 0.0)
    made.pid = pid
    return made


class Signals:
    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []

    def __call__(self, component: Component, number: int) -> None:
        self.sent.append((component.name, number))


def test_an_old_component_works_until_its_successor_is_ready() -> None:
    sent = Signals()
    handover = Handover(sent)
    old = [_component("collector", 10), _component("uploader", 11), _component("omi_service", 0)]
    handover.begin(old, 100.0)
    assert [c.name for c in handover.components] == ["collector", "uploader"]  # the third does not run
    handover.act(100.0)
    assert sent.sent == []
    assert handover.next() == 100.0 + READY_S
    handover.ready("collector", 101.0)
    handover.act(101.0)
    assert sent.sent == [("collector", signal.SIGTERM), ("collector", signal.SIGCONT)]
    assert handover.gone(old[0])
    assert not handover.gone(old[0])
    assert handover


def test_one_that_does_not_go_is_killed() -> None:
    sent = Signals()
    handover = Handover(sent)
    handover.begin([_component("uploader", 11)], 0.0)
    handover.act(READY_S)
    assert sent.sent[0] == ("uploader", signal.SIGTERM)
    handover.ready("uploader", READY_S + 1)  # too late to matter
    handover.act(READY_S + STOP_S - 0.1)
    assert len(sent.sent) == 2
    handover.act(READY_S + STOP_S)
    assert sent.sent[-1] == ("uploader", signal.SIGKILL)


def test_one_without_a_successor_goes_at_once() -> None:
    sent = Signals()
    handover = Handover(sent)
    handover.begin([_component("collector", 10), _component("omi_service", 12)], 5.0)
    handover.unwanted(["collector", "uploader"], 5.0)
    handover.act(5.0)
    assert {name for name, _ in sent.sent} == {"omi_service"}


def test_nothing_is_due_without_a_handover() -> None:
    handover = Handover(Signals())
    assert not handover
    assert handover.next() == float("inf")


def _descriptor(folder: Path) -> Descriptor:
    (folder / "home").mkdir(exist_ok=True)
    config, options = folder / "home" / "xmlCfg.xml", folder / "home" / "options.json"
    value = {"home": str(folder), "config": str(config), "options": str(options), "state_dir": str(folder / "state")}
    return Descriptor(dict(value), str(folder / "daemon.json"))


def test_a_copy_is_usable_for_its_own_files_only(tmp_path: Path) -> None:
    where = _descriptor(tmp_path)
    Path(where.config).write_text("<a/>")
    (tmp_path / "state").mkdir()
    assert not accepted.usable(where)
    before = accepted.stamp(where)
    accepted.keep(where)
    assert accepted.usable(where)
    Path(where.config).write_text("<broken")
    assert accepted.stamp(where) != before
    other = _descriptor(tmp_path)
    other.config = str(tmp_path / "other.xml")
    assert not accepted.usable(other)
    accepted.redirect(where)
    assert Path(where.config).read_text() == "<a/>"
    assert json.loads(Path(where.options).read_text()) == {}
    assert Path(where.config).stat().st_mode & 0o777 == 0o600


def test_a_damaged_copy_is_not_usable(tmp_path: Path) -> None:
    where = _descriptor(tmp_path)
    folder = tmp_path / "state" / "accepted"
    folder.mkdir(parents=True)
    (folder / "source.json").write_text("{")
    assert not accepted.usable(where)
