"""A kernel wall for confined guests: nothing outside the folder can be written, no outside process signalled.

Linux 5.13 and later, without any privilege; elsewhere `confine` stands alone. It does not cover changes of mode,
owner or times, which `confine` refuses by itself.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

_SYS_CREATE, _SYS_ADD_RULE, _SYS_RESTRICT = 444, 445, 446
_VERSION_QUESTION = 1
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14
_SCOPE_SIGNAL = 2
_ALL_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}


def restrict(writable: Iterable[str], readable: Iterable[str]) -> bool:
    """Holds this process and all its children to these paths; False where the kernel cannot. Needs no_new_privs."""
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_SYS_CREATE, None, ctypes.c_size_t(0), _VERSION_QUESTION)
    if abi < 1:
        return False
    handled = _ALL_BY_ABI[min(abi, 3)]
    # Fields: file system, network (ABI 4), scopes (ABI 6); older kernels must be given fewer.
    fields = (handled, 0, _SCOPE_SIGNAL) if abi >= 6 else (handled,)
    attributes = struct.pack("Q" * len(fields), *fields)
    ruleset = libc.syscall(_SYS_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        for path in writable:
            _allow(libc, ruleset, path, handled)
        for path in readable:
            _allow(libc, ruleset, path, _READ & handled)
        return bool(libc.syscall(_SYS_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            access &= _ON_FILES
        rule = struct.pack("=Qi", access, descriptor)
        if libc.syscall(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), path)
    finally:
        os.close(descriptor)
