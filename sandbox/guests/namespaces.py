"""Walls the kernel keeps: mount, process, IPC and host name namespaces, then no privilege at all. Linux only.

The real machine's root starts guests directly and becomes nobody inside; anybody else goes through a user namespace.
Either way the old root is unmounted, what remains of the machine is read-only, and every capability is dropped, so
that not even a program exploiting its way to uid 0 in the guest can remount or signal what is outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import sys

from sandbox.guests.folder import Folder

NOBODY = 65534
TOOLS = "/.sandbox"

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_SYS_MOUNT_SETATTR = 442
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
_CAPABILITY_VERSION_3 = 0x20080522
_SIGKILL = 9

LIBRARIES = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/share/zoneinfo",
)
DEVICES = ("null", "zero", "full", "random", "urandom")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    given = [None if text is None else text.encode() for text in (source, target, kind, options)]
    result = _libc().mount(given[0], given[1], given[2], ctypes.c_ulong(flags), given[3])
    _checked(result, f"mount {target}")


def _bind_read_only(source: str, target: str) -> None:
    _mount(source, target, None, _MS_BIND | _MS_REC)
    attributes = struct.pack("QQQQ", _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, 0, 0, 0)
    result = _libc().syscall(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        target.encode(),
        _AT_RECURSIVE,
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    _checked(result, f"read-only {target}")


def die_with_parent() -> None:
    _checked(_libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "parent death signal")


def adopt_orphans() -> None:
    """Processes whose parents end become this one's children."""
    _checked(_libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "subreaper")


def drop_privileges(uid: int | None = None) -> None:
    """Every capability, for this process and all that come of it, for ever; where a uid is given, root too."""
    libc = _libc()
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    if uid is not None:
        os.setresuid(uid, uid, uid)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _checked(libc.capset(header, struct.pack("IIIIII", 0, 0, 0, 0, 0, 0)), "capset")
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def unshare() -> None:
    """Leaves the machine's namespaces; the next child is process 1 of its own. Raises OSError."""
    uid, gid = os.geteuid(), os.getegid()
    flags = _NEWNS | _NEWPID | _NEWIPC | _NEWUTS
    _checked(_libc().unshare(flags if uid == 0 else flags | _NEWUSER), "unshare")
    if uid != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def enter(root: str, tools: str, hostname: str, *, become_nobody: bool) -> None:
    """Makes `root` the whole file system and gives up every privilege; raises OSError."""
    with contextlib.suppress(OSError):
        socket.sethostname(hostname)
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount(root, root, None, _MS_BIND)
    _mount_libraries(root)
    _bind_read_only(tools, root + TOOLS)
    if (prefix := python_prefix()) is not None:
        _bind_read_only(prefix, f"{root}{TOOLS}/python")
    _mount_devices(root)
    # A container may forbid a new /proc; the guest then has none.
    with contextlib.suppress(PermissionError):
        _mount("proc", f"{root}/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    os.chdir(root)
    _checked(_libc().pivot_root(b".", b"."), "pivot_root")
    _checked(_libc().umount2(b".", _MNT_DETACH), "umount old root")
    os.chdir("/")
    drop_privileges(NOBODY if become_nobody else None)
    die_with_parent()


def python_prefix() -> str | None:
    """What to show of the machine's Python; None where the libraries above already hold it."""
    prefix = os.path.realpath(sys.base_prefix)
    return None if prefix in ("/usr", "/usr/local") else prefix


def lay_out_libraries(folder: Folder) -> None:
    """Links and mount points in the guest for what `enter` will show there."""
    for path in LIBRARIES:
        if os.path.islink(path):
            folder.link(os.readlink(path), path)
        elif os.path.isdir(path):
            folder.make_dirs(path)


def _mount_libraries(root: str) -> None:
    for path in LIBRARIES:
        if os.path.isdir(path) and not os.path.islink(path):
            _bind_read_only(path, root + path)
    cache = "/etc/ld.so.cache"
    if os.path.exists(cache):
        _bind_read_only(cache, root + cache)


def _mount_devices(root: str) -> None:
    _mount("tmpfs", f"{root}/dev", "tmpfs", _MS_NOSUID | _MS_NOEXEC, "mode=0755,size=16m")
    for name in DEVICES:
        target = f"{root}/dev/{name}"
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o666))
        _mount(f"/dev/{name}", target, None, _MS_BIND)
    shared_memory = f"{root}/dev/shm"  # noqa: S108 - the guest's own
    os.mkdir(shared_memory)
    os.chmod(shared_memory, 0o1777)  # noqa: S103 - as everywhere
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{root}/dev/{name}")
