"""How fast is the model: latency by stage, start, memory, published peers and token-by-token decoding beside it."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.evaluation import bench_masks, bench_restoring, bench_text, cold_start
from vision_llm_ros.evaluation.peers import Peer, grounding_dino_tiny, owlvit_b32
from vision_llm_ros.evaluation.sample import HEIGHT_PX, RATE_HZ, WIDTH_PX, available_scenes, filmed
from vision_llm_ros.evaluation.trial import machine_values
from vision_llm_ros.interfaces import Engine, Frame, Task, TaskSpec
from vision_llm_ros.language.instructions import build
from vision_llm_ros.model.autoregressive import decode_one_by_one
from vision_llm_ros.model.detector import VisionLLM, Words, select_tokens
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.precision import arithmetic
from vision_llm_ros.model.tokenizer import ImageTokens
from vision_llm_ros.runtime.engine import TorchEngine, load_engine

Progress = Callable[[Sequence[Any], str], Iterable[Any]]
CLASSES = ("person", "cat", "car", "cup", "chair")
_WARM_UP, _DECODING_ROUNDS = 3, 3


@dataclass(frozen=True)
class BenchOptions:
    """What is measured.

    Attributes:
        frames: photographs of 640x480 to answer; peer_frames of them also by the peers.
        sets: numbers of tuples at which the two ways to decode are compared.
        fresh: also measure a fresh process.
    """

    preset: str = "nano"
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    classes: tuple[str, ...] = CLASSES
    frames: int = 50
    peers: bool = False
    peer_frames: int = 8
    sets: tuple[int, ...] = (20, 100)
    fresh: bool = True

    def __post_init__(self) -> None:
        if min(self.frames, self.peer_frames, *self.sets) < 1 or not self.classes:
            raise ConfigError("Expected at least one frame, peer frame, set and class")


def bench(options: BenchOptions, progress: Progress = lambda items, _: items) -> dict[str, Any]:
    """Measure one model on this machine.

    Returns:
        detect {p50_ms, p95_ms, stages {name: p50}}, refer and mask_decoder (see `bench_masks`), text (`bench_text`),
        restore (`bench_restoring`), cold_start_s, memory_mb, decoding, peers, dtype, threads, device, machine, model,
        and what was run.
    Raises:
        VisionLLMError: the model cannot be loaded or fails, or there are no sample photographs.
    """
    load_average = round(os.getloadavg()[0], 2)
    frames = [image for _, image in filmed(available_scenes(), options.frames / RATE_HZ)]
    fresh = cold_start.measure(options.preset, options.runtime, options.classes, frames[0]) if options.fresh else {}
    engine = load_engine(options.preset, options.runtime)
    peers = _build_peers(engine, options) if options.peers else []
    timed = _time_frames(engine, peers, frames, options, progress)
    report = {
        "detect": {**_summary(timed["ours"]), "stages": _stages(timed)},
        **fresh,
        "decoding": _compare_decoding(engine, frames[len(frames) // 2], options),
        "refer": bench_masks.referring_latency(engine, frames, options.classes, progress),
        "mask_decoder": bench_masks.decoder_cost(engine),
        "text": bench_text.text_latency(engine, frames, options.classes, progress),
        "restore": bench_restoring.restoring_latency(engine, frames, progress),
        "peers": {peer.name: _peer_values(peer, timed) for peer in peers},
        "frames": len(frames),
        "frame_wh_px": [WIDTH_PX, HEIGHT_PX],
        "classes": list(options.classes),
        "model": {"name": engine.name, "weights_hash": engine.weights_hash},
        "device": engine.device,
        "dtype": engine.dtype,
        "threads": torch.get_num_threads(),
        "machine": machine_values(),
        "load_average_before": load_average,
    }
    for values in report["peers"].values():
        values["ratio"] = round(values["p50_ms"] / report["detect"]["p50_ms"], 3)
    return report


def _time_frames(
    engine: Engine, peers: list[Peer], frames: Sequence[NDArray[np.uint8]], options: BenchOptions, progress: Progress
) -> dict[str, list[float]]:
    """Milliseconds by party and by stage; model and peers take turns, so that the machine's moods strike all alike."""
    spec = TaskSpec(Task.DETECT, options.classes)
    for image in frames[:_WARM_UP]:
        engine.perceive(Frame(image), (spec,))
    for peer in peers:
        _timed(lambda peer=peer: peer.detect(frames[0]))  # type: ignore[misc]
    stride = max(1, len(frames) // options.peer_frames)
    times: dict[str, list[float]] = defaultdict(list)
    for number, image in enumerate(progress(frames, "bench")):
        started = time.perf_counter()
        (answer,) = engine.perceive(Frame(image), (spec,))
        times["ours"].append((time.perf_counter() - started) * 1e3)
        for stage, elapsed in answer.stage_ms.items():
            times[f"stage {stage}"].append(elapsed)
        for peer in peers if number % stride == 0 else ():
            times[peer.name].append(_timed(lambda peer=peer, image=image: peer.detect(image)))  # type: ignore[misc]
            if peer.read is not None:
                times[f"{peer.name} text"].append(_timed(peer.read))
    return times


def _timed(action: Callable[[], object]) -> float:
    with torch.inference_mode():
        started = time.perf_counter()
        action()
        return (time.perf_counter() - started) * 1e3


def _summary(values: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3)}


