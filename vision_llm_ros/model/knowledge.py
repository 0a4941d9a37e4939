"""What the language model and the text encoder know of things: which classes "everything I can sit on" means.

The language model is asked to name such a thing; a class speaks for itself by how much likelier its name gets than
where just any object is to be named (pointwise mutual information). The text encoder adds how near the two are in
meaning. A logistic regression weighs both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_llm_ros.language.phrases import MAX_TARGETS, Phrase
from vision_llm_ros.language.words import COCO_CLASSES, SYNONYMS
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.text import TextEncoder

FEATURES = 6
_MEANT = 0.3  # probability from which on a class is meant
_ASK, _ANY = "Question: Name {}. Answer: a", "an object"


class Knowledge(nn.Module):
    """Probabilities of the COCO classes for a phrase of a use or kind."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Linear(FEATURES, 1)
        nn.init.zeros_(self.weigh.weight)
        nn.init.constant_(self.weigh.bias, -3.0)
        self.requires_grad_(False)  # fitted at once, see training.uses
        self._any: Tensor | None = None

    def meant(self, llm: LanguageModel, encoder: TextEncoder, phrase: Phrase) -> tuple[Phrase, ...]:
        """A phrase of a use or kind as the classes it means: "everything I can sit on", "pets".

        Any other phrase stays as it is, and so does one that means no class.
        """
        known = phrase.subject in COCO_CLASSES or phrase.subject in SYNONYMS
        if phrase.subject and (known or phrase.most < MAX_TARGETS or phrase.asks or phrase.anchor):
            return (phrase,)
        chances = self(llm, encoder, phrase.text).sigmoid()
        names = [COCO_CLASSES[index] for index in (chances >= _MEANT).nonzero().flatten().tolist()]
        return tuple(Phrase(name, name, colours=phrase.colours) for name in names) or (phrase,)

    def forward(self, llm: LanguageModel, encoder: TextEncoder, phrase: str) -> Tensor:
        """Logits float[80] that a phrase means the class. All layers of the language model take part."""
        return self.weigh(self.features(llm, encoder, phrase)).squeeze(-1)  # type: ignore[no-any-return]

    @torch.no_grad()
    def features(self, llm: LanguageModel, encoder: TextEncoder, phrase: str) -> Tensor:
        """float[80, FEATURES]: both witnesses, standardised over the classes, and how far each is behind its best."""
        if self._any is None:
            self._any = _told(llm, _ANY)
        told = _told(llm, phrase) - self._any
        near = (encoder((phrase,)) @ encoder(COCO_CLASSES).T)[0].float()
        parts = [told, told - told.max(), _standard(told), near, near - near.max(), _standard(near)]
        return torch.stack(parts, -1)


def _standard(values: Tensor) -> Tensor:
    return (values - values.mean()) / values.std().clamp(min=1e-6)


def _told(llm: LanguageModel, what: str) -> Tensor:
    """Mean log probability float[80] of a class name's tokens as the answer to "name ...".

    All names follow the same question in one pass; each sees the question and itself.
    """
    device = llm.base.embed_tokens.weight.device
    ask = llm.tokenizer(_ASK.format(what), add_special_tokens=False)["input_ids"]
    names = [llm.tokenizer(f" {name}", add_special_tokens=False)["input_ids"] for name in COCO_CLASSES]
    owner = torch.tensor([-1] * len(ask) + [index for index, ids in enumerate(names) for _ in ids], device=device)
    order = torch.tensor(
        [*range(len(ask)), *(len(ask) + step for ids in names for step in range(len(ids)))], device=device
    )
    ids = torch.tensor([*ask, *(token for each in names for token in each)], device=device)
    sees = (owner[None] == -1) | (owner[:, None] == owner[None])
    attend = sees & (order[:, None] >= order[None])
    llm.deepen()
    with llm.using(None):
        states, _ = llm.run(llm.embed_text(ids).unsqueeze(0), order.unsqueeze(0), attend.unsqueeze(0))
    starts = torch.tensor([len(ask) - 1] * len(names), device=device)
    chances = torch.zeros(len(names), device=device)
    counts = torch.tensor([len(each) for each in names], device=device)
    place = len(ask)
    scores = llm.text_logits(torch.cat([states[0, starts[:1]], states[0, len(ask) :]])).float().log_softmax(-1)
    for index, each in enumerate(names):
        rows = [0, *range(place - len(ask) + 1, place - len(ask) + len(each))]
        chances[index] = scores[rows, each].sum()
        place += len(each)
    return chances / counts
