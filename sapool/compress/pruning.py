"""Channel pruning: a trained network becomes a narrower one that keeps a budget.

In steps: channels are chosen (`sapool.compress.choice`), leave every layer that shares them (`sapool.compress.groups`), and
the network is trained on for a few epochs before the next ones are chosen. What comes out is a network of a specification,
whose widths say what was pruned; it is saved, trained, exported and priced like any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from sapool import checkpoint, models
from sapool.checkpoint import Checkpoint
from sapool.compress import importance
from sapool.compress.budget import Budget, needed_bytes
from sapool.compress.choice import Choice, Chosen, Peak, choose, peak_of
from sapool.compress.groups import Dependencies, Group
from sapool.errors import InternalError, UsageError
from sapool.metadata import Notes
from sapool.models.network import Network
from sapool.plans import TFLM, Plan
from sapool.pricing import PROFILE, Price, price, report, settle
from sapool.spec import ModelSpec

if TYPE_CHECKING:
    from sapool.data import DataSet
    from sapool.training.config import FitConfig

_TOLERANCE: Final = 1e-4  # between a network with its channels gone and the same network built anew


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pruning.

    Attributes:
        spec: the network after it.
        price: what that costs.
        choices: which channels left.
        peaks: the layers that held the peak while they were chosen, the last one that of the network after the step.
        val_accuracy: on the validation part after the step's training, as a share of 1; None without data.
    """

    spec: ModelSpec
    price: Price
    choices: tuple[Choice, ...]
    peaks: tuple[Peak, ...]
    val_accuracy: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """A pruned network, ready to be saved, and how it came about."""

    checkpoint: Checkpoint
    profile: str
    before: Price
    after: Price
    steps: tuple[Step, ...]
    plan: Plan = TFLM


def prune(
    source: Checkpoint,
    budget: Budget | float,
    *,
    profile: str = PROFILE,
    kind: str = "magnitude",
    steps: int = 1,
    dataset: DataSet | None = None,
    config: FitConfig | None = None,
    plan: Plan = TFLM,
    progress: Callable[[int, float], None] | None = None,
) -> Pruned:
    """Take channels out of a network until it keeps a budget.

    Args:
        source: the network; it stays as it is.
        budget: what it may cost, or the share of the channels that leaves every group.
        profile: build of TFLM that the arena is for.
        kind: how channels are valued; see `sapool.compress.importance`.
        steps: in how many steps, with a training after each where there is data.
        dataset: at the network's resolution, with its classes.
        config: the recipe of each of these trainings, which share one learning-rate schedule; the usual one if None.
        plan: the memory plan that the exported file is to have.
        progress: told how many steps are done, and which share of them that is.

    Raises:
        UsageError: data of other classes, an importance that needs data, a share that empties a layer, or a layer that
            pruning does not know.
        BudgetExceeded: the budget is out of reach; the smallest reachable is said, and which layer holds it.
    """
    importance.check(kind, dataset is not None)
    if steps < 1:
        raise UsageError(f"pruning in {steps} steps", hint="give at least one")
    if dataset is not None and tuple(dataset.classes) != tuple(source.labels):
        raise UsageError(f"data of {len(dataset.classes)} classes, which are not those of the network")
    before = price(source.spec, profile=profile, notes=Notes.of(source), plan=plan.searched())
    if isinstance(budget, Budget) and budget.allows(before):
        raise UsageError(
            "the network keeps the budget already", where=str(source.spec), hint="nothing has to be pruned"
        )
    current = _copy(source)
    done: list[Step] = []
    for number in range(1, steps + 1):
        tell = partial(_tell, progress, number, steps)
        tell(0.0)
        part = _part(budget, before, number, steps)
        training = None if dataset is None else (dataset, _recipe(config, number, steps))
        current, step = _step(current, part, profile, kind, training, plan, tell)
        done.append(step)
    return Pruned(current, profile, before, done[-1].price, tuple(done), plan)


def _tell(progress: Callable[[int, float], None] | None, number: int, steps: int, share: float) -> None:
    """That so much of a step is done; choosing channels takes minutes where bands are searched."""
    if progress is not None:
        progress(number - 1, (number - 1 + share) / steps)


def _copy(source: Checkpoint) -> Checkpoint:
    network = models.build(source.spec)
    network.load_state_dict(source.model.state_dict())
    return replace(source, model=network.eval())


def _part(budget: Budget | float, before: Price, number: int, steps: int) -> Budget | float:
    """The budget of one step: from what the network costs to what it may cost, by equal factors."""
    share = number / steps
    if not isinstance(budget, Budget):
        return float(1 - (1 - budget) ** (1 / steps)) if budget < 1 else budget

    def limit(now: int, least: int | None) -> int | None:
        return None if least is None else least if least >= now else max(least, int(now * (least / now) ** share))

    return Budget(
        limit(needed_bytes(before), budget.arena_bytes),
        limit(before.model_bytes, budget.flash_bytes),
        limit(before.file_macs, budget.macs),
    )


def _recipe(config: FitConfig | None, number: int, steps: int) -> FitConfig:
    """Of the training after one step: its part of one schedule, and images in an order of its own.

    With a schedule for each of them the learning rate would rise again after every step, and had never been low for long.
    """
    from sapool.training.config import FitConfig

    config = config or FitConfig()
    return replace(
        config, schedule_from=(number - 1) / steps, schedule_to=number / steps, seed=config.seed + number - 1
    )


