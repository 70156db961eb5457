"""Several processes learn from one batch. On a CPU, two with a thread each are faster than one with two threads."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from threading import Thread
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing import get_context  # Lets tensors go to another process without a copy.

from sorce.errors import ModelError
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.network import PizaNetwork
from sorce.locate.piza.training.lessons import Lessons

_own: list[Lessons] = []
"""Those of a helping process."""


class Helpers:
    """Other processes, whose networks have the weights of the learner's, in shared memory. None for one process."""

    def __init__(self, lessons: Lessons) -> None:
        self._lessons, processes = lessons, lessons.processes
        self._threads = torch.get_num_threads()
        self._pool: ProcessPoolExecutor | None = None
        if processes > 1:
            threads = max(1, self._threads // processes)
            torch.set_num_threads(threads)
            detector, network = lessons.detector, lessons.detector.network.share_memory()
            weights = dict((*network.named_parameters(), *network.named_buffers()))
            rest = (detector.tokenizer, detector.name, lessons.expressions, lessons.plan, processes)
            self._pool = ProcessPoolExecutor(
                processes - 1, get_context("spawn"), _start, ((network.config, weights), rest, threads)
            )

    def gradients(self, step: int) -> float:
        """Leaves the gradients of a whole batch on the learner's network. Returns the loss."""
        if self._pool is None:
            return self._lessons.gradients(step)
        asked = [self._pool.submit(_gradients, step, process) for process in range(1, self._lessons.processes)]
        loss = self._lessons.gradients(step)
        try:
            for answer in asked:
                more, gradients = answer.result()
                loss += more
                self._add(gradients)
        except BrokenProcessPool as error:
            raise ModelError(
                "a process of the training was ended; start the run again with fewer --processes."
            ) from error
        return loss

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            torch.set_num_threads(self._threads)

    def _add(self, gradients: Tensor) -> None:
        learned = self._lessons.learned()
        parts = torch.split(gradients, [parameter.numel() for parameter in learned])
        for parameter, part in zip(learned, parts, strict=True):
            if parameter.grad is not None:
                parameter.grad += part.view_as(parameter)
            elif part.any():
                parameter.grad = part.view_as(parameter).clone()


def _start(network: tuple[Any, dict[str, Tensor]], rest: tuple[Any, ...], threads: int) -> None:
    # Ctrl-C reaches all processes of a terminal: the learner ends this one. So does its own end, of whatever kind.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    torch.set_num_threads(threads)
    (config, weights), (tokenizer, name, *shared) = network, rest
    own = PizaNetwork(config)
    for key, parameter in own.named_parameters():
        parameter.data = weights[key]
    for key, buffer in own.named_buffers():
        buffer.data = weights[key]
    _own.append(Lessons(PizaDetector(own, tokenizer, name), *shared))


def _end_with(learner: Any) -> None:
    learner.join()
    os._exit(1)


def _gradients(step: int, process: int) -> tuple[float, Tensor]:
    [lessons] = _own
    loss = lessons.gradients(step, process)
    found = [torch.zeros_like(each) if each.grad is None else each.grad for each in lessons.learned()]
    return loss, torch.cat([each.flatten() for each in found])
