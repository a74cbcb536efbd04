"""One trial on the bench: trained, or taken up from a checkpoint; looked at, diagnosed and recorded."""

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

from bo_objectives.base import Run, TrialFailed
from bo_objectives.efficientnet import copies, data, diagnosis, logs, probe, training
from bo_objectives.efficientnet.batches import predicted
from bo_objectives.efficientnet.bench import Bench
from bo_objectives.efficientnet.checkpoint import Keeper, refuse, unwritable
from bo_objectives.efficientnet.choice import Choice
from bo_objectives.efficientnet.findings import Finding, Setting
from bo_objectives.efficientnet.names import BATCH, NETWORK, SCRATCH
from bo_objectives.efficientnet.record import Record
from bo_objectives.efficientnet.training import Course, Labeled, Stage

logger = logging.getLogger("bo_objectives")

RECORD = "trial.json"
TEST_BATCH = 64
IDENTITY = ("backbone", "head_width", "epochs", "seed", "precision")
"""Options that a checkpoint is bound to."""
SCRATCH_REVISION = 2
"""Of how networks from scratch are made. In 1, depthwise kernels had other fans, and blocks could stay frozen."""


@dataclass(frozen=True)
class Trained:
    """A trained network with the weights of its best epoch, and that epoch's metrics."""

    network: keras.Model
    metrics: dict[str, float]
    record: Record
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Tested:
    """What a network makes of the test images."""

    metrics: dict[str, float]
    confusion: NDArray[np.int64]
    """Images by (true class, predicted class)."""


