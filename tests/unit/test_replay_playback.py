"""The virtual clock: what is run when, between the first and the last time of a recording."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from extension.plan import Account, Derived, Plan, Publisher, Query, Target
from extension.playback import MAX_GROUP, US, VirtualClock, play
from extension.redirect import redirected
from omi_queries.recording import InputEvent


class Metronome:
    """A player whose query is due every ``rate`` seconds; ``stuck`` ones never have their next time."""

    def __init__(self, clock: VirtualClock, rate: int, stuck: bool = False) -> None:
        self.clock, self.rate, self.stuck = clock, rate, stuck
        self.due = 0
        self.ticks: list[float] = []
        self.settled: list[float] = []

    def start(self) -> None:
        self.due = math.floor(self.clock()) // self.rate * self.rate + self.rate

    def next_due(self) -> float:
        return self.due

    def tick(self) -> bool:
        self.ticks.append(self.clock())
        if not self.stuck:
            self.due = math.floor(self.clock()) // self.rate * self.rate + self.rate
        return False

    def settle(self) -> bool:
        self.settled.append(self.clock())
        return False


def _event(at: float) -> InputEvent:
    return InputEvent(round(at * US), "json", {"at": at})


def _run(first: float, last: float, rate: int, events: list[float], stuck: bool = False) -> tuple[Metronome, list[str]]:
    clock = VirtualClock(0.0)
    player = Metronome(clock, rate, stuck)
    seen: list[str] = []

    def feed(messages: list[InputEvent]) -> dict[str, int]:
        seen.extend(f"{m.at_us / US:g}@{clock():g}" for m in messages)
        return {"odd": sum(m.at_us // US % 2 for m in messages)}

    played = play(player, clock, round(first * US), round(last * US), map(_event, events), feed)
    assert played.messages == len(events)
    assert played.rejected.get("odd", 0) == sum(int(e) % 2 for e in events)
    assert played.ticks == len(player.ticks)
    return player, seen


def test_both_ends_are_sampled() -> None:
    player, _ = _run(90, 150, 15, [])
    assert player.ticks == [90, 105, 120, 135, 150]
    assert player.settled == [150]


def test_times_between_the_multiples_are_not_sampled() -> None:
    player, _ = _run(90.5, 134.9, 15, [])
    assert player.ticks == [105, 120]
    assert player.settled == [134.9]


def test_messages_come_at_their_times_and_after_a_tick_of_the_same_time() -> None:
    player, seen = _run(0, 40, 10, [0, 5, 7, 10, 33.25, 40])
    assert player.ticks == [0, 10, 20, 30, 40]
    # the clock is the newest message's of a group, which never reaches the next tick
    assert seen == ["0@7", "5@7", "7@7", "10@10", "33.25@33.25", "40@40"]


def test_a_long_group_is_fed_in_pieces() -> None:
    _, seen = _run(0, 10, 10, [1 + n / 1000 for n in range(MAX_GROUP + 3)])
    assert seen[0].endswith(f"@{1 + (MAX_GROUP - 1) / 1000:g}")
    assert seen[-1].endswith(f"@{1 + (MAX_GROUP + 2) / 1000:g}")


def test_a_player_that_is_never_done_does_not_stop_the_clock() -> None:
    player, _ = _run(0, 5, 1, [], stuck=True)
    assert player.ticks == sorted(set(player.ticks))
    assert player.settled == [5]


SAS = Account(
    "m", "acct", "sas", "sig=x", "https://acct.table.core.windows.net", True, "https://acct.blob.core.windows.net"
)
EMULATOR = "http://127.0.0.1:10002/devstoreaccount1"


def _plan() -> Plan:
    blobs = Query("root/scx", "SELECT A FROM B", 60, Target("jsonblob", "sink", "m"))
    rows = Query("root/scx", "SELECT A FROM B", 60, Target("table", "T", "m"))
    copied = Derived("T", 60, Target("jsonblob", "sink", "m"))
    return Plan(accounts=(SAS,), queries=(blobs, rows), derived=(copied,), publishers=(Publisher("x", "https://hub"),))


def test_a_file_takes_everything_but_event_hubs() -> None:
    plan, withheld = redirected(_plan(), "file:///tmp/x.db", "", {})
    assert plan.accounts == (replace(SAS, table_endpoint="file:///tmp/x.db", blob_endpoint="file:///tmp/x.db"),)
    assert len(plan.queries) == 2
    assert plan.publishers == ()
    assert withheld == ["rows for Event Hubs"]


def test_another_service_gets_tables_only_and_its_own_credential() -> None:
    plan, withheld = redirected(_plan(), EMULATOR, "", {})
    (account,) = plan.accounts
    assert (account.account, account.kind, account.table_endpoint) == ("devstoreaccount1", "key", EMULATOR)
    assert account.moniker == "m"
    assert account.blob_endpoint == ""
    assert [q.target.store for q in plan.queries] == ["table"]
    assert plan.derived == ()
    assert withheld == ["rows for Event Hubs", "JSON blobs"]


def test_an_address_without_an_account_keeps_the_documents_own() -> None:
    plan, _ = redirected(_plan(), "http://127.0.0.1:10002", "http://127.0.0.1:10000/acct/", {})
    (account,) = plan.accounts
    assert (account.account, account.secret) == ("acct", "sig=x")
    assert account.table_endpoint == "http://127.0.0.1:10002/acct"
    assert account.blob_endpoint == "http://127.0.0.1:10000/acct"
    assert len(plan.queries) == 2


def test_another_account_needs_a_credential() -> None:
    address = "https://other.table.core.windows.net"
    with pytest.raises(ValueError, match="no credential for account other"):
        redirected(_plan(), address, "", {})
    plan, _ = redirected(_plan(), address, "", {"AZURE_STORAGE_KEY": "a2V5"})
    assert (plan.accounts[0].account, plan.accounts[0].kind, plan.accounts[0].secret) == ("other", "key", "a2V5")


@pytest.mark.parametrize("address", ["ftp://x/y", "http://[", "file://relative.db", "https://a.b/c?sig=1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="table endpoint"):
        redirected(_plan(), address, "", {})
