"""SSH to one machine: pinned host key, one user key, bounded waits, bounded output.

Only the exec channel is used, for files too: every server has it, it goes through sudo where a login is not root, and files and commands
then agree on what a path means (an SFTP subsystem may be absent or live in a chroot of its own).
"""

from __future__ import annotations

import base64
import contextlib
import logging
import select
import shlex
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paramiko.ssh_exception import AuthenticationException, IncompatiblePeer, SSHException

from redaction.masks import legible

KEY_TYPE = "ssh-ed25519"
DEFAULT_OUTPUT = 64 * 1024
STDERR_TAIL = 2048
# After a command has ended, how long its last output may still be under way. A child it left behind may hold the pipe for ever.
DRAIN_S = 1.0
TICK_MS = 100
# How much longer than its time a command may take where paramiko itself waits without end. Then the connection is cut.
CUT_S = 1.0
# Reported for a command that a signal ended: SSH sends no status then, and paramiko drops the signal's name.
KILLED = 128

# Whatever fails is raised below; paramiko's own log would only repeat it, as a traceback at each early knock.
WIRE_LOG = f"{__name__}.wire"
logging.getLogger(WIRE_LOG).setLevel(logging.CRITICAL)


class SshError(Exception):
    """What went wrong, named by the caller's next move. The text never holds a secret."""


class Unreachable(SshError):
    """Nobody answers, not yet in SSH, or the connection died. Next move: again, later."""


class TimedOut(SshError):
    """A command took too long. It may still run on the machine. Next move: again, later."""


class AuthFailed(SshError):
    """The user key is refused. Early in a machine's life it may not be in place yet: again, within a bound."""


class HostKeyMismatch(SshError):
    """Another machine answers, or one without the pinned key. Next move: never again; look at the machine."""


class CommandFailed(SshError):
    """A command ended with a status other than zero. `stderr_tail` is for operators, at most 2 kB."""

    def __init__(self, argv0: str, exit_status: int, stderr_tail: str) -> None:
        super().__init__(f"{argv0} ended with status {exit_status}")
        self.argv0 = argv0
        self.exit_status = exit_status
        self.stderr_tail = stderr_tail


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int = 22
    user: str = "root"

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`private_openssh` is PEM text, `public_line` one authorized_keys line without a comment."""

    private_openssh: str = field(repr=False)
    public_line: str


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended. Of each stream the last `max_output` bytes are kept; `is_truncated` says that more came."""

    exit_status: int
    stdout: bytes
    stderr: bytes
    is_truncated: bool = False


