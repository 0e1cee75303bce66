"""Errors raised on purpose by ``sttn``.

::

    SttnError
    +-- InvalidClipError      the frames or masks cannot be completed
    +-- CheckpointError       a weights file cannot be used
    +-- FootageError          training or evaluation material cannot be read
    |   +-- SizesDifferError  the images of a folder are not one video's
    +-- TrainingError         a run that cannot go on
    +-- SavingError           what a run keeps cannot be written
    +-- LostProcessError      a process that computed beside is gone
    +-- DeviceError           this machine has no such device
    +-- OutOfMemoryError      the smallest piece of work does not fit into memory
    +-- CancelledError        the caller asked to stop
"""


class SttnError(Exception):
    """Base of every error this package raises on purpose."""


class InvalidClipError(SttnError, ValueError):
    """Frames or masks whose shape, type or count cannot be completed."""


class CheckpointError(SttnError, ValueError):
    """A weights file that is missing, unreadable or does not fit the network."""


class FootageError(SttnError, OSError):
    """Footage that is missing or cannot be decoded."""


class SizesDifferError(FootageError):
    """Images of several sizes where one video's frames should be."""


class TrainingError(SttnError):
    """A run that no longer learns anything."""


class SavingError(SttnError, OSError):
    """A checkpoint or weights that cannot be written, as where a disk is full."""


class LostProcessError(SttnError):
    """A process that computed beside this one was ended from outside."""


class DeviceError(SttnError, ValueError):
    """A device that this machine does not have."""


class OutOfMemoryError(SttnError, MemoryError):
    """Work that does not fit into memory, however small its pieces."""


class CancelledError(SttnError):
    """The caller cancelled the work."""
