"""The declarations: every class with its base, its own properties and its constants.

Source: spec/scx-classes.tsv (the properties as the original server lists them) and the inheritance chains of its
registration files. A property is ``Name:type[:flags[:unit]]``; flags are ``k`` key, ``r`` rate (needs two readings)
and ``n`` never set on Linux (always NULL). A property that is declared again keeps its inherited place.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

SCX, OMI, INTEROP = "root/scx", "root/omi", "interop"

UNITS = {
    "%": "Percent",
    "B": "Bytes",
    "B/s": "Bytes per Second",
    "KB": "KiloBytes",
    "MB": "MegaBytes",
    "P": "Packets",
    "P/s": "Pages per Second",
    "T/s": "Transfers per Second",
    "ms": "milliseconds",
    "min": "Minutes",
    "s": "Seconds",
    "ticks": "ticks",
}
TYPES = {
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64", "s16": "sint16", "r64": "real64",
    "str": "string", "bool": "boolean", "dt": "datetime", "u16[]": "uint16[]", "str[]": "string[]",
}  # fmt: skip


class Declaration(NamedTuple):
    """A class as declared. ``served``: has instances of its own; ``methods_only``: has no instances to be listed."""

    base: str
    added: str
    served: bool = False
    constants: dict[str, str | int | bool] = {}  # noqa: RUF012 - never changed
    namespace: str = SCX
    methods_only: bool = False


_PROCESSOR = (
    "PercentIdleTime:u8:r:% PercentUserTime:u8:r:% PercentNiceTime:u8:r:% PercentPrivilegedTime:u8:r:% "
    "PercentInterruptTime:u8:r:% PercentDPCTime:u8:r:% PercentProcessorTime:u8:r:% PercentIOWaitTime:u8:r:%"
)
_TRANSFER_RATES = (
    "BytesPerSecond:u64:r:B/s ReadBytesPerSecond:u64:r:B/s WriteBytesPerSecond:u64:r:B/s "
    "TransfersPerSecond:u64:r:T/s ReadsPerSecond:u64:r:T/s WritesPerSecond:u64:r:T/s "
)
_SYSTEM = "SCX_ComputerSystem"

BASES: dict[str, Declaration] = {
    "CIM_ManagedElement": Declaration("", "InstanceID:str:n Caption:str Description:str ElementName:str:n"),
    "CIM_StatisticalInformation": Declaration("CIM_ManagedElement", "Name:str:k"),
    "SCX_StatisticalInformation": Declaration("CIM_StatisticalInformation", "IsAggregate:bool"),
    "CIM_UnixProcessStatisticalInformation": Declaration(
        "CIM_StatisticalInformation",
        (
            "CSCreationClassName:str:k CSName:str:k OSCreationClassName:str:k OSName:str:k Handle:str:k "
            "ProcessCreationClassName:str:k CPUTime:u32:r:% RealText:u64:n RealData:u64:n RealStack:u64:n "
            "VirtualText:u64::KB VirtualData:u64::KB VirtualStack:u64:n VirtualMemoryMappedFileSize:u64:n "
            "VirtualSharedMemory:u64::KB CpuTimeDeadChildren:u64::ticks SystemTimeDeadChildren:u64::ticks"
        ),
    ),
    "CIM_StatisticalData": Declaration(
        "CIM_ManagedElement", "InstanceID:str:k StartStatisticTime:dt:n StatisticTime:dt:n SampleInterval:dt:n"
    ),
    "CIM_NetworkPortStatistics": Declaration(
        "CIM_StatisticalData",
        "BytesTransmitted:u64::B BytesReceived:u64::B PacketsTransmitted:u64::P PacketsReceived:u64::P",
    ),
    "CIM_EthernetPortStatistics": Declaration(
        "CIM_NetworkPortStatistics",
        (
            "SymbolErrors:u32:n AlignmentErrors:u32:n FCSErrors:u32:n SingleCollisionFrames:u32:n "
            "MultipleCollisionFrames:u32:n SQETestErrors:u32:n DeferredTransmissions:u32:n LateCollisions:u32:n "
            "ExcessiveCollisions:u32:n InternalMACTransmitErrors:u32:n InternalMACReceiveErrors:u32:n "
            "CarrierSenseErrors:u32:n FrameTooLongs:u32:n"
        ),
    ),
    "CIM_ManagedSystemElement": Declaration(
        "CIM_ManagedElement",
        (
            "InstallDate:dt:n Name:str OperationalStatus:u16[]:n StatusDescriptions:str[]:n Status:str:n "
            "HealthState:u16:n CommunicationStatus:u16:n DetailedStatus:u16:n OperatingStatus:u16:n PrimaryStatus:u16:n"
        ),
    ),
    "CIM_LogicalElement": Declaration("CIM_ManagedSystemElement", ""),
    "CIM_EnabledLogicalElement": Declaration(
        "CIM_LogicalElement",
        (
            "EnabledState:u16:n OtherEnabledState:str:n RequestedState:u16:n EnabledDefault:u16:n "
            "TimeOfLastStateChange:dt:n AvailableRequestedStates:u16[]:n TransitioningToState:u16:n"
        ),
    ),
    "CIM_LogicalDevice": Declaration(
        "CIM_EnabledLogicalElement",
        (
            "SystemCreationClassName:str:k SystemName:str:k CreationClassName:str:k DeviceID:str:k "
            "PowerManagementSupported:bool:n PowerManagementCapabilities:u16[]:n Availability:u16:n StatusInfo:u16:n "
            "LastErrorCode:u32:n ErrorDescription:str:n ErrorCleared:bool:n OtherIdentifyingInfo:str[]:n "
            "PowerOnHours:u64:n TotalPowerOnHours:u64:n IdentifyingDescriptions:str[]:n "
            "AdditionalAvailability:u16[]:n MaxQuiesceTime:u64:n"
        ),
    ),
    "CIM_MediaAccessDevice": Declaration(
        "CIM_LogicalDevice",
        (
            "Capabilities:u16[]:n CapabilityDescriptions:str[]:n ErrorMethodology:str:n CompressionMethod:str:n "
            "NumberOfMediaSupported:u32:n MaxMediaSize:u64::B DefaultBlockSize:u64:n MaxBlockSize:u64:n "
            "MinBlockSize:u64:n NeedsCleaning:bool:n MediaIsLocked:bool:n Security:u16:n LastCleaned:dt:n "
            "MaxAccessTime:u64:n UncompressedDataRate:u32:n LoadTime:u64:n UnloadTime:u64:n MountCount:u64:n "
            "TimeOfLastMount:dt:n TotalMountTime:u64:n UnitsDescription:str:n MaxUnitsBeforeCleaning:u64:n "
            "UnitsUsed:u64:n"
        ),
    ),
    "CIM_DiskDrive": Declaration("CIM_MediaAccessDevice", ""),
    "CIM_FileSystem": Declaration(
        "CIM_EnabledLogicalElement",
        (
            "Name:str:k CSCreationClassName:str:k CSName:str:k CreationClassName:str:k Root:str BlockSize:u64::B "
            "FileSystemSize:u64::B AvailableSpace:u64::B ReadOnly:bool EncryptionMethod:str CompressionMethod:str "
            "CaseSensitive:bool CasePreserved:bool CodeSet:u16[]:n MaxFileNameLength:u32 ClusterSize:u32:n "
            "FileSystemType:str PersistenceType:u16 OtherPersistenceType:str:n NumberOfFiles:u64"
        ),
    ),
    "CIM_ServiceAccessPoint": Declaration(
        "CIM_EnabledLogicalElement",
        "Name:str:k SystemCreationClassName:str:k SystemName:str:k CreationClassName:str:k",
    ),
    "CIM_ProtocolEndpoint": Declaration(
        "CIM_ServiceAccessPoint", "NameFormat:str:n ProtocolType:u16:n ProtocolIFType:u16:n OtherTypeDescription:str:n"
    ),
    "CIM_IPProtocolEndpoint": Declaration(
        "CIM_ProtocolEndpoint",
        (
            "IPv4Address:str IPv6Address:str:n Address:str:n SubnetMask:str PrefixLength:u8:n AddressType:u16:n "
            "IPVersionSupport:u16:n AddressOrigin:u16:n IPv6AddressType:u16:n IPv6SubnetPrefixLength:u16:n"
        ),
    ),
    "CIM_LANEndpoint": Declaration(
        "CIM_ProtocolEndpoint",
        (
            "LANID:str:n LANType:u16:n OtherLANType:str:n MACAddress:str AliasAddresses:str[]:n GroupAddresses:str[]:n "
            "MaxDataSize:u32:n"
        ),
    ),
    "CIM_Process": Declaration(
        "CIM_EnabledLogicalElement",
        (
            "CSCreationClassName:str:k CSName:str:k OSCreationClassName:str:k OSName:str:k CreationClassName:str:k "
            "Handle:str:k Priority:u32 ExecutionState:u16 OtherExecutionDescription:str:n CreationDate:dt "
            "TerminationDate:dt KernelModeTime:u64::ms UserModeTime:u64::ms WorkingSetSize:u64:n"
        ),
    ),
    "CIM_UnixProcess": Declaration(
        "CIM_Process",
        (
            "ParentProcessID:str RealUserID:u64 ProcessGroupID:u64 ProcessSessionID:u64 ProcessTTY:str:n "
            "ModulePath:str Parameters:str[] ProcessNiceValue:u32 ProcessWaitingForEvent:str"
        ),
    ),
    "CIM_OperatingSystem": Declaration(
        "CIM_EnabledLogicalElement",
        (
            "Name:str:k CSCreationClassName:str:k CSName:str:k CreationClassName:str:k OSType:u16 "
            "OtherTypeDescription:str Version:str LastBootUpTime:dt LocalDateTime:dt CurrentTimeZone:s16::min "
            "NumberOfLicensedUsers:u32 NumberOfUsers:u32 NumberOfProcesses:u32 MaxNumberOfProcesses:u32 "
            "TotalSwapSpaceSize:u64::KB TotalVirtualMemorySize:u64::KB FreeVirtualMemory:u64::KB "
            "FreePhysicalMemory:u64::KB TotalVisibleMemorySize:u64::KB SizeStoredInPagingFiles:u64::KB "
            "FreeSpaceInPagingFiles:u64::KB MaxProcessMemorySize:u64::KB Distributed:bool:n MaxProcessesPerUser:u32"
        ),
    ),
    "CIM_LogicalFile": Declaration(
        "CIM_LogicalElement",
        (
            "Name:str:k CSCreationClassName:str:k CSName:str:k FSCreationClassName:str:k FSName:str:k "
            "CreationClassName:str:k FileSize:u64 CreationDate:dt LastModified:dt LastAccessed:dt Readable:bool "
            "Writeable:bool Executable:bool CompressionMethod:str EncryptionMethod:str InUseCount:u64"
        ),
    ),
}

# in the order in which the original server answers a query on a common base class (spec/omi-scx.md 5)
SERVED: dict[str, Declaration] = {
    "SCX_RTProcessorStatisticalInformation": Declaration(
        "SCX_StatisticalInformation", _PROCESSOR, True,
        {"Caption": "Processor information", "Description": "CPU usage statistics"},
    ),
    "SCX_ProcessorStatisticalInformation": Declaration(
        "SCX_StatisticalInformation", _PROCESSOR, True,
        {"Caption": "Processor information", "Description": "CPU usage statistics"},
    ),
    "SCX_MemoryStatisticalInformation": Declaration(
        "SCX_StatisticalInformation",
        (
            "AvailableMemory:u64::MB PercentAvailableMemory:u8::% UsedMemory:u64::MB PercentUsedMemory:u8::% "
            "PercentUsedByCache:u8::% PagesPerSec:u64:r:P/s PagesReadPerSec:u64:r:P/s PagesWrittenPerSec:u64:r:P/s "
            "AvailableSwap:u64::MB PercentAvailableSwap:u8::% UsedSwap:u64::MB PercentUsedSwap:u8::%"
        ),
        True,
        {"Caption": "Memory information", "Description": "Memory usage and performance statistics"},
    ),
    "SCX_FileSystemStatisticalInformation": Declaration(
        "SCX_StatisticalInformation",
        "IsOnline:bool FreeMegabytes:u64::MB UsedMegabytes:u64::MB PercentFreeSpace:u8::% PercentUsedSpace:u8::% "
        "PercentFreeInodes:u8::% PercentUsedInodes:u8::% PercentBusyTime:u8:n:% PercentIdleTime:u8:n:% "
        + _TRANSFER_RATES + "AverageTransferTime:r64:n:s AverageDiskQueueLength:r64:n",
        True,
        {"Caption": "File system information",
         "Description": "Performance statistics related to a logical unit of secondary storage"},
    ),
    "SCX_DiskDriveStatisticalInformation": Declaration(
        "SCX_StatisticalInformation",
        "IsOnline:bool PercentBusyTime:u8:n:% PercentIdleTime:u8:n:% " + _TRANSFER_RATES
        + "AverageReadTime:r64:r:s AverageWriteTime:r64:r:s AverageTransferTime:r64:r:s AverageDiskQueueLength:r64",
        True,
        {"Caption": "Disk drive information",
         "Description": "Performance statistics related to a physical unit of secondary storage"},
    ),
    "SCX_EthernetPortStatistics": Declaration(
        "CIM_EthernetPortStatistics", "BytesTotal:u64::B TotalRxErrors:u64 TotalTxErrors:u64 TotalCollisions:u64", True,
        {"Caption": "Ethernet port information", "Description": "Statistics on transfer performance for a port"},
    ),
    "SCX_UnixProcessStatisticalInformation": Declaration(
        "CIM_UnixProcessStatisticalInformation",
        (
            "BlockReadsPerSecond:u64:n BlockWritesPerSecond:u64:n BlockTransfersPerSecond:u64:n "
            "PercentUserTime:u8:r:% PercentPrivilegedTime:u8:r:% UsedMemory:u64::KB PercentUsedMemory:u8::% "
            "PagesReadPerSec:u64:r:P/s"
        ),
        True,
        {"Caption": "Unix process information", "Description": "A snapshot of a current process",
         "CSCreationClassName": _SYSTEM, "OSCreationClassName": "SCX_OperatingSystem",
         "ProcessCreationClassName": "SCX_UnixProcessStatisticalInformation"},
    ),
    "SCX_UnixProcess": Declaration(
        "CIM_UnixProcess", "PercentBusyTime:u8:r:% UsedMemory:u64::KB", True,
        {"Caption": "Unix process information", "Description": "A snapshot of a current process",
         "CSCreationClassName": _SYSTEM, "OSCreationClassName": "SCX_OperatingSystem",
         "CreationClassName": "SCX_UnixProcess"},
    ),
    "SCX_DiskDrive": Declaration(
        "CIM_DiskDrive",
        (
            "IsOnline:bool InterfaceType:str Manufacturer:str Model:str TotalCylinders:u64 TotalHeads:u64 "
            "TotalSectors:u64 TotalTracks:u64:n TracksPerCylinder:u64:n"
        ),
        True,
        {"Caption": "Disk drive information",
         "Description": "Information pertaining to a physical unit of secondary storage",
         "SystemCreationClassName": _SYSTEM, "CreationClassName": "SCX_DiskDrive"},
    ),
    "SCX_FileSystem": Declaration(
        "CIM_FileSystem", "IsOnline:bool TotalInodes:u64 FreeInodes:u64", True,
        {"Caption": "File system information", "Description": "Information about a logical unit of secondary storage",
         "CSCreationClassName": _SYSTEM, "CreationClassName": "SCX_FileSystem", "CaseSensitive": True,
         "CasePreserved": True},
    ),
    "SCX_LANEndpoint": Declaration(
        "CIM_LANEndpoint", "InstanceID:str ElementName:str FormattedMACAddress:str", True,
        {"Caption": "LAN endpoint caption information", "Description": "LAN Endpoint description information",
         "SystemCreationClassName": _SYSTEM, "CreationClassName": "SCX_LANEndpoint"},
    ),
    "SCX_IPProtocolEndpoint": Declaration(
        "CIM_IPProtocolEndpoint", "ElementName:str EnabledState:u16 IPv4BroadcastAddress:str", True,
        {"Caption": "IP protocol endpoint information",
         "Description": "Properties of an IP protocol connection endpoint",
         "SystemCreationClassName": _SYSTEM, "CreationClassName": "SCX_IPProtocolEndpoint"},
    ),
    "SCX_OperatingSystem": Declaration(
        "CIM_OperatingSystem",
        "EnabledState:u16 RequestedState:u16 EnabledDefault:u16 OperatingSystemCapability:str SystemUpTime:u64::s",
        True,
        {"Name": "Linux Distribution", "CSCreationClassName": _SYSTEM, "CreationClassName": "SCX_OperatingSystem",
         "EnabledState": 5, "RequestedState": 12, "EnabledDefault": 2, "OSType": 36, "NumberOfLicensedUsers": 0},
    ),
    "SCX_Agent": Declaration(
        "CIM_LogicalElement",
        (
            "InstallDate:dt Name:str:k VersionString:str MajorVersion:u16 MinorVersion:u16 RevisionNumber:u16 "
            "BuildNumber:u16 BuildDate:str Architecture:str OSName:str OSType:str OSVersion:str KitVersionString:str "
            "Hostname:str OSAlias:str UnameArchitecture:str MinActiveLogSeverityThreshold:str MachineType:str "
            "PhysicalProcessors:u64 LogicalProcessors:u64"
        ),
        True,
        {"Caption": "SCX Agent meta-information", "Name": "scx", "OSType": "Linux",
         "MinActiveLogSeverityThreshold": "INFO"},
    ),
    "SCX_Application_Server": Declaration(
        "CIM_LogicalElement",
        (
            "Name:str:k HttpPort:str HttpsPort:str Port:str Protocol:str Version:str MajorVersion:str DiskPath:str "
            "Type:str Profile:str Cell:str Node:str Server:str IsDeepMonitored:bool IsRunning:bool"
        ),
        True,
    ),
    "SCX_LogFile": Declaration("CIM_LogicalFile", "", methods_only=True),
    "OMI_Identify": Declaration(
        "",
        (
            "InstanceID:str:k SystemName:str ProductName:str ProductVendor:str ProductVersionMajor:u32 "
            "ProductVersionMinor:u32 ProductVersionRevision:u32 ProductVersionString:str Platform:str "
            "OperatingSystem:str Architecture:str Compiler:str ConfigPrefix:str ConfigLibDir:str ConfigBinDir:str "
            "ConfigIncludeDir:str ConfigDataDir:str ConfigLocalStateDir:str ConfigSysConfDir:str ConfigProviderDir:str "
            "ConfigLogFile:str ConfigPIDFile:str ConfigRegisterDir:str ConfigSchemaDir:str ConfigNameSpaces:str[]"
        ),
        True,
        {"InstanceID": "2FDB5542-5896-45D5-9BE9-DC04430AAABE", "OperatingSystem": "LINUX"},
        OMI,
    ),
    "CIM_Namespace": Declaration(
        "",
        (
            "InstanceID:str:n Caption:str:n Description:str ElementName:str:n SystemCreationClassName:str:k "
            "SystemName:str:k ObjectManagerCreationClassName:str:k ObjectManagerName:str:k CreationClassName:str:k "
            "Name:str:k ClassInfo:u16 DescriptionOfClassInfo:str:n ClassType:u16 ClassTypeDescription:str:n"
        ),
        True,
        {"SystemCreationClassName": _SYSTEM, "ObjectManagerCreationClassName": "CIM_ObjectManager",
         "ObjectManagerName": "lad-emulator", "CreationClassName": "CIM_Namespace", "ClassInfo": 0, "ClassType": 0,
         "Description": "A namespace of lad-emulator, an emulation of the OMI service"},
        INTEROP,
    ),
    "CIM_ObjectManager": Declaration(
        "",
        (
            "InstanceID:str:n Caption:str:n Description:str ElementName:str SystemCreationClassName:str:k "
            "SystemName:str:k CreationClassName:str:k Name:str:k"
        ),
        True,
        {"SystemCreationClassName": _SYSTEM, "CreationClassName": "CIM_ObjectManager", "Name": "lad-emulator",
         "ElementName": "lad-emulator", "Description": "lad-emulator, an emulation of the OMI service"},
        INTEROP,
    ),
}  # fmt: skip

DECLARATIONS: dict[str, Declaration] = {**BASES, **SERVED}
