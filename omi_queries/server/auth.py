"""Who may ask: the credentials file and HTTP Basic (RFC 7617). No valid credentials is a state of its own: denied."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import stat
from collections.abc import Iterable
from enum import Enum

from omi_queries.server.httpwire import Head

MAX_FILE = 64 * 1024
MAX_USERS = 100
_MAX_VALUE = 1024
GENERATED_USER = "omi"


class Verdict(Enum):
    """``MISSING``: nothing that could be a guess (absent, other scheme, malformed); ``WRONG``: a guess that failed."""

    MISSING = "no credentials"
    WRONG = "wrong credentials"
    GOOD = "good credentials"


class CredentialsError(Exception):
    """The credentials file cannot be used; one line with path, line number and cure, never its content."""


class Credentials:
    """User and password pairs, kept as keyed digests only."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._key = secrets.token_bytes(32)
        self._digests = tuple(self._digest(f"{user}:{password}".encode()) for user, password in pairs)

    def _digest(self, pair: bytes) -> bytes:
        return hmac.digest(self._key, pair, "sha256")

    def check(self, head: Head) -> Verdict:
        """Judge the Authorization header of one request; nothing is remembered from earlier ones.

        Every known pair is compared, in time that depends on neither user nor password.
        """
        values = head.fields.get("authorization", ())
        if len(values) != 1 or len(values[0]) > _MAX_VALUE:
            return Verdict.MISSING
        scheme, _, token = values[0].partition(" ")
        if scheme.lower() != "basic":
            return Verdict.MISSING
        try:
            pair = base64.b64decode(token.strip(" ").encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return Verdict.MISSING
        user, colon, password = pair.partition(b":")
        if not colon or not user or not password:
            return Verdict.MISSING
        asked, good = self._digest(pair), False
        for known in self._digests:
            good |= hmac.compare_digest(asked, known)
        return Verdict.GOOD if good else Verdict.WRONG


def parse(text: str, path: str) -> list[tuple[str, str]]:
    """``user:password`` lines; empty lines and lines that begin with ``#`` are skipped. Raises CredentialsError."""
    pairs: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, password = line.partition(":")
        if not colon or not user.strip() or not password:
            raise CredentialsError(f"{path} line {number}: not user:password, both not empty")
        if user in pairs:
            raise CredentialsError(f"{path} line {number}: this user is there already; keep one line per user")
        pairs[user] = password
    if not pairs:
        raise CredentialsError(f"{path}: no user; add a line user:password or start with --generate-credentials")
    if len(pairs) > MAX_USERS:
        raise CredentialsError(f"{path}: more than {MAX_USERS} users")
    return list(pairs.items())


def load(path: str) -> Credentials:
    """Read a credentials file, which only its owner (this user or root) may be able to read.

    Raises CredentialsError.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise CredentialsError(f"{path}: no such file; create it or start with --generate-credentials") from None
    except OSError as error:
        raise CredentialsError(f"{path}: {error.strerror}") from None
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        os.close(fd)
        raise CredentialsError(f"{path}: not a regular file")
    with open(fd, "rb") as file:
        if about.st_mode & 0o077:
            raise CredentialsError(f"{path}: others may read it (mode {about.st_mode & 0o777:04o}); chmod 600 {path}")
        if about.st_uid not in (0, os.geteuid()):
            raise CredentialsError(f"{path}: belongs to another user; chown it to the user of this service")
        if about.st_size > MAX_FILE:
            raise CredentialsError(f"{path}: longer than {MAX_FILE} bytes")
        try:
            text = file.read(MAX_FILE).decode("utf-8")
        except UnicodeDecodeError:
            raise CredentialsError(f"{path}: not UTF-8") from None
    return Credentials(parse(text, path))


def generate(path: str) -> bool:
    """Create the credentials file with one user and a random password; False if it is there already.

    Raises CredentialsError.
    """
    line = f"{GENERATED_USER}:{secrets.token_urlsafe(24)}\n".encode("ascii")
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise CredentialsError(f"{path}: cannot be created: {error.strerror}") from None
    with open(fd, "wb") as file:
        file.write(line)
    return True
