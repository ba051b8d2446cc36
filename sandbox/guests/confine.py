"""Python held to a guest's folder: file calls are mapped into it, everything else that could touch the machine refused.

Two layers in the process itself. The functions of `os`, `io` and `socket` that take paths are wrapped, so that guest
paths like /opt/agent work unchanged and links are followed inside the folder. Under them an audit hook, which
cannot be removed, sees every file, process and signal call by whatever way it comes and refuses what leads out.
`landlock` adds the kernel's word where it can. This stops accidents and ordinary malice; a program that breaks the
interpreter itself is stopped by Landlock alone.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from sandbox.guests.folder import Folder, is_link, real_path

BIN_FOLDERS = ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
# What of the real machine may be read.
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
PROC = (
    "/proc/self",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/cpuinfo",
    "/proc/net/dev",
)

# Kept from before they are wrapped.
_getcwd = os.getcwd

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Functions of one path, and whether they follow a link at its end.
_ONE_PATH = {
    **dict.fromkeys(("open", "stat", "listdir", "scandir", "chmod", "chown", "utime", "truncate"), True),
    **dict.fromkeys(("access", "chdir", "statvfs", "mkfifo"), True),
    **dict.fromkeys(("lstat", "mkdir", "rmdir", "unlink", "remove", "readlink", "lchown"), False),
}
_CHANGES = {
    "os.remove": 1,
    "os.rmdir": 1,
    "os.mkdir": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.utime": 1,
    "os.setxattr": 1,
    "os.removexattr": 1,
    "os.chflags": 1,
    "os.rename": 2,
    "os.link": 2,
}
_HARMLESS_BY_DESCRIPTOR = ("os.listdir", "os.scandir", "os.truncate")
_READS = ("os.listdir", "os.scandir", "os.chdir")
_NEVER = (
    *("os.system", "os.fwalk", "os.posix_spawn", "os.spawn", "pty.spawn", "sqlite3.enable_load_extension"),
    *("gc.get_objects", "gc.get_referrers", "gc.get_referents", "syslog.openlog"),
)
_NEVER_MODULES = ("ctypes", "_ctypes", "cffi", "_cffi_backend", "_posixsubprocess", "_testcapi")
_GONE = ("mknod", "chroot", "pidfd_open", "setuid", "seteuid", "setreuid", "setresuid", "unshare", "setns")


class Confinement:
    """Everything about one process's walls."""

    def __init__(self, root: str) -> None:
        self.folder = Folder(root)
        self.root = self.folder.root
        self._children: set[int] = set()
        prefix = os.path.realpath(sys.base_prefix)
        libraries = {path for path in sys.path if os.path.isabs(path)}
        self._readable = (*libraries, f"{prefix}/lib", *DEVICES, *PROC)

    # -- mapping

    def real(self, path: Any, *, follow: bool = True) -> Any:
        """Where in the folder a program's path leads; descriptors and the interpreter's own files stay as they are."""
        if isinstance(path, int) or path is None:
            return path
        text = os.fsdecode(os.fspath(path))
        if "\0" in text:
            raise ValueError("embedded null byte")
        if text == "":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
        if not text.startswith("/"):
            text = f"{_getcwd()}/{text}"
        if self.folder.holds(text):
            text = self.folder.guest_path(text)
        elif self._is_readable(text):
            return text
        mapped = self.folder.resolve(text, follow=follow)
        return os.fsencode(mapped) if isinstance(path, bytes) else mapped

    def _is_readable(self, text: str) -> bool:
        return any(text == each or text.startswith(each + "/") for each in self._readable)

    # -- the hook

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Refuses by raising; sees calls however they were reached."""
        if event == "open":
            path, _mode, flags = args
            if not isinstance(path, int):
                self._require(path, event, writes=bool(flags & _WRITES))
        elif event in _CHANGES:
            for path in args[: _CHANGES[event]]:
                self._require(path, event, writes=True)
        elif event == "os.symlink":
            self._require(args[1], event, writes=True)
        elif event in _READS:
            self._require(args[0] if args[0] is not None else ".", event, writes=False)
        elif event == "os.exec":
            if not self._is_program(os.fsdecode(args[0])):
                raise _no_program(os.fsdecode(args[0]))
        elif event == "sqlite3.connect":
            self._require(args[0], event, writes=True)
        elif event in ("os.kill", "os.killpg", "signal.pidfd_send_signal"):
            self._require_own(args[0], event)
        elif event in ("socket.bind", "socket.connect"):
            self._require_socket(args[1], event)
        elif event == "import":
            if args[0].partition(".")[0] in _NEVER_MODULES:
                raise ImportError(f"{args[0]} is not there in the sandbox")
        elif event in _NEVER or event.startswith("ctypes."):
            raise PermissionError(errno.EPERM, "not in the sandbox", event)

    def _require(self, path: Any, event: str, *, writes: bool) -> None:
        """A descriptor was opened under these rules; but what is only readable could still be changed through it."""
        if isinstance(path, int):
            if event in _HARMLESS_BY_DESCRIPTOR:
                return
            raise PermissionError(errno.EPERM, "a descriptor in the sandbox", event)
        text = os.fsdecode(path)
        # A relative path could be meant from some descriptor's folder; the wrapped calls send none.
        if text.startswith("/"):
            parent, name = os.path.split(text)
            real = real_path(text) if name in ("", ".", "..") else f"{real_path(parent)}/{name}"
            target = real_path(real) if is_link(real) else real
            if all(self.folder.holds(each) for each in (real, target)):
                if not (writes and self._is_program(real)):
                    return
            elif text == "/dev/null" or (not writes and self._is_readable(target)):
                return
        raise PermissionError(errno.EACCES, "outside of the sandbox", text)

    def _is_program(self, real: str) -> bool:
        return real == f"{self.root}/bin" or real.startswith(f"{self.root}/bin/")

    def _require_own(self, pid: Any, event: str) -> None:
        own = {0, os.getpid(), os.getpgrp(), *self._children}
        if pid not in own and -pid not in self._children:
            raise PermissionError(errno.EPERM, "not a child of this process", f"{event} {pid}")

    def _require_socket(self, address: Any, event: str) -> None:
        if isinstance(address, str | bytes) and os.fsdecode(address)[:1] not in ("", "\0"):
            self._require(address, event, writes=True)

    # -- installation

    def install(self) -> None:
        """From here on, for the rest of the process's life."""
        for name, follow in _ONE_PATH.items():
            self._wrap_path(name, follow)
        for name in ("rename", "replace", "link"):
            self._wrap_two(name)
        self._wrap_rest()
        for name in _GONE:
            for module in (os, sys.modules["posix"]):
                if hasattr(module, name):
                    delattr(module, name)
        for name in _NEVER_MODULES:
            sys.modules.pop(name, None)
        if "shutil" in sys.modules:
            # Its way through folders' descriptors is closed; it has another.
            vars(sys.modules["shutil"])["_use_fd_functions"] = False
        sys.addaudithook(self.hook)

    def _wrap_path(self, name: str, follow: bool) -> None:
        original: Callable[..., Any] = getattr(os, name)

        def wrapped(path: Any = ".", *args: Any, **named: Any) -> Any:
            _refuse_descriptors(named)
            follows = named.get("follow_symlinks", follow)
            return original(self.real(path, follow=follows), *args, **named)

        _replace_in_os(name, wrapped)

    def _wrap_two(self, name: str) -> None:
        original: Callable[..., Any] = getattr(os, name)

        def wrapped(source: Any, target: Any, **named: Any) -> Any:
            _refuse_descriptors(named)
            return original(self.real(source, follow=False), self.real(target, follow=False), **named)

        _replace_in_os(name, wrapped)

    def _wrap_rest(self) -> None:
        real_open, real_symlink, fork = io.open, os.symlink, os.fork
        execv, execve = os.execv, os.execve

        def guest_open(file: Any, *args: Any, **named: Any) -> Any:
            return real_open(self.real(file), *args, **named)

        def symlink(source: Any, target: Any, *_args: Any, **named: Any) -> None:
            _refuse_descriptors(named)
            real_symlink(source, self.real(target, follow=False))

        def getcwd() -> str:
            return self.folder.guest_path(_getcwd())

        def guest_fork() -> int:
            pid = fork()
            if pid:
                self._children.add(pid)
            return pid

        builtins.open = io.open = guest_open
        _replace_in_os("symlink", symlink)
        _replace_in_os("getcwd", getcwd)
        _replace_in_os("getcwdb", lambda: os.fsencode(getcwd()))
        _replace_in_os("fork", guest_fork)
        _replace_in_os("execv", lambda path, argv: execv(self.program(path), argv))
        _replace_in_os("execve", lambda path, argv, environ: execve(self.program(path), argv, environ))
        self._wrap_sockets()
        self._wrap_subprocess()

    def _wrap_sockets(self) -> None:
        for name in ("bind", "connect", "connect_ex"):
            setattr(socket.socket, name, self._on_address(getattr(socket.socket, name)))

    def _on_address(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(sock: socket.socket, address: Any) -> Any:
            if sock.family != socket.AF_UNIX or os.fsdecode(address)[:1] in ("", "\0"):
                return original(sock, address)
            path = str(self.real(os.fsdecode(address)))
            if len(path) < 100 or sys.platform != "linux":
                return original(sock, path)
            # A socket's path holds 107 bytes; through its folder's descriptor it is always short enough.
            parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
            try:
                return original(sock, f"/proc/self/fd/{parent}/{os.path.basename(path)}")
            finally:
                os.close(parent)

        return wrapped

    def _wrap_subprocess(self) -> None:
        started = vars(subprocess)["_fork_exec"]

        def fork_exec(argv: Any, executables: Any, close: Any, keep: Any, cwd: Any, *rest: Any) -> int:
            programs = tuple(os.fsencode(self.program(each)) for each in executables)
            pid: int = started(argv, programs, close, keep, None if cwd is None else self.real(cwd), *rest)
            self._children.add(pid)
            return pid

        vars(subprocess).update(_fork_exec=fork_exec, _USE_POSIX_SPAWN=False)

    def program(self, path: Any) -> str:
        """The real path of a program of the guest: always one of its own bin/."""
        text = os.fsdecode(path)
        if self.folder.holds(text):
            text = self.folder.guest_path(text)
        parent, name = os.path.split(text)
        if parent in BIN_FOLDERS:
            return f"{self.root}/bin/{name}"
        raise _no_program(text)


def _no_program(text: str) -> PermissionError:
    return PermissionError(errno.EACCES, "only programs of the guest's bin/ run in the sandbox", text)


def _refuse_descriptors(named: dict[str, Any]) -> None:
    if any(named.get(key) is not None for key in ("dir_fd", "src_dir_fd", "dst_dir_fd")):
        raise NotImplementedError("folders' descriptors are not there in the sandbox")


def _replace_in_os(name: str, wrapped: Callable[..., Any]) -> None:
    setattr(os, name, wrapped)
    setattr(sys.modules["posix"], name, wrapped)


def run_python(confinement: Confinement, argv: list[str]) -> int:
    """`python3` of the guest: FILE, -c CODE, -m MODULE or -; returns the exit status."""
    # The guest's other programs do without it.
    import runpy

    rest, is_unbuffered = argv[1:], bool(os.environ.get("PYTHONUNBUFFERED"))
    while rest and rest[0].startswith("-") and rest[0] not in ("-c", "-m", "-"):
        option = rest.pop(0)
        if option in ("-V", "--version"):
            sys.stdout.write(f"Python {sys.version.split()[0]}\n")
            return 0
        is_unbuffered = is_unbuffered or option == "-u"
        if option in ("-X", "-W") and rest:
            rest.pop(0)
    if is_unbuffered:
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    sys.executable = f"{confinement.root}/bin/python3"
    kind = rest[0] if rest else "-"
    if kind in ("-c", "-"):
        code = rest[1] if kind == "-c" else sys.stdin.read()
        sys.argv = ["-c", *rest[2:]] if kind == "-c" else rest or ["-"]
        main_module = sys.modules["__main__"] = type(sys)("__main__")
        # Running the guest's program is what this function is for.
        exec(compile(code, "<string>", "exec"), vars(main_module))  # noqa: S102
    elif kind == "-m":
        sys.argv = rest[1:]
        sys.path.insert(0, _getcwd())
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    else:
        script = str(confinement.real(rest[0]))
        if not os.path.exists(script):
            sys.stderr.write(f"python3: can't open file {rest[0]!r}: [Errno 2] No such file or directory\n")
            return 2
        sys.argv = [script, *rest[1:]]
        sys.path.insert(0, os.path.dirname(script))
        runpy.run_path(script, run_name="__main__")
    return 0


def main() -> None:
    """Entry: `package root name argument…`, the name being a program of the guest."""
    package, root, *argv = sys.argv[1:]
    del sys.argv[1:]
    sys.path.remove(package)
    # Imported before the walls stand; afterwards the package is out of reach.
    from sandbox.guests import programs

    confinement = Confinement(root)
    confinement.install()
    sys.exit(programs.run(confinement, argv))
