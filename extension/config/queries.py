"""Asking the query language whether it would understand a query."""

from __future__ import annotations

from extension.config.problems import Problem


def check_query(text: str, namespace: str, path: str = "") -> list[Problem]:
    """What is wrong with an OMI query, as warnings naming ``path``: the other queries of a document still run.

    In ``root/scx`` class and properties are checked, in other namespaces only the grammar: they belong to an OMI
    server that may know more classes than this program does.
    """
    # Imported here because most callers have no query of their own, and the language costs them its import.
    from omi_queries.binding import ForeignError, bind
    from omi_queries.classes import NAMESPACE
    from omi_queries.query import parse
    from omi_queries.types import QueryError

    try:
        if namespace.strip("/").lower() == NAMESPACE:
            return [
                Problem("warning", path, warning, "correct the query", text)
                for warning in bind(namespace, text).warnings
            ]
        parse(text)
    except ForeignError as problem:
        message = f"{problem}; this query gives no rows unless an OMI or CIM-XML server is asked that has the class"
        return [Problem("warning", path, message, "correct the query, or set omiEndpoint or omiBackend", text)]
    except QueryError as problem:
        return [Problem("warning", path, f"{problem}; this query gives no rows", "correct the query", text)]
    note = f"namespace {namespace} is not served here; only an OMI or CIM-XML server that has it can answer"
    return [Problem("note", path, note)]
