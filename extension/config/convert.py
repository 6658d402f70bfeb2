"""``lad config convert``: settings of LAD 2.3 and 3.0 and mdsd documents into one another."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from extension.config.convert_files import ConvertError, without_secrets, write
from extension.config.inputfile import InputError, json_value, read

if TYPE_CHECKING:
    from extension.config.convert_streams import Stream
    from extension.config.problems import Problems
    from extension.plan import Plan

_STAND_IN = {
    "storageAccountName": "account",
    "storageAccountSasToken": "sv=2018-03-28&ss=bt&srt=sco&sp=rwlacud&se=9998-12-31T00:00:00Z&sig=c2VjcmV0",
}


def run(args: argparse.Namespace) -> int:
    """Convert and report; the exit code is the help's."""
    try:
        made, secret, missing = converted(args)
        if args.protected_out and not secret:
            raise ConvertError(f"{args.file} has no protected settings to write: give them with --protected")
        if args.protected_out:
            write(args.protected_out, secret)
    except (ConvertError, InputError) as error:
        _say(f"error: {error}")
        return 1
    sys.stdout.buffer.write(made)
    sys.stdout.flush()
    for line in missing:
        _say(f"no counterpart: {line}")
    if not secret:
        _say("note: there are no protected settings: credentials are missing, and the account's name may be")
    elif not args.protected_out:
        _say("note: secrets are not printed: --protected-out F writes them to a file of mode 0600")
    return 1 if missing else 0


def converted(args: argparse.Namespace) -> tuple[bytes, bytes, list[str]]:
    """(public output, what is secret, what has no counterpart). ConvertError or InputError if there is none."""
    from extension.config import xmlsafe

    data = read(args.file)
    whole = True
    settings: Any = None
    if xmlsafe.looks_like_xml(data):
        xml = data
    else:
        xml, settings, protected, dialect = _document_of(data, args)
        whole = protected is not None
        if dialect == args.to:
            return _written(settings), _written(protected) if whole else b"", []
    plan = _plan(xml, args.file if settings is None else f"the document of {args.file}")
    if args.to == "mdsd":
        public = without_secrets(xml)
        return public, xml if whole else b"", []
    public_part, protected, missing = _settings(plan, xml, args.to, settings)
    return _written(public_part), _written(protected) if whole else b"", missing


def _written(settings: Any) -> bytes:
    return json.dumps(settings, indent=1).encode() + b"\n"


def _document_of(data: bytes, args: argparse.Namespace) -> tuple[bytes, Any, Any, str]:
    """The document that settings ask for, public and protected settings (None where there are none), the dialect."""
    from extension.config import machine
    from extension.config.build import generate
    from extension.config.problems import Problems
    from extension.config.settings_file import split
    from extension.config.values import PROTECTED

    problems = Problems()
    parts = split(json_value(data, args.file, "$", problems), tuple(_STAND_IN), problems)
    protected = parts.protected
    if args.protected:
        protected = json_value(read(args.protected), args.protected, PROTECTED, problems)
    whole = bool(args.protected) or (parts.has_protected and bool(protected))
    if not whole:
        protected = dict(_STAND_IN)
        if isinstance(parts.public, dict) and isinstance(parts.public.get("StorageAccount"), str):
            protected["storageAccountName"] = parts.public["StorageAccount"] or _STAND_IN["storageAccountName"]
    uuid = machine.vm_uuid() if args.vm_uuid is None else args.vm_uuid
    made = generate(parts.public, protected, machine=machine.Machine(uuid, ""))
    problems.extend(made.problems)
    _tell(problems)
    if made.xml is None or problems.failed:
        raise ConvertError(f"{args.file}: the settings make no document")
    return made.xml, parts.public, protected if whole else None, made.dialect


def _plan(xml: bytes, name: str) -> Plan:
    import socket
    from datetime import datetime, timezone

    from extension.config import document
    from extension.config.problems import Problems
    from extension.config.resolve import resolve
    from extension.config.secrets import decrypt_hex
    from extension.plan import Options

    problems = Problems()
    read = document.read(xml, name, problems)
    now = datetime.now(timezone.utc)
    plan = None
    if read is not None:
        plan = resolve(
            read, Options(), socket.gethostname(), environ=os.environ, decrypt=decrypt_hex, now=now, problems=problems
        )
    _tell(problems)
    if plan is None:
        raise ConvertError(f"{name}: cannot be read as a configuration")
    return plan


def _settings(plan: Plan, xml: bytes, to: str, given: Any) -> tuple[Any, Any, list[str]]:
    """Public settings, protected settings, and what they do not say."""
    from extension.config import convert_settings as forms

    public, protected = forms.later(plan) if to == "3.0" else forms.earlier(plan)
    _logs(given, public, to)
    missing = _missing(plan, public, protected, to)
    if missing and to == "2.3" and not (_secret_elsewhere(plan) or forms.syslog(plan) or forms.followed(plan)):
        # What 2.3 has no words for it takes as a document of one's own.
        import base64

        wrapped = {
            "StorageAccount": public.get("StorageAccount", ""),
            "mdsdCfg": base64.b64encode(without_secrets(xml)).decode(),
            "perfCfg": [],
        }
        fewer = _missing(plan, wrapped, protected, to)
        if len(fewer) < len(missing):
            public, missing = wrapped, fewer
    return public, protected, [*missing, *_unsaid(plan, public, given, to), *_beside(plan, to, "mdsdCfg" in public)]


