"""All spaces: what is tuned, as a practitioner would set it, and what is trained."""

from collections.abc import Callable
from functools import partial
from typing import Any

from bo_objectives.efficientnet.names import INITIALIZERS, NORMS

from benchmarks.curves import data, distorted
from benchmarks.curves.description import one_of, real, step, whole
from benchmarks.curves.space import Space, Trainer
from bo_service.domain.search_space import Parameter, SearchSpace

CLASSES = ("log-loss on the validation rows, nats", "error rate on them")
VALUES = ("mean squared error on the validation rows, of a standardized target", "mean absolute error on them")
DISTORTED = ("distorted.py",)
SGD = ("optimizer", ("sgd",))


def _networks(build: str, made: Callable[[], data.Data], **options: Any) -> Callable[[], Trainer]:
    """Return what makes a trainer of Keras networks: nothing of Keras is loaded before."""

    def make() -> Trainer:
        from benchmarks.curves import architectures
        from benchmarks.curves.networks import Networks

        return Networks(made(), getattr(architectures, build), **options)

    return make


def _boosting(made: Callable[[], data.Data], by: str) -> Callable[[], Trainer]:
    def make() -> Trainer:
        from benchmarks.curves import boosting

        return boosting.Boosting(made(), getattr(boosting, by))

    return make


def _features(name: str, train: int, validation: int) -> data.Data:
    from benchmarks.curves import lite0

    return lite0.features(name, train, validation)


def _tuning(name: str) -> Trainer:
    from benchmarks.curves import lite0

    return lite0.FineTuning(name)


def _frozen(name: str, images: int, width: int) -> Trainer:
    from benchmarks.curves import lite0

    return lite0.FrozenHead(name, images, width)


def _rates(low: float = 1e-4, high: float = 3.0) -> tuple[Parameter, ...]:
    return (
        one_of("optimizer", "adam", "sgd"),
        real("learning_rate", low, high, log=True),
        real("momentum", 0.0, 0.99, when=SGD),
    )


def _space(*parameters: Parameter) -> SearchSpace:
    return SearchSpace(parameters)


DECAY = real("weight_decay", 1e-6, 0.1, log=True)
DROPOUT = real("dropout", 0.0, 0.6)
DROPOUT_OF_HEAD = real("dropout", 0.0, 0.7)
SCHEDULE = one_of("schedule", "constant", "cosine", "steps")

