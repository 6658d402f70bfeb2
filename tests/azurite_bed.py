"""Starts Azurite, the storage emulator that stands in for Azure Tables (spec/storage.md 1)."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from extension.plan import Account

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # public constant
HOME = Path(__file__).resolve().parent / "azurite"
MAIN = HOME / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
START_SECONDS = 60.0
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (http://[\d.]+:\d+)")


class UnavailableError(Exception):
    """Azurite cannot be started here; the text says why."""


def node_or_reason() -> str:
    """Path of node. Raises :class:`UnavailableError` when node or the installed Azurite is missing."""
    node = shutil.which("node")
    if node is None:
        raise UnavailableError("node is not installed: Azurite cannot run (install Node.js 18 or newer)")
    if not MAIN.exists():
        raise UnavailableError(f"Azurite is not installed in {HOME}: run `npm ci` there (make test does)")
    return node


@dataclass
class Azurite:
    """A running emulator. Endpoints are path-style with the account: ``http://127.0.0.1:PORT/devstoreaccount1``."""

    process: subprocess.Popen[bytes]
    table_endpoint: str
    blob_endpoint: str
    account: str = ACCOUNT
    key: str = KEY

    @property
    def connection_string(self) -> str:
        """For SDK clients of the tests."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key};"
            f"TableEndpoint={self.table_endpoint};BlobEndpoint={self.blob_endpoint};"
        )

    def key_account(self, moniker: str = "m") -> Account:
        """The account with its key."""
        return Account(moniker, self.account, "key", self.key, self.table_endpoint, True)

    def sas_account(self, token: str, moniker: str = "m") -> Account:
        """The account with a SAS."""
        return Account(moniker, self.account, "sas", token, self.table_endpoint, True)

    def sas(
        self,
        permissions: str = "rwlacu",
        resource_types: str = "sco",
        *,
        expires_in: timedelta = timedelta(hours=2),
        starts_in: timedelta | None = None,
    ) -> str:
        """A signed account SAS for tables, without ``?``."""
        return account_sas(self.account, self.key, permissions, resource_types, expires_in, starts_in)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL, to its own process group."""
        stop_group(self.process)


def account_sas(
    account: str, key: str, permissions: str, resource_types: str, expires_in: timedelta, starts_in: timedelta | None
) -> str:
    """An account SAS of the SDK's making."""
    from azure.core.credentials import AzureNamedKeyCredential
    from azure.data.tables import AccountSasPermissions, ResourceTypes, generate_account_sas

    now = datetime.now(timezone.utc)
    flags = {
        "read": "r", "write": "w", "delete": "d", "list": "l", "add": "a", "create": "c", "update": "u", "process": "p",
    }  # fmt: skip
    return generate_account_sas(
        AzureNamedKeyCredential(account, key),
        ResourceTypes(service="s" in resource_types, object="o" in resource_types, container="c" in resource_types),
        AccountSasPermissions(**{name: letter in permissions for name, letter in flags.items()}),
        now + expires_in,
        start=now + (timedelta(minutes=-15) if starts_in is None else starts_in),
    )


def unique_table() -> str:
    """A table name of this test's own."""
    return "t" + uuid.uuid4().hex


def start(folder: Path) -> Azurite:
    """Start Azurite in memory on free loopback ports. Raises :class:`UnavailableError`."""
    node = node_or_reason()
    arguments = ["--silent", "--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck"]
    for service in ("blob", "queue", "table"):
        arguments += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
    environment = {k: v for k, v in os.environ.items() if k not in ("NODE_OPTIONS", "AZURITE_ACCOUNTS")}
    with open(folder / "azurite.err", "wb") as errors:
        process = subprocess.Popen(
            [node, str(MAIN), *arguments, "--tableKeepAliveTimeout", "60"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        found = _endpoints(process, folder)
        azurite = Azurite(process, f"{found['Table']}/{ACCOUNT}", f"{found['Blob']}/{ACCOUNT}")
        _wait_until_it_answers(azurite.table_endpoint)
    except BaseException:
        stop_group(process)
        raise
    return azurite


def _endpoints(process: subprocess.Popen[bytes], folder: Path) -> dict[str, str]:
    """Read the real ports from what it prints."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    text = ""
    while time.monotonic() < deadline:
        ready, _, _ = select.select([process.stdout], [], [], 0.5)
        chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
        text += chunk.decode(errors="replace")
        found = dict(_LISTENING.findall(text))
        if len(found) == 3:
            return found
        if ready and not chunk:
            break
    errors = (folder / "azurite.err").read_text(errors="replace")
    raise UnavailableError(f"Azurite did not start within {START_SECONDS:.0f} s: {text[-500:]} {errors[-1000:]}")


def _wait_until_it_answers(endpoint: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            opener.open(endpoint, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # any answer is an answer
        except OSError as error:
            if time.monotonic() > deadline:
                raise UnavailableError(f"Azurite does not answer at {endpoint}: {error}") from error
            time.sleep(0.05)


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its own group, and reap it."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if process.poll() is None:
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        break
    if process.stdout is not None:
        process.stdout.close()
