"""One trial: trained or resumed from a checkpoint, inspected, diagnosed and recorded."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from bo_client import StopTrial
from numpy.typing import NDArray

from bo_objectives.base import ARTIFACTS, Run, TrialFailed
from bo_objectives.efficientnet import (
    data,
    diagnosis,
    duplicates,
    inspection,
    label_mistakes,
    logs,
    mistakes,
    number_mistakes,
    training,
)
from bo_objectives.efficientnet.batches import predicted
from bo_objectives.efficientnet.checkpoint import CheckpointManager, refuse, unwritable
from bo_objectives.efficientnet.data import Images
from bo_objectives.efficientnet.findings import Finding, Setting
from bo_objectives.efficientnet.history import TrainingHistory
from bo_objectives.efficientnet.names import BATCH, LITE0, NETWORK, NONE, SCRATCH, SINGLE_LABEL, TWO_STAGE
from bo_objectives.efficientnet.space import FALLBACKS
from bo_objectives.efficientnet.tasks import LearningTask, Regression
from bo_objectives.efficientnet.training import LabeledInputs, TrainingStage, TrainingState
from bo_objectives.efficientnet.training_context import TrainingContext
from bo_objectives.efficientnet.trial_config import ADDED, TrialConfig
from bo_objectives.efficientnet.user_code import HEAD

logger = logging.getLogger("bo_objectives")

RECORD_FILE = "trial.json"
TEST_BATCH = 64
IDENTITY_OPTIONS = ("backbone", "head_width", "epochs", "seed", "precision")
"""Options that a checkpoint depends on."""
SCRATCH_REVISION = 2
"""Version of networks from scratch. In version 1, depthwise kernels had other fans, and blocks could stay frozen."""
TWO_STAGE_REVISION = 2
"""Version of two stages with stochastic depth. In version 1, the frozen blocks of the first stage had it too."""


@dataclass(frozen=True)
class Trained:
    """A trained network with the weights and metrics of its best epoch."""

    network: keras.Model
    metrics: dict[str, float]
    record: TrainingHistory
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Tested:
    """A network's results on the test images."""

    metrics: dict[str, float]
    outputs: NDArray[np.float64]
    targets: NDArray[np.float64]
    """Outputs and encoded targets, (n, k)."""


