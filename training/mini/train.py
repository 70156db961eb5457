"""Stage 1: the picture tower learns the concepts. `python -m training.mini.train --help`

One process per core renders its own share of every batch and learns from it; gradients are averaged, and each process
takes the same step. All random numbers come from (seed, process, step). So a run that was stopped and resumed, also
with another number of processes, sees much the same pictures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from sorce.cli import run
from training.mini import bank
from training.mini.clip import DIMENSION
from training.mini.colours import COLOURS
from training.mini.crops import Renderer
from training.mini.losses import Recent, Table, losses, total
from training.mini.muon import StackedMuon
from training.mini.vision import Vision, start

_SETTLED = 1000  # steps until the tower changes slowly enough for vectors of past batches to be of use


@dataclass(frozen=True)
class Plan:
    """The settings of a run. The same plan, started from zero, gives the same model except for rounding."""

    steps: int
    decay: int  # the last steps, over which the rates fall linearly to zero
    warmup: int = 200
    ramp: int = 2400  # steps over which the pictures change from single large things to clutter
    batch: int = 128  # tiles per step, of all processes
    recent: int = 2048  # tiles of past steps among which the column loss also searches, per process
    processes: int = 2
    seed: int = 1
    matrix_rate: float = 0.004
    rate: float = 0.001
    compiled: bool = True  # the tower's code is compiled first, which needs a C++ compiler and a minute

    def pace(self, step: int) -> float:
        """The share of the full learning rate at a step: warm-up, constant, decay."""
        return min(1.0, (step + 1) / self.warmup, (self.steps - step) / self.decay)

    def ease(self, step: int) -> float:
        """1 at the start, 0 once the pictures have reached full difficulty."""
        return max(0.0, 1 - step / self.ramp)


class Learner:
    """One process's tower, table and optimisers. They are the same in all processes."""

    def __init__(self, plan: Plan, rank: int, concepts: int) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.rank = plan, rank
        self.vision, self.table = Vision(), Table(concepts, len(COLOURS), DIMENSION)
        self.encode = torch.compile(self.vision, dynamic=False) if plan.compiled else self.vision
        self.recent = Recent(plan.recent)
        matrices = [p for p in self.vision.vision_model.encoder.parameters() if p.ndim == 2]
        taken = {id(p) for p in matrices}
        self.others = [p for p in self.parameters() if id(p) not in taken]
        self.optimizers: list[torch.optim.Optimizer] = [
            StackedMuon(matrices, lr=plan.matrix_rate, weight_decay=0.05),
            torch.optim.AdamW(
                [
                    {"params": [p for p in self.others if p.ndim > 1], "weight_decay": 0.05},
                    {"params": [p for p in self.others if p.ndim < 2], "weight_decay": 0.0},
                ],
                lr=plan.rate,
                betas=(0.9, 0.98),
                fused=True,
            ),
        ]

    def parameters(self) -> Iterator[nn.Parameter]:
        """All parameters of the tower and the table."""
        yield from self.vision.parameters()
        yield from self.table.parameters()

    def update(self, step: int) -> None:
        """Averages the gradients of all processes, and takes a step."""
        for p in self.parameters():
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        if self.plan.processes > 1:
            _average([p.grad for p in self.parameters() if p.grad is not None], self.plan.processes)
        nn.utils.clip_grad_norm_(self.others, 1.0)
        for optimizer, full in zip(self.optimizers, (self.plan.matrix_rate, self.plan.rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * self.plan.pace(step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def _average(tensors: list[Tensor], processes: int) -> None:
    """Sends many tensors in one message, since the processes wait for each other at each message."""
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    flat /= processes
    for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def _run(rank: int, plan: Plan, folder: Path, resume: bool) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=os.environ.get("MASTER_PORT", "29533"))
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    dist.init_process_group("gloo", rank=rank, world_size=plan.processes)
    concepts = bank.concepts()
    renderer = Renderer(concepts, bank.load(bank.SEEN + bank.MORE))
    learner = Learner(plan, rank, len(concepts))
    first, wall, cpu = 0, 0.0, 0.0
    if resume:
        first, wall, cpu = _load(learner, folder)
    else:
        tiles = renderer.tiles(512, 0.0, np.random.default_rng((plan.seed, 1 << 20)))
        start(learner.vision, torch.from_numpy(tiles.pixels))
    dist.barrier()
    began, used = time.time() - wall, time.process_time() - cpu
    sums: dict[str, float] = {}
    for step in range(first, plan.steps):
        for name, value in _step(learner, renderer, step).items():
            sums[name] = sums.get(name, 0.0) + value / 50
        if (step + 1) % 50 == 0:
            if rank == 0:
                _tell(plan, step + 1, first, time.time() - began, wall, sums)
            sums = {}
        if rank == 0 and ((step + 1) % 200 == 0 or step + 1 == plan.steps):
            _save(learner, folder, step + 1, time.time() - began, time.process_time() - used)
    dist.destroy_process_group()


def _step(learner: Learner, renderer: Renderer, step: int) -> dict[str, float]:
    plan = learner.plan
    rng = np.random.default_rng((plan.seed, learner.rank, step))
    tiles = renderer.tiles(plan.batch // plan.processes, plan.ease(step), rng)
    with torch.autocast("cpu", torch.bfloat16):
        whole, patches = learner.encode(torch.from_numpy(tiles.pixels))
    found = losses(learner.table, tiles, whole, patches, learner.recent if step >= _SETTLED else None)
    total(found).backward()  # type: ignore[no-untyped-call]
    learner.update(step)
    return {name: float(value.detach()) for name, value in found.items()}


def _tell(plan: Plan, step: int, first: int, wall: float, before: float, sums: dict[str, float]) -> None:
    pace = (step - first) * plan.batch / (wall - before)
    parts = " ".join(f"{name} {value:.3f}" for name, value in sums.items())
    click.echo(f"{time.strftime('%H:%M:%S')} step {step} {wall:.0f} s {pace:.0f} tiles/s {parts}")


def _save(learner: Learner, folder: Path, step: int, wall: float, cpu: float) -> None:
    state = {
        "step": step,
        "wall": wall,
        "cpu": cpu,
        "plan": asdict(learner.plan),
        "vision": learner.vision.state_dict(),
        "table": learner.table.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in learner.optimizers],
    }
    draft = folder / "state.draft"
    torch.save(state, draft)
    draft.replace(folder / "state.pt")


def _load(learner: Learner, folder: Path) -> tuple[int, float, float]:
    state = torch.load(folder / "state.pt", weights_only=True)
    learner.vision.load_state_dict(state["vision"])
    learner.table.load_state_dict(state["table"])
    for optimizer, saved in zip(learner.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["step"], state["wall"], state["cpu"]


@click.command()
@click.option("--steps", default=10400, show_default=True, help="Steps in all.")
@click.option("--decay", default=4200, show_default=True, help="Last steps, over which the learning rates fall to 0.")
@click.option("--seed", default=1, show_default=True)
@click.option("--batch", default=128, show_default=True, help="Tiles per step.")
@click.option("--recent", default=2048, show_default=True, help="Tiles of past steps that a step also compares with.")
@click.option("--processes", default=2, show_default=True, help="One per core.")
@click.option("--matrix-rate", default=0.004, show_default=True, help="Muon's learning rate.")
@click.option("--compiled/--not-compiled", default=True, help="Compile the tower first: needs g++. [default: yes]")
@click.option("--resume", is_flag=True, help="Go on from the saved state; --steps and --decay may differ.")
@click.option("--folder", type=click.Path(path_type=Path), help="Of the saved state. [default: in the cache]")
def main(folder: Path | None, resume: bool, **numbers: float) -> None:
    """Train the picture tower on rendered tiles; stage 2 (`texts`) makes the checkpoint."""
    folder = folder or bank.cache_folder() / "mini-training"
    folder.mkdir(parents=True, exist_ok=True)
    bank.load((bank.SEEN[0], bank.MORE[0]))  # Draws missing sprites here, once and not in every process.
    plan = Plan(**numbers)  # type: ignore[arg-type]
    # A daemon ends with this process.
    spawn(_run, (plan, folder, resume), nprocs=plan.processes, daemon=True)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    run(main, "training.mini.train")
