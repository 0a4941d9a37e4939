"""One frozen LLaMA-architecture language model with named LoRA adapters."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import importlib.util
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from vision_llm_ros.errors import ConfigError, WeightsError
from vision_llm_ros.model.half_products import give_back_memory, halve_within
from vision_llm_ros.model.pretrained import load, read_config, read_tokenizer
from vision_llm_ros.model.smollm2 import smollm2_folder

if TYPE_CHECKING:
    from transformers.cache_utils import DynamicCache

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
HALVED = "halved"
_DEEPENING = threading.Lock()  # of the module: a lock inside could not be copied with a model


def _quantized(quantization: str, dtype: torch.dtype) -> dict[str, Any]:
    """Options of `from_pretrained` for 4 or 8 bit weights.

    Raises:
        ConfigError: bitsandbytes or a CUDA device is missing.
    """
    if quantization == "none":
        return {}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(f"llm_quantization={quantization} needs bitsandbytes; run: pip install bitsandbytes")
    if not torch.cuda.is_available():
        raise ConfigError(f"llm_quantization={quantization} needs a CUDA device; set it to none on a CPU")
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
    }


class _Merged(NamedTuple):
    """A projection of the language model: with its adapters, and as one product, with one or none of them."""

    parent: nn.Module
    child: str
    adapted: nn.Module
    plain: nn.Module


class LanguageModel(nn.Module):
    """The first layers of a causal LLaMA model, for all routes together; its own parameters never learn.

    The layers are run from embeddings, so that text, image tokens and query tokens mix freely. A named adapter has a
    depth of its own: `using` it runs the first so many layers, then the final norm.
    """

    def __init__(
        self,
        source: str = "smollm2",
        revision: str = "",
        num_layers: int = 0,
        quantization: str = "none",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Load the checkpoint.

        Args:
            source: "smollm2", a folder or a hub id.
            num_layers: how many of its layers to load, from the first; 0 loads all. `deepen` loads more.
            quantization: "none", "4bit" or "8bit"; the latter two need bitsandbytes and a CUDA device.
            dtype: the weights' own; other than float32 only under autocast of the same type.
        Raises:
            ConfigError, WeightsError: see `pretrained.load`; also another architecture, or quantization is impossible.
        """
        super().__init__()
        from transformers import LlamaModel

        folder = str(smollm2_folder()) if source == "smollm2" else source
        config = read_config(folder, revision, "language model")
        if config.model_type != "llama":
            raise WeightsError(f"Expected a LLaMA-architecture model, got {config.model_type!r} from {source!r}")
        self._whole_depth: int = config.num_hidden_layers
        if num_layers:
            config.num_hidden_layers = min(num_layers, config.num_hidden_layers)
        self.tokenizer = read_tokenizer(folder, revision, "language model")
        self._place = (folder, revision)
        self._options = {"dtype": dtype, **_quantized(quantization, dtype)}
        self.base = load(LlamaModel, *self._place, "language model", config=config, **self._options)
        self.base.requires_grad_(False)
        self.width: int = config.hidden_size
        self.depths: dict[str, int] = {}
        self._state: tuple[str | None, int] = (None, 0)
        self._outside = True
        self._merged: dict[str | None, list[_Merged]] = {}
        self._halved = 0
        self._head: nn.Module | None = None

    @property
    def num_layers(self) -> int:
        """How many layers are in memory."""
        return len(self.base.layers)

    def deepen(self, num_layers: int = 0) -> None:
        """Load further layers until there are `num_layers` (0: all); what is in memory stays as it is.

        Safe in several threads: one loads, the others wait.
        """
        wanted = min(num_layers or self._whole_depth, self._whole_depth)
        with _DEEPENING:
            if wanted > self.num_layers:
                with torch.inference_mode(False):
                    self._load_layers(wanted)

    def _load_layers(self, wanted: int) -> None:
        from transformers import LlamaModel

        config = read_config(*self._place, "language model")
        config.num_hidden_layers = wanted
        plain = "quantization_config" not in self._options
        # in the checkpoint's type, often half as large: for a moment the first layers are there twice
        options = {"dtype": "auto"} if plain else self._options
        deeper = load(LlamaModel, *self._place, "language model", config=config, **options)
        more = deeper.layers[self.num_layers :].requires_grad_(False).train(self.base.training)
        del deeper
        if plain:
            more.to(self.base.embed_tokens.weight.device, self._options["dtype"])
        self.base.layers.extend(more)
        self.base.config.num_hidden_layers = wanted

    def add_adapter(
        self,
        name: str,
        rank: int,
        alpha: int,
        dropout: float,
        num_layers: int = 0,
        targets: tuple[str, ...] = LORA_TARGETS,
    ) -> None:
        """Insert a named LoRA adapter into projections of the first layers.

        Args:
            rank: 0 inserts nothing; only the depth is kept.
            num_layers: depth at which the adapter is used; 0 means all layers in memory now.
        """
        depth = min(num_layers or self.num_layers, self.num_layers)
        self.depths[name] = depth
        if rank == 0:
            return
        from peft import LoraConfig, inject_adapter_in_model

        wanted = rf"layers\.({'|'.join(map(str, range(depth)))})\.self_attn\.({'|'.join(targets)})"
        config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=wanted)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several adapters are the point
            inject_adapter_in_model(config, self.base, adapter_name=name)
        for key, parameter in self.base.named_parameters():
            if f".{name}." in key:
                parameter.data = parameter.data.float()  # peft gives them the base's type, too coarse to learn in

    def adapter_state(self, name: str) -> dict[str, Tensor]:
        """The named adapter's tensors, for saving."""
        marker = f".{name}.weight"
        state = self.base.state_dict()
        own = {key: value for key, value in state.items() if "lora_" in key and marker in key}
        return {key.replace(marker, ".weight"): value for key, value in own.items()}

    def load_adapter_state(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Fill the named adapter.

        Raises:
            WeightsError: names or shapes differ from the adapter's.
        """
        own = self.adapter_state(name)
        if own.keys() != tensors.keys():
            odd = sorted(own.keys() ^ tensors.keys())[:3]
            raise WeightsError(f"Adapter {name!r}: tensors do not match this model, e.g. {', '.join(odd)}")
        for key, value in tensors.items():
            if own[key].shape != value.shape:
                raise WeightsError(f"Adapter {name!r}: {key} has shape {list(value.shape)}, not {list(own[key].shape)}")
            own[key].data.copy_(value)

    @contextlib.contextmanager
    def using(self, name: str | None, num_layers: int = 0) -> Iterator[None]:
        """Within the block the named adapter is active at its depth; None runs the untouched base model.

        HALVED runs the base model too, by half the memory traffic where `halve` was called.

        Args:
            num_layers: depth for None and HALVED; 0 means all layers in memory.
        """
        outer, outside = self._state, self._outside
        self._outside = False
        self._activate(name, num_layers if name in (None, HALVED) else self.depths[name])
        try:
            yield
        finally:
            self._outside = outside
            self._activate(*outer)

    def _activate(self, name: str | None, depth: int) -> None:
        from peft.tuners.lora import LoraLayer

        self._state = (name, depth)
        for entries in self._merged.values():
            for entry in entries:
                entry.parent._modules[entry.child] = entry.adapted
        if name in self._merged and not torch.is_grad_enabled():
            for entry in self._merged[name]:
                entry.parent._modules[entry.child] = entry.plain
            return
        for layer in (module for module in self.base.modules() if isinstance(module, LoraLayer)):
            here = name is not None and name in layer.lora_A
            # outside of any block they stay enabled: peft lets no disabled adapter learn
            layer.enable_adapters(here or self._outside)
            if here:
                layer.set_adapter(name)

    def merge(self, name: str) -> None:
        """Keep the adapted projections once more with the adapter added in: what serving then uses, one product each.

        Quantized projections stay as they are. Call it when the model is on its device; what is learnt or saved is
        the adapter still.
        """
        from peft.tuners.lora import LoraLayer

        self._merged[name] = []
        for path, layer in list(self.base.named_modules()):
            if not isinstance(layer, LoraLayer) or name not in layer.lora_A or type(layer.base_layer) is not nn.Linear:
                continue
            parent, _, child = path.rpartition(".")
            plain = copy.deepcopy(layer.base_layer).requires_grad_(False)
            plain.weight.data += layer.get_delta_weight(name).to(plain.weight.dtype)
            self._merged[name].append(_Merged(self.base.get_submodule(parent), child, layer, plain))

    def halve(self) -> None:
        """Keep the base model's projections as `HalfLinear` for `using(HALVED)`, as far as that loses nothing.

        Those without adapters give up their float32 weights, and with them learning and hashing: it is for serving.
        Layers that are loaded later are halved by another call. Safe in several threads.
        """
        with _DEEPENING, torch.no_grad():
            for layer in self.base.layers[self._halved :]:
                halves = [*halve_within(layer.self_attn), *halve_within(layer.mlp)]
                self._merged.setdefault(HALVED, []).extend(_Merged(*each) for each in halves)
            self._halved = self.num_layers
            give_back_memory()

    def shared_copy(self) -> LanguageModel:
        """The same weights in memory once more as a model with adapters and a state of its own: for another thread.

        What is moved or loaded here afterwards is not followed there.
        """
        modules = [self, *(part for some in self._merged.values() for entry in some for part in entry[2:])]
        tensors = (tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))
        known: dict[int, Any] = {id(tensor): tensor for tensor in tensors}
        known[id(self.tokenizer)] = self.tokenizer
        return copy.deepcopy(self, known)

    def base_hash(self) -> str:
        """SHA-256 over the base parameters: equal before and after any training."""
        digest = hashlib.sha256()
        for key, value in sorted(self.base.state_dict().items()):
            if "lora_" not in key:
                digest.update(key.replace(".base_layer", "").encode())
                digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def embed_text(self, input_ids: Tensor) -> Tensor:
        """Base embeddings float[..., D] of base-vocabulary ids."""
        return self.base.embed_tokens(input_ids)  # type: ignore[no-any-return]

    def text_logits(self, states: Tensor, ids: Tensor | None = None) -> Tensor:
        """Last hidden states float[..., D] to logits over the base vocabulary float[..., V], or over `ids` of it."""
        return torch.nn.functional.linear(states, self.output_rows(ids))

    def output_rows(self, ids: Tensor | None = None) -> Tensor:
        """The output matrix float[V, D], or its rows `ids`: many steps over a few tokens gather them once."""
        if self.base.config.tie_word_embeddings:
            weight = self.base.embed_tokens.weight
        else:
            if self._head is None:
                self._head = self._load_head()
            weight = self._head.weight
        return weight if ids is None else weight[ids]  # type: ignore[no-any-return]

    def _load_head(self) -> nn.Module:
        """The output matrix of a checkpoint that does not share it with the embeddings."""
        from transformers import LlamaForCausalLM

        config = read_config(*self._place, "language model")
        config.num_hidden_layers = 1
        whole = load(LlamaForCausalLM, *self._place, "language model", config=config, **self._options)
        head: nn.Module = whole.lm_head.requires_grad_(False)
        return head.to(self.base.embed_tokens.weight.device)

    def run(
        self, embeds: Tensor, position_ids: Tensor, attend: Tensor, past: list[tuple[Tensor, Tensor]] | None = None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Run the layers in use (see `using`; without it all in memory).

        Args:
            embeds: float[B, T, D].
            position_ids: int[B, T], rotary positions.
            attend: bool[B, T, P + T], True where a position (row) may look (column), past first.
            past: per layer the rotated keys and values float[B, kv_heads, P, head_dim] of earlier tokens.
        Returns:
            normalised last hidden states float[B, T, D] and the keys and values of past plus new tokens.
        """
        cache = self.cache(past or [], len(embeds))
        states = self.advance(embeds, position_ids, attend, cache)
        return states, [(entry.keys, entry.values) for entry in cache.layers]

    def cache(self, past: list[tuple[Tensor, Tensor]], batch: int) -> DynamicCache:
        """Keys and values of `run` as a cache that `advance` adds to, for `batch` rows."""
        from transformers.cache_utils import DynamicCache

        cache = DynamicCache()
        for index, (keys, values) in enumerate(past):
            cache.update(keys.expand(batch, -1, -1, -1), values.expand(batch, -1, -1, -1), index)
        return cache

    def advance(self, embeds: Tensor, position_ids: Tensor, attend: Tensor, cache: DynamicCache) -> Tensor:
        """As `run`, with the earlier tokens in a cache, to which the new ones are added."""
        # transformers wants an additive mask; rows of padding may see nothing, which softmax survives
        mask = torch.zeros_like(attend, dtype=embeds.dtype).masked_fill_(~attend, torch.finfo(embeds.dtype).min)
        rotary = self.base.rotary_emb(embeds, position_ids)
        hidden = embeds
        for layer in self.base.layers[: self._state[1] or None]:
            output = layer(
                hidden,
                attention_mask=mask.unsqueeze(1),
                position_ids=position_ids,
                past_key_values=cache,
                use_cache=True,
                position_embeddings=rotary,
            )
            hidden = output[0] if isinstance(output, tuple) else output
        return self.base.norm(hidden)  # type: ignore[no-any-return]
