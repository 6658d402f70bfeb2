"""The names of syslog's severities and facilities, as settings write them."""

from __future__ import annotations

SEVERITIES = (
    "LOG_EMERG", "LOG_ALERT", "LOG_CRIT", "LOG_ERR", "LOG_WARNING", "LOG_NOTICE", "LOG_INFO", "LOG_DEBUG",
)  # fmt: skip
FACILITIES = (
    "LOG_AUTH", "LOG_AUTHPRIV", "LOG_CRON", "LOG_DAEMON", "LOG_FTP", "LOG_KERN", "LOG_LOCAL0", "LOG_LOCAL1",
    "LOG_LOCAL2", "LOG_LOCAL3", "LOG_LOCAL4", "LOG_LOCAL5", "LOG_LOCAL6", "LOG_LOCAL7", "LOG_LPR", "LOG_MAIL",
    "LOG_NEWS", "LOG_SYSLOG", "LOG_USER", "LOG_UUCP",
)  # fmt: skip