class TrainingRun:
    """A trial's configuration, trained in a context."""

    def __init__(self, context: TrainingContext, config: TrialConfig, run: Run) -> None:
        self.context, self.config = context, config
        self._run = run
        self._logs = logs.TrialLogs(context.settings.log_kinds, run.directory, config.as_dict())

    def train(self) -> Trained:
        """Train a new head, and fresh copies of the unfrozen blocks, or everything.

        The final metrics are those of the epoch with the least validation loss; its weights are the ones to keep, and
        the only ones that are tested.

        Raises:
            TrialFailed: DIVERGED; INVALID_CONFIGURATION, as the parameters do not fit the network; CRASHED, as the disk
                is full.
        """
        self.context.check(self.config)
        checkpoints = CheckpointManager(self._run.directory, self._identity())
        for warning in self.config.warnings():
            logger.warning("trial %d: %s", self._run.number, warning)
        train, validation = self._labeled()
        state, stages = self._start_or_resume(checkpoints, train.inputs.shape[1:])
        parts = ((train.inputs, train.targets), (validation.inputs, validation.targets))
        sample = inspection.InspectionSample.of(*parts, self.task)
        inspect = partial(inspection.inspect, state.network, sample, self._trained_norm, self.config.batch_size)
        record = state.record
        record.before = record.before or inspect()
        try:
            training.train(
                state,
                stages,
                self.context.plan(self.config),
                (train, validation),
                partial(self._on_epoch_end, checkpoints, state),
                partial(self.context.step, self.config),
            )
        except StopTrial:
            self._diagnose(record)
            raise
        except TrialFailed as failure:
            raise TrialFailed(failure.reason, self._failure_message(failure, record)) from failure
        record.after = inspection.with_outcomes(inspect(), state.network, sample)
        best = {**record.best, "best_epoch": float(record.best_epoch)}
        further = self._further_figures(state.network, validation)
        metrics = {**best, **further, **self.context.counts(self.config, state.network)}
        findings = self._diagnose(record)
        trained = Trained(state.network, metrics, record, findings)
        self._finish(trained)
        if self.context.settings.artifacts == "on":
            self._leave_mistakes(trained, validation)
        return trained

    def test(self, trained: Trained) -> Tested:
        """Evaluate the test images, which nothing else uses."""
        inputs = self.context.labeled(self.config, self.context.data_and_backbone(self.config.image_size).split.test)
        outputs = predicted(trained.network, inputs.inputs, TEST_BATCH, self.context.share).astype(np.float64)
        loss = inspection.mean_loss(self.task, outputs, inputs.targets)
        figures = self.task.figures(outputs, inputs.targets)
        metrics = {"test_loss": loss, **{f"test_{name}": value for name, value in figures.items()}}
        return Tested(metrics, outputs, inputs.targets.astype(np.float64))

    @property
    def task(self) -> LearningTask:
        """What the network is trained for."""
        return self.context.task(self.config)

    def _further_figures(self, network: keras.Model, validation: LabeledInputs) -> dict[str, float]:
        """Return the validation metrics that are not known of every epoch, of the best one."""
        if self.task.name == SINGLE_LABEL:
            return {}
        outputs = predicted(network, validation.inputs, TEST_BATCH, self.context.share).astype(np.float64)
        figures = self.task.figures(outputs, validation.targets)
        return {f"val_{name}": value for name, value in figures.items() if name != self.task.metric}

    def _labeled(self) -> tuple[LabeledInputs, LabeledInputs]:
        """Return the training and the validation inputs."""
        split = self.context.data_and_backbone(self.config.image_size).split
        return self.context.labeled(self.config, split.train), self.context.labeled(self.config, split.validation)

    def _start_or_resume(
        self, checkpoints: CheckpointManager, shape: tuple[int, ...]
    ) -> tuple[TrainingState, list[TrainingStage]]:
        """Return the training and its stages, resumed from an earlier attempt's checkpoint if one fits."""
        checkpoint, plan = checkpoints.find(self._run.checkpoint_uri), self.context.plan(self.config)
        if checkpoint is not None:
            network, stages = self._network(shape)
            try:
                state = TrainingState.resumed(network, plan, checkpoint, stages)
            except ValueError as error:
                refuse(self._run.checkpoint_uri, error)
            else:
                logger.info("trial %d resumes after epoch %d", self._run.number, checkpoint.record.epoch)
                return state, stages
        network, stages = self._network(shape)
        return TrainingState.started(network, plan), stages

    def _network(self, shape: tuple[int, ...]) -> tuple[keras.Model, list[TrainingStage]]:
        network = self.context.network(self.config, shape)
        return network, self.context.stages(self.config, network)

    def _on_epoch_end(self, checkpoints: CheckpointManager, state: TrainingState, record: TrainingHistory) -> None:
        """Handle the end of an epoch: save its checkpoint first, so that every reported epoch can be resumed."""
        uri = ""
        if self.context.settings.checkpoints == "on":
            if state.optimizer is not None:
                checkpoints.save(state.checkpoint())
            uri = checkpoints.uri
        self._logs.epoch(record)
        self._run.report(record.epoch, record.curve[-1], uri)

    def _failure_message(self, failure: TrialFailed, record: TrainingHistory) -> str:
        findings = self._diagnose(record)
        return " ".join([failure.message, *(f"[{f.kind}: {f.evidence}; {f.remedy}]" for f in findings)])

    def _diagnose(self, record: TrainingHistory) -> tuple[Finding, ...]:
        """Diagnose the training, and label the trial with the findings."""
        setting = self.setting()
        findings, notes = diagnosis.diagnose(record, setting), diagnosis.notes(record, setting)
        self._run.label(diagnosis.labels(findings, self.config.warnings(), notes))
        return findings

    def setting(self) -> Setting:
        """Return the parameters and properties of the images that the diagnosis needs."""
        config, split = self.config, self.context.data_and_backbone(self.config.image_size).split
        return Setting(
            shares=split.train.shares,
            task=self.task.name,
            batch_size=config.batch_size,
            norm=self._trained_norm,
            mode=config.mode,
            norm_scope=config.norm_scope,
            dropout=config.dropout,
            label_smoothing=config.label_smoothing,
            weight_decay=config.weight_decay,
            augmentation=max(config.augmentation, config.rand_augment),
            validation_images=len(split.validation),
            copies=duplicates.copies(split.train, split.validation),
            left_out=split.left_out,
            pixel_range=duplicates.pixel_range(split.train),
        )

    @property
    def _trained_norm(self) -> str:
        """The norm whose statistics come from this trial's batches; none with a head of the user's own."""
        is_batch = self.config.mode == SCRATCH and self.config.norm_scope != NETWORK
        return BATCH if is_batch else NONE if HEAD in self.context.user_functions else self.config.norm

    def _finish(self, trained: Trained) -> None:
        content = self.provenance(trained, trained.metrics)
        try:
            self._run.directory.mkdir(parents=True, exist_ok=True)
            (self._run.directory / RECORD_FILE).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
            self._logs.end(trained.metrics)
        except OSError as error:
            raise unwritable(self._run.directory, error) from error

    def _leave_mistakes(self, trained: Trained, validation: LabeledInputs) -> None:
        """Write what the network confuses among the validation images; what prevents that is logged."""
        try:
            images = self.context.data_and_backbone(self.config.image_size).split.validation
            folder, classes = self._run.directory / ARTIFACTS, images.classes
            if images.targets is None:
                rows = inspection.stratified(images.labels, max(1, mistakes.MAX_IMAGES // len(classes)))
            else:
                rows = inspection.drawn(len(images), mistakes.MAX_IMAGES)
            outputs = inspection.logits(trained.network, validation.inputs, rows)
            pixels = np.asarray(images.pixels[rows])
            if images.targets is None:
                mistakes.leave(folder, pixels, outputs, images.labels[rows], classes)
            elif isinstance(self.task, Regression):
                predicted_numbers = self.task.scale.in_units(outputs.astype(np.float64))
                number_mistakes.leave(folder, pixels, predicted_numbers, images.targets[rows], classes)
            else:
                label_mistakes.leave(folder, pixels, outputs.astype(np.float64), images.targets[rows], classes)
        except Exception:
            logger.warning("trial %d: its mistakes could not be drawn", self._run.number, exc_info=True)

    def provenance(self, trained: Trained, metrics: Mapping[str, float]) -> dict[str, Any]:
        """Return the parameters, data and software of the training, with hashes, so that its result can be traced."""
        split, origin = self.context.data_and_backbone(self.config.image_size).split, self._origin()
        return {
            "parameters": self.config.as_dict(),
            "metrics": dict(metrics),
            "diagnosis": [asdict(finding) for finding in trained.findings],
            "warnings": self.config.warnings(),
            "settings": asdict(self.context.settings),
            "functions": {name: function.contents for name, function in self.context.user_functions.items()},
            "weights": origin,
            "task": self.task.name,
            "classes": list(split.train.classes),
            **self._scale(),
            "images": {part: len(getattr(split, part)) for part in data.PARTS},
            "pixels_sha256": {part: getattr(split, part).pixels_sha256 for part in data.PARTS},
            "bits": split.train.bits,
            "skipped_images": list(split.skipped),
            "left_out_copies": split.left_out,
            "keras": {"version": keras.version(), "backend": keras.backend.backend()},
            "images_per_second": _throughput(trained.record, len(split.train)),
            "record": trained.record.as_json(),
        }

    def _scale(self) -> dict[str, Any]:
        """Return the mean and standard deviation of the numbers in the training images."""
        if not isinstance(self.task, Regression):
            return {}
        scale = self.task.scale
        return {"scale": {"mean": scale.mean.tolist(), "standard_deviation": scale.deviation.tolist()}}

    def _origin(self) -> dict[str, str]:
        if self.config.mode == SCRATCH:
            return {"source": "random", "sha256": ""}
        return asdict(self.context.data_and_backbone(self.config.image_size).backbone.origin)

    def _identity(self) -> dict[str, Any]:
        """Return what must be equal in an attempt that resumes."""
        settings, split = self.context.settings, self.context.data_and_backbone(self.config.image_size).split
        config = self.config.as_dict()
        added = {name for name in ADDED if config[name] == FALLBACKS[name]}
        return {
            **{name: value for name, value in config.items() if name not in added},
            **{name: getattr(settings, name) for name in IDENTITY_OPTIONS},
            **{f"{name}.contents": function.contents for name, function in self.context.user_functions.items()},
            "is_cached": self.context.is_cached(self.config),
            "weights": self._origin()["sha256"],
            "pixels": [getattr(split, part).pixels_sha256 for part in data.PARTS],
            "backend": keras.backend.backend(),
            **self._target_identity(split.train),
            **self._revision(),
        }

    def _target_identity(self, train: Images) -> dict[str, Any]:
        if train.targets is None:
            return {}
        digest = hashlib.sha256(train.targets.tobytes()).hexdigest()
        return {"task": train.task, "classes": list(train.classes), "targets": digest}

    def _revision(self) -> dict[str, int]:
        if self.config.mode == SCRATCH:
            return {"revision": SCRATCH_REVISION}
        drops = self.config.mode == TWO_STAGE and self.context.settings.backbone != LITE0
        return {"revision": TWO_STAGE_REVISION} if drops else {}


def _throughput(record: TrainingHistory, images: int) -> float | None:
    """Return training images per second including validation.

    The first epoch is excluded, as the backend compiles then.
    """
    later = record.seconds[1:]
    return images * len(later) / sum(later) if later and sum(later) > 0 else None
