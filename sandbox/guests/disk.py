"""What a guest's disk holds before its first boot, and the harmless programs all guests of a sandbox share."""

from __future__ import annotations

import compileall
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from sandbox.guests import namespaces, programs, standins, wolf
from sandbox.guests.folder import Folder
from sandbox.guests.init import confined_command

REAL_TOOLS = (
    *(
        "[",
        "awk",
        "base64",
        "basename",
        "bash",
        "cat",
        "chmod",
        "cmp",
        "cp",
        "cut",
        "date",
        "dd",
        "df",
        "diff",
    ),
    *(
        "dirname",
        "du",
        "echo",
        "env",
        "expr",
        "false",
        "find",
        "free",
        "grep",
        "gzip",
        "head",
        "hostname",
        "install",
    ),
    *(
        "kill",
        "ln",
        "ls",
        "mkdir",
        "mkfifo",
        "mktemp",
        "mv",
        "nohup",
        "nproc",
        "printf",
        "ps",
        "pwd",
        "readlink",
    ),
    *(
        "realpath",
        "rm",
        "rmdir",
        "sed",
        "seq",
        "setsid",
        "sh",
        "sha256sum",
        "sleep",
        "sort",
        "stat",
        "sync",
        "tail",
    ),
    *("tar", "tee", "test", "timeout", "touch", "tr", "true", "uname", "uniq", "wc", "xargs"),
)
_FOLDERS = (
    *(
        "/dev",
        "/etc/ssh",
        "/etc/systemd/system",
        "/home/user",
        "/opt",
        "/proc",
        "/run",
        "/srv",
        "/usr/local/bin",
    ),
    *("/var/lib/cloud/instance", "/var/log/journal", "/.sandbox"),
)
_LINKS = ("/sbin", "/usr/bin", "/usr/sbin", "/usr/local/sbin")
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
_OS_RELEASE = (
    'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04 LTS, a guest of the sandbox"\n'
)


@dataclass(frozen=True)
class Tools:
    """The shared folder: `bin` programs for guests in namespaces, `lib` the modules that run in guests."""

    path: Path

    @property
    def lib(self) -> Path:
        return self.path / "lib"


def collect_tools(path: Path) -> Tools:
    """Copies what guests share, so that nothing of the real machine's folders needs to be shown to them."""
    shutil.rmtree(path, ignore_errors=True)
    (path / "bin").mkdir(parents=True)
    (path / "python").mkdir()
    for name in REAL_TOOLS:
        if (found := shutil.which(name, path="/usr/bin:/bin")) is not None:
            shutil.copy(found, path / "bin" / name)
    _link_python(path / "bin")
    package = Path(__file__).parent
    modules = path / "lib" / "sandbox" / "guests"
    modules.mkdir(parents=True)
    for source in (package.parent / "__init__.py", *package.glob("*.py")):
        shutil.copy(source, modules if source.parent == package else modules.parent)
    # Guests may not write here, and would compile the modules at every start.
    compileall.compile_dir(path / "lib", quiet=2)
    _write_program(path / "standin", standins.__name__)
    for name in standins.PROGRAMS:
        (path / "bin" / name).unlink(missing_ok=True)
        (path / "bin" / name).symlink_to("../standin")
    _write_program(path / "bin" / standins.WOLF_PROGRAM, wolf.__name__)
    for inner in path.rglob("*"):
        if not inner.is_symlink():
            inner.chmod(0o755 if inner.is_dir() else inner.stat().st_mode | 0o444)
    return Tools(path)


def _write_program(path: Path, module: str) -> None:
    """A program for guests in namespaces that is the module's `main`: imported, it is not compiled at every start."""
    code = f"import sys\nsys.path.insert(0, '{namespaces.TOOLS}/lib')\nfrom {module} import main\nmain()\n"
    path.write_text(f"#!/bin/python3 -IS\n{code}", encoding="utf-8")
    path.chmod(0o755)


def _link_python(programs_folder: Path) -> None:
    """The machine's Python with the standard library alone, as on a fresh machine; what is installed beside it is not shown."""
    executable, prefix = os.path.realpath(sys.executable), namespaces.python_prefix()
    if prefix is None:
        shown = executable
        shutil.copy(executable, programs_folder / "python3")
    else:
        shown = f"{namespaces.TOOLS}/python/{os.path.relpath(executable, prefix)}"
        (programs_folder / "python3").symlink_to(shown)
    (programs_folder / "python").symlink_to("python3")
    alone = f"home = {os.path.dirname(shown)}\ninclude-system-site-packages = false\n"
    (programs_folder / "pyvenv.cfg").write_text(alone, encoding="utf-8")


def lay_out(folder: Folder, tools: Tools, *, hostname: str, gpu: str | None, is_namespaced: bool) -> None:
    """A new guest's disk."""
    for path in _FOLDERS:
        folder.make_dirs(path)
    folder.make_dirs("/root", 0o700)
    for path in ("/tmp", "/var/tmp"):  # noqa: S108 - the guest's own
        folder.make_dirs(path, 0o1777)
    for path in _LINKS:
        folder.link("/bin", path)
    folder.link("/run", "/var/run")
    folder.write("/etc/hostname", f"{hostname}\n")
    folder.write("/etc/hosts", "127.0.0.1 localhost\n")
    folder.write("/etc/passwd", _PASSWD)
    folder.write("/etc/group", "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n")
    folder.write("/etc/os-release", _OS_RELEASE)
    if gpu is not None:
        folder.write(standins.GPU, f"{gpu}\n")
    with_gpu = tuple(standins.WITH_GPU) if gpu is not None else ()
    if is_namespaced:
        _link_programs(folder, with_gpu)
    else:
        _link_launchers(folder, tools, (*programs.NAMES, *with_gpu))


def _link_programs(folder: Folder, with_gpu: tuple[str, ...]) -> None:
    namespaces.lay_out_libraries(folder)
    folder.write("/etc/ld.so.cache", "")
    folder.link(f"{namespaces.TOOLS}/bin", "/bin")
    for name in with_gpu:
        folder.link(f"{namespaces.TOOLS}/standin", f"/usr/local/bin/{name}")


def _link_launchers(folder: Folder, tools: Tools, names: tuple[str, ...]) -> None:
    """Each program of a confined guest is a few lines that start Python within the guest's walls."""
    command = confined_command(str(tools.lib), folder.root, [])
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in command)
    launcher = "/bin/sh"
    folder.write(launcher, f'#!/bin/sh\nexec {quoted} "${{0##*/}}" "$@"\n', 0o755)
    for name in names:
        if name != "sh":
            os.link(folder.resolve(launcher), folder.resolve(f"/bin/{name}"))


def remove(path: Path) -> None:
    """A guest's folder with all in it, whatever modes its folders were given."""
    for parent, folders, _files in os.walk(path):
        for name in folders:
            inner = os.path.join(parent, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(path, ignore_errors=True)
