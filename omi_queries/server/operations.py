"""The intrinsic methods over a :class:`Repository` (DSP0200 5.3.2): a parsed call in, reply XML out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from omi_queries import classes
from omi_queries.classes import CimClass
from omi_queries.server import parameters, replyxml, schema
from omi_queries.server.contexts import Contexts
from omi_queries.server.limits import Limits
from omi_queries.server.parameters import CimError
from omi_queries.server.repository import Found, Repository
from omi_queries.server.request import Call, InstanceName
from omi_queries.types import Instance, QueryError

_LANGUAGES = {"WQL": "wql", "DMTF:CQL": "cql"}
_FILTER_LANGUAGES = {**_LANGUAGES, "DMTF:FQL": "cql"}
_PATHS, _WITH_PATH, _PLAIN = "PullInstancePaths", "PullInstancesWithPath", "PullInstances"


class Operations:
    """Answers calls. ``host`` stands in the object paths; ``clock`` gives monotonic seconds."""

    def __init__(self, repository: Repository, limits: Limits, clock: Callable[[], float], host: str) -> None:
        self._repository = repository
        self._limits = limits
        self._host = host
        self.contexts = Contexts(limits, clock)
        self._handlers: dict[str, Callable[[str, dict[str, Any]], str]] = {
            "EnumerateInstances": self._enumerate_instances,
            "EnumerateInstanceNames": self._enumerate_instance_names,
            "GetInstance": self._get_instance,
            "GetProperty": self._get_property,
            "GetClass": self._get_class,
            "EnumerateClasses": self._enumerate_classes,
            "EnumerateClassNames": self._enumerate_class_names,
            "GetQualifier": self._get_qualifier,
            "EnumerateQualifiers": self._enumerate_qualifiers,
            "ExecQuery": self._exec_query,
            "OpenEnumerateInstances": self._open_instances,
            "OpenEnumerateInstancePaths": self._open_paths,
            "OpenQueryInstances": self._open_query,
            _WITH_PATH: lambda namespace, asked: self._pull(_WITH_PATH, namespace, asked),
            _PATHS: lambda namespace, asked: self._pull(_PATHS, namespace, asked),
            _PLAIN: lambda namespace, asked: self._pull(_PLAIN, namespace, asked),
            "CloseEnumeration": self._close,
        }

    def answer(self, call: Call) -> bytes:
        """The reply document to one call. Raises MessageError for what DSP0200 answers on the level of HTTP."""
        self._repository.begin()
        try:
            content = self._perform(call)
        except CimError as error:
            content = replyxml.error(error.code, error.description)
        except QueryError as error:
            content = replyxml.error(error.code, str(error))
        reply = self._message(call, content)
        if len(reply) <= self._limits.reply:
            return reply
        description = f"the answer is longer than {self._limits.reply} bytes; ask for fewer properties or pull it"
        return self._message(call, replyxml.error(parameters.FAILED, description))

    def _message(self, call: Call, content: str) -> bytes:
        inner = replyxml.response(call.method, content, call.intrinsic)
        return replyxml.message(call.message_id, call.protocol, inner)

    def _perform(self, call: Call) -> str:
        if not call.intrinsic:
            description = f"{call.method[:80]}: this emulated service carries out no methods"
            raise CimError(parameters.METHOD_NOT_AVAILABLE, description)
        method = parameters.method_name(call.method)
        asked = parameters.read(call, parameters.METHODS[method])
        namespace = classes.namespace(call.namespace)
        if namespace is None:
            raise CimError(parameters.INVALID_NAMESPACE, f"there is no namespace {call.namespace[:80]}")
        return self._handlers[method](namespace, asked)

    # classes

    def _class(self, namespace: str, name: str) -> CimClass:
        found = classes.find(name, namespace)
        if found is None:
            raise CimError(parameters.INVALID_CLASS, f"namespace {namespace} has no class {name[:80]}")
        return found

    def _class_xml(self, cim_class: CimClass, asked: Mapping[str, Any]) -> str:
        origins = _origins(cim_class.name)
        shown = set(cim_class.properties)
        if asked.get("LocalOnly") is not False:
            shown = {name for name in shown if origins[name] == cim_class.name}
        if asked.get("PropertyList") is not None:
            shown &= _listed(cim_class, asked["PropertyList"])
        with_qualifiers = asked.get("IncludeQualifiers") is not False
        qualifiers = schema.class_qualifiers(cim_class)
        with_origin = asked.get("IncludeClassOrigin") is True
        return replyxml.class_element(cim_class, qualifiers, shown, origins, with_qualifiers, with_origin)

    def _get_class(self, namespace: str, asked: dict[str, Any]) -> str:
        cim_class = self._class(namespace, asked["ClassName"])
        return replyxml.returned(self._class_xml(cim_class, asked))

    def _subclasses(self, namespace: str, asked: dict[str, Any]) -> Iterable[CimClass]:
        """The classes below ClassName (all, or the top ones, without it), with all levels if DeepInheritance."""
        below = self._class(namespace, asked["ClassName"]).name if asked["ClassName"] is not None else ""
        for name in classes.names(namespace):
            one = classes.get(name)
            deep = not below or below in classes.lineage(name)[1:]
            if deep if asked["DeepInheritance"] else one.base == below:
                yield one

    def _enumerate_classes(self, namespace: str, asked: dict[str, Any]) -> str:
        found = self._subclasses(namespace, asked)
        return replyxml.returned("".join(self._class_xml(one, asked) for one in found))

    def _enumerate_class_names(self, namespace: str, asked: dict[str, Any]) -> str:
        found = self._subclasses(namespace, asked)
        return replyxml.returned("".join(f'<CLASSNAME NAME="{one.name}"/>' for one in found))

    def _get_qualifier(self, _namespace: str, asked: dict[str, Any]) -> str:
        found = schema.find_qualifier(asked["QualifierName"])
        if found is None:
            raise CimError(parameters.NOT_FOUND, f"there is no qualifier {asked['QualifierName'][:80]}")
        return replyxml.returned(replyxml.qualifier_declaration(found))

    def _enumerate_qualifiers(self, _namespace: str, _asked: dict[str, Any]) -> str:
        return replyxml.returned("".join(replyxml.qualifier_declaration(one) for one in schema.QUALIFIERS))

    # instances

    def _found(self, namespace: str, asked: dict[str, Any]) -> list[Found]:
        """The instances of ClassName, each with the properties that the parameters ask for."""
        cim_class = self._class(namespace, asked["ClassName"])
        deep = asked.get("DeepInheritance") is not False
        found: list[Found] = []
        for one, full in self._repository.enumerate(cim_class):
            properties = full if deep or one is cim_class else {p: full[p] for p in cim_class.properties if p in full}
            found.append(Found(one, full, _projected(one, properties, asked.get("PropertyList"))))
        return found

    def _enumerate_instances(self, namespace: str, asked: dict[str, Any]) -> str:
        with_origin = asked["IncludeClassOrigin"] is True
        parts = [
            "<VALUE.NAMEDINSTANCE>"
            + replyxml.instance_name(one.cim_class, one.full)
            + _instance_xml(one, with_origin)
            + "</VALUE.NAMEDINSTANCE>"
            for one in self._found(namespace, asked)
        ]
        return replyxml.returned("".join(parts))

    def _enumerate_instance_names(self, namespace: str, asked: dict[str, Any]) -> str:
        cim_class = self._class(namespace, asked["ClassName"])
        names = [replyxml.instance_name(one, full) for one, full in self._repository.enumerate(cim_class)]
        return replyxml.returned("".join(names))

    def _one(self, namespace: str, name: InstanceName) -> tuple[CimClass, Instance]:
        cim_class = self._class(namespace, name.class_name)
        if cim_class.methods_only:
            raise CimError(parameters.NOT_SUPPORTED, f"class {cim_class.name} has methods only")
        keys = {p.name.lower(): p.name for p in cim_class.properties.values() if p.key}
        given = dict(name.keys)
        if "" in given and len(keys) == 1:
            given[next(iter(keys))] = given.pop("")
        if cim_class.served and given.keys() == keys.keys():
            wanted = {keys[key]: value for key, value in given.items()}
            for full in self._repository.instances(cim_class):
                if all(classes.same_key(key, full.get(key), value) for key, value in wanted.items()):
                    return cim_class, full
        raise CimError(parameters.NOT_FOUND, f"class {cim_class.name} has no instance with these keys")

    def _get_instance(self, namespace: str, asked: dict[str, Any]) -> str:
        cim_class, full = self._one(namespace, asked["InstanceName"])
        found = Found(cim_class, full, _projected(cim_class, full, asked["PropertyList"]))
        return replyxml.returned(_instance_xml(found, asked["IncludeClassOrigin"] is True))

    def _get_property(self, namespace: str, asked: dict[str, Any]) -> str:
        cim_class, full = self._one(namespace, asked["InstanceName"])
        name = next((p for p in cim_class.properties if p.lower() == asked["PropertyName"].lower()), None)
        if name is None:
            description = f"class {cim_class.name} has no property {asked['PropertyName'][:80]}"
            raise CimError(parameters.NO_SUCH_PROPERTY, description)
        return replyxml.returned(replyxml.value_element(full.get(name)))

    # queries

    def _exec_query(self, namespace: str, asked: dict[str, Any]) -> str:
        found = self._repository.query(namespace, asked["Query"], _dialect(asked["QueryLanguage"], _LANGUAGES))
        parts = [
            "<VALUE.OBJECTWITHPATH>"
            + self._path(namespace, one)
            + _instance_xml(one, False)
            + "</VALUE.OBJECTWITHPATH>"
            for one in found
        ]
        return replyxml.returned("".join(parts))

    def _path(self, namespace: str, found: Found) -> str:
        return replyxml.instance_path(self._host, namespace, replyxml.instance_name(found.cim_class, found.full))

    # pulled enumerations

    def _filtered(self, namespace: str, asked: dict[str, Any]) -> list[Found]:
        """The instances of ClassName that pass FilterQuery."""
        found = self._found(namespace, asked)
        language, text = asked["FilterQueryLanguage"], asked["FilterQuery"]
        if not language and not text:
            return found
        if not language or not text:
            raise CimError(parameters.INVALID_PARAMETER, "FilterQueryLanguage and FilterQuery go together")
        dialect = _dialect(language, _FILTER_LANGUAGES)
        if language.upper() == "DMTF:FQL":
            text = " ".join(("SELECT * FROM", self._class(namespace, asked["ClassName"]).name, "WHERE", text))
        passed = {id(one.full) for one in self._repository.query(namespace, text, dialect)}
        return [one for one in found if id(one.full) in passed]

    def _open_instances(self, namespace: str, asked: dict[str, Any]) -> str:
        with_origin = asked["IncludeClassOrigin"] is True
        found = self._filtered(namespace, asked)
        return self._open(_WITH_PATH, namespace, asked, [(one, with_origin) for one in found])

    def _open_paths(self, namespace: str, asked: dict[str, Any]) -> str:
        found = self._filtered(namespace, asked)
        return self._open(_PATHS, namespace, asked, [(one, False) for one in found])

    def _open_query(self, namespace: str, asked: dict[str, Any]) -> str:
        dialect = _dialect(asked["FilterQueryLanguage"], _LANGUAGES)
        found = self._repository.query(namespace, asked["FilterQuery"], dialect)
        opened = self._open(_PLAIN, namespace, asked, [(one, False) for one in found])
        if asked["ReturnQueryResultClass"] and found:
            cim_class = found[0].cim_class
            shape = {"LocalOnly": False, "PropertyList": list(found[0].shown)}
            inner = self._class_xml(cim_class, shape)
            opened += f'<PARAMVALUE NAME="QueryResultClass">{inner}</PARAMVALUE>'
        return opened

    def _open(self, kind: str, namespace: str, asked: dict[str, Any], items: Sequence[tuple[Found, bool]]) -> str:
        if asked["ContinueOnError"]:
            raise CimError(parameters.NO_CONTINUE_ON_ERROR, "ContinueOnError TRUE is not supported")
        limits, life = self._limits, asked["OperationTimeout"]
        if life is not None and not 0 < life <= limits.context_max_s:
            raise CimError(parameters.INVALID_TIMEOUT, f"OperationTimeout must be 1 to {limits.context_max_s:.0f}")
        count = min(asked["MaxObjectCount"] or 0, limits.batch)
        first, rest = items[:count], items[count:]
        token = ""
        if rest:
            if not self.contexts.has_room(len(rest)):
                raise CimError(parameters.SERVER_LIMITS, "too many open enumerations; close some or wait")
            token = self.contexts.add(kind, namespace, rest, life or limits.context_s)
        return self._batch(kind, namespace, first, token)

    def _batch(self, kind: str, namespace: str, items: Sequence[tuple[Found, bool]], token: str) -> str:
        parts = [self._item(kind, namespace, one, with_origin) for one, with_origin in items]
        return (
            replyxml.returned("".join(parts))
            + replyxml.output("EndOfSequence", "boolean", "FALSE" if token else "TRUE")
            + replyxml.output("EnumerationContext", "string", token)
        )

    def _item(self, kind: str, namespace: str, one: Found, with_origin: bool) -> str:
        if kind == _PATHS:
            return self._path(namespace, one)
        instance = _instance_xml(one, with_origin)
        if kind == _PLAIN:
            return instance
        return f"<VALUE.INSTANCEWITHPATH>{self._path(namespace, one)}{instance}</VALUE.INSTANCEWITHPATH>"

    def _pull(self, kind: str, namespace: str, asked: dict[str, Any]) -> str:
        token, count = asked["EnumerationContext"], min(asked["MaxObjectCount"], self._limits.batch)
        pulled = self.contexts.pull(token, kind, namespace, count)
        if pulled is None:
            raise CimError(parameters.INVALID_CONTEXT, "this enumeration is not open here, or of another kind")
        items, last = pulled
        return self._batch(kind, namespace, items, "" if last else token)

    def _close(self, namespace: str, asked: dict[str, Any]) -> str:
        if not self.contexts.close(asked["EnumerationContext"], namespace):
            raise CimError(parameters.INVALID_CONTEXT, "this enumeration is not open")
        return ""


@cache
def _origins(class_name: str) -> Mapping[str, str]:
    """Property -> the class that declared it first."""
    origins: dict[str, str] = {}
    for name in reversed(classes.lineage(class_name)):
        for one in classes.get(name).properties:
            origins.setdefault(one, name)
    return origins


def _instance_xml(found: Found, with_origin: bool) -> str:
    origins = _origins(found.cim_class.name) if with_origin else None
    return replyxml.instance(found.cim_class, found.shown, origins)


def _listed(cim_class: CimClass, wanted: list[str]) -> set[str]:
    lower = {name.lower() for name in wanted}
    return {name for name in cim_class.properties if name.lower() in lower}


def _projected(cim_class: CimClass, values: Mapping[str, Any], wanted: list[str] | None) -> Mapping[str, Any]:
    """The properties in a PropertyList (any case, unknown names ignored); all without one, none of an empty one."""
    if wanted is None:
        return values
    listed = _listed(cim_class, wanted)
    return {name: value for name, value in values.items() if name in listed}


def _dialect(language: str, known: Mapping[str, str]) -> str:
    found = known.get(language.upper())
    if found is None:
        description = f"query language {language[:40]} is not supported; {' and '.join(known)} are"
        raise CimError(parameters.LANGUAGE_NOT_SUPPORTED, description)
    return found
