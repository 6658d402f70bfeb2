"""The parts that benchmarks measure with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import peers, processes
from bench.upload import BARE, OURS, SDK, SECRET, _judge, draining_sink, make_rows
from extension.plan import Account
from extension.sinks import open_sink


def test_a_peer_that_is_not_there_is_named_with_what_installs_it() -> None:
    with pytest.raises(peers.MissingError, match=r"no-such-exporter is not installed .*apt-get install .*some-package"):
        peers._find("no-such-exporter", package="some-package")


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_the_draining_sink_answers_for_as_many_rows_as_came(rows: int) -> None:
    with draining_sink(0) as port:
        sink = open_sink(Account("m", "acct", "key", SECRET, f"http://127.0.0.1:{port}/acct"))
        sink.send("Bench", make_rows(0)[:rows])
        sink.close()


def test_a_tree_is_its_root_and_what_it_started() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as child:
        end = time.monotonic() + 30
        while len(processes.tree(child.pid)) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        found = processes.tree(child.pid)
        assert found[0] == child.pid
        assert child.pid not in found[1:]
        child.communicate(b"\n")


def test_cpu_is_counted_with_children_that_have_ended() -> None:
    before_own, before = processes.own_cpu_ns(os.getpid()), processes.cpu_ns(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(6_000_000))"], check=True)
    own = processes.own_cpu_ns(os.getpid()) - before_own
    assert own > 0
    assert processes.cpu_ns(os.getpid()) - before > own + 20_000_000


def test_memory_of_a_process_alone_lies_between_private_and_resident() -> None:
    held = processes.memory([os.getpid()])
    assert 0 < held.private <= held.pss <= held.rss
    assert held.private <= held.alone <= held.rss * 1.001
    twice = processes.memory([os.getpid(), os.getpid()])
    assert twice.rss > held.rss * 1.9


def test_collectds_configuration_names_its_folder_only(tmp_path: Path) -> None:
    text = peers._collectd_conf(str(tmp_path), "/usr/lib/collectd", 15.0, 4242)
    assert 'Server "127.0.0.1" "4242"' in text
    assert "Interval 15\n" in text
    assert all(f"LoadPlugin {name}\n" in text for name in (*peers.PLUGINS, "network"))


@pytest.mark.parametrize(
    ("ours", "bare", "sdk", "fine"),
    [
        (25, 12.6, 319, True),
        (50, 25.2, 638, True),  # a machine that is half as fast
        (26, 12.6, 319, False),
        (25, 12, 330, False),
        (25, 13, 300, False),
    ],
)
def test_an_upload_is_judged_by_what_the_others_take(ours: float, bare: float, sdk: float, fine: bool) -> None:
    assert _judge({OURS: ours, BARE: bare, SDK: sdk}) is fine
