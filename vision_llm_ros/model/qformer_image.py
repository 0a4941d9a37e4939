"""What the Q-Former looks at: a grid of the frozen pyramid and the best proposals of the frozen detector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import QFormerConfig
from vision_llm_ros.interfaces import WHOLE_IMAGE, Box
from vision_llm_ros.model.geometry import suppress_overlaps, to_xyxy
from vision_llm_ros.model.proposals import NUM_CONCEPTS, SEMANTIC_SCALE, DenseFeatures
from vision_llm_ros.model.tokenizer import sine_embedding

_PROPOSAL_IOU = 0.6
_POOL_FACTOR = 6
_FREQUENCIES = 16


@dataclass(frozen=True)
class Seen:
    """A batch of pictures as the Q-Former gets it: frozen features, so that training may keep them on disk.

    Attributes:
        cells: float[B, H, W, C], the grid, decorrelated.
        semantics: float[B, K, 80], concept logits of the proposals, best first.
        boxes_cxcywh: float[B, K, 4], fractions of the picture.
    """

    cells: Tensor
    semantics: Tensor
    boxes_cxcywh: Tensor

    def __getitem__(self, rows: Tensor) -> Seen:
        return Seen(self.cells[rows], self.semantics[rows], self.boxes_cxcywh[rows])

    def mirrored(self) -> Seen:
        """As if the picture were flipped left to right."""
        boxes = self.boxes_cxcywh.clone()
        boxes[..., 0] = 1 - boxes[..., 0]
        return Seen(self.cells.flip(2), self.semantics, boxes)


class ImageInput(nn.Module):
    """Pyramid and proposals to keys for cross-attention."""

    def __init__(self, config: QFormerConfig, channels: tuple[int, ...]) -> None:
        """Build it for the pyramid's maps of these channels, finest first; the second and third are read."""
        super().__init__()
        width = config.image_width
        self.num_objects = config.num_objects
        self.reduce = nn.Linear(sum(channels[1:3]), width).requires_grad_(False)
        self.look = nn.Linear(width, width)
        self.concepts = nn.Linear(NUM_CONCEPTS, width)
        self.place = nn.Linear(4 * _FREQUENCIES, width)
        self.kinds = nn.Parameter(torch.randn(2, width) * 0.02)
        self.norm = nn.LayerNorm(width)

    @torch.no_grad()
    def fit(self, samples: Tensor) -> float:
        """Set the reduction to whitened principal components of float[N, C] `grid` samples.

        Returns:
            share of the variance that is kept, 0..1.
        """
        mean = samples.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((samples - mean).T.double()))
        width = self.reduce.out_features
        kept, basis = values[-width:].clamp(min=1e-9), vectors[:, -width:]
        weight = (basis / kept.sqrt()).T.float()
        self.reduce.weight.copy_(weight)
        self.reduce.bias.copy_(-(weight @ mean))
        return float(kept.sum() / values.sum())

    def see(self, pyramid: list[Tensor], dense: DenseFeatures) -> Seen:
        """The frozen part, once per frame.

        Args:
            pyramid: the backbone's maps, finest first.
            dense: the detector's proposals on the same pictures.
        """
        semantics, boxes = _best(dense, self.num_objects)
        return Seen(self.reduce(grid(pyramid)), semantics, boxes)

    def forward(self, seen: Seen, region: Box = WHOLE_IMAGE) -> tuple[Tensor, Tensor]:
        """Keys float[B, N, D] and which may be looked at, bool[B, N]: those with their centre in `region`.

        A region that holds no centre shows the one cell nearest to its middle.
        """
        batch, height, width, _ = seen.cells.shape
        cells = _cell_boxes(height, width, seen.cells).expand(batch, -1, -1)
        looks = [self.look(seen.cells.flatten(1, 2)) + self.kinds[0]]
        looks.append(self.concepts((seen.semantics * SEMANTIC_SCALE).clamp(-2, 2)) + self.kinds[1])
        boxes = torch.cat([cells, seen.boxes_cxcywh], 1)
        keys = torch.cat(looks, 1) + self.place(sine_embedding(boxes, _FREQUENCIES))
        return self.norm(keys), _visible(boxes[..., :2], height * width, region)


def grid(pyramid: list[Tensor]) -> Tensor:
    """The maps at strides 16 and 32 as one grid at stride 32: float[B, H, W, C16 + C32]."""
    fine, coarse = pyramid[1], pyramid[2]
    pooled = functional.adaptive_avg_pool2d(fine, (coarse.shape[-2], coarse.shape[-1]))
    return torch.cat([pooled, coarse], 1).permute(0, 2, 3, 1)


def _best(dense: DenseFeatures, count: int) -> tuple[Tensor, Tensor]:
    """The most convincing proposals, overlaps of one concept removed, padded with the next best."""
    scores, labels = dense.semantics.max(-1)
    ranked = scores.topk(min(count * _POOL_FACTOR, scores.shape[1]), dim=-1).indices
    rows = []
    for order, box, label in zip(ranked, dense.boxes_cxcywh, labels, strict=True):
        kept = suppress_overlaps(to_xyxy(box[order]), label[order], _PROPOSAL_IOU, count)
        spare = torch.ones(len(order), dtype=torch.bool, device=order.device)
        spare[kept] = False
        rows.append(order[torch.cat([kept, spare.nonzero().flatten()])[:count]])
    chosen = torch.stack(rows).unsqueeze(-1)
    semantics = dense.semantics.gather(1, chosen.expand(-1, -1, NUM_CONCEPTS))
    return semantics, dense.boxes_cxcywh.gather(1, chosen.expand(-1, -1, 4)).to(semantics.dtype)


def _cell_boxes(height: int, width: int, like: Tensor) -> Tensor:
    """Each cell of the grid as a box, row-major: float[1, H * W, 4], cxcywh fractions."""
    ys = (torch.arange(height, device=like.device) + 0.5) / height
    xs = (torch.arange(width, device=like.device) + 0.5) / width
    grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
    sides = torch.tensor([1 / width, 1 / height], device=like.device).expand(height * width, 2)
    return torch.cat([torch.stack([grid_x, grid_y], -1).reshape(-1, 2), sides], -1).to(like.dtype).unsqueeze(0)


def _visible(centres_xy: Tensor, num_cells: int, region: Box) -> Tensor:
    """bool[B, N]: centres inside the region; at least one cell is."""
    low, high = (torch.tensor(corner, device=centres_xy.device) for corner in (region[:2], region[2:]))
    inside = ((centres_xy >= low) & (centres_xy <= high)).all(-1)
    distance = (centres_xy[:, :num_cells] - (low + high) / 2).square().sum(-1)
    inside.scatter_(1, distance.argmin(-1, keepdim=True), True)
    return inside
