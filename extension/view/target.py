"""Which storage account ``lad tables`` and ``lad rows`` read, and with which credential (never one from argv)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from extension import component, paths
from extension.plan import Account, Plan
from extension.sinks import endpoints

EMULATOR_ACCOUNT = "devstoreaccount1"
EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The emulators' well-known account: a public constant, good for nothing but a local emulator (spec/storage.md 1)."""
MAX_SECRET_BYTES = 65536


class TargetError(Exception):
    """No account can be read; one line that says what to give."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a store."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--endpoint",
        metavar="URL",
        type=endpoint,
        help="file:///path/tables.db, http://127.0.0.1:PORT/ACCOUNT or https://ACCOUNT.table.SUFFIX",
    )
    where.add_argument(
        "-c", "--config", metavar="XML", help="mdsd document that names the account (default: the installed one)"
    )
    parser.add_argument("--account", metavar="NAME", help="account name or moniker, where there are several")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--key-file", metavar="F", help="file with the account key (- for standard input)")
    secret.add_argument("--sas-file", metavar="F", help="file with the SAS (- for standard input)")
    parser.epilog = (
        "Credentials of an http(s) endpoint come from the document, from --key-file or --sas-file, or from "
        "AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING."
    )


def endpoint(text: str) -> str:
    """An address as an option takes it. Raises ArgumentTypeError with what to write: that is an error of usage."""
    try:
        endpoints.parse(text, "ACCOUNT" if text.strip() else "")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def resolve(
    args: argparse.Namespace,
    environment: Mapping[str, str],
    load_plan: Callable[[str, str], tuple[Plan, list[str]]] = component.load_plan,
) -> Account:
    """The account to read. Raises :class:`TargetError`."""
    return resolve_way(args, environment, load_plan)[0]


def resolve_way(
    args: argparse.Namespace,
    environment: Mapping[str, str],
    load_plan: Callable[[str, str], tuple[Plan, list[str]]] = component.load_plan,
) -> tuple[Account, str]:
    """The account to read, and the proxy that its document goes with ("" for none). Raises :class:`TargetError`."""
    account, proxy = (_of_endpoint(args, environment), "") if args.endpoint else _of_document(args, load_plan)
    return with_secret(account, args), proxy


def with_secret(account: Account, args: argparse.Namespace) -> Account:
    """``account`` with the credential of --key-file or --sas-file, if one is given. Raises :class:`TargetError`."""
    given = _from_file(args)
    return account if given is None else replace(account, kind=given[0], secret=given[1])


def _of_document(
    args: argparse.Namespace, load_plan: Callable[[str, str], tuple[Plan, list[str]]]
) -> tuple[Account, str]:
    config, options = args.config, ""
    if config is None:
        state = paths.state_dir()
        known = paths.installed(state)
        config, options = known.get("config"), known.get("options", "")
        if closed := paths.closed(state):
            raise TargetError(closed)
        if not config:
            raise TargetError(f"nothing is installed in {state}: name a store with --endpoint, or a document with -c")
    config = os.path.abspath(config)
    if not os.path.exists(config):
        raise TargetError(f"there is no document {config}")
    try:
        plan, _ = load_plan(config, options if options and os.path.exists(options) else "")
    except component.PlanError as error:
        raise TargetError(str(error)) from None
    return choose(plan.accounts, args.account, config), plan.options.http_proxy


def choose(accounts: tuple[Account, ...], name: str | None, config: str) -> Account:
    """The account called ``name`` (moniker or account name), else the default one. Raises :class:`TargetError`."""
    names = ", ".join(a.moniker or a.account for a in accounts)
    if not accounts:
        raise TargetError(f"{config} has no storage account")
    if name is not None:
        for account in accounts:
            if name in (account.moniker, account.account):
                return account
        raise TargetError(f"{config} has no account {name}: it has {names}")
    defaults = [a for a in accounts if a.default]
    if not defaults and len(accounts) > 1:
        raise TargetError(f"{config} has several accounts: choose one with --account ({names})")
    return (defaults or list(accounts))[0]


def _of_endpoint(args: argparse.Namespace, environment: Mapping[str, str]) -> Account:
    try:
        endpoint = endpoints.parse(args.endpoint, args.account or "")
    except ValueError as error:
        raise TargetError(str(error)) from None
    account = Account("", endpoint.account, "key", "", args.endpoint)
    if endpoint.path or args.key_file or args.sas_file:
        return account
    found = _from_environment(environment, endpoint.account)
    if found is not None:
        return replace(account, kind=found[0], secret=found[1])
    if endpoint.account == EMULATOR_ACCOUNT and endpoint.loopback:
        return replace(account, secret=EMULATOR_KEY)
    raise TargetError(
        f"no credential for account {endpoint.account or '(unnamed)'}: set AZURE_STORAGE_KEY, "
        "AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING, or give --key-file or --sas-file"
    )


def _from_environment(environment: Mapping[str, str], account: str) -> tuple[str, str] | None:
    """(kind, secret) of the first variable that has one; a connection string counts for its own account only."""
    if environment.get("AZURE_STORAGE_KEY"):
        return "key", environment["AZURE_STORAGE_KEY"]
    if environment.get("AZURE_STORAGE_SAS_TOKEN"):
        return "sas", environment["AZURE_STORAGE_SAS_TOKEN"]
    fields = dict(
        part.split("=", 1) for part in environment.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";") if "=" in part
    )
    fields = {name.strip().lower(): value.strip() for name, value in fields.items()}
    if fields.get("accountname", account) == account:
        if fields.get("accountkey"):
            return "key", fields["accountkey"]
        if fields.get("sharedaccesssignature"):
            return "sas", fields["sharedaccesssignature"]
    return None


def _from_file(args: argparse.Namespace) -> tuple[str, str] | None:
    path = args.key_file or args.sas_file
    if not path:
        return None
    try:
        if path == "-":
            text = sys.stdin.read(MAX_SECRET_BYTES)
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read(MAX_SECRET_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise TargetError(f"cannot read {path}: {reason}") from None
    if not text.strip():
        raise TargetError(f"{path} is empty")
    return ("key" if args.key_file else "sas"), text.strip()
