"""Identity of a process across machines: a process number means something only on its host, in its namespace."""

import os
import socket
from pathlib import Path


def machine_id() -> str:
    """Name of the scope of a process number: the host and, in containers, the process namespace."""
    namespace = Path("/proc/self/ns/pid")
    host = socket.gethostname().replace("~", "-")  # file names separate their fields by ~
    return f"{host}.{namespace.stat().st_ino}" if namespace.exists() else host


def is_dead(machine: str, process: int) -> bool:
    """Return True if a process is known to have ended; False for every process of another machine.

    Args:
        machine: Its :func:`machine_id`.
        process: Its number there.
    """
    if machine != machine_id():
        return False
    try:
        os.kill(process, 0)  # signal 0 only checks that the process exists
        state = Path(f"/proc/{process}/stat")
        # Z: a zombie, ended but not yet waited for by its parent. The field follows the command name in parentheses.
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True
    except PermissionError:  # alive, of another user
        return False
