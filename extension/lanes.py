"""The lanes of a plan: one per service that it writes to."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from extension.circuit import Circuit, host
from extension.lane import Lane
from extension.pipeline import places
from extension.plan import Account, Derived, Plan, Publisher, Query, Route
from extension.sinks import Sink, SinkError, open_sink
from extension.sinks.opening import open_blob_sink
from extension.store.uploader_db import UploaderStore

ASK_S = 300.0
"""So often it is looked for rows of accounts that are gone; each time while there are some, and as long as the
collector of the plan before may still be at work (:mod:`extension.handover`)."""
HANDOVER_S = 120.0


def lanes(
    plan: Plan,
    store: UploaderStore,
    *,
    spread_s: float,
    publish: Callable[[], None],
    progress: Callable[[], None],
    log: Callable[[str, str], None],
    clock: Callable[[], float] = time.time,
    cpu_share: float = 1.0,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Lane]:
    """A lane for every service that the plan writes to, and for those that an earlier plan left batches for.

    What waits for an account that the plan has no more goes to its default account. Where there is none, or an Event
    Hub is gone, a lane says so as long as the rows are there. ``cpu_share`` as in :class:`Lane`; ``monotonic`` gives
    seconds.
    """
    made: list[Lane] = []
    circuits: dict[str, Circuit] = {}
    often_until = monotonic() + HANDOVER_S
    waiting = store.waiting()
    heirs = _heirs(plan, waiting)

    def inherits(name: str, account: Account) -> Callable[[], list[str]]:
        """Asked again and again: the collector of the plan before may queue on while this one has begun."""
        told: set[str] = set()
        again = 0.0

        def found() -> list[str]:
            nonlocal again
            now = monotonic()
            if now < again:
                return []
            left_over = [left for left, heir in _heirs(plan, store.waiting()).items() if heir == name]
            for left in left_over:
                if left not in told:
                    log("warning", f"rows wait for {_gone(left)}: they go to {account.account}")
            told.update(left_over)
            again = now if left_over or now < often_until else now + ASK_S
            return left_over

        return found

    def circuit(url: str) -> Circuit:
        where = host(url)
        return circuits.setdefault(where, Circuit(monotonic)) if where else Circuit(monotonic)

    def add(account: Account, url: str, connect: Callable[[Account], Sink], name: str = "", label: str = "") -> None:
        lane = Lane(
            account,
            store,
            spread_s=spread_s,
            publish=publish,
            progress=progress,
            log=log,
            clock=clock,
            connect=connect,
            name=name,
            label=label,
            cpu_share=cpu_share,
            inherits=inherits(name or account.moniker, account) if account.default else _nothing,
            circuit=circuit(url),
        )
        made.append(lane)

    proxy = plan.options.http_proxy
    events: list[Query | Derived | Route] = [*plan.queries, *plan.derived, *plan.routes]
    targets = [event.target for event in events]
    with_blobs = {places.json_blob_lane(t.moniker) for t in targets if t.store == "jsonblob"} | waiting
    with_blobs |= set(heirs.values())
    for account in plan.accounts:
        add(account, account.table_endpoint, partial(open_sink, clock=clock, proxy=proxy))
        blobs = places.json_blob_lane(account.moniker)
        if blobs in with_blobs:
            opener = partial(open_blob_sink, name=blobs, remembered=store, clock=clock, proxy=proxy)
            add(account, account.blob_endpoint, opener, blobs, f"JSON blobs of {account.account}")
    for name, publisher in places.event_hub_lanes(plan):
        opener = partial(_open_hub, publisher, name, store, clock, proxy)
        add(_nobody(name), publisher.url, opener, name, f"Event Hub of {publisher.event}")
    if any(t.store == "file" for t in targets) or places.FILE_LANE in waiting:
        add(_nobody(places.FILE_LANE), "", partial(_open_file, store), places.FILE_LANE, "files")
    for name in sorted(waiting - {lane.name for lane in made} - set(heirs)):
        add(_nobody(name), "", _open_nothing, name, "rows left over")
    return made


def _nothing() -> list[str]:
    return []


def _heirs(plan: Plan, waiting: set[str]) -> dict[str, str]:
    """The lanes of accounts that the plan has no more, and those of the default account in their place."""
    default = next((account.moniker for account in plan.accounts if account.default), None)
    known = {account.moniker for account in plan.accounts}
    found: dict[str, str] = {}
    for name in sorted(waiting):
        kind, moniker = places.lane_parts(name)
        if default is not None and kind in ("", places.JSON_BLOB) and moniker not in known:
            found[name] = places.json_blob_lane(default) if kind else default
    return found


def _gone(name: str) -> str:
    kind, rest = places.lane_parts(name)
    what = "the Event Hub of" if kind == places.EVENT_HUB else "the account"
    return f"{what} {rest!r}, which the configuration has no more"


def _open_nothing(account: Account) -> Sink:
    why = f"rows wait for {_gone(account.moniker)}; put it back to send them"
    raise SinkError("retry", "NoDestination", why, connection=True, cause="configuration")


def _nobody(name: str) -> Account:
    """What stands for an account where a lane has none."""
    return Account(name, name, "", "")


def _open_hub(
    publisher: Publisher, name: str, store: UploaderStore, clock: Callable[[], float], proxy: str, _account: Account
) -> Sink:
    from extension.sinks.event_hub import EventHubSink

    return EventHubSink(publisher, name, store, clock=clock, proxy=proxy)


def _open_file(store: UploaderStore, _account: Account) -> Sink:
    from extension.sinks.files import TextFileSink

    return TextFileSink(places.FILE_LANE, store)
