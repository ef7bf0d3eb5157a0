"""Trains a network on a data set."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from firmware_sim.errors import UsageError
from sapool import calibration
from sapool.data import DataSet
from sapool.data.fingerprint import fingerprint
from sapool.training.config import FitConfig
from sapool.training.history import EpochMetrics
from sapool.training.progress import FitProgress, Silent
from sapool.training.quiet import quiet_lightning
from sapool.training.start import Start
from sapool.training.threads import torch_threads

if TYPE_CHECKING:
    from lightning.pytorch import Callback, Trainer
    from torch import nn

    from sapool.spec import ModelSpec
    from sapool.training.distillation import Teacher

_VALIDATION_BATCH: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """A trained network, in evaluation mode on the CPU, with the weights of its best epoch.

    `best` is the epoch that was best on the validation part (accuracy, then loss); `history` has all of them.
    `seconds` is the time that this process trained, without what an interrupted one did before; `device` what it ran on.
    """

    model: nn.Module
    history: tuple[EpochMetrics, ...]
    best: EpochMetrics
    seconds: float
    device: str

    @property
    def images_per_second(self) -> float:
        """Training images a second, without validation."""
        images = sum(epoch.images_per_second * epoch.seconds for epoch in self.history)
        return images / max(sum(epoch.seconds for epoch in self.history), 1e-9)


def fit(
    spec: ModelSpec,
    dataset: DataSet,
    config: FitConfig | None = None,
    *,
    start: Start | None = None,
    teacher: Teacher | None = None,
    snapshot: Path | None = None,
    resume: bool = False,
    progress: FitProgress | None = None,
) -> FitResult:
    """Build the network of `spec` and train it.

    The same arguments give the same weights on the CPU, for the same number of threads; also after interruptions, with
    `resume`.

    Args:
        spec: the network; its resolution and classes have to be those of the data.
        dataset: learns from `train`, chooses the best epoch by `val`, does not look at `test`.
        config: the recipe; the usual one if None.
        start: weights to start from; random ones if None.
        teacher: what to learn from besides the labels, as far as the recipe says (`distillation`, `attention`).
        snapshot: a file to put the state of the training into at the end of each epoch; nothing is written if None.
        resume: go on from `snapshot`, if there is one; start at the beginning otherwise.
        progress: told how it goes.

    Raises:
        UsageError: network and data do not fit together, too few images, a training that diverges, or a missing
            package; weights for another network; a snapshot of another training.
        FileError: weights or a snapshot that cannot be read.
    """
    _require_packages()
    import torch

    from sapool import models

    config = config or FitConfig()
    if spec.resolution != dataset.resolution:
        raise UsageError(f"the network takes {spec.resolution} pixels, the images have {dataset.resolution}")
    if spec.channels != dataset.channels:
        raise UsageError(f"the network takes {spec.channels} channels, the images have {dataset.channels}")
    if spec.classes != len(dataset.classes):
        raise UsageError(f"the network has {spec.classes} classes, the data {len(dataset.classes)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = models.build(spec)
    if start is not None:
        start.into(network)
    return fit_module(
        network, dataset, config, name=str(spec), teacher=teacher, snapshot=snapshot, resume=resume, progress=progress
    )


def fit_module(
    network: nn.Module,
    dataset: DataSet,
    config: FitConfig,
    *,
    name: str = "",
    teacher: Teacher | None = None,
    snapshot: Path | None = None,
    resume: bool = False,
    progress: FitProgress | None = None,
) -> FitResult:
    """Train any network that takes [B, C, H, W] and gives [B, classes]; see `fit`. The network itself is changed.

    `name` says what the network is; a snapshot goes on with networks of the same name only.
    """
    _require_packages()
    import torch

    from sapool.training.batches import OrderedBatches, ShuffledBatches, loader
    from sapool.training.module import Classifier
    from sapool.training.recorder import Recorder

    _check(dataset, config, teacher)
    progress = progress or Silent()
    recorder = Recorder(progress)
    callbacks: list[Callback] = [recorder]
    last = None
    if snapshot is not None:
        from sapool.training.snapshots import Snapshots, read

        identity = _identity(name or type(network).__name__, network, dataset, config, teacher)
        last = read(snapshot) if resume else None
        if last is not None:
            last.check(identity)
        callbacks.append(Snapshots(snapshot, identity))
    # torch's type hints leave this argument of `to` out.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = Classifier(
        network,
        config,
        flip=dataset.flip_keeps_label,
        teacher=teacher,
        calibration=calibration.choose(dataset.train.images) if config.quantised_epochs else None,
    )
    sampler = ShuffledBatches(len(dataset.train), config.batch_size, config.seed, config.processes)
    started = time.perf_counter()
    with torch_threads(config.threads), torch.random.fork_rng(devices=[]), quiet_lightning():
        trainer = _trainer(config, callbacks)
        progress.begin(config.epochs, len(sampler) * sampler.batch_size)
        try:
            with _interrupts_stay_interrupts():
                trainer.fit(
                    module,
                    loader(dataset.train, sampler),
                    loader(dataset.val, OrderedBatches(len(dataset.val), _VALIDATION_BATCH)),
                    ckpt_path=None if last is None else last.path,
                )
        finally:
            progress.end()
    assert recorder.best is not None
    network.load_state_dict(recorder.weights)
    return FitResult(
        model=network.cpu().to(memory_format=torch.contiguous_format).eval(),  # type: ignore[call-overload]
        history=tuple(recorder.history),
        best=recorder.best,
        seconds=time.perf_counter() - started,
        device=str(trainer.strategy.root_device),
    )


def _identity(
    name: str, network: nn.Module, dataset: DataSet, config: FitConfig, teacher: Teacher | None
) -> dict[str, str]:
    """Everything that decides the weights; the network is taken as it is before the first step."""
    return {
        "network": name,
        "first weights": _digest(network),
        "data": f"{fingerprint(dataset)} ({len(dataset.train)} images)",
        "data that keeps its label mirrored": str(dataset.flip_keeps_label),
        "teacher": "none" if teacher is None else f"{teacher.name} ({_digest(teacher.network)})",
        **{key.replace("_", " "): str(value) for key, value in config.recipe().items()},
    }


def _digest(network: nn.Module) -> str:
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    for key, value in network.state_dict().items():
        digest.update(f"{key} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy())
    return digest.hexdigest()


def _trainer(config: FitConfig, callbacks: list[Callback]) -> Trainer:
    from lightning.pytorch import Trainer
    from lightning.pytorch.callbacks import Checkpoint

    from sapool.training.snapshots import AtomicFiles
    from sapool.training.synced_norm import SyncedNorms

    try:
        return Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.nodes,
            strategy=config.strategy,
            precision=config.precision,  # type: ignore[arg-type]
            # The samplers know how many processes there are.
            use_distributed_sampler=False,
            max_epochs=config.epochs,
            callbacks=callbacks,
            plugins=[AtomicFiles(), SyncedNorms()],
            # Nothing is written unasked: the caller decides what is kept, and where.
            logger=False,
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
    except RuntimeError as error:
        # Lightning's MisconfigurationException: there is no such device.
        raise UsageError(f"cannot train on {config.accelerator!r}: {error}") from error


def _check(dataset: DataSet, config: FitConfig, teacher: Teacher | None) -> None:
    # Each process needs two images for the variance of a batch, and one to validate on.
    for part, least in (("train", 2 * config.processes), ("val", max(2, config.processes))):
        if len(dataset.split(part)) < least:
            raise UsageError(
                f"the {part} part has {len(dataset.split(part))} images: too few to train with", where=dataset.name
            )
    wanted = bool(config.distillation or config.attention)
    if wanted and teacher is None:
        raise UsageError(
            "the recipe learns from a teacher, and there is none", hint="name its checkpoint with --teacher"
        )
    if teacher is not None and not wanted:
        raise UsageError(
            "the recipe takes no notice of a teacher", hint="give the recipe distill, or one with distillation"
        )


@contextmanager
def _interrupts_stay_interrupts() -> Iterator[None]:
    """Lightning ends the process with code 1 on Ctrl+C and ignores SIGINT from then on; here it stays an interrupt."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _require_packages() -> None:
    try:
        import lightning.pytorch  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise UsageError(f"training needs {error.name}", hint="pip install 'sapool[train]'") from error
