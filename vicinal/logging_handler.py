"""A log handler that does not break a progress bar."""

from __future__ import annotations

import logging


class LoggingHandler(logging.Handler):
    """Write records above the progress bars that are running, instead of into them.

    ``logging.basicConfig(level=logging.INFO, handlers=[LoggingHandler()])`` is how training scripts of this
    field begin. Records go to standard output, and the bars on standard error are drawn anew below them.

    Args:
        level: records below it are left out.
    """

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            from tqdm.auto import tqdm

            tqdm.write(self.format(record))
        except Exception:
            self.handleError(record)
