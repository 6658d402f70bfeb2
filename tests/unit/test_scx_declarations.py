"""Every class and property against the table of what the original server declares, and what it always says."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import pytest

from omi_queries import classes

TABLE = Path(__file__).parent.parent / "fixtures" / "scx-classes.tsv"
NOT_SERVED_AT_ALL = "SCX_LogFile"
WITHOUT_INSTANCES = {NOT_SERVED_AT_ALL, "SCX_Application_Server"}  # the table does not say which properties are NULL
NOT_THE_ORIGINALS = {"OMI_Identify", "CIM_Namespace", "CIM_ObjectManager"}  # of other namespaces, not in the table


class Row(NamedTuple):
    """``fixed`` is "null", "= value" for a constant, or empty."""

    class_name: str
    name: str
    type: str
    key: bool
    unit: str
    fixed: str


def rows() -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    with TABLE.open(newline="") as file:
        for one in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            row = Row(one["class"], one["property"], one["cim_type"], one["key"] == "yes", one["unit"], one["fixed"])
            found.setdefault(row.class_name, []).append(row)
    return found


ROWS = rows()


def test_the_classes_with_instances_are_those_of_the_table() -> None:
    served = {name for ns in classes.namespaces() for name in classes.names(ns) if classes.get(name).served}
    assert served - NOT_THE_ORIGINALS == set(ROWS) - {NOT_SERVED_AT_ALL}
    assert classes.get(NOT_SERVED_AT_ALL).methods_only


@pytest.mark.parametrize("class_name", sorted(ROWS))
def test_names_types_keys_and_order(class_name: str) -> None:
    declared = [(p.name, p.type, p.key) for p in classes.get(class_name).properties.values()]
    assert declared == [(row.name, row.type, row.key) for row in ROWS[class_name]]


@pytest.mark.parametrize("class_name", sorted(ROWS))
def test_units(class_name: str) -> None:
    properties = classes.get(class_name).properties
    shown = {p.name: p.unit.lower() for p in properties.values()}
    assert shown == {row.name: row.unit.lower() for row in ROWS[class_name]}


@pytest.mark.parametrize("class_name", sorted(set(ROWS) - WITHOUT_INSTANCES))
def test_what_is_never_set_and_what_never_changes(class_name: str) -> None:
    found = classes.get(class_name)
    extra = {"CodeSet"} if class_name == "SCX_FileSystem" else set()  # set, but observed absent
    never = {row.name for row in ROWS[class_name] if row.fixed == "null"} | extra
    assert {p.name for p in found.properties.values() if p.null} == never
    template = found.template()
    assert all(template[name] is None for name in never)
    constants = {row.name: row.fixed[2:] for row in ROWS[class_name] if row.fixed.startswith("= ")}
    if class_name == "SCX_MemoryStatisticalInformation":  # these two are the provider's
        del constants["Name"], constants["IsAggregate"]
    assert {name: str(template[name]) for name in constants} == constants
