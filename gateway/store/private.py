"""Small secret files under the data folder: the pepper, the keys of the first start.

They are made with mode 0600 from the first byte and appear as a whole, by a rename. Processes that start at the same
time take turns, by a lock on a file that the system drops when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError, Fault

PEPPER_BYTES: Final = 32


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, waiting for whoever has it. Makes the folder. Raises `ConfigError` if it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError([Fault(str(folder), None, f"not a folder that can be written: {error.strerror}")]) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def write_private(file: Path, content: bytes) -> None:
    """Put `content` into `file`, mode 0600, at once or not at all, and through to the disk."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.rename(draft, file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ConfigError([Fault(str(file), None, f"cannot be written: {error.strerror}")]) from error


def read_private(file: Path) -> bytes | None:
    """What is in `file`; `None` if there is none. Raises `ConfigError` if it cannot be read."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError([Fault(str(file), None, f"cannot be read: {error.strerror}")]) from error


def load_pepper(file: Path) -> bytes:
    """The pepper out of `file`, which is made at the first start with `PEPPER_BYTES` random bytes.

    Raises `ConfigError` if it is blank or cut short: under another pepper no key would be known any more, and under a
    blank one the table of keys would protect nothing.
    """
    with turn(file.parent):
        pepper = read_private(file)
        if pepper is None:
            pepper = secrets.token_bytes(PEPPER_BYTES)
            write_private(file, pepper)
    if not pepper.strip() or len(pepper) < PEPPER_BYTES:
        raise ConfigError(
            [
                Fault(
                    str(file),
                    None,
                    f"the pepper is {'cut short' if pepper.strip() else 'blank'}; put the file with {PEPPER_BYTES} "
                    "bytes back from a backup (or remove it together with keys.db, and every key with it)",
                )
            ]
        )
    return pepper
