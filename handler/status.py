"""The handler's reports into ``N.status``."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from extension import statusfile
from extension.extlog import ExtensionLog
from handler.environment import Environment


class Reporter(NamedTuple):
    """Writes the status of one sequence number; ``sequence`` None (no settings at all) writes nothing."""

    environment: Environment
    sequence: int | None
    log: ExtensionLog
    err: TextIO

    @property
    def path(self) -> str | None:
        """The status file, or None if no sequence number is known."""
        if self.sequence is None or not self.environment.status_folder:
            return None
        return os.path.join(self.environment.status_folder, f"{self.sequence}.status")

    def report(
        self, operation: str, status: str, code: int, message: str, parts: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Log the outcome as LAD does and put it into the file; a file that cannot be written is logged."""
        line = f"{operation},{status},{code},{message}"
        (self.log.error if status == "error" else self.log.info)(line)
        if self.path is None:
            self.log.warning("no settings file and no sequence number: there is no status file to write")
            return
        document = statusfile.status_document(
            self.environment.name, operation, status, code, message, parts, version=self.environment.schema
        )
        try:
            os.makedirs(self.environment.status_folder, mode=0o700, exist_ok=True)
            statusfile.write(self.path, document)
        except OSError as error:
            self.log.error(f"cannot write {self.path}: {error.strerror}")
            self.err.write(f"cannot write {self.path}: {error.strerror}\n")
