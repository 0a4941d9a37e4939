"""The routing language model at work: a sentence in, invocations out, from any thread."""

from __future__ import annotations

import threading
from pathlib import Path

import torch

from vision_llm_ros.config import RouterConfig, RuntimeConfig
from vision_llm_ros.interfaces import Engine, SentenceRouter
from vision_llm_ros.language.invocation import write
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner
from vision_llm_ros.language.routing import RoutedParser
from vision_llm_ros.language.slips import Speller
from vision_llm_ros.model import weights
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.precision import arithmetic
from vision_llm_ros.model.router import ADAPTER, Router, add_adapter, learned
from vision_llm_ros.model.router_meaning import MeaningEncoder
from vision_llm_ros.model.text import TextEncoder
from vision_llm_ros.runtime.hardware import choose_device, choose_dtype
from vision_llm_ros.runtime.scheduler import Parser

PART = "router"
MODULES = ("network", "adapter", "meaning")


class LanguageRouter:
    """Fulfils `interfaces.SentenceRouter`.

    Works on a copy of the language model that shares its weights, so that sentences are read while the engine looks
    at pictures.
    """

    def __init__(
        self,
        router: Router,
        llm: LanguageModel,
        encoder: MeaningEncoder,
        runtime: RuntimeConfig,
        weights_hash: str = "",
    ) -> None:
        """Take a router whose adapter `llm` carries; all of them already on their device."""
        self._llm, self._encoder, self.weights_hash = llm, encoder, weights_hash
        self._speller = Speller()
        self._device = llm.base.embed_tokens.weight.device
        self._dtype = choose_dtype(runtime.dtype, self._device)
        self._router = router.to(self._device).eval()
        self._lock = threading.Lock()

    @property
    def threshold(self) -> float:
        return self._router.config.threshold

    def route(self, text: str) -> tuple[str, float]:
        """See `interfaces.SentenceRouter.route`."""
        with self._lock, torch.inference_mode(), arithmetic(self._device, self._dtype):
            invocations, confidence = self._router.read(self._llm, self._speller.mended(text), self._encoder)
        return write(invocations), confidence


def load_router(folder: Path, llm: LanguageModel, encoder: TextEncoder, runtime: RuntimeConfig) -> LanguageRouter:
    """The router of a weights folder beside the language model of an engine.

    Args:
        encoder: the text encoder it learnt with.

    Raises:
        WeightsError: files are missing, damaged or of another shape.
    """
    manifest = weights.read_manifest(folder, RouterConfig)
    own = llm.shared_copy()
    own.deepen(manifest.config.llm_layers)
    add_adapter(own, manifest.config)
    own.to(choose_device(runtime.device))
    router, ear = Router(manifest.config, own.width), MeaningEncoder(encoder, manifest.config)
    stored = weights.load(folder, MODULES)
    weights.fill(learned(router, own) | ear.learned(), stored, str(folder))
    own.eval()
    ear.eval()
    with torch.no_grad():
        own.merge(ADAPTER)
    return LanguageRouter(router, own, ear, runtime, manifest.short_hash)


def parser_for(engine: Engine, grammar: CommandParser) -> Parser:
    """What understands sentences for an engine: the grammar, and the engine's router where it has one."""
    router: SentenceRouter | None = getattr(engine, "router", None)
    return RoutedParser(grammar, router).parse if router is not None else Planner(grammar.parse).parse
