"""Pruning: the network that is left is the one that the specification says, and costs what was predicted."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

from torch import nn  # noqa: E402

from firmware_sim import memreport, read  # noqa: E402
from sapool import checkpoint, data  # noqa: E402
from sapool.checkpoint import Checkpoint  # noqa: E402
from sapool.compress import importance  # noqa: E402
from sapool.compress.budget import Budget, needed_bytes  # noqa: E402
from sapool.compress.groups import Dependencies, Group  # noqa: E402
from sapool.compress.pruning import prune  # noqa: E402
from sapool.errors import BudgetExceeded, UsageError  # noqa: E402
from sapool.export import to_tflite  # noqa: E402
from sapool.metadata import Notes  # noqa: E402
from sapool.models import build  # noqa: E402
from sapool.pricing import price, report  # noqa: E402
from sapool.spec import parse  # noqa: E402

LABELS = tuple("abcdefghij")
NETWORKS = [
    "mobilenet_v1-self_attentive-12221:width=0.2",
    "mobilenet_v1-max-12221:width=0.2,placement=end,prepool=2",
    "mobilenet_v2-self_attentive/ulsam/lip/subspace_attention/max/max/max-2212111:width=0.2,resolution=64",
    "mobilenet_v2-strided-1222121:width=0.2,resolution=64,replace=12:ulsam/13:subspace_attention",
    "resnet18-average-1221:width=0.2",
    "resnet50-lip-1221:width=0.15,placement=after",
]


def trained(text, seed=0):
    """A checkpoint whose weights and statistics are all different from each other."""
    torch.manual_seed(seed)
    spec = parse(text)
    network = build(spec)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return Checkpoint(network.eval(), spec, LABELS, {})


@pytest.mark.parametrize("text", NETWORKS)
def test_dead_channels_leave_without_a_trace(text):
    """Channels whose every weight is zero change nothing when they go: the right ones go, everywhere."""
    source = trained(text)
    network = source.model
    dependencies = Dependencies(network)
    groups = dependencies.groups()
    assert {name for group in groups for name in group.names} >= {"stem"}
    dead = {
        group.name: list(range(0, group.channels, group.channels // group.divisor))[: group.divisor] for group in groups
    }
    with torch.no_grad():
        for group in groups:
            for item in dependencies.of(group):
                module, channels = item.dep.target.module, dead[group.name]
                if isinstance(module, nn.Conv2d) and dependencies.graph.is_out_channel_pruning_fn(item.dep.handler):
                    module.weight[channels] = 0
                if isinstance(module, nn.BatchNorm2d):
                    for tensor in (module.weight, module.bias, module.running_mean):
                        tensor[channels] = 0
    x = torch.randn(3, source.spec.channels, source.spec.resolution, source.spec.resolution)
    with torch.no_grad():
        before = network(x)
        for group in groups:
            if "self_attentive" in text or group.divisor == 1:
                dependencies.remove(group, dead[group.name])
        after = network(x)
    if "ulsam" in text or "subspace" in text or "lip" in text:
        assert after.shape == before.shape  # attention sees all channels: a dead one has its part in it
    else:
        torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("text", NETWORKS)
def test_the_pruned_network_is_that_of_its_specification(text, tmp_path):
    source = trained(text)
    result = prune(source, 0.4)
    spec = result.checkpoint.spec
    assert parse(str(spec)) == spec
    assert result.after.macs < 0.75 * result.before.macs
    path = checkpoint.save(tmp_path / "a.safetensors", result.checkpoint.model, spec, labels=LABELS)
    loaded = checkpoint.load(path)
    x = torch.randn(2, spec.channels, spec.resolution, spec.resolution)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(x), result.checkpoint.model(x))
        assert loaded.model(x).std() > 0
    # The source is as it was.
    assert str(source.spec) == str(parse(text))
    build(source.spec).load_state_dict(source.model.state_dict())


@pytest.mark.oracle
@pytest.mark.parametrize("text", NETWORKS[:1] + NETWORKS[3:5])
def test_the_predicted_arena_is_that_of_tflm_after_export(text):
    tflm = pytest.importorskip("firmware_sim.run.tflm")
    pytest.importorskip("tflite_micro")
    source = trained(text)
    limit = int(0.9 * needed_bytes(price(source.spec)))
    result = prune(source, Budget(arena_bytes=limit))
    size = source.spec.resolution
    images = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), np.uint8)
    content = to_tflite(result.checkpoint, images).content
    used = tflm.Tflm(content).arena
    arena = result.after.arena
    assert (used.total_bytes, used.head_bytes, used.tail_bytes) == (
        arena.total_bytes, arena.head_bytes, arena.tail_bytes,
    )  # fmt: skip
    assert used.total_bytes <= limit
    assert len(content) == result.after.model_bytes


@pytest.mark.parametrize("limit", ["arena_bytes", "flash_bytes", "macs"])
def test_every_limit_is_kept_after_several_steps(limit):
    source = trained("mobilenet_v1-max-12221:width=0.2")
    before = price(source.spec, notes=Notes.of(source))
    cost = {"arena_bytes": needed_bytes(before), "flash_bytes": before.model_bytes, "macs": before.macs}[limit]
    budget = Budget(**{limit: int(0.85 * cost)})
    result = prune(source, budget, steps=3, profile="host64")
    assert len(result.steps) == 3
    assert budget.allows(result.after)
    costs = [{"arena_bytes": needed_bytes(s.price), "flash_bytes": s.price.model_bytes, "macs": s.price.macs}[limit]
             for s in result.steps]  # fmt: skip
    assert costs == sorted(costs, reverse=True)
    for step in result.steps:
        assert step.choices
        live = max(layer.live_bytes for layer in report(step.spec).layers)
        assert step.peaks[-1].live_bytes == live
        for choice in step.choices:
            assert all(step.spec.pruned[name] == choice.after < choice.before for name in choice.group.split("+"))
            assert choice.gain > 0


@pytest.mark.parametrize("kind", importance.NAMES)
def test_channels_without_weights_are_worth_nothing(kind):
    torch.manual_seed(0)
    digits = data.open("digits", resolution=32, channels=3)
    dependencies = Dependencies(build(parse("mobilenet_v1-max-12221:width=0.2")))
    groups = dependencies.groups()
    group = next(group for group in groups if group.name == "b5")
    weak = [3, 7, 20]
    with torch.no_grad():
        for item in dependencies.of(group):
            for name in ("weight", "bias"):
                tensor = getattr(item.dep.target.module, name, None)
                if tensor is None:
                    continue
                if dependencies.graph.is_out_channel_pruning_fn(item.dep.handler):
                    tensor[weak] = 0
                elif name == "weight":
                    tensor[:, weak] = 0
    found = importance.scores(dependencies, groups, kind, digits)
    assert {name: len(values) for name, values in found.items()} == {group.name: group.channels for group in groups}
    assert (found["b5"][weak] == 0).all()
    assert (found["b5"] > 0).sum() >= group.channels // 2  # the others, but for those that no image wakes


def test_the_weakest_go_from_every_block_alike():
    layer = nn.Conv2d(1, 8, 1)
    scores = torch.tensor([5.0, 1.0, 2.0, 3.0, 9.0, 8.0, 7.0, 6.0])
    assert Group(("s1",), 8, 1, layer).weakest(scores, 3) == [1, 2, 3]
    assert Group(("s1",), 8, 2, layer).weakest(scores, 4) == [1, 2, 6, 7]


@pytest.mark.slow
def test_training_between_the_steps(tmp_path):
    digits = data.open("digits", resolution=32, channels=3)
    from sapool.training.config import FitConfig
    from sapool.training.fitting import fit

    spec = parse("mobilenet_v1-max-22111:width=0.1")
    network = fit(spec, digits, FitConfig(epochs=3)).model
    source = Checkpoint(network, spec, tuple(digits.classes), {})
    limit = int(0.9 * needed_bytes(price(spec)))
    result = prune(
        source, Budget(limit), steps=2, kind="taylor", dataset=digits, config=FitConfig(epochs=1, learning_rate=2e-3)
    )
    assert all(step.val_accuracy > 0.3 for step in result.steps)
    assert needed_bytes(result.after) <= limit


def test_a_pruned_network_can_be_pruned_again():
    once = prune(trained("mobilenet_v1-self_attentive-12221:width=0.2"), 0.3)
    twice = prune(once.checkpoint, 0.3)
    first, second = once.checkpoint.spec.pruned, twice.checkpoint.spec.pruned
    assert set(first) == set(second)
    assert second["b5"] < first["b5"]
    assert second["p2"] == first["p2"]  # embeddings stay


def test_a_budget_out_of_reach_says_what_is_reached_and_where():
    source = trained("mobilenet_v1-max-12221:width=0.1")
    with pytest.raises(BudgetExceeded, match=r"pruning reaches an arena of [\d,]+ bytes, not less") as caught:
        prune(source, Budget(5_000))
    assert "CONV_2D" in caught.value.where
    assert "holds the peak" in caught.value.hint


@pytest.mark.parametrize(
    ("budget", "options", "message"),
    [
        (1.0, {}, "empties every layer"),
        (0.99, {}, "a ratio of 0.99 empties stem, which has 8 channels"),
        (-0.5, {}, "prunes nothing"),
        (Budget(10**9), {}, "keeps the budget already"),
        (Budget(30_000), {"kind": "taylor"}, "needs gradients"),
        (Budget(30_000), {"steps": 0}, "at least one"),
    ],
)
def test_bad_questions_are_refused(budget, options, message):
    with pytest.raises(UsageError, match=message):
        prune(trained("mobilenet_v1-max-12221:width=0.1"), budget, **options)


def test_a_layer_that_pruning_does_not_know_is_refused():
    with pytest.raises(UsageError, match="does not know the weights of RnnPooling"):
        Dependencies(build(parse("mobilenet_v1-rnnpool-22111:width=0.1,resolution=64")))


@pytest.mark.oracle
def test_the_arena_of_a_shrunk_export_is_the_budget():
    from sapool.export import shrunk
    from sapool.plans import named

    source = trained("mobilenet_v1-strided-12221:width=0.2,resolution=48")
    plan = named("overlap", "cortex-m-reference")
    start = price(source.spec, profile="cortex-m-reference", notes=Notes.of(source), plan=plan.searched())
    limit = int(needed_bytes(start) * 0.85)
    result = prune(source, Budget(limit), profile="cortex-m-reference", plan=plan)
    assert result.plan == plan
    assert needed_bytes(result.after) <= limit
    assert needed_bytes(result.after) < needed_bytes(
        price(result.checkpoint.spec, profile="cortex-m-reference", notes=Notes.of(result.checkpoint))
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3)).astype(np.uint8)
    model, _ = shrunk(to_tflite(result.checkpoint, images, profile="cortex-m-reference"), profile="cortex-m-reference")
    arena = memreport(read(model.content), profile="cortex-m-reference").arena
    assert (arena.head_bytes, arena.total_bytes) == (result.after.arena.head_bytes, result.after.arena.total_bytes)
