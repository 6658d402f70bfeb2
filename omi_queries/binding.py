"""A query bound to its classes: which properties are needed, which instances pass, what is returned of them."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from omi_queries import classes
from omi_queries.classes import CimClass
from omi_queries.condition import Predicate, compile_condition, declared, unknown_property, used_properties
from omi_queries.query import Query, parse
from omi_queries.types import MI_INVALID_CLASS, MI_INVALID_NAMESPACE, MI_NOT_SUPPORTED, Instance, QueryError

_CURE = "to ask an OMI or CIM-XML server that has it, set omiEndpoint or omiBackend"


class ForeignError(QueryError):
    """A namespace (3) or class (5) that is not declared here: a server may have it.

    ``cure`` is for those who have not asked one, "" where another class is likely meant.
    """

    def __init__(self, code: int, message: str, hint: str, position: int | None = None) -> None:
        super().__init__(code, f"{message}; {hint}", position)
        self.cure = "" if hint.endswith("?") else _CURE

    def cured(self) -> QueryError:
        """The same with the cure in its text."""
        message = f"{self.message}; {self.cure}" if self.cure else self.message
        return QueryError(self.code, message, self.position)


class Selection(NamedTuple):
    """A query as it applies to one class with instances.

    ``properties`` are the selected ones in declaration order, None for all; ``needs`` those that must be computed
    (selected or looked at by WHERE, which are ``looks_at``); ``by_key`` tells that WHERE looks at nothing but name and
    IsAggregate, so that it can be asked before anything is computed.
    """

    cim_class: CimClass
    properties: tuple[str, ...] | None
    needs: frozenset[str]
    matches: Predicate | None
    by_key: bool
    looks_at: frozenset[str] = frozenset()

    def wants(self, name: str, aggregate: bool) -> bool:
        """False if WHERE rules out the instance of that name whatever its values are."""
        if self.matches is None or not self.by_key:
            return True
        return bool(self.matches({self.cim_class.key(): name, "IsAggregate": aggregate}))

    def apply(self, found: list[Instance], exact: bool = False) -> list[Instance]:
        """Filter and project instances; ``exact``: they carry nothing but what is needed."""
        matches, properties = self.matches, self.properties
        if matches is not None and not self.by_key:
            found = [one for one in found if matches(one)]
        if properties is None or (exact and len(self.needs) == len(properties)):
            return found
        return [{name: one[name] for name in properties if name in one} for one in found]


class Bound(NamedTuple):
    """A checked query: one selection per class with instances, the CIM types of all properties, and warnings."""

    query: Query
    selections: tuple[Selection, ...]
    types: dict[str, str]
    warnings: tuple[str, ...]

    def needs_rate(self) -> bool:
        """Whether any needed property is a rate, so that a single reading has no value for it."""
        return any(s.cim_class.properties[p].rate for s in self.selections for p in s.needs)


def bind(namespace: str, text: str, dialect: str = "wql") -> Bound:
    """Parse and check a query.

    ForeignError: 3 unknown namespace, 5 unknown class. QueryError: 7 a class whose instances cannot be listed, 15
    anything else.
    """
    query = parse(text, dialect)
    within = classes.namespace(namespace)
    if within is None:
        others = ", ".join(n for n in classes.namespaces() if n != classes.NAMESPACE)
        hint = f"the SCX classes are in {classes.NAMESPACE} (others: {others})"
        said = f"unknown namespace {namespace[:80]!a} (for class {query.class_name[:80]})"
        raise ForeignError(MI_INVALID_NAMESPACE, said, hint)
    asked = classes.find(query.class_name, within)
    if asked is None:
        raise _unknown_class(query, within)
    if classes.unlisted(asked.name):
        message = f"instances of {asked.name} cannot be listed: the class has methods only"
        raise QueryError(MI_NOT_SUPPORTED, message, query.class_at)
    warnings = _check_selected(query, asked)
    compile_condition(query.condition, asked)
    served = classes.served_by(asked.name)
    types: dict[str, str] = {}
    for one in served:
        types.update(one.types)
    return Bound(query, tuple(_selection(query, one) for one in served), types, warnings)


def bind_to(query: Query, cim_class: CimClass) -> Bound:
    """A parsed query on a class that is declared elsewhere. QueryError(15) if it does not fit the class."""
    warnings = _check_selected(query, cim_class)
    selection = _selection(query, cim_class)._replace(by_key=False)
    return Bound(query, (selection,), dict(cim_class.types), warnings)


def _unknown_class(query: Query, within: str) -> ForeignError:
    known = [name for name in classes.names(within) if classes.get(name).served]
    hint = meant(query.class_name, within) or f"there are {', '.join(known)}"
    return ForeignError(
        MI_INVALID_CLASS, f"namespace {within} has no class {query.class_name[:80]!a}", hint, query.class_at
    )


def meant(class_name: str, within: str) -> str:
    """Where a class is that namespace ``within`` has not, or which one may be meant; "" if nothing is like it."""
    elsewhere = next((n for n in classes.namespaces() if classes.find(class_name, n) is not None), "")
    if elsewhere:
        return f"it is in {elsewhere}"
    near = classes.nearest(class_name, [name for name in classes.names(within) if classes.get(name).served])
    return f"did you mean {near}?" if near else ""


def _check_selected(query: Query, asked: CimClass) -> tuple[str, ...]:
    """Warnings for wrongly cased properties; QueryError(15) for unknown ones."""
    warnings: list[str] = []
    for name in query.properties:
        right = declared(asked, name.name)
        if right is None:
            raise unknown_property(asked, name)
        if right != name.name:
            warnings.append(
                f"property {name.name} selects nothing: names in SELECT are case-sensitive, "
                f"write {right} (class {asked.name})"
            )
    return tuple(dict.fromkeys(warnings))


def _selection(query: Query, cim_class: CimClass) -> Selection:
    used = used_properties(query.condition, cim_class)
    properties: tuple[str, ...] | None = None
    needs = frozenset(cim_class.properties)
    if query.properties:
        asked = {name.name for name in query.properties}
        properties = tuple(p for p in cim_class.properties if p in asked)
        needs = used.union(properties)
    matches = compile_condition(query.condition, cim_class) if query.condition else None
    by_key = used <= {cim_class.key(), "IsAggregate"}
    return Selection(cim_class, properties, needs, matches, by_key, used)
