"""The file that holds what every call must carry, as the programs read it."""

import os
import pathlib
import stat

from .errors import Error

_SHORTEST, _LONGEST = 16, 4096


def read_token_file(path: str) -> str:
    """The token: the first line, of a file that only its owner and group
    read. Raises Error otherwise."""
    try:
        with pathlib.Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LONGEST + 1)
    except OSError as reason:
        raise Error(
            f"token file '{path}' cannot be read: {reason.strerror}") from None
    if mode & stat.S_IRWXO:
        raise Error(
            f"token file '{path}' is open to every user; run chmod 600 on it")
    token = content.partition(b"\n")[0].strip()
    if not _SHORTEST <= len(token) <= _LONGEST:
        raise Error(
            f"token file '{path}' holds a token of {len(token)} characters; "
            f"{_SHORTEST} to {_LONGEST} are needed")
    if not all(0x21 <= byte <= 0x7e for byte in token):
        raise Error(f"token file '{path}' holds a character that is not "
                    "printable ASCII")
    return token.decode("ascii")
