"""A guest's disk, seen from outside: paths of the guest resolved inside its folder and never beyond it."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from pathlib import Path

MAX_LINKS = 40

# Kept from before `confine` wraps them: resolving a path must not itself be resolved.
_lstat, _readlink = os.lstat, os.readlink


def is_link(real: str) -> bool:
    try:
        return stat.S_ISLNK(_lstat(real).st_mode)
    except OSError:
        return False


def real_path(path: str) -> str:
    """An absolute path with all its links followed, on the real machine. Raises OSError ELOOP."""
    return Folder("/", is_real=True).resolve(path)


class Folder:
    """`root` is a path of the real machine; with root "/" guest paths and real paths are the same.

    Symbolic links are followed as a chroot would: an absolute target means the guest's root, `..` stops there.
    """

    def __init__(self, root: str | Path, owner: int | None = None, *, is_real: bool = False) -> None:
        self.root = str(root) if is_real else os.path.realpath(root)
        self._prefix = "" if self.root == "/" else self.root
        self._owner = owner

    def resolve(self, path: str, *, follow: bool = True) -> str:
        """The real path of a guest path; a link at its end is followed unless told not to. Raises OSError ELOOP."""
        todo = [part for part in path.split("/") if part not in ("", ".")][::-1]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == ".":
                continue
            if part == "..":
                done = done[:-1]
                continue
            real = "/".join((self._prefix, *done, part))
            if (not todo and not follow) or not is_link(real):
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = _readlink(real)
            if target.startswith("/"):
                done = []
            todo += [each for each in target.split("/") if each][::-1]
        return "/".join((self._prefix, *done)) or "/"

    def guest_path(self, real: str) -> str:
        """The guest's name for a real path inside the folder."""
        return real.removeprefix(self._prefix) or "/"

    def holds(self, real: str) -> bool:
        return real == self.root or real.startswith(self._prefix + "/")

    def make_dirs(self, path: str, mode: int = 0o755) -> str:
        """Makes a folder and those above it; returns the real path."""
        real = self.resolve(path)
        if not os.path.isdir(real):
            if (parent := posixpath.dirname(path.rstrip("/"))) not in ("", "/"):
                self.make_dirs(parent)
            os.mkdir(real)
            os.chmod(real, mode)
            self.give(real)
        return real

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Writes a whole file, its folders made."""
        self.make_dirs(posixpath.dirname(path))
        real = self.resolve(path)
        descriptor = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(real, mode)
        self.give(real)

    def append(self, path: str, text: str) -> None:
        self.write(path, (self.read(path) or "") + text)

    def read(self, path: str) -> str | None:
        """The text of a file, None where there is none."""
        try:
            return Path(self.resolve(path)).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def link(self, target: str, path: str) -> None:
        real = self.resolve(path, follow=False)
        os.symlink(target, real)
        self.give(real)

    def give(self, real: str) -> None:
        """To whom the guest's processes run as, where that is somebody else."""
        if self._owner is not None:
            os.chown(real, self._owner, self._owner, follow_symlinks=False)