def _unsaid(plan: Plan, public: Any, given: Any, to: str) -> list[str]:
    """What of logs neither a document nor the other dialect says."""
    from extension.config import convert_settings as forms

    found = []
    listed = public.get("fileCfg" if to == "2.3" else "fileLogs", [])
    if len(forms.followed(plan)) > len(listed):
        found.append("which files are followed: a document names their tables only, add the files by hand")
    if forms.syslog(plan) and to == "3.0" and not isinstance(given, dict):
        found.append("the syslog facilities and levels: a document has none, all of them are written")
    if forms.syslog(plan) and to == "2.3" and _levels(given) is not None:
        found.append("the syslog facilities and levels: LAD 2.3 takes all of them")
    return found


def _levels(given: Any) -> Any:
    """syslogEvents of 3.0 settings, None without."""
    for key in ("ladCfg", "diagnosticMonitorConfiguration", "syslogEvents"):
        given = given.get(key) if isinstance(given, dict) else None
    return given


def _logs(given: Any, public: Any, to: str) -> None:
    """Files to follow, whose paths no document has: from settings to settings."""
    if not isinstance(given, dict):
        return
    levels = _levels(given)
    if to == "3.0" and isinstance(levels, dict):  # its sinks are named anew
        syslog = public["ladCfg"]["diagnosticMonitorConfiguration"].setdefault("syslogEvents", {})
        syslog |= {key: value for key, value in levels.items() if key != "sinks"}
    listed = given.get("fileLogs") if to == "2.3" else given.get("fileCfg")
    own = given.get("fileCfg") if to == "2.3" else given.get("fileLogs")
    found = []
    for one in [*(listed if isinstance(listed, list) else []), *(own if isinstance(own, list) else [])]:
        if isinstance(one, dict) and isinstance(one.get("file"), str) and isinstance(one.get("table"), str):
            found.append({"file": one["file"], "table": one["table"]})
    if found:
        public["fileCfg" if to == "2.3" else "fileLogs"] = found
    if found and to == "2.3":
        public["enableSyslog"] = "true"  # LAD 2.3 follows files with the syslog daemon


def _missing(plan: Plan, public: Any, protected: Any, to: str) -> list[str]:
    """What the plan does and these settings would not do, and the other way round."""
    from extension.config.build import generate
    from extension.config.convert_streams import streams
    from extension.config.machine import Machine
    from extension.config.problems import Problems

    stand_in = {**_STAND_IN, **{k: v for k, v in protected.items() if k == "sinksConfig"}}
    made = generate(public, stand_in, lad="2.3" if to == "2.3" else None, machine=Machine(_instance(plan), ""))
    wanted = streams(plan)
    if made.xml is None:
        told = "; ".join(p.message for p in made.problems if p.severity == "error")
        return [*(str(stream) for stream in sorted(wanted)), *([f"(the settings are faulty: {told})"] if told else [])]
    problems = Problems()
    try:
        result = streams(_quiet_plan(made.xml, problems))
    except ConvertError:
        result = set()
    return [
        *(str(stream) for stream in sorted(wanted - result)),
        *(f"(added by LAD {to}) {stream}" for stream in sorted(result - wanted) if not _idle(stream, public)),
    ]


def _idle(stream: Stream, public: Any) -> bool:
    """The route that LAD 2.3 writes even where syslog is off."""
    return stream.what == "log" and "Linuxsyslog" in stream.where and public.get("enableSyslog") == "false"


def _instance(plan: Plan) -> str:
    for name, value in plan.obo:
        if name == "agentIdentityHash":
            return value
    return next((d.lad.instance_id for d in plan.derived if d.lad is not None and d.lad.instance_id), "")


def _quiet_plan(xml: bytes, problems: Problems) -> Plan:
    from datetime import datetime, timezone

    from extension.config import document
    from extension.config.resolve import resolve
    from extension.config.secrets import decrypt_hex
    from extension.plan import Options

    read = document.read(xml, "the result", problems)
    now = datetime.now(timezone.utc)
    plan = read and resolve(read, Options(), "", environ={}, decrypt=decrypt_hex, now=now, problems=problems)
    if not plan:
        raise ConvertError("the result cannot be read")
    return plan


def _secret_elsewhere(plan: Plan) -> bool:
    """Whether the document holds secrets that the protected settings have no place for."""
    return len(plan.accounts) > 1 or bool(plan.publishers)


def _beside(plan: Plan, to: str, whole_document: bool) -> list[str]:
    """What is not a stream; a document of one's own keeps its head."""
    from extension.config.convert_settings import default_account

    default = default_account(plan)
    found = [f"account {a.account} ({a.moniker}): LAD {to} has one account" for a in plan.accounts if a != default]
    if default is None:
        found.append("no storage account: LAD needs one")
    elif to == "3.0" and default.kind == "key":
        found.append("the account key: LAD 3.0 takes an account SAS only (storageAccountSasToken)")
    if whole_document:
        return found
    if plan.namespace or plan.event_version != 2:
        found.append(f"namespace {plan.namespace or '(none)'}, eventVersion {plan.event_version}: LAD has none and 2")
    known = {"DeploymentId", "Host"}
    found += [f"identity column {name}" for name, _ in plan.identity if name not in known]
    return found


def _tell(problems: Problems) -> None:
    for problem in problems:
        _say(problem.render())


def _say(line: str) -> None:
    sys.stderr.buffer.write(line.encode("utf-8", "backslashreplace") + b"\n")
    sys.stderr.flush()
