"""One line per property: what its value says. Texts for one class only are under ``Class.Property``."""

from __future__ import annotations

import functools

_TEXTS = """
Architecture: processor architecture of the program
AvailableMemory: memory that can be had without swapping
AvailableRequestedStates: states that can be asked for
AvailableSpace: free space, including what is kept for root
AvailableSwap: free swap space
Availability: availability of the device
AverageDiskQueueLength: mean number of requests in progress
AverageReadTime: mean time of a read in the interval
AverageTransferTime: mean time of a read or write in the interval
AverageWriteTime: mean time of a write in the interval
BlockReadsPerSecond: blocks read by the process per second
BlockSize: allocation unit of the file system
BlockTransfersPerSecond: blocks read or written by the process per second
BlockWritesPerSecond: blocks written by the process per second
BuildDate: date of the program's release
BuildNumber: build number of the program
BytesPerSecond: bytes read and written per second
BytesReceived: bytes received since the interface came up
BytesTotal: bytes received and transmitted since the interface came up
BytesTransmitted: bytes transmitted since the interface came up
CPUTime: processor time used by the process in the interval; above 100 with several threads
Capabilities: what the device can do
CapabilityDescriptions: the capabilities in words
Caption: what kind of thing the instance describes
CasePreserved: names keep the case they were created with
CaseSensitive: names that differ in case are different names
Cell: cell of the application server
ClassInfo: whether the classes of the namespace are known
ClassType: version of the schema of the namespace
ClassTypeDescription: the schema of the namespace in words
ClusterSize: smallest unit of allocation
CodeSet: character sets of names
CommunicationStatus: whether the thing can be reached
Compiler: what the program was compiled with
CompressionMethod: how the data is compressed
ConfigBinDir: where the service's programs are
ConfigDataDir: where the service's data is
ConfigIncludeDir: where the service's headers are
ConfigLibDir: where the service's libraries are
ConfigLocalStateDir: where the service's variable data is
ConfigLogFile: the service's log
ConfigNameSpaces: namespaces that the service knows, "/" written as "-"
ConfigPIDFile: file with the service's process number
ConfigPrefix: prefix of the service's folders
ConfigProviderDir: where providers are configured
ConfigRegisterDir: where providers are registered
ConfigSchemaDir: where the schema is
ConfigSysConfDir: where the service's configuration is
CpuTimeDeadChildren: processor time of children that have ended and were waited for
CreationClassName: name of the instance's class
CreationDate: when the process was started
CSCreationClassName: class of the system that the instance belongs to
CSName: host name of the system that the instance belongs to
CurrentTimeZone: how far local time is ahead of UTC
Description: the instance in words
DescriptionOfClassInfo: the classes of the namespace in words
DetailedStatus: status in detail
DeviceID: the kernel's name of the disk
DiskPath: where the application server is installed
Distributed: whether the system spans several computers
ElementName: a name for people to read
EnabledDefault: state after a start
EnabledState: whether it is enabled (2), disabled (3), or enabled but offline (6)
EncryptionMethod: how the data is encrypted
ErrorCleared: whether the last error is over
ErrorDescription: the last error in words
ErrorMethodology: how errors are detected and corrected
Executable: whether the file may be executed
ExecutionState: 3 running, 5 blocked, 6 sleeping, 7 ended, 8 stopped, 9 paging, 0 other
FSCreationClassName: class of the file system of the file
FSName: file system of the file
FileSize: size of the file
FileSystemSize: size of the file system
FileSystemType: type of the file system as in the mount table
FormattedMACAddress: hardware address as pairs of digits with dashes
FreeInodes: free inodes
FreeMegabytes: free space for users, rounded up
FreePhysicalMemory: memory that can be had without swapping
FreeSpaceInPagingFiles: free swap space
FreeVirtualMemory: available memory and free swap space
Handle: number of the process as text
HealthState: health of the thing
Hostname: host name
HttpPort: port for http
HttpsPort: port for https
InUseCount: how often the file is open
InstallDate: when it was installed
InstanceID: identifies the instance
InterfaceType: kind of the disk's bus, guessed from the kernel's name
IPv4Address: primary IPv4 address of the interface
IPv4BroadcastAddress: broadcast address of the interface
IsAggregate: whether the instance sums up the others
IsDeepMonitored: whether the application server is watched in depth
IsOnline: whether it is still in use (mounted); what was seen once stays listed
IsRunning: whether the application server runs
KernelModeTime: processor time used in system mode since the process began
KitVersionString: version of the package that was installed
LastAccessed: when the file was read last
LastBootUpTime: when the system was booted, from the login records
LastModified: when the file was written last
LocalDateTime: date and time now
LogicalProcessors: online processors
MACAddress: hardware address as twelve digits
MachineType: Virtual, Physical or Unknown
MajorVersion: major version number
Manufacturer: maker of the disk
MaxDataSize: largest data unit
MaxFileNameLength: longest file name
MaxMediaSize: size of the disk
MaxNumberOfProcesses: most threads that the kernel allows
MaxProcessMemorySize: most memory of one process, 0 without a limit
MaxProcessesPerUser: most processes of one user
MinActiveLogSeverityThreshold: least severity that is logged
MinorVersion: minor version number
Model: model of the disk
ModulePath: file that the process executes
Name: name of the thing
Node: node of the application server
NumberOfFiles: inodes in use
NumberOfLicensedUsers: licensed users, 0 without a limit
NumberOfProcesses: processes now
NumberOfUsers: logins now
OperatingStatus: what the thing is doing
OSAlias: kind of the distribution's packages: UniversalD or UniversalR
OSCreationClassName: class of the operating system
OSName: name of the operating system
OSType: kind of operating system; 36 is Linux
OSVersion: version of the distribution
ObjectManagerCreationClassName: class of the service
ObjectManagerName: name of the service
OperatingSystem: kind of operating system
OperatingSystemCapability: 64 bit or 32 bit
OperationalStatus: status of the thing
OtherTypeDescription: kernel release, version and architecture as uname says
PacketsReceived: packets received since the interface came up
PacketsTransmitted: packets transmitted since the interface came up
PagesPerSec: pages read from and written to disks per second
PagesReadPerSec: pages read from disks per second
PagesWrittenPerSec: pages written to disks per second
Parameters: arguments of the process, its own name first
ParentProcessID: number of the parent process as text
PercentAvailableMemory: share of available memory in all memory
PercentAvailableSwap: share of free swap space in all swap space
PercentBusyTime: share of the interval that it was busy
PercentDPCTime: share of time in soft interrupts
PercentFreeInodes: share of free inodes
PercentFreeSpace: share of free space in free and used space
PercentIOWaitTime: share of time idle while requests to disks were in progress
PercentIdleTime: share of time idle
PercentInterruptTime: share of time in hardware interrupts
PercentNiceTime: share of time in user mode with low priority
PercentPrivilegedTime: share of time in system mode
PercentProcessorTime: share of time neither idle nor waiting for disks
PercentUsedByCache: share of the page cache in all memory
PercentUsedInodes: share of inodes in use
PercentUsedMemory: share of used memory in all memory
PercentUsedSpace: share of used space in free and used space
PercentUsedSwap: share of used swap space in all swap space
PercentUserTime: share of time in user mode
PersistenceType: 2 persistent, 0 unknown
PhysicalProcessors: processor packages
Platform: platform of the service
Port: port of the application server
PrimaryStatus: status in one number
Priority: priority, 0 lowest to 15, above for real time
ProcessCreationClassName: name of the instance's class
ProcessGroupID: number of the process group
ProcessNiceValue: nice value plus 20
ProcessSessionID: number of the session
ProcessTTY: terminal of the process
ProcessWaitingForEvent: function of the kernel in which the process sleeps
ProductName: what answers
ProductVendor: who makes it
ProductVersionMajor: major version number
ProductVersionMinor: minor version number
ProductVersionRevision: third version number
ProductVersionString: version
Profile: profile of the application server
Protocol: protocol of the application server
ReadBytesPerSecond: bytes read per second
ReadOnly: whether it is mounted read-only
Readable: whether the file may be read
ReadsPerSecond: reads completed per second
RealData: resident memory of data
RealStack: resident memory of the stack
RealText: resident memory of code
RealUserID: number of the user that the process runs for
RequestedState: state last asked for; 12 is not applicable
RevisionNumber: third version number
Root: mount point
SampleInterval: distance between samples
Server: name of the application server
SizeStoredInPagingFiles: size of swap space
StartStatisticTime: when counting began
StatisticTime: when the counters were read
Status: status in a word
StatusDescriptions: status in words
SubnetMask: network mask of the interface
SystemCreationClassName: class of the system that the instance belongs to
SystemName: host name of the system that the instance belongs to
SystemTimeDeadChildren: system time of children that have ended and were waited for
SystemUpTime: time since the system was booted
TerminationDate: when the process was first seen to have ended
TotalCollisions: collisions since the interface came up
TotalCylinders: cylinders of the disk
TotalHeads: heads of the disk
TotalInodes: inodes of the file system
TotalRxErrors: receive errors since the interface came up
TotalSectors: sectors of the disk
TotalSwapSpaceSize: size of swap space
TotalTracks: tracks of the disk
TotalTxErrors: transmit errors since the interface came up
TotalVirtualMemorySize: size of memory and swap space
TotalVisibleMemorySize: size of memory
TransfersPerSecond: reads and writes completed per second
Type: kind of application server
UnameArchitecture: architecture as uname says
UsedMegabytes: space in use, rounded up
UsedMemory: memory in use
UsedSwap: swap space in use
UserModeTime: processor time used in user mode since the process began
Version: version
VersionString: version of the program that answers
VirtualData: virtual memory of data
VirtualMemoryMappedFileSize: virtual memory of mapped files
VirtualSharedMemory: resident memory that is shared with others
VirtualStack: virtual memory of the stack
VirtualText: virtual memory of code
WorkingSetSize: memory that the process needs
WriteBytesPerSecond: bytes written per second
Writeable: whether the file may be written
WritesPerSecond: writes completed per second
SCX_Agent.OSName: name of the distribution
SCX_Agent.OSType: kind of operating system
SCX_DiskDrive.IsOnline: whether a file system of the disk is mounted
SCX_EthernetPortStatistics.InstanceID: name of the interface
SCX_FileSystem.Name: mount point
SCX_FileSystemStatisticalInformation.Name: mount point, or _Total
SCX_DiskDriveStatisticalInformation.Name: the kernel's name of the disk, or _Total
SCX_DiskDrive.Name: the kernel's name of the disk
SCX_IPProtocolEndpoint.Name: name of the interface
SCX_LANEndpoint.InstanceID: name of the interface
SCX_LANEndpoint.Name: name of the interface
SCX_LogFile.CreationDate: when the file was created
SCX_LogFile.Name: path of the file
SCX_MemoryStatisticalInformation.Name: always Memory
SCX_OperatingSystem.Caption: distribution, version and architecture
SCX_OperatingSystem.Version: version of the distribution
SCX_ProcessorStatisticalInformation.Name: number of the processor, or _Total
SCX_RTProcessorStatisticalInformation.Name: number of the processor, or _Total
SCX_UnixProcess.Name: command name of the process
SCX_UnixProcess.PercentBusyTime: processor time used by the process in the interval
SCX_UnixProcess.UsedMemory: resident memory of the process
SCX_UnixProcessStatisticalInformation.Name: command name of the process
SCX_UnixProcessStatisticalInformation.PagesReadPerSec: page faults of the process that needed a disk, per second
SCX_UnixProcessStatisticalInformation.PercentUsedMemory: share of resident memory in the process's virtual memory
SCX_UnixProcessStatisticalInformation.UsedMemory: resident memory of the process
"""


@functools.cache
def _parsed() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in _TEXTS.strip().splitlines())


def _words(name: str) -> str:
    """``MaxQuiesceTime`` as "max quiesce time": for properties that are declared and never set."""
    parts = [""]
    for before, c, after in zip(" " + name, name, name[1:] + " ", strict=False):
        if c.isupper() and (before.islower() or (before.isupper() and after.islower())):
            parts.append("")
        parts[-1] += c
    return " ".join(p if len(p) > 1 and p.isupper() else p.lower() for p in parts if p)


def text(class_name: str, property_name: str) -> str:
    """What the property of that class says."""
    known = _parsed()
    return known.get(f"{class_name}.{property_name}") or known.get(property_name) or _words(property_name)