def _stages(timed: dict[str, list[float]]) -> dict[str, float]:
    marker = "stage "
    return {
        key.removeprefix(marker): round(float(np.median(values)), 3)
        for key, values in timed.items()
        if key.startswith(marker)
    }


def _peer_values(peer: Peer, timed: dict[str, list[float]]) -> dict[str, Any]:
    values: dict[str, Any] = {**_summary(timed[peer.name]), "frames": len(timed[peer.name])}
    if peer.read is not None:
        values["text_p50_ms"] = _summary(timed[f"{peer.name} text"])["p50_ms"]
    return {**values, "input_wh_px": list(peer.input_wh_px)}


def _build_peers(engine: Engine, options: BenchOptions) -> list[Peer]:
    """Peers on the engine's device and in its arithmetic; the nano text encoder's tokenizer is that of uncased BERT."""
    from vision_llm_ros.model.text import load_text_similarity

    device, dtype = torch.device(engine.device), getattr(torch, engine.dtype)
    tokenizer = load_text_similarity().tokenizer
    return [
        owlvit_b32(options.classes, device, dtype),
        grounding_dino_tiny(options.classes, tokenizer, (WIDTH_PX, HEIGHT_PX), device, dtype),
    ]


def _compare_decoding(engine: Engine, image: NDArray[np.uint8], options: BenchOptions) -> list[dict[str, Any]]:
    """The same tuples in one pass and token by token, in turns; nothing for a model without set decoding."""
    if not isinstance(engine, TorchEngine):
        return []
    model, device = engine.model, torch.device(engine.device)
    transform = Letterbox((image.shape[1], image.shape[0]), model.config.image_size_px, model.config.stretch)
    pixels = torch.from_numpy(transform.apply(image)).permute(2, 0, 1).unsqueeze(0).to(device)
    spec = TaskSpec(Task.DETECT, options.classes)
    instruction = build(spec, location_range=model.config.location_bins // 2)
    with torch.inference_mode(), arithmetic(device, getattr(torch, engine.dtype)):
        words = model.read(instruction)
        tokens = model.tokens(model.encode_image(pixels), words)
        return [_time_decoding(model, words, tokens, sets) for sets in options.sets]


def _time_decoding(model: VisionLLM, words: Words, tokens: ImageTokens, sets: int) -> dict[str, Any]:
    """Decode the `sets` best tokens in turns; the first round warms up."""
    best = tokens.objectness[0].topk(min(sets, tokens.centres.shape[1])).indices
    tokens = select_tokens(tokens, best.unsqueeze(0))
    rounds = []
    for _ in range(1 + _DECODING_ROUNDS):
        parallel = _timed(lambda: model.decode(words, tokens).classes.cpu())
        serial = _timed(lambda: decode_one_by_one(model, words, tokens).classes.cpu())
        rounds.append((parallel, serial))
    parallel, serial = (round(float(value), 3) for value in np.median(rounds[1:], axis=0))
    return {
        "sets": len(best),
        "parallel_ms": parallel,
        "autoregressive_ms": serial,
        "ratio": round(serial / parallel, 3),
    }
