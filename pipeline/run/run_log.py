"""Log of a run: what is logged while a start works, appended to a file in the run's folder."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError, UsageError
from pipeline.store.atomic import atomic_write
from pipeline.store.object_store import is_object_path
from pipeline.system.redaction import redact_text
from pipeline.system.signals import Stopped

log = logging.getLogger(__name__)


@contextmanager
def run_log(run: Path, name: str = "run.log") -> Iterator[None]:
    """Appends what is logged inside the context, and the error that ends it, to a file, each line with its time.

    Args:
        run: The run's folder.
        name: Of the file in it.

    Raises:
        UsageError: The folder or the file cannot be written.
    """
    if is_object_path(run):
        with _appended_to_object(run / name) as folder, run_log(folder, name):
            yield
        return
    try:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(run / name, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"output_dir={run}: {error.filename}: {error.strerror}") from error
    handler.setFormatter(_RedactingFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    except (UsageError, StoreError, Stopped) as error:
        handler.write_error(str(error))
        raise
    except BaseException:  # logged with its traceback, and raised again
        handler.write_error("ended by an unexpected error", exc_info=sys.exc_info())
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        with suppress(OSError):  # the disk is full, and the buffer still has lines
            handler.close()


@contextmanager
def _appended_to_object(path: Path) -> Iterator[Path]:
    """A temporary local folder whose file of this name is appended to the object at the end: objects cannot grow."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder)
        finally:
            written = [file.read_bytes() for file in Path(folder).rglob(path.name)]
            before = path.read_bytes() if path.exists() else b""
            atomic_write(b"".join([before, *written]), path)


class _LogFile(logging.FileHandler):
    """A log file that ignores write errors: whatever stops the run is on standard error too."""

    def _open(self) -> TextIOWrapper:
        def opener(path: str, flags: int) -> int:
            # The folder is untrusted: no symbolic link to another file is followed, and no pipe waited for.
            return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)

        return TextIOWrapper(BufferedWriter(FileIO(self.baseFilename, "a", opener=opener)), self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def write_error(self, message: str, exc_info: Any = None) -> None:
        """Writes a line to this file alone: the command line shows the error to the user."""
        self.handle(log.makeRecord(log.name, logging.ERROR, __file__, 0, message, (), exc_info))


class _RedactingFormatter(logging.Formatter):
    """Lines without the passwords in their addresses."""

    def format(self, record: logging.LogRecord) -> str:
        return redact_text(super().format(record))
