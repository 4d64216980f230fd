"""A training step as one recording: a GPU replays its thousands of small kernels without waiting for Python.

nano's step is 9,000 launches; recorded, the GPU's own time is what it takes.
"""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from everymask.train.loop import hold_norms, move
from everymask.train.objective import Batch, batch_losses, make_batch
from everymask.train.state import TrainOptions, TrainState
from everymask.train.views import Views

WARM_UP = 3  # steps before recording, in which libraries choose their kernels


class GraphedStep:
    """:func:`everymask.train.loop.train_step` recorded with CUDA; only for batches of one size.

    Make it before other threads use the GPU.
    """

    def __init__(self, state: TrainState, options: TrainOptions) -> None:
        self.state, self.options = state, options
        side = state.model.spec.image_size
        self.batch = make_batch(plain_views(options, side), state.model, options, step=0)
        state.model.train()
        if options.freeze_norms:
            hold_norms(state.model)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._losses()
        torch.cuda.current_stream().wait_stream(aside)
        state.optimiser.zero_grad(set_to_none=True)  # the recording then writes gradients, adds to none
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.losses = self._losses()

    def _losses(self) -> dict[str, Tensor]:
        losses = batch_losses(self.state, self.batch, self.options)
        torch.stack(list(losses.values())).sum().backward()
        return {name: value.detach() for name, value in losses.items()}

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """One batch forward and back; returns the parts of its loss."""
        for field in fields(Batch):
            getattr(self.batch, field.name).copy_(getattr(batch, field.name))
        self.graph.replay()
        values = torch.stack(list(self.losses.values()))
        move(self.state, self.options)
        return dict(zip(self.losses, values.unbind(), strict=True))


def plain_views(options: TrainOptions, side: int) -> Views:
    """Views of the shapes that ``options`` ask for: a picture of two halves, the right one asked for."""
    labels = torch.ones(options.batch, 3, side, side, dtype=torch.uint8)
    labels[..., side // 2 :] = 2
    count = options.batch * options.prompts
    box = torch.tensor([side / 2, 0.0, side - 1.0, side - 1.0])
    return Views(
        photos=60 * labels,
        labels=labels,
        clicks=torch.full((count, 2), 0.75 * side),
        boxes=box.expand(count, 4).contiguous(),
        levels=torch.ones(count, dtype=torch.long),
    )