def make_keypair() -> KeyPair:
    """A fresh ed25519 pair, good for a user and for a host."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(private.decode(), public.decode())


def learn_host_key(address: Address, *, timeout_s: float = 8) -> str:
    """The ed25519 host key a machine presents now, as one public line, believed on first use.

    Only for providers that let us place no host key. Raises Unreachable; HostKeyMismatch when it has no ed25519 key.
    """
    with _handshake(address, timeout_s) as transport:
        key = transport.get_remote_server_key()
        return f"{KEY_TYPE} {key.get_base64()}"


@contextlib.contextmanager
def connect(
    address: Address, private_key: str, host_public_key: str, *, timeout_s: float = 8
) -> Iterator[Shell]:
    """A shell on the machine that proves it holds `host_public_key` (one ed25519 line), and on no other.

    `private_key` is OpenSSH PEM text. Reaching the port, the handshake and the login may take `timeout_s` each.
    Raises Unreachable, HostKeyMismatch, AuthFailed; ValueError when a key cannot be read.
    """
    pinned = _public_bytes(host_public_key)
    try:
        user_key = paramiko.Ed25519Key.from_private_key(StringIO(private_key))
    except SSHException as error:
        raise ValueError("not an ed25519 private key in OpenSSH format") from error
    with _handshake(address, timeout_s) as transport:
        if transport.get_remote_server_key().asbytes() != pinned:
            raise HostKeyMismatch(f"{address} presents another host key than the pinned one")
        _login(transport, address, user_key)
        yield Shell(transport, address)


def _public_bytes(line: str) -> bytes:
    parts = line.split()
    if len(parts) < 2 or parts[0] != KEY_TYPE:
        raise ValueError(f"a pinned host key is one {KEY_TYPE} line")
    return base64.b64decode(parts[1], validate=True)


@contextlib.contextmanager
def _handshake(address: Address, timeout_s: float) -> Iterator[paramiko.Transport]:
    try:
        sock = socket.create_connection((address.host, address.port), timeout=timeout_s)
    except OSError as error:
        raise Unreachable(f"{address} cannot be reached: {error}") from error
    try:
        transport = paramiko.Transport(sock)
    except SSHException as error:
        sock.close()
        raise Unreachable(f"{address} does not answer: {error}") from error
    transport.set_log_channel(WIRE_LOG)
    transport.banner_timeout = transport.auth_timeout = transport.channel_timeout = timeout_s
    transport.get_security_options().key_types = (KEY_TYPE,)
    try:
        try:
            transport.start_client(timeout=timeout_s)
            transport.get_remote_server_key()
        except IncompatiblePeer as error:
            raise HostKeyMismatch(
                f"{address} has no {KEY_TYPE} host key, or speaks no common algorithm"
            ) from error
        except (SSHException, EOFError, OSError) as error:
            raise Unreachable(f"{address} does not answer in SSH: {error}") from error
        yield transport
    finally:
        transport.close()


def _login(transport: paramiko.Transport, address: Address, key: paramiko.PKey) -> None:
    try:
        transport.auth_publickey(address.user, key)
    except AuthenticationException as error:
        # A lost connection and a silent server also surface as this class; only a refusal is one.
        if transport.is_active() and "timeout" not in str(error).lower():
            raise AuthFailed(f"{address} refuses the key") from error
        raise Unreachable(f"{address} went away during the login") from error
    except (SSHException, EOFError, OSError) as error:
        raise Unreachable(f"{address} went away during the login: {error}") from error
    if not transport.is_authenticated():
        raise AuthFailed(f"{address} wants more than the key")


# Written beside the target and renamed over it; a connection that dies midway leaves too few bytes, and so nothing.
PUT_SCRIPT = """import os, sys
path, size, mode = sys.argv[1], int(sys.argv[2]), int(sys.argv[3], 8)
content = sys.stdin.buffer.read()
if len(content) != size:
    sys.exit("got fewer bytes than were sent")
part = "%s.%d.part" % (path, os.getpid())
with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
os.chmod(part, mode)
os.replace(part, path)
"""


class Shell:
    """Commands and files on one connected machine. Every method raises Unreachable when the connection dies."""

    def __init__(self, transport: paramiko.Transport, address: Address) -> None:
        self._transport = transport
        self.address = address

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = 10,
        max_output: int = DEFAULT_OUTPUT,
        as_root: bool = False,
        check: bool = False,
    ) -> Result:
        """Run one command to its end. Words reach it unchanged. `as_root` goes through `sudo -n` unless the login is root.

        Secrets belong into `stdin`, never into `argv`. Raises TimedOut, Unreachable; with `check` CommandFailed.
        """
        words = ["sudo", "-n", *argv] if as_root and self.address.user != "root" else list(argv)
        result = _Exchange(self._transport, self.address, stdin, max_output).run(
            shlex.join(words), argv[0], timeout_s
        )
        if check and result.exit_status != 0:
            tail = legible(result.stderr[-STDERR_TAIL:].decode(errors="replace"))
            raise CommandFailed(argv[0], result.exit_status, tail)
        return result

    def put(
        self, path: str, content: bytes, *, mode: int = 0o644, as_root: bool = False, timeout_s: float = 10
    ) -> None:
        """Replace the file at `path` in one step: whoever reads it sees the old or the new whole. Its folder must exist.

        Needs python3 there, as all of setup does: one language for every script, and the same words mean the same everywhere.
        Raises CommandFailed when it cannot be written, TimedOut, Unreachable.
        """
        self.run(
            ["python3", "-c", PUT_SCRIPT, path, str(len(content)), f"{mode:o}"],
            stdin=content,
            as_root=as_root,
            timeout_s=timeout_s,
            check=True,
        )

    def get(
        self, path: str, *, max_bytes: int = DEFAULT_OUTPUT, as_root: bool = False, timeout_s: float = 10
    ) -> bytes:
        """A file's content. Raises CommandFailed when it cannot be read, ValueError when it is longer than `max_bytes`."""
        result = self.run(
            ["cat", path], max_output=max_bytes, as_root=as_root, timeout_s=timeout_s, check=True
        )
        if result.is_truncated:
            raise ValueError(f"{path} is longer than {max_bytes} bytes")
        return result.stdout