def _step(
    source: Checkpoint,
    budget: Budget | float,
    profile: str,
    kind: str,
    training: tuple[DataSet, FitConfig] | None,
    plan: Plan,
    progress: Callable[[float], None],
) -> tuple[Checkpoint, Step]:
    network = source.model
    assert isinstance(network, Network)
    dependencies = Dependencies(network)
    groups = dependencies.groups()
    spec = pinned(network)
    scores = importance.scores(dependencies, groups, kind, training and training[0])
    if isinstance(budget, Budget):
        chosen = choose(
            spec, groups, scores, budget, profile=profile, notes=lambda spec: Notes.of(replace(source, spec=spec)),
            plan=plan, progress=progress,
        )  # fmt: skip
    else:
        chosen = _by_share(spec, groups, budget, profile, plan)
    narrow = _remove(dependencies, groups, scores, chosen)
    result = replace(source, model=narrow, spec=chosen.spec)
    accuracy = None
    if training is not None:
        result, accuracy = _trained(result, *training)
    last = peak_of(report(chosen.spec, profile=profile, plan=chosen.plan))
    peaks = chosen.peaks if chosen.peaks and chosen.peaks[-1] == last else (*chosen.peaks, last)
    cost = price(chosen.spec, profile=profile, notes=Notes.of(result), plan=chosen.plan.searched())
    return result, Step(chosen.spec, cost, chosen.choices, peaks, accuracy)


def pinned(network: Network) -> ModelSpec:
    """The specification, with what pools would otherwise derive from their channels."""
    spec = network.spec
    embeddings = {
        f"p{number}": stage.pool.embedding
        for number, stage in enumerate(network.stages, start=1)
        if stage.pool is not None and hasattr(stage.pool, "embedding")
    }
    return spec.with_settings(pruned={**embeddings, **spec.pruned})


def _by_share(spec: ModelSpec, groups: tuple[Group, ...], share: float, profile: str, plan: Plan) -> Chosen:
    """The same share of the channels of every group.

    Raises:
        UsageError: a group would be empty, or the share is none.
    """
    if not 0 < share < 1:
        raise UsageError(
            f"a ratio of {share:g} " + ("empties every layer" if share >= 1 else "prunes nothing"),
            hint="give a share between 0 and 1",
        )
    widths: dict[str, int] = {}
    choices = []
    for group in groups:
        kept = round(group.channels * (1 - share) / group.divisor) * group.divisor
        if kept < 1:
            raise UsageError(
                f"a ratio of {share:g} empties {group.name}, which has {group.channels} channels",
                hint="give a smaller ratio",
            )
        if kept < group.channels:
            widths.update(dict.fromkeys(group.names, kept))
            choices.append(Choice(group.name, group.channels, kept, 0.0))
    peak = peak_of(report(spec, profile=profile, plan=settle(spec, profile=profile, plan=plan)))
    narrower = spec.with_settings(pruned={**spec.pruned, **widths})
    return Chosen(narrower, tuple(choices), (peak,), settle(narrower, profile=profile, plan=plan))


def _remove(
    dependencies: Dependencies, groups: tuple[Group, ...], scores: Mapping[str, torch.Tensor], chosen: Chosen
) -> Network:
    """The network of the chosen specification, with the weights of the channels that stay."""
    by_name = {group.name: group for group in groups}
    for choice in chosen.choices:
        group = by_name[choice.group]
        dependencies.remove(group, group.weakest(scores[group.name], choice.before - choice.after))
    old = dependencies.network
    network = models.build(chosen.spec).eval()
    assert isinstance(network, Network)
    try:
        network.load_state_dict(old.state_dict())
    except RuntimeError as error:
        raise InternalError(f"the pruned network is not that of its specification {chosen.spec}: {error}") from error
    spec = chosen.spec
    example = torch.rand(2, spec.channels, spec.resolution, spec.resolution, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = old(example)
        difference = float((network(example) - expected).abs().max())
        largest = float(expected.abs().max())
    if not difference <= _TOLERANCE * max(1.0, largest):
        raise InternalError(f"the pruned network computes something else than its specification: {difference:.2g}")
    return network


def _trained(source: Checkpoint, dataset: DataSet, config: FitConfig) -> tuple[Checkpoint, float]:
    from sapool.training.fitting import fit
    from sapool.training.start import Start

    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint.save(Path(folder) / "start.safetensors", source.model, source.spec, labels=source.labels)
        result = fit(source.spec, dataset, config, start=Start(path))
    return replace(source, model=result.model), result.best.val_accuracy


def header(result: Pruned, source: Mapping[str, Any]) -> dict[str, Any]:
    """Further entries for the header of the pruned checkpoint: those of the source, and where it comes from."""
    kept = {name: value for name, value in source.items() if name != "sapool"}
    kept.pop("test_accuracy", None)  # of another network
    kept["pruned_from"] = {"arena_bytes": needed_bytes(result.before), "profile": result.profile}
    if (accuracy := result.steps[-1].val_accuracy) is not None:
        kept["val_accuracy"] = accuracy
    return kept
