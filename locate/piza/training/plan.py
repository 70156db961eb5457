"""The settings of a run."""

from __future__ import annotations

from dataclasses import dataclass

from sorce.locate.piza.training.trajectories import USUAL_SHARE


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The settings of a run. `rate`, `decay` and `clip` are the published ones.

    `share` is the area of each box of a trajectory as a share of the one before. In the first `base_steps` all of the
    base learns, without adapters; then PIZA's parts and the base's norms. The rate falls to a tenth after three fifths
    of the steps of either part, as published.
    """

    steps: int
    base_steps: int = 0
    batch: int = 4
    rate: float = 2e-4
    decay: float = 1e-4
    clip: float = 0.1
    seed: int = 0
    share: float = USUAL_SHARE

    @property
    def total(self) -> int:
        return self.base_steps + self.steps

    def trains_base(self, step: int) -> bool:
        return step < self.base_steps

    def rate_at(self, step: int) -> float:
        done, steps = (step, self.base_steps) if self.trains_base(step) else (step - self.base_steps, self.steps)
        return self.rate if done < 0.6 * steps else 0.1 * self.rate
