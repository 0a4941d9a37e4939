"""The restoration route: what is wrong with a frame, and the frame without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_llm_ros.config import RestoreConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError, WeightsError
from vision_llm_ros.interfaces import Perception, Restored, Status, Task, TaskSpec
from vision_llm_ros.model import weights
from vision_llm_ros.model.detail import KINDS
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.runtime.routes import Stopwatch, View
from vision_llm_ros.runtime.turning import TOLD, TURNS

RECONSTRUCT = "reconstruct"
NONE = "none"
# Weaker damage is left alone, 0..1 of the strongest learnt: when the sentence names its kind, and when it does not.
# Thin bright lines of sharp photographs look like slight rain.
LEAST_NAMED = {"denoise": 0.03, "deblur": 0.08, "pepper": 0.0, "derain": 0.3, "mask": 0.0}
LEAST_UNNAMED = {"denoise": 0.1, "deblur": 0.25, "pepper": 0.1, "derain": 0.45, "mask": 0.1}
_AS_IT_IS = "it is returned as it is"
_MOST_ROUNDS = 2
_NAMES = {"denoise": "noise", "deblur": "blur", "pepper": "black pixels", "derain": "rain", "mask": "missing blocks"}
_NEEDED = {"autoencoder", "detail", "estimator"}


class RestoreRoute:
    """Fulfils `routes.Route` for restoration."""

    tasks = frozenset({Task.RESTORE})

    def __init__(
        self, model: VisionLLM, restorer: Restorer, weights_hash: str, path: str = "auto", taught: bool = True
    ) -> None:
        """Serve a network.

        Args:
            path: see `RuntimeConfig.restore_route`.
            taught: the language model has learnt to restore.
        """
        self.model, self.restorer, self.weights_hash = model, restorer.eval(), weights_hash
        self.path, self.paths = path, ("residual", "language") if taught else ("residual",)

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """See `routes.Route.answer`.

        A kind that is not named is the estimator's choice; where nothing is wrong the frame comes back untouched.
        Quality is 1 minus the strongest damage that the estimator sees.
        """
        if spec.restore_kind not in ("", RECONSTRUCT, *KINDS, *TURNS):
            served = ", ".join((*KINDS, *TURNS, RECONSTRUCT))
            text = f"this model cannot undo {spec.restore_kind!r}; it serves {served}"
            return Perception(spec.task, Status.REJECTED, text)
        self.restorer.to(self.model.device)
        image = _to_tensor(view.frame.image_rgb_u8, self.model.device)
        with watch.stage("estimate"):
            strengths = self.restorer.estimate(image)
        with watch.stage("restore"):
            restored, kind, text = self._restored(image, strengths, spec.restore_kind)
        with watch.stage("estimate"):
            after = strengths if kind in (NONE, *TURNS) else self.restorer.estimate(restored)
        pixels = view.frame.image_rgb_u8 if kind == NONE else _to_u8(restored)
        before, now = (1 - float(values.max()) for values in (strengths, after))
        return Perception(spec.task, Status.OK, text, restored=Restored(pixels, kind, before, now))

    def quality(self, image_rgb_u8: NDArray[np.uint8]) -> float:
        """1 minus the strongest damage that the estimator sees, 0..1."""
        self.restorer.to(self.model.device)
        return 1 - float(self.restorer.estimate(_to_tensor(image_rgb_u8, self.model.device)).max())

    def _restored(self, image: Tensor, strengths: Tensor, kind: str) -> tuple[Tensor, str, str]:
        """The picture, what was undone ("none" for nothing), and that in words."""
        if kind == RECONSTRUCT:
            return self.restorer.reconstruct(image), kind, "passed through the visual module only"
        if kind in TURNS:
            return _to_tensor(TURNS[kind].pixels(_to_u8(image)), image.device), kind, TOLD[kind]
        if kind in KINDS:
            strength = float(strengths[KINDS.index(kind)])
            if strength < LEAST_NAMED[kind]:
                return image, NONE, f"no {_NAMES[kind]} to be seen (estimated strength {strength:.0%}); {_AS_IT_IS}"
            return self._undo(image, kind, strength), kind, self._told([(kind, strength)])
        return self._whatever_is_wrong(image, strengths)

    def _whatever_is_wrong(self, image: Tensor, strengths: Tensor) -> tuple[Tensor, str, str]:
        done: list[tuple[str, float]] = []
        for _ in range(_MOST_ROUNDS):
            beyond = [float(value) - LEAST_UNNAMED[kind] for kind, value in zip(KINDS, strengths, strict=True)]
            place = int(np.argmax(beyond))
            kind = KINDS[place]
            if beyond[place] < 0 or any(kind == earlier for earlier, _ in done):
                break
            done.append((kind, float(strengths[place])))
            image = self._undo(image, *done[-1])
            strengths = self.restorer.estimate(image)
        if not done:
            return image, NONE, f"nothing is wrong with the picture; {_AS_IT_IS}"
        return image, "+".join(kind for kind, _ in done), self._told(done)

    def _undo(self, image: Tensor, kind: str, strength: float) -> Tensor:
        alone = self.path == "language"
        if not alone and (self.path == "residual" or not self.restorer.speaks(kind)):
            return self.restorer.restore(None, image, kind)
        self.model.llm.deepen(self.restorer.config.llm_layers)
        undo = self.restorer.by_language if alone else self.restorer.restore
        return undo(self.model.llm, image, kind, strength)

    def _told(self, done: list[tuple[str, float]]) -> str:
        parts = (f"{_NAMES[kind]} (estimated strength {strength:.0%})" for kind, strength in done)
        by = " by the language model alone" if self.path == "language" else ""
        return "removed " + " and ".join(parts) + by


def load_route(folder: Path, model: VisionLLM, runtime: RuntimeConfig) -> RestoreRoute:
    """The route with its trained weights.

    Raises:
        ConfigError: the language model shall restore, and these weights have not taught it to.
        WeightsError: files are missing, damaged or of another shape.
    """
    manifest = weights.read_manifest(folder, RestoreConfig)
    restorer = Restorer(manifest.config, model.llm.width)
    there = {Path(name).stem for name in manifest.files}
    if missing := sorted(_NEEDED - there):
        raise WeightsError(f"{folder} lacks {', '.join(missing)}; train these stages, then export again")
    taught = "language" in there
    if runtime.restore_route == "language" and not taught:
        raise ConfigError(f"restore_route=language needs {folder / 'language.safetensors'}; set it to auto")
    own = {key: value for key, value in restorer.learned().items() if key.partition(".")[0] in there}
    weights.fill(own, weights.load(folder, sorted(there)), str(folder))
    return RestoreRoute(model, restorer, manifest.short_hash, runtime.restore_route, taught)


def _to_tensor(image_rgb_u8: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8[H, W, 3] to float[3, H, W], 0..1."""
    pixels = torch.from_numpy(np.ascontiguousarray(image_rgb_u8)).to(device)
    return pixels.permute(2, 0, 1).float() / 255


def _to_u8(image: Tensor) -> NDArray[np.uint8]:
    return np.asarray((image.permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy())