NETWORKS = (
    Space(
        "digits-mlp", data.DIGITS,
        _space(*_rates(), DECAY, DROPOUT, step("width", 16, 48, 128), step("batch_size", 16, 32, 128)),
        _networks("dense", lambda: data.bundled("digits", 1000, 600, 10)),
        "1,000 images of 8 × 8 are trained on, 600 validate; one hidden layer (ReLU, dropout).", *CLASSES,
    ),
    Space(
        "digits-cnn", data.DIGITS,
        _space(
            *_rates(high=1.0), DROPOUT, real("smoothing", 0.0, 0.3), step("filters", 4, 8),
            one_of("pooling", "average", "max"), step("batch_size", 32, 64),
        ),
        _networks("convolution", data.digits_images, is_mapped=False),
        "1,000 images of 8 × 8 are trained on, 600 validate; two 3 × 3 convolutions, pooling, dropout.", *CLASSES,
    ),
    Space(
        "wine-mlp", data.WINE,
        _space(*_rates(), DECAY, DROPOUT, one_of("activation", "relu", "tanh"), step("width", 4, 16, 64)),
        _networks("dense", lambda: data.bundled("wine", 90, 88, 3), passes=2),
        "90 rows are trained on in batches of 32, 88 validate; one hidden layer; an epoch is two passes.", *CLASSES,
    ),
    Space(
        "breast-cancer-mlp", data.BREAST_CANCER,
        _space(
            *_rates(), DECAY, DROPOUT, whole("depth", 1, 3), step("batch_size", 16, 64),
            one_of("activation", "relu", "tanh"),
        ),
        _networks("dense", lambda: data.bundled("breast_cancer", 300, 269, 2)),
        "300 rows are trained on, 269 validate; one to three hidden layers of 24.", *CLASSES,
    ),
    Space(
        "diabetes-mlp", data.DIABETES,
        _space(*_rates(), DECAY, DROPOUT, SCHEDULE, step("width", 8, 32, 128), step("batch_size", 8, 32)),
        _networks("dense", lambda: data.bundled("diabetes", 240, 202, 0)),
        "240 rows are trained on, 202 validate; one hidden layer.", *VALUES,
    ),
    Space(
        "segment-mlp", data.SEGMENT,
        _space(
            *_rates(), DECAY, real("warmup", 0.0, 0.3), one_of("norm", "none", "batch", "layer"), whole("depth", 1, 3),
            step("batch_size", 32, 128),
        ),
        _networks("dense", data.segment),
        "1,200 rows are trained on, 800 validate; one to three hidden layers of 24.", *CLASSES,
    ),
    Space(
        "diamonds-mlp", data.DIAMONDS,
        _space(*_rates(), DECAY, SCHEDULE, step("width", 16, 64), whole("depth", 1, 2), step("batch_size", 16, 64)),
        _networks("dense", data.diamonds),
        "1,500 rows are trained on, 800 validate; one or two hidden layers; the target is the price's logarithm.",
        *VALUES,
    ),
    Space(
        "mnist-mlp", data.MNIST,
        _space(
            *_rates(), DECAY, DROPOUT, one_of("norm", "none", "batch"), step("width", 32, 96),
            step("batch_size", 32, 128),
        ),
        _networks("dense", data.mnist),
        "1,500 images at 14 × 14 are trained on, 1,000 validate; one hidden layer.", *CLASSES,
    ),
    Space(
        "names-letters", data.NAMES,
        _space(*_rates(), DECAY, DROPOUT, step("embedding", 4, 16), step("width", 16, 64), step("batch_size", 32, 128)),
        _networks("letters", data.names),
        "2,000 names are trained on, 1,200 validate; the last ten letters, embedded, and one hidden layer.", *CLASSES,
    ),
    Space(
        "pydoc-language", data.PYDOC,
        _space(
            *_rates(), DECAY, SCHEDULE, step("embedding", 8, 24), step("width", 32, 96), step("batch_size", 64, 128)
        ),
        _networks("letters", data.pydoc),
        "3,000 windows of ten letters are trained on, 1,500 of the text's other half validate; the next letter is told "
        "by embeddings and one hidden layer.", *CLASSES,
    ),
    Space(
        "vowels-gru", data.VOWELS,
        _space(*_rates(), DECAY, DROPOUT, step("width", 8, 24), step("batch_size", 16, 64)),
        _networks("recurrent", data.vowels),
        "270 utterances of 13 steps and 12 channels are trained on, 370 validate; a GRU.", *CLASSES,
    ),
)  # fmt: skip
TREES = (
    Space(
        "breast-cancer-boosting", data.BREAST_CANCER,
        _space(
            real("learning_rate", 1e-3, 10.0, log=True), whole("max_depth", 1, 8),
            whole("min_samples_leaf", 1, 64, log=True), real("subsample", 0.2, 1.0), real("max_features", 0.1, 1.0),
            one_of("loss", "log_loss", "exponential"),
        ),
        _boosting(lambda: data.bundled("breast_cancer", 300, 269, 2), "by_exact_splits"),
        "300 rows are trained on, 269 validate; an epoch is four rounds.", *CLASSES,
    ),
    Space(
        "diabetes-boosting", data.DIABETES,
        _space(
            real("learning_rate", 1e-3, 10.0, log=True), whole("max_depth", 1, 8),
            whole("min_samples_leaf", 1, 64, log=True), real("subsample", 0.2, 1.0),
            one_of("loss", "absolute_error", "huber", "squared_error"),
            real("alpha", 0.6, 0.99, when=("loss", ("huber",))),
        ),
        _boosting(lambda: data.bundled("diabetes", 240, 202, 0), "by_exact_splits"),
        "240 rows are trained on, 202 validate; an epoch is four rounds.", *VALUES,
    ),
    Space(
        "segment-boosting", data.SEGMENT,
        _space(
            real("learning_rate", 1e-3, 10.0, log=True), whole("max_leaf_nodes", 2, 32, log=True),
            whole("min_samples_leaf", 1, 100, log=True), real("l2_regularization", 1e-4, 100.0, log=True),
            real("max_features", 0.1, 1.0),
        ),
        _boosting(data.segment, "by_histograms"),
        "1,200 rows are trained on, 800 validate; by histograms; an epoch is four rounds.", *CLASSES,
    ),
    Space(
        "diamonds-boosting", data.DIAMONDS,
        _space(
            real("learning_rate", 1e-3, 10.0, log=True), whole("max_leaf_nodes", 2, 64, log=True),
            whole("min_samples_leaf", 1, 100, log=True), real("l2_regularization", 1e-4, 100.0, log=True),
            one_of("loss", "absolute_error", "squared_error"), real("max_features", 0.1, 1.0),
        ),
        _boosting(data.diamonds, "by_histograms"),
        "1,500 rows are trained on, 800 validate; by histograms; an epoch is four rounds.", *VALUES,
    ),
)  # fmt: skip
HEADS = tuple(
    Space(
        f"{source.name}-head", source,
        _space(
            *_rates(), DECAY, DROPOUT, real("smoothing", 0.0, 0.3), step("width", 1, 24, 64), step("batch_size", 32, 64)
        ),
        _networks("head", partial(_features, source.name, train, validation)),
        f"EfficientNet-Lite0 at 64 px, frozen, with a head on its pooled features; {train} images are trained on, "
        f"{validation} validate; width is that of a hidden layer, 1 is none.",
        *CLASSES, sources=("lite0.py",),
    )
    for source, train, validation in ((data.EMOJI, 600, 314), (data.MNIST, 700, 500))
)  # fmt: skip
TUNING = tuple(
    Space(
        f"{source.name}-tuning", source,
        _space(
            one_of("mode", "frozen", "fine_tune"), real("lr_head", 1e-5, 0.3, log=True),
            real("lr_backbone_ratio", 1e-3, 1.0, log=True, when=("mode", ("fine_tune",))),
            whole("unfreeze_top", 1, 3, when=("mode", ("fine_tune",))), one_of("norm", "batch", "layer"),
            one_of("schedule", "constant", "cosine"), real("dropout", 0.0, 0.7), step("batch_size", 16, 32, 64),
        ),
        partial(_tuning, source.name),
        f"The bundled objective: EfficientNet-Lite0 at 64 px, a head of 64 channels, fold 0 of {count} images.",
        *CLASSES, backend="tensorflow", is_slow=True, sources=("lite0.py",),
    )
    for source, count in ((data.EMOJI, 914), (data.MNIST, 1200))
)  # fmt: skip
EVIDENCE = tuple(
    Space(
        f"{source.name}-frozen", source,
        _space(
            one_of("kernel_initializer", *INITIALIZERS), one_of("norm", *NORMS),
            step("groups", 2, 4, 8, 16, 32, when=("norm", ("group",))), real("lr_head", 1e-4, 1e-2, log=True),
            DROPOUT_OF_HEAD, step("batch_size", 16, 32, 64),
        ),
        partial(_frozen, source.name, images, 64),
        f"The bundled objective's default space with mode=frozen: a head of 64 channels on the cached features of "
        f"EfficientNet-Lite0 at 64 px, {images} images. Seed s trains with the objective's seed s, fold s validates.",
        *CLASSES, epochs=epochs, backend="tensorflow", is_slow=True, sources=("lite0.py",),
    )
    for source, images, epochs in ((data.EMOJI, 914, 5), (data.MNIST, 2400, 3))
)  # fmt: skip
CROSSING = (
    Space(
        "names-crossing", data.NAMES,
        _space(
            real("learning_rate", 1e-4, 0.1, log=True), DECAY, DROPOUT, step("embedding", 4, 16),
            step("width", 32, 128), step("batch_size", 8, 32),
        ),
        _networks("letters", lambda: data.mislabeled(distorted.first(data.names(), 500), 0.2), passes=2),
        "500 names, 20 % of them with labels drawn at random, are trained on by Adam, 1,200 clean ones validate; the "
        "last ten letters, embedded, and one hidden layer; an epoch is two passes. Fast learners overfit within few "
        "epochs.",
        *CLASSES, is_crossing=True, sources=DISTORTED,
    ),
    Space(
        "segment-crossing", data.SEGMENT,
        _space(
            real("learning_rate", 1e-4, 0.3, log=True), DECAY, DROPOUT, step("width", 32, 96), whole("depth", 1, 2),
            step("batch_size", 8, 32),
        ),
        _networks("dense", distorted.segment, passes=2),
        "400 rows, 40 % of them with labels drawn at random, are trained on by Adam, 800 clean ones validate; one or "
        "two hidden layers; an epoch is two passes. Fast learners learn the wrong labels by heart.",
        *CLASSES, is_crossing=True, sources=DISTORTED,
    ),
    Space(
        "diamonds-crossing", data.DIAMONDS,
        _space(
            real("learning_rate", 1e-4, 1.0, log=True), real("momentum", 0.0, 0.95), DECAY, step("width", 8, 32),
            step("batch_size", 2, 8), one_of("activation", "relu", "tanh"),
        ),
        _networks("dense", distorted.diamonds, optimizer="sgd"),
        "400 rows, their targets with noise of 1.5 times their deviation, are trained on by SGD in small batches, 800 "
        "clean ones validate; one hidden layer. A large constant learning rate falls fast to a high floor.",
        *VALUES, is_crossing=True, sources=DISTORTED,
    ),
    Space(
        "mnist-crossing", data.MNIST,
        _space(
            real("learning_rate", 1e-3, 1.0, log=True), real("momentum", 0.0, 0.95), DECAY, real("warmup", 0.0, 0.6),
            one_of("schedule", "constant", "cosine", "steps"), step("width", 32, 96), step("batch_size", 8, 32),
        ),
        _networks("dense", distorted.mnist, optimizer="sgd"),
        "1,000 images at 14 × 14, 30 % of them with labels drawn at random, are trained on by SGD, 1,000 clean ones "
        "validate; one hidden layer. Long warm-ups and late falls of the learning rate look bad until the end.",
        *CLASSES, is_crossing=True, sources=DISTORTED,
    ),
)  # fmt: skip
SPACES = {space.name: space for space in (*NETWORKS, *TREES, *HEADS, *CROSSING, *TUNING, *EVIDENCE)}
