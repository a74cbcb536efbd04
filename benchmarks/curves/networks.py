"""Keras networks of one shape, many at once: what differs are numbers, so that one program trains all.

The network is Keras's, its steps are Optax's; JAX maps both over the lanes. L lanes, E epochs.
"""

import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax

from benchmarks.curves.data import Data
from benchmarks.curves.space import Curve, Run
from bo_service.domain.constraints import Configuration

Build = Callable[[Data, Configuration], keras.Model]
SHAPING = ("optimizer", "activation", "width", "depth", "batch_size", "norm", "embedding", "filters", "pooling")
"""Parameters that decide on the program; all others are numbers in it."""


class Dropout(keras.layers.Layer):
    """Dropout with a rate that is a variable: Keras's own has a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator()
        self.rate = self.add_weight(shape=(), initializer="zeros", trainable=False, name="rate")

    def call(self, x: Any, training: bool = False) -> Any:
        """Drop in training alone."""
        if not training:
            return x
        is_kept = keras.random.uniform(keras.ops.shape(x), seed=self.seed) >= self.rate
        return keras.ops.where(is_kept, x / (1.0 - self.rate), 0.0)


class Networks:
    """A trainer. Parameters that it knows beside those of the shape, each with its default:

    learning_rate 1e-3, momentum 0.9 (SGD), weight_decay 0, dropout 0, smoothing 0 (of labels), schedule "constant",
    warmup 0 (share of the epochs). An epoch is `passes` passes over the data, of whole batches.
    """

    lanes = 100

    def __init__(
        self, data: Data, build: Build, passes: int = 1, optimizer: str = "adam", is_mapped: bool = True
    ) -> None:
        """Lanes are trained in one program, by batched operations or, not `is_mapped`, one after the other.

        The optimizer is that of configurations that don't name one.
        """
        self.data, self.build, self.passes, self.optimizer = data, build, passes, optimizer
        self.is_mapped = is_mapped
        self._programs: dict[Hashable, Any] = {}
        if not is_mapped:
            self.lanes = 20

    def shape(self, configuration: Configuration) -> Hashable:
        """Return the values of the parameters that decide on the program."""
        return tuple((name, configuration[name]) for name in SHAPING if name in configuration)

    def train(self, runs: Sequence[Run], epochs: int) -> list[Curve]:
        """Return the curves of runs of one shape; lanes up to the next ten repeat the first run, and are left out."""
        lanes = [*runs, *[runs[0]] * (-len(runs) % (10 if self.is_mapped else 1))]
        first = {"optimizer": self.optimizer, **runs[0].configuration}
        model = self._model(first)
        trained, kept = self._begun(model, lanes)
        numbers = {n: np.array([r.configuration.get(n, d) for r in lanes], np.float32) for n, d in NUMBERS.items()}
        factors = np.stack([factors_of(run.configuration, epochs) for run in lanes]).astype(np.float32)
        keys = np.array([[0, run.number] for run in lanes], np.uint32)
        state = (trained, kept, self._steps(first, trained, numbers))
        program = self._program(model, first, state, numbers, factors[:, 0], keys)
        losses, metrics, seconds = [], [], []
        for epoch in range(epochs):
            began = time.process_time()
            state, measured = program(state, numbers, factors[:, epoch], keys, np.int32(epoch))
            loss, metric = (np.asarray(v, np.float32) for v in measured)
            seconds.append(np.full(len(lanes), (time.process_time() - began) / len(lanes), np.float32))
            losses.append(loss)
            metrics.append(metric)
        arrays = [np.stack(v, axis=1) for v in (losses, metrics, seconds)]
        return [Curve(*(a[lane] for a in arrays)) for lane in range(len(runs))]

    def _model(self, configuration: Configuration) -> keras.Model:
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        return self.build(self.data, configuration)

    def _begun(self, model: keras.Model, runs: Sequence[Run]) -> tuple[list[Any], list[Any]]:
        """Return initial variables (L, …), trained and other ones, as the layers' own initializers draw them."""
        drawn = [
            (variable, getattr(owner, INITIALIZERS.get(variable.name, ""), None), owner)
            for layer in model.layers
            for owner in (layer, getattr(layer, "cell", None))
            if owner is not None
            for variable in owner._trainable_variables + owner._non_trainable_variables
        ]
        values: dict[str, np.ndarray] = {}
        for place, (variable, initializer, owner) in enumerate(drawn):
            if isinstance(owner, Dropout):
                values[variable.path] = np.array([r.configuration.get("dropout", 0.0) for r in runs], np.float32)
            elif initializer is not None:
                config = initializer.get_config()
                draws = [
                    type(initializer).from_config(config | {"seed": run.number % 2**31 + place})(variable.shape)
                    for run in runs
                ]
                values[variable.path] = np.stack([np.asarray(v) for v in draws])
        seeds = np.array([[0, run.number % 2**31] for run in runs], np.uint32)
        for variable in model.variables:
            if variable.path not in values:
                is_seed = str(variable.dtype) == "uint32"
                values[variable.path] = seeds if is_seed else np.stack([np.asarray(variable.value)] * len(runs))
        parts = (model.trainable_variables, model.non_trainable_variables)
        trained, kept = ([values[v.path] for v in part] for part in parts)
        return trained, kept

    def _steps(self, configuration: Configuration, trained: Any, numbers: Any) -> Any:
        """Return the optimizer's state before the first step, (L, …)."""
        begin = jax.vmap(lambda v, n: transform(configuration, n, n["learning_rate"]).init(v))
        return jax.tree.map(np.asarray, jax.jit(begin)(trained, numbers))

    def _program(self, model: keras.Model, configuration: Configuration, state: Any, *rest: Any) -> Any:
        """Return the compiled epoch of a shape and a number of lanes; it is compiled apart, so that no epoch waits."""
        lanes = len(rest[-1])
        key = (self.shape(configuration), lanes)
        if key not in self._programs:
            self._programs.clear()  # chunks come shape by shape
            epoch = self._epoch(model, configuration)
            mapped = jax.vmap(epoch, in_axes=(0, 0, 0, 0, None)) if self.is_mapped else one_by_one(epoch)
            self._programs[key] = jax.jit(mapped).lower(state, *rest, np.int32(0)).compile()
        return self._programs[key]

    def _epoch(self, model: keras.Model, configuration: Configuration) -> Callable[..., Any]:
        """Return one epoch of one lane, and its validation."""
        data = self.data
        x, y, x_val, y_val = (jnp.asarray(v) for v in (data.x, data.y, data.x_val, data.y_val))
        size = min(int(configuration.get("batch_size", 32)), len(x))
        count = len(x) // size * size

        def loss(trained: Any, kept: Any, rows: Any, numbers: Any) -> Any:
            out, kept = model.stateless_call(trained, kept, x[rows], training=True)
            return fitted(out, y[rows], data.classes, numbers["smoothing"]), kept

        def epoch(state: Any, numbers: Any, factor: Any, key: Any, number: Any) -> Any:
            step_of = transform(configuration, numbers, numbers["learning_rate"] * factor)

            def step(state: Any, rows: Any) -> Any:
                trained, kept, steps = state
                (_, kept), slopes = jax.value_and_grad(loss, has_aux=True)(trained, kept, rows, numbers)
                moves, steps = step_of.update(slopes, steps, trained)
                return (optax.apply_updates(trained, moves), kept, steps), None

            orders = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(key), number), self.passes)
            rows = jnp.concatenate([jax.random.permutation(k, len(x))[:count].reshape(-1, size) for k in orders])
            state, _ = jax.lax.scan(step, state, rows)
            out, _ = model.stateless_call(state[0], state[1], x_val, training=False)
            return state, validated(out, y_val, data.classes)

        return epoch


