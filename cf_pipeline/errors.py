"""The exceptions of the project.

    CfPipelineError
    ├── ConfigError       what the user wrote cannot be used: a key, a path, a value
    ├── DataError         what the data holds cannot be used: a column, a row, a file
    ├── HomeBusyError     another run holds the home folder
    └── TrainingDiedError the process that trained ended without an answer

Every message says what was expected, what came, and what to do about it.
"""


class CfPipelineError(Exception):
    """Base of everything this project raises on purpose."""


class ConfigError(CfPipelineError):
    """A configuration, dataset description or path that cannot be used as written."""


class DataError(CfPipelineError):
    """Data that cannot be used: a missing column, an unreadable file, nothing left."""


class HomeBusyError(CfPipelineError):
    """Another process holds the home folder's lock."""


class TrainingDiedError(CfPipelineError):
    """The process that trained was killed, crashed, or failed in a way nobody foresaw."""