class Trial:
    """A choice on the bench, for one run."""

    def __init__(self, bench: Bench, choice: Choice, run: Run) -> None:
        self.bench, self.choice = bench, choice
        self._run = run
        self._logs = logs.Logs(bench.settings.log_kinds, run.directory, asdict(choice))

    def train(self) -> Trained:
        """Trains a new head, and fresh copies of the unfrozen blocks, or everything.

        The final metrics are those of the epoch with the least validation loss: its weights are the ones a user would
        keep, and with them alone the test images are looked at.

        Raises:
            TrialFailed: DIVERGED, or INVALID_CONFIGURATION where the parameters don't fit the network, or CRASHED where
                the disk is full.
        """
        self.bench.check(self.choice)
        keeper = Keeper(self._run.directory, self._identity())
        for warning in self.choice.warnings():
            logger.warning("trial %d: %s", self._run.number, warning)
        train, validation = self._labeled()
        course, stages = self._begun(keeper, train.inputs.shape[1:])
        sample = probe.Sample.of((train.inputs, train.one_hot), (validation.inputs, validation.one_hot))
        look = partial(probe.look, course.network, sample, self._trained_norm, self.choice.batch_size)
        record = course.record
        record.before = record.before or look()
        try:
            training.train(
                course, stages, self.bench.plan(self.choice), (train, validation), partial(self._told, keeper, course)
            )
        except StopTrial:
            self._diagnosed(record)
            raise
        except TrialFailed as failure:
            raise TrialFailed(failure.reason, self._told_why(failure, record)) from failure
        record.after = probe.judged(look(), course.network, sample)
        best = {**record.best, "best_epoch": float(record.best_epoch)}
        metrics = {**best, **self.bench.counts(self.choice, course.network)}
        findings = self._diagnosed(record)
        trained = Trained(course.network, metrics, record, findings)
        self._finish(trained)
        return trained

    def test(self, trained: Trained) -> Tested:
        """Looks at the test images, which nothing else does."""
        part = self.bench.labeled(self.choice, self.bench.material(self.choice.image_size).split.test)
        logits = predicted(trained.network, part.inputs, TEST_BATCH, self.bench.share).astype(np.float64)
        true, found = part.one_hot.argmax(-1), logits.argmax(-1)
        confusion = np.zeros((part.one_hot.shape[-1],) * 2, np.int64)
        np.add.at(confusion, (true, found), 1)
        loss = probe.cross_entropy(logits, part.one_hot)
        return Tested({"test_loss": loss, "test_accuracy": float((true == found).mean())}, confusion)

    def _labeled(self) -> tuple[Labeled, Labeled]:
        """Return what is trained on and what validates."""
        split = self.bench.material(self.choice.image_size).split
        return self.bench.labeled(self.choice, split.train), self.bench.labeled(self.choice, split.validation)

    def _begun(self, keeper: Keeper, shape: tuple[int, ...]) -> tuple[Course, list[Stage]]:
        """Return the training and its stages: at an earlier attempt's checkpoint where there is one that fits."""
        found = keeper.find(self._run.checkpoint_uri)
        if found is not None:
            network, stages = self._network(shape)
            try:
                course = Course.resumed(network, found, stages)
            except ValueError as error:
                refuse(self._run.checkpoint_uri, error)
            else:
                logger.info("trial %d goes on after epoch %d", self._run.number, found.record.epoch)
                return course, stages
        network, stages = self._network(shape)
        return Course(network, Record()), stages

    def _network(self, shape: tuple[int, ...]) -> tuple[keras.Model, list[Stage]]:
        network = self.bench.network(self.choice, shape)
        return network, self.bench.stages(self.choice, network)

    def _told(self, keeper: Keeper, course: Course, record: Record) -> None:
        """An epoch is done: its checkpoint first, so that whatever the server knows of can be gone on from."""
        uri = ""
        if self.bench.settings.checkpoints == "on":
            if course.optimizer is not None:
                keeper.save(course.checkpoint())
            uri = keeper.uri
        self._logs.epoch(record)
        self._run.report(record.epoch, record.curve[-1], uri)

    def _told_why(self, failure: TrialFailed, record: Record) -> str:
        findings = self._diagnosed(record)
        return " ".join([failure.message, *(f"[{f.kind}: {f.evidence}; {f.remedy}]" for f in findings)])

    def _diagnosed(self, record: Record) -> tuple[Finding, ...]:
        """Find what is wrong with the training, and label the run with it."""
        setting = self.setting()
        findings, notes = diagnosis.diagnose(record, setting), diagnosis.notes(record, setting)
        self._run.label(diagnosis.labels(findings, self.choice.warnings(), notes))
        return findings

    def setting(self) -> Setting:
        """Return what the diagnosis needs to know of the parameters and the images."""
        choice, split = self.choice, self.bench.material(self.choice.image_size).split
        return Setting(
            shares=split.train.shares,
            batch_size=choice.batch_size,
            norm=self._trained_norm,
            mode=choice.mode,
            norm_scope=choice.norm_scope,
            dropout=choice.dropout,
            label_smoothing=choice.label_smoothing,
            weight_decay=choice.weight_decay,
            augmentation=choice.augmentation,
            validation_images=len(split.validation),
            copies=copies.copies(split.train, split.validation),
            left_out=split.left_out,
            pixel_range=copies.pixel_range(split.train),
        )

    @property
    def _trained_norm(self) -> str:
        """The norm whose statistics come from this trial's batches."""
        is_batch = self.choice.mode == SCRATCH and self.choice.norm_scope != NETWORK
        return BATCH if is_batch else self.choice.norm

    def _finish(self, trained: Trained) -> None:
        content = self.traced(trained, trained.metrics)
        try:
            self._run.directory.mkdir(parents=True, exist_ok=True)
            (self._run.directory / RECORD).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
            self._logs.end(trained.metrics)
        except OSError as error:
            raise unwritable(self._run.directory, error) from error

    def traced(self, trained: Trained, metrics: Mapping[str, float]) -> dict[str, Any]:
        """What was trained on what, with hashes, so that the number can be traced."""
        split, origin = self.bench.material(self.choice.image_size).split, self._origin()
        return {
            "parameters": asdict(self.choice),
            "metrics": dict(metrics),
            "diagnosis": [asdict(finding) for finding in trained.findings],
            "warnings": self.choice.warnings(),
            "settings": asdict(self.bench.settings),
            "weights": origin,
            "classes": list(split.train.classes),
            "images": {part: len(getattr(split, part)) for part in data.PARTS},
            "pixels_sha256": {part: getattr(split, part).pixels_sha256 for part in data.PARTS},
            "skipped_images": list(split.skipped),
            "left_out_copies": split.left_out,
            "keras": {"version": keras.version(), "backend": keras.backend.backend()},
            "images_per_second": _throughput(trained.record, len(split.train)),
            "record": trained.record.as_json(),
        }

    def _origin(self) -> dict[str, str]:
        if self.choice.mode == SCRATCH:
            return {"source": "random", "sha256": ""}
        return asdict(self.bench.material(self.choice.image_size).backbone.origin)

    def _identity(self) -> dict[str, Any]:
        """What another attempt must have in common to go on."""
        settings, split = self.bench.settings, self.bench.material(self.choice.image_size).split
        return {
            **asdict(self.choice),
            **{name: getattr(settings, name) for name in IDENTITY},
            "is_cached": self.bench.is_cached(self.choice),
            "weights": self._origin()["sha256"],
            "pixels": [getattr(split, part).pixels_sha256 for part in data.PARTS],
            "backend": keras.backend.backend(),
            **({"revision": SCRATCH_REVISION} if self.choice.mode == SCRATCH else {}),
        }


def _throughput(record: Record, images: int) -> float | None:
    """Training images per second with their validation, without the first epoch, in which the backend compiles."""
    later = record.seconds[1:]
    return images * len(later) / sum(later) if later and sum(later) > 0 else None
