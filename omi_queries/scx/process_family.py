"""SCX_UnixProcess and SCX_UnixProcessStatisticalInformation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

from omi_queries import classes
from omi_queries.scx.family import NOTHING, Ask, Counters, everything, rates_of, template
from omi_queries.scx.host import Host
from omi_queries.scx.process import Columns, FileColumn, StatColumn, Units, creation
from omi_queries.scx.process_history import IDLE, Change, Endings, History
from omi_queries.scx.processes import Process, Walk
from omi_queries.types import Instance

OS_NAME = "Linux Distribution"
_MAX_PLANS = 8
_WIDE = 24  # properties: 3,000 kept instances of SELECT * would take megabytes and save little beside its files


class _Facts(NamedTuple):
    """What all instances depend on, as far as the query needs it."""

    system: str
    boot: int | None


class _Plan:
    """How the instances for one set of needed properties are made; small ones of steady processes are kept."""

    def __init__(
        self, facts: _Facts, base: Instance, stat: list[tuple[str, StatColumn]], files: list[tuple[str, FileColumn]]
    ) -> None:
        self.facts = facts
        self.files = files
        self.of_files = frozenset(name for name, _ in files)
        self._base = base
        self._stat = stat
        self._kept: dict[Process, Instance] = {}

    def instances(self, processes: Sequence[Process], walk: Walk) -> list[Instance]:
        """An instance of each process with all that its stat tells, rates as if it were idle."""
        if len(self._base) > _WIDE:
            return self._made(processes)
        kept = self._kept
        if len(kept) > len(walk.processes):
            kept = self._kept = {one: kept[one] for one in walk.processes.values() if one in kept}
        others = [one for one in processes if one not in kept]
        new = dict(zip(others, self._made(others), strict=True))
        kept.update((one, instance) for one, instance in new.items() if one.steady)
        return [kept[one].copy() if one in kept else new[one] for one in processes]

    def _made(self, processes: Sequence[Process]) -> list[Instance]:
        base = self._base
        found = [base.copy() for _ in processes]
        for name, column in self._stat:
            for instance, value in zip(found, column(processes), strict=True):
                instance[name] = value
        return found


class ProcessFamily:
    """Instances of one of the two classes. Raw counters are not kept over a restart: there are too many."""

    width = 0
    exact = True  # instances carry nothing but the needed properties

    def __init__(self, class_name: str, history: History, host: Host, units: Units, columns: Columns) -> None:
        cim_class = classes.get(class_name)
        self._history = history
        self._host = host
        self._units = units
        self._columns = columns
        self._rates = rates_of(cim_class)
        self._template = template(cim_class)
        self._template["OSName"] = OS_NAME
        self._endings = Endings(host)
        self._plans: dict[frozenset[str], _Plan] = {}

    def counters(self) -> Counters:
        """What the processes have used so far."""
        ask = Ask(None, None, self._rates, lambda _name, _aggregate: False, lambda _reason: None)
        return self._history.begin(ask, self._history.walk(ask))[0]

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        walk = self._history.walk(ask)
        for note in walk.notes:
            ask.skip(note)
        plan = self._plan(ask.needs)
        processes = list(walk.processes.values())
        if ask.wants is not everything:
            processes = [one for one in processes if ask.wants(one.handle, False)]
        found = plan.instances(processes, walk)
        new = NOTHING
        if not ask.needs.isdisjoint(self._rates):
            new, changes = self._history.begin(ask, walk)
            self._set_rates(found, changes(processes), ask.needs)
        if "TerminationDate" in ask.needs:
            date = self._endings.look(walk)
            for one, instance in zip(processes, found, strict=True):
                if one.state == b"Z":
                    instance["TerminationDate"] = date(one)
        if plan.files:
            if ask.where is not None and plan.of_files.isdisjoint(ask.where.looks_at):
                passed = [ask.where.passes(instance) is True for instance in found]
                processes, found = list(compress(processes, passed)), list(compress(found, passed))
            for name, column in plan.files:
                for instance, value in zip(found, column(walk.files, processes), strict=True):
                    instance[name] = value
        return new, found

    def _plan(self, needs: frozenset[str]) -> _Plan:
        """The plan for these needs, a new one where the host has another name or another time of boot."""
        dated = "CreationDate" in needs and "CreationDate" in self._template
        facts = _Facts(self._host.name() if "CSName" in needs else "", self._host.boot_time() if dated else None)
        known = self._plans.get(needs)
        if known is not None and known.facts == facts:
            return known
        self._plans.pop(needs, None)
        while len(self._plans) >= _MAX_PLANS:
            del self._plans[next(iter(self._plans))]
        made = self._plans[needs] = self._planned(needs, facts)
        return made

    def _planned(self, needs: frozenset[str], facts: _Facts) -> _Plan:
        base = {name: value for name, value in self._template.items() if name in needs}  # the rest is not looked at
        if "CSName" in base:
            base["CSName"] = facts.system
        base.update((name, rate(IDLE)) for name, rate in self._columns.rates.items() if name in needs)
        stat = [(name, column) for name, column in self._columns.stat.items() if name in needs]
        if facts.boot is not None:
            stat.append(("CreationDate", creation(facts.boot, self._units.hz)))
        files = [(name, column) for name, column in self._columns.files.items() if name in needs]
        return _Plan(facts, base, stat, files)

    def _set_rates(self, found: list[Instance], changes: Sequence[Change | None], needs: frozenset[str]) -> None:
        """The rates of those that were not idle; those that are not known are left out."""
        rates = [(name, rate) for name, rate in self._columns.rates.items() if name in needs]
        known: dict[Change, Instance] = {}  # many have done the same
        for instance, change in zip(found, changes, strict=True):
            if change is IDLE:
                continue
            if change is None:
                for name, _ in rates:
                    del instance[name]
                continue
            values = known.get(change)
            if values is None:
                values = known[change] = {name: rate(change) for name, rate in rates}
            instance.update(values)
