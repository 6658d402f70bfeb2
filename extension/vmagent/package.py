"""Extension packages: where ours comes from, what a package is called, how it is unpacked."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MANIFEST = "HandlerManifest.json"
_FILE_NAME = re.compile(r"(?P<name>[A-Za-z0-9._]+?)__(?P<version>\d+(\.\d+){1,3})")
_VERSION = re.compile(r"\d+(\.\d+){1,3}")
# what an installed copy has at its root beyond its package
_LEFT_BEHIND = frozenset(("config", "status", "mrseq", "HandlerEnvironment.json", ".git", ".venv"))


class PackageError(Exception):
    """A package is missing or not as the agent needs it; the text names the file and the cure."""


@dataclass(frozen=True)
class Package:
    """A zip or folder with ``HandlerManifest.json``; ``name`` is ``<Publisher>.<Type>``."""

    path: str
    name: str
    version: str

    def unpack(self, home: str) -> None:
        """Put the content into the new folder ``home`` (0700), every file executable as the agent does."""
        shutil.rmtree(home, ignore_errors=True)
        try:
            if os.path.isdir(self.path):
                shutil.copytree(self.path, home, ignore=self._not_copied)
            else:
                with zipfile.ZipFile(self.path) as archive:
                    archive.extractall(home)
        except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError) as error:
            shutil.rmtree(home, ignore_errors=True)
            raise PackageError(f"cannot unpack {self.path}: {error}") from None
        os.chmod(home, 0o700)
        for folder, _, names in os.walk(home):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.islink(path):
                    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        _manifest_to_root(home)

    def _not_copied(self, folder: str, names: list[str]) -> set[str]:
        at_root = os.path.abspath(folder) == self.path
        return {name for name in names if name == "__pycache__" or (at_root and name in _LEFT_BEHIND)}


def _manifest_to_root(home: str) -> None:
    """The agent takes the first ``HandlerManifest.json`` of the tree and removes a byte-order mark."""
    target = os.path.join(home, MANIFEST)
    source = target
    if not os.path.exists(target):
        source = next((os.path.join(at, MANIFEST) for at, _, names in os.walk(home) if MANIFEST in names), "")
    if not source:
        raise PackageError(f"the package has no {MANIFEST}")
    with open(source, "rb") as reader:
        data = reader.read()
    if source != target or data.startswith(b"\xef\xbb\xbf"):
        with open(target, "wb") as writer:
            writer.write(data.removeprefix(b"\xef\xbb\xbf"))


def manifest(text: str, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(element 0 of the manifest, its ``handlerManifest``); PackageError names what is odd."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{where} is not JSON: {error}") from None
    head = value[0] if isinstance(value, list) and value else None
    body = head.get("handlerManifest") if isinstance(head, dict) else None
    if not isinstance(head, dict) or not isinstance(body, dict):
        raise PackageError(f"{where} is not an array of one object with handlerManifest")
    return head, body


def open_package(path: str) -> Package:
    """Look into a zip or folder: the name and version by its manifest, else by its file name."""
    if not os.path.exists(path):
        raise PackageError(f"there is no package {path}")
    if os.path.isdir(path):
        texts = {name: _read_file(os.path.join(path, name)) for name in (MANIFEST, "manifest.xml")}
    else:
        texts = _read_zip(path)
    text = texts.get(MANIFEST)
    if text is None:
        raise PackageError(f"{path} has no {MANIFEST}")
    head, _ = manifest(text, f"{path}: {MANIFEST}")
    name, version = head.get("name"), head.get("version")
    if not isinstance(name, str) or not isinstance(version, str) or not _VERSION.fullmatch(version):
        name, version = _from_xml(texts.get("manifest.xml") or "") or _from_file_name(path)
    if not re.fullmatch(r"[A-Za-z0-9._]+", name):
        raise PackageError(f"{path}: the handler's name {name!r} may have letters, digits and dots only")
    return Package(os.path.abspath(path), name, version)


def _read_file(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8-sig") as source:
            return source.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError(f"cannot read {path}: {error}") from None


def _read_zip(path: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for wanted in (MANIFEST, "manifest.xml"):
                members = [name for name in archive.namelist() if name.rpartition("/")[2] == wanted]
                if members:
                    shallowest = min(members, key=lambda name: name.count("/"))
                    found[wanted] = archive.read(shallowest).decode("utf-8-sig")
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, RuntimeError) as error:
        raise PackageError(f"cannot read {path}: {error}") from None
    return found


def _from_xml(text: str) -> tuple[str, str] | None:
    values = [re.search(rf"<{tag}>\s*([^<]*?)\s*</{tag}>", text) for tag in ("ProviderNameSpace", "Type", "Version")]
    if not all(values):
        return None
    publisher, type_, version = (value[1] for value in values if value)
    return (f"{publisher}.{type_}", version) if _VERSION.fullmatch(version) else None


def _from_file_name(path: str) -> tuple[str, str]:
    found = _FILE_NAME.match(os.path.basename(path))
    if not found:
        raise PackageError(
            f"{path}: name and version stand neither in {MANIFEST} nor in manifest.xml nor in the file's name "
            "(<Name>__<version>.zip)"
        )
    return found["name"], found["version"]


def find_package(environ: Mapping[str, str] = os.environ, out_dir: str | None = None) -> str:
    """Our own extension package: ``LAD_PACKAGE``, else built from the checkout, else the installed prebuilt zip.

    A build goes to ``out_dir``, by default ``dist/`` of the checkout (or a temporary folder if that is read-only).
    """
    told = environ.get("LAD_PACKAGE")
    if told:
        if not os.path.exists(told):
            raise PackageError(f"LAD_PACKAGE={told} does not exist; run make package, or unset it")
        return told
    checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    script = os.path.join(checkout, "packaging", "build_zip.py")
    if os.path.isfile(script):
        return _build(script, out_dir or _writable(os.path.join(checkout, "dist")))
    share = os.path.join(sys.prefix, "share", "lad-emulator")
    names = sorted(name for name in os.listdir(share) if name.endswith(".zip")) if os.path.isdir(share) else []
    if not names:
        raise PackageError(
            f"no extension package: neither {script} nor a zip in {share}; give --package or set LAD_PACKAGE"
        )
    return os.path.join(share, names[-1])


def _build(script: str, out_dir: str) -> str:
    specification = importlib.util.spec_from_file_location("lad_emulator_build_zip", script)
    if specification is None or specification.loader is None:
        raise PackageError(f"cannot load {script}")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    try:
        return str(module.build(out_dir))
    except (module.BuildError, OSError) as error:
        raise PackageError(f"cannot build the extension package: {error}") from None


def _writable(folder: str) -> str:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return tempfile.mkdtemp(prefix="lad-package-")
    return folder if os.access(folder, os.W_OK) else tempfile.mkdtemp(prefix="lad-package-")
