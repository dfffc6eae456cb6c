"""The folder that the processes of one running gateway share: numbers, locks, nothing that must outlive it.

It is made in memory (`/dev/shm`) where there is such a place: a store into a mapped file on a disk can wait for that
disk, and a worker that counts would stand still with it. The process that opens the folder locks it and removes it at
the end; what a killed one left is removed by the next gateway of the same user.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
_OWNER = "owner.lock"


class RunDir:
    """A new private folder (mode 0700), made in the first of `places` where one can be made.

    Raises `OSError`, the last place's, if it can be made in none.
    """

    def __init__(self, *places: Path) -> None:
        prefix = f"gateway-{os.getuid()}-"
        for place in places:
            with suppress(OSError):
                _sweep(place, prefix)
        self.path = _make(places, prefix)
        self._lock = _own(self.path)

    def __repr__(self) -> str:
        return f"<RunDir {self.path}>"

    def close(self) -> None:
        """Remove the folder. Processes that have its files open keep them."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _make(places: tuple[Path, ...], prefix: str) -> Path:
    failed: OSError = FileNotFoundError("No place was given for the run folder.")
    for place in places:
        try:
            return Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        except OSError as error:
            failed = error
    raise failed


def _own(folder: Path) -> int:
    # locked before it gets its name, so that a sweep never sees a lock file that nobody holds yet
    unnamed = folder / f"{_OWNER}.new"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unnamed.rename(folder / _OWNER)
    return descriptor


def _sweep(place: Path, prefix: str) -> None:
    """Remove this user's folders whose owner is gone. The place is open to all, so links and others' are left alone."""
    for folder in place.glob(f"{prefix}*"):
        status = folder.lstat()
        if folder.is_symlink() or not folder.is_dir() or status.st_uid != os.getuid():
            continue
        with suppress(OSError):
            descriptor = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
