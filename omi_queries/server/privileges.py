"""Giving up root after the sockets are bound and the secrets are read."""

from __future__ import annotations

import os
import pwd

DEFAULT_USER = "nobody"


class PrivilegeError(Exception):
    """Root cannot be given up as asked; one line."""


def drop(user: str) -> str:
    """Become ``user`` if this process is root. The line to report, "" if there was nothing to give up.

    An unknown user is an error; where the kernel does not let go (a user namespace without that user), the line says
    so.
    """
    if os.geteuid() != 0:
        return ""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise PrivilegeError(f"there is no user {user!r} to run as; give another one with --user") from None
    if entry.pw_uid == 0:
        raise PrivilegeError(f"user {user!r} is root; give another one with --user")
    try:
        os.setgroups([])
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    except OSError as error:
        if os.geteuid() != 0:
            raise PrivilegeError(f"root was given up in part only: {error.strerror}") from None
        return f"still root: this system does not let the service become {user} ({error.strerror})"
    return f"running as {user}"
