"""A plan whose rows go to another store than the document's: what ``--table-endpoint`` means."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace

from extension.plan import Account, Plan
from extension.sinks import endpoints
from extension.view import target


def redirected(
    plan: Plan, table_endpoint: str, blob_endpoint: str, environ: Mapping[str, str]
) -> tuple[Plan, list[str]]:
    """``plan`` delivering to ``table_endpoint`` (a file: or http(s) address), and what is withheld then.

    Nothing goes to the document's own account any more: without ``blob_endpoint`` JSON blobs are withheld (a file:
    store keeps them beside its tables), and Event Hubs always are. An account that the address itself names needs a
    credential of its own: of the environment, or the emulators' well-known one. Raises ValueError.
    """
    accounts = tuple(_moved(account, table_endpoint, blob_endpoint, environ) for account in plan.accounts)
    withheld = []
    changed = replace(plan, accounts=accounts)
    if plan.publishers:
        withheld.append("rows for Event Hubs")
        changed = replace(changed, publishers=())
    if not blob_endpoint and not table_endpoint.startswith("file:"):
        without = _without_blobs(changed)
        if without != changed:
            withheld.append("JSON blobs")
        changed = without
    return changed, withheld


def _moved(account: Account, table_endpoint: str, blob_endpoint: str, environ: Mapping[str, str]) -> Account:
    try:
        named = endpoints.parse(table_endpoint)
    except ValueError:
        named = endpoints.parse(table_endpoint, account.account)  # an address without an account: the document's own
    if named.path:
        return replace(account, table_endpoint=table_endpoint.strip(), blob_endpoint=table_endpoint.strip())
    parsed = endpoints.parse(table_endpoint, named.account or account.account)
    moved = replace(account, account=parsed.account, table_endpoint=parsed.url, blob_endpoint=blob_endpoint.rstrip("/"))
    if parsed.account == account.account:
        return moved
    asked = argparse.Namespace(endpoint=table_endpoint, account=None, key_file=None, sas_file=None)
    try:
        found = target.resolve(asked, environ)
    except target.TargetError as error:
        raise ValueError(str(error).partition(", or give --key-file")[0]) from None
    return replace(moved, kind=found.kind, secret=found.secret)


def _without_blobs(plan: Plan) -> Plan:
    return replace(
        plan,
        queries=tuple(q for q in plan.queries if q.target.store != "jsonblob"),
        derived=tuple(d for d in plan.derived if d.target.store != "jsonblob"),
        routes=tuple(r for r in plan.routes if r.target.store != "jsonblob"),
    )