INITIALIZERS = {
    "kernel": "kernel_initializer", "recurrent_kernel": "recurrent_initializer", "embeddings": "embeddings_initializer",
}  # fmt: skip
NUMBERS = {"learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 0.0, "smoothing": 0.0}


def one_by_one(epoch: Callable[..., Any]) -> Callable[..., Any]:
    """Return the epoch over lanes that are trained one after the other: convolutions are slow when they are batched."""

    def mapped(state: Any, numbers: Any, factor: Any, key: Any, number: Any) -> Any:
        return jax.lax.map(lambda lane: epoch(*lane, number), (state, numbers, factor, key))

    return mapped


def transform(configuration: Configuration, numbers: Any, rate: Any) -> Any:
    """Return the optimizer: AdamW, or SGD with Nesterov's momentum and an L2 penalty."""
    if configuration["optimizer"] == "adam":
        return optax.adamw(rate, weight_decay=numbers["weight_decay"])
    sgd = optax.sgd(rate, momentum=numbers["momentum"], nesterov=True)
    return optax.chain(optax.add_decayed_weights(numbers["weight_decay"]), sgd)


def factors_of(configuration: Configuration, epochs: int) -> np.ndarray:
    """Return what the learning rate is multiplied by in each epoch, (E,)."""
    at = np.arange(epochs) / epochs
    match configuration.get("schedule", "constant"):
        case "cosine":
            factors = 0.5 * (1 + np.cos(np.pi * at))
        case "steps":
            factors = np.where(at < 0.6, 1.0, np.where(at < 0.85, 0.1, 0.01))
        case _:
            factors = np.ones(epochs)
    warm = float(configuration.get("warmup", 0.0)) * epochs
    return np.asarray(factors * np.minimum(1.0, (np.arange(epochs) + 1) / max(warm, 1.0)))


def fitted(out: Any, y: Any, classes: int, smoothing: Any) -> Any:
    """Return the loss that is trained: cross-entropy with smoothed labels, or the squared error."""
    if not classes:
        return ((out[:, 0] - y) ** 2).mean()
    aims = jax.nn.one_hot(y, classes) * (1 - smoothing) + smoothing / classes
    return -(aims * jax.nn.log_softmax(out)).sum(axis=1).mean()


def validated(out: Any, y: Any, classes: int) -> Any:
    """Return the validation loss and metric: cross-entropy and error rate, or squared and absolute error."""
    if not classes:
        return ((out[:, 0] - y) ** 2).mean(), jnp.abs(out[:, 0] - y).mean()
    return -jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], 1).mean(), (out.argmax(axis=1) != y).mean()