class _Exchange:
    """One exec channel: feeds stdin and collects both streams side by side, so that no full pipe can block another."""

    def __init__(
        self, transport: paramiko.Transport, address: Address, stdin: bytes, max_output: int
    ) -> None:
        self._transport = transport
        self._address = address
        self._stdin = memoryview(stdin)
        self._max_output = max_output
        self._is_truncated = False
        self._stdout = bytearray()
        self._stderr = bytearray()

    def run(self, command: str, name: str, timeout_s: float) -> Result:
        deadline = time.monotonic() + timeout_s
        # For a machine that does not even say whether it runs the command.
        cut = threading.Timer(timeout_s + CUT_S, self._transport.close)
        cut.daemon = True
        cut.start()
        try:
            with contextlib.closing(self._transport.open_session(timeout=timeout_s)) as channel:
                channel.settimeout(timeout_s)
                channel.exec_command(command)
                status = self._pump(channel, name, deadline)
        except (SSHException, EOFError, OSError) as error:
            if time.monotonic() > deadline:
                raise TimedOut(f"{name} on {self._address} took longer than {timeout_s:g} s") from error
            raise Unreachable(f"the connection to {self._address} was lost: {error}") from error
        finally:
            cut.cancel()
        return Result(status, bytes(self._stdout), bytes(self._stderr), self._is_truncated)

    def _pump(self, channel: paramiko.Channel, name: str, deadline: float) -> int:
        poller = select.poll()
        poller.register(channel.fileno(), select.POLLIN)
        is_fed = False
        ended_at: float | None = None
        while True:
            is_fed = is_fed or self._feed(channel)
            self._collect(channel)
            now = time.monotonic()
            if channel.exit_status_ready() and ended_at is None:
                ended_at = now
            is_quiet = not channel.recv_ready() and not channel.recv_stderr_ready()
            is_over = channel.eof_received or channel.closed
            if ended_at is not None and is_quiet and (is_over or now > ended_at + DRAIN_S):
                break
            if now > deadline:
                raise TimeoutError(name)
            if channel.eof_received and is_quiet:
                # The end is announced, the status still under way; the readiness pipe stays set from here on.
                channel.status_event.wait(TICK_MS / 1000)
            elif is_quiet:
                poller.poll(TICK_MS if is_fed or not channel.send_ready() else 0)
        if channel.exit_status >= 0:
            return channel.exit_status
        if channel.eof_received:
            return KILLED
        raise EOFError(f"{name} ended without a status")

    def _feed(self, channel: paramiko.Channel) -> bool:
        while self._stdin and channel.send_ready():
            try:
                sent = channel.send(self._stdin[: 32 * 1024].tobytes())
            except OSError:
                # The command closed its input before it had read all of it: its status tells whether that is wrong.
                return True
            self._stdin = self._stdin[sent:]
        if self._stdin:
            return False
        with contextlib.suppress(OSError):
            channel.shutdown_write()
        return True

    def _collect(self, channel: paramiko.Channel) -> None:
        if channel.recv_ready():
            self._keep(self._stdout, channel.recv(64 * 1024))
        if channel.recv_stderr_ready():
            self._keep(self._stderr, channel.recv_stderr(64 * 1024))

    def _keep(self, stream: bytearray, chunk: bytes) -> None:
        stream += chunk
        if len(stream) > self._max_output:
            del stream[: len(stream) - self._max_output]
            self._is_truncated = True
