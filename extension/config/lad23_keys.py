"""The settings that LAD 2.3 had."""

from __future__ import annotations

from extension.config import sources

PUBLIC_KEYS = (
    "xmlCfg", "ladCfg", "perfCfg", "fileCfg", "syslogCfg", "enableSyslog", "EnableSyslog", "mdsdCfg", "eventVolume",
    "sampleRateInSeconds", "instanceID", "mdsdHttpProxy", "StorageAccount", "honourXmlCfg", *sources.PUBLIC_KEYS,
)  # fmt: skip
PROTECTED_KEYS = (
    "storageAccountName", "storageAccountKey", "storageAccountSasToken", "storageAccountEndPoint", "mdsdHttpProxy",
    "mysqladdress", "mysqlusername", "mysqlpassword", *sources.PROTECTED_KEYS,
)  # fmt: skip
