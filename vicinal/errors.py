"""Every exception that Vicinal raises on purpose, and every warning of its own.

Each one derives from :class:`VicinalError` and from the built-in that a user would catch::

    VicinalError
    ├── MissingExtraError      (ImportError)         an optional package is needed and absent
    ├── ModelError
    │   ├── ModelNotFoundError (FileNotFoundError)   neither a folder, nor cached, nor reachable
    │   ├── ModelFormatError   (ValueError)          the folder is there, but its content is not usable
    │   └── UnsupportedModelError (NotImplementedError)  a known format that this install cannot run
    ├── HubError               (OSError)             talking to the hub failed
    │   ├── HubAccessError     (PermissionError)     the hub wants a token or refuses this one
    │   └── HubConnectionError (ConnectionError)     the hub cannot be reached, or must not be
    ├── InputError             (ValueError)          an argument has an impossible value
    │   ├── TruncationError                          a text is too long and ``on_truncate="error"``
    │   └── UnknownIdError     (KeyError)            an id that is not in its table
    ├── InputTypeError         (TypeError)           an argument has the wrong type
    ├── OutOfMemoryError       (MemoryError)         even the smallest batch did not fit
    ├── StoreError             (RuntimeError)        an index file cannot be opened, read or written
    │   └── IndexReplacedError                       another file took its place while it was open
    └── ForkError              (RuntimeError)        a process was forked in the middle of another thread's work

A message names the object, the value and the remedy, in that order.

Warnings are UserWarnings, to filter by their class::

    UserWarning
    ├── TruncationWarning      texts are longer than the model reads
    ├── UnknownScriptWarning   the model's vocabulary knows nothing of some texts, or of their script
    ├── OldIndexWarning        an index file of an older version finds less until it is changed
    └── NewHeadWarning         a CrossEncoder has a new head, to be trained
"""

from __future__ import annotations


class VicinalError(Exception):
    """Base of all errors raised by Vicinal."""


class MissingExtraError(VicinalError, ImportError):
    """An optional package is needed and not installed."""


class ModelError(VicinalError):
    """Something is wrong with a model folder or name."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """The name is neither a folder, nor in the cache, nor reachable on the hub."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ModelFormatError(ModelError, ValueError):
    """The model folder exists, but a file in it is missing, damaged or contradictory."""


class UnsupportedModelError(ModelError, NotImplementedError):
    """The model is of a kind that this installation cannot run."""


class HubError(VicinalError, OSError):
    """The hub answered with an error."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class HubAccessError(HubError, PermissionError):
    """The hub asks for a token, or refuses the one it got."""


class HubConnectionError(HubError, ConnectionError):
    """The hub cannot be reached, or offline mode forbids trying."""


class InputError(VicinalError, ValueError):
    """An argument has a value that cannot be meant."""


class TruncationError(InputError):
    """A text is longer than the model reads, and ``on_truncate="error"`` was asked for."""


class UnknownIdError(InputError, KeyError):
    """An id, or a column of ids, is not there."""

    # A KeyError would show the message as a quoted text.
    __str__ = Exception.__str__


class InputTypeError(VicinalError, TypeError):
    """An argument has the wrong type."""


class OutOfMemoryError(VicinalError, MemoryError):
    """Even the smallest possible batch did not fit into memory."""


class StoreError(VicinalError, RuntimeError):
    """An index file cannot be opened, read or written."""


class IndexReplacedError(StoreError):
    """An index file was removed, replaced or overwritten while it was open; open it again to read what is there."""


class ForkError(VicinalError, RuntimeError):
    """This process was forked while another thread was computing, and can't compute itself."""


class TruncationWarning(UserWarning):
    """Texts were longer than the model reads, and their ends did not count.

    Attributes:
        count: how many texts of the call were cut.
        limit: tokens that the model reads.
        longest: tokens of the longest of them, before it was cut.
        first: position of the first of them in the call, from 0.
    """

    def __init__(
        self, message: str = "", count: int = 0, limit: int = 0, longest: int = 0, first: int = 0
    ) -> None:
        super().__init__(message)
        self.count, self.limit, self.longest, self.first = count, limit, longest, first


class UnknownScriptWarning(UserWarning):
    """The model's vocabulary has no words of the texts' script, or no token of some texts at all."""


class OldIndexWarning(UserWarning):
    """An index of an older version finds less than one of this version; its next change brings it up to date."""


class NewHeadWarning(UserWarning):
    """A model without a head for this many labels got a new one, whose scores mean nothing before training."""


def missing_extra(package: str, purpose: str, extra: str) -> MissingExtraError:
    """Build the one-line error for an absent optional package.

    Args:
        package: the import name that is missing, e.g. ``"sklearn"``.
        purpose: what needs it, as the subject of the sentence, e.g. ``"cluster()"``.
        extra: the extra of Vicinal that brings it, e.g. ``"cluster"``.

    Returns:
        The exception, for the caller to raise ``from`` the ImportError.
    """
    return MissingExtraError(
        f"{purpose} needs {package!r}, which is not installed: pip install 'vicinal[{extra}]'"
    )
