"""A language model behind an OpenAI-compatible chat endpoint, which the user runs or rents."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from vision_llm_ros.errors import ConfigError, EngineError, InputError

_PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
_LARGEST_REPLY = 1 << 20


@dataclass(frozen=True)
class ChatEndpoint:
    """Asks POST {url}/chat/completions.

    Attributes:
        url: e.g. "http://localhost:8000/v1".
        model: name of the model there.
        key: sent as bearer token; "" sends none.
        timeout_s: of one request. retries: further tries after a failure that may pass, each pause twice the last.
    """

    url: str
    model: str
    key: str = ""
    timeout_s: float = 60.0
    retries: int = 3
    pause_s: float = 1.0
    temperature: float = 0.7

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"Expected the endpoint as http://HOST/v1 or https://HOST/v1, got {self.url!r}")
        if not self.model:
            raise ConfigError(f"The endpoint {self.url} needs the name of a model")

    def ask_json(self, system: str, user: str) -> dict[str, Any]:
        """The answer to one message, which must be a JSON object, alone or in a fenced block.

        Raises:
            ConfigError: the endpoint refuses the request for good, e.g. by a wrong key or model.
            EngineError: it cannot be reached or keeps failing.
            InputError: the answer is no JSON object.
        """
        text = self._text(self._reply(system, user))
        begin, end = text.find("{"), text.rfind("}")
        try:
            values = json.loads(text[begin : end + 1])
        except json.JSONDecodeError as error:
            raise InputError(f"{self.model} answered no JSON object: {text[:200]!r}") from error
        return values  # type: ignore[no-any-return]

    def _reply(self, system: str, user: str) -> bytes:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        body = json.dumps({"model": self.model, "messages": messages, "temperature": self.temperature}).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)
        for turn in range(self.retries + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
                    return bytes(reply.read(_LARGEST_REPLY))
            except urllib.error.HTTPError as error:
                reason = f"{error.code} {error.reason}: {error.read(300).decode(errors='replace')}"
                if error.code not in _PASSING:
                    raise ConfigError(f"{self.url} refuses the request for model {self.model!r}: {reason}") from error
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
            if turn < self.retries:
                time.sleep(self.pause_s * 2**turn)
        raise EngineError(f"{self.url} failed {self.retries + 1} times, the last with {reason}")

    def _text(self, reply: bytes) -> str:
        try:
            return str(json.loads(reply)["choices"][0]["message"]["content"])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(f"{self.url} answered in an unknown form: {reply[:200]!r}") from error
