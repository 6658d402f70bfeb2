"""Expiring credentials: announced once at each stage, in log and status, without any part of the credential."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from extension import expiry
from extension.expiry import DAY_S, Announcer, endings, of_note, stage
from extension.plan import Account, Plan, Publisher
from extension.sinks import sas
from extension.store.database import StoreError
from extension.store.uploader_db import KEPT_MEMOS, UploaderStore
from extension.view import status

END = 1795252680.0
TOKEN = f"sv=2019-02-02&ss=t&srt=sco&sp=raul&se={sas.iso(END).replace(':', '%3A')}&sig=c2VjcmV0c2lnbmF0dXJl"
HUB = f"https://n.servicebus.windows.net/hub?sr=x&sig=c2VjcmV0&se={END:.0f}&skn=send"
PLAN = Plan(
    accounts=(Account("m", "acc", "sas", TOKEN), Account("k", "acc2", "key", "a2V5")),
    publishers=(Publisher("E", HUB),),
)


@pytest.mark.parametrize(
    ("days", "reached"), [(20, None), (14.01, None), (14, 14), (8, 14), (6.9, 7), (1, 1), (0.1, 1), (0, 0), (-5, 0)]
)
def test_stages(days: float, reached: int | None) -> None:
    assert stage(days * DAY_S) == reached


def test_keys_and_policies_do_not_end() -> None:
    assert [(e.what, e.at) for e in endings(PLAN)] == [
        ("the SAS of account m", END),
        ("the SAS of the Event Hub for E", END),
    ]
    policy = Account("p", "acc", "sas", "sv=2019-02-02&tn=T&si=policy&sig=x")
    assert endings(replace(PLAN, accounts=(policy,), publishers=())) == []
    odd = Account("p", "acc", "sas", "se=tomorrow&sig=x")
    assert endings(replace(PLAN, accounts=(odd,), publishers=(Publisher("E", "https://h/x?se=%00&sig=x"),))) == []


def test_each_stage_is_said_once_over_restarts(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    now = END - 20 * DAY_S
    plan = replace(PLAN, publishers=())
    while now < END + 2 * DAY_S:
        store = UploaderStore(str(tmp_path))  # a new process every six hours
        announcer = Announcer(plan, store, partial(float, now), lambda level, text: said.append((level, text)))
        announcer.look()
        assert not announcer.look()
        shown = status.gather(str(tmp_path), partial(float, now))["problems"]
        codes = [p["code"] for p in shown if p["code"].startswith("credential")]
        left = END - now
        assert codes == ([] if left > 14 * DAY_S else ["credential-expiring"] if left > 0 else ["credential-expired"])
        store.close()
        now += DAY_S / 4
    assert [level for level, _ in said] == ["warning", "warning", "warning", "error"]
    assert [text.partition(" in ")[2].partition(";")[0] for _, text in said[:3]] == ["14 d", "7 d", "1 d"]
    assert all("c2VjcmV0" not in text for _, text in said)


def test_many_blobs_do_not_make_it_be_said_again(tmp_path: Path) -> None:
    said: list[str] = []
    plan = replace(PLAN, publishers=())
    for _ in range(2):  # two processes
        store = UploaderStore(str(tmp_path))
        Announcer(plan, store, lambda: END - 6 * DAY_S, lambda _level, text: said.append(text)).look()
        for number in range(KEPT_MEMOS + 5):
            store.remember(f"jsonblob m:container/{number}", "1")
        store.close()
    assert len(said) == 1


def test_a_new_credential_ends_the_announcement(tmp_path: Path) -> None:
    store = UploaderStore(str(tmp_path))
    first = Announcer(PLAN, store, lambda: END - DAY_S, lambda *_: None)
    assert first.look()
    assert [level for level, _ in first.problems] == ["warning", "warning"]
    assert not any(", in " in text for _, text in first.problems)  # they stand there for days
    fresh = replace(PLAN, accounts=(Account("m", "acc", "sas", TOKEN.replace("2026", "2027")),), publishers=())
    second = Announcer(fresh, store, lambda: END - DAY_S, lambda *_: None)
    assert second.look()
    assert second.problems == []
    assert not any("credential" in p["code"] for p in status.gather(str(tmp_path), lambda: END)["problems"])


def test_a_running_uploader_notices_the_day() -> None:
    notes: dict[str, str] = {}

    class Memory:
        def recall(self, key: str) -> str | None:
            return notes.get(key)

        def remember(self, key: str, value: str) -> None:
            notes[key] = value

        note = remember

    now = [END - 14.5 * DAY_S]
    announcer = Announcer(PLAN, Memory(), lambda: now[0], lambda *_: None)
    looks = []
    for _ in range(16):
        looks.append(announcer.look())
        now[0] += DAY_S
    assert [i for i, changed in enumerate(looks) if changed] == [0, 1, 8, 14, 15]


@pytest.mark.parametrize("note", ["", "no json", "[1]", "{}", '[["x", "y"]]'])
def test_a_bad_note_is_none(note: str) -> None:
    assert of_note(note, 0.0) == []
    assert expiry.NOTE == "expiry"


def test_a_store_that_cannot_be_written_does_not_end_the_uploads() -> None:
    class Full:
        def recall(self, key: str) -> str | None:
            raise StoreError(key)

        def remember(self, key: str, value: str) -> None:
            raise StoreError(key)

        note = remember

    said: list[str] = []
    announcer = Announcer(PLAN, Full(), lambda: END - DAY_S, lambda _level, text: said.append(text))
    assert announcer.look()
    assert not announcer.look()
    assert len(said) == len(announcer.problems) == 2
