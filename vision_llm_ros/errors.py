"""The exceptions this package raises. All derive from `VisionLLMError`; every message names the value."""


class VisionLLMError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(VisionLLMError):
    """A configuration value is out of range or contradicts another."""


class InputError(VisionLLMError):
    """A frame, array or file from outside does not have the promised form."""


class TooLargeError(InputError):
    """A frame has more pixels than the configuration allows."""


class CommandError(VisionLLMError):
    """A sentence was not understood or asks for something impossible.

    Attributes:
        nearest: a sentence that would be accepted, or "" if there is none.
        final: no other reading is to be tried: it is no English, no honest request, or a number is out of range.
    """

    def __init__(self, reason: str, nearest: str = "", final: bool = False) -> None:
        super().__init__(reason)
        self.nearest, self.final = nearest, final


class WeightsError(VisionLLMError):
    """Weights are missing, damaged or of another shape; the message says how to get good ones."""


class EngineError(VisionLLMError):
    """The model failed while computing."""


class RecordingError(VisionLLMError):
    """A recording cannot be read or written; the message names the file and the place in it."""


class UnsupportedTaskError(VisionLLMError):
    """The engine has no head for this task."""
