"""Read tensors from a PyTorch file of the format before 1.6, without PyTorch and without executing its content.

The file is a row of pickles (a magic number, the protocol version, the machine's sizes, the state dictionary, the
storages' keys) and then each storage: an int64 count and that many little-endian numbers.
"""

import pickle
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bo_objectives.errors import SetupError

Array = NDArray[Any]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


@dataclass(frozen=True)
class StorageType:
    """A torch storage class, represented by the type of its elements."""

    dtype: str


@dataclass(frozen=True)
class Tensor:
    """A view of a storage: sizes and strides count elements, not bytes."""

    key: str
    count: int
    dtype: str
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, storage: Array) -> Array:
        """Return the tensor as an array that shares the storage's memory.

        Raises:
            SetupError: the tensor exceeds its storage.
        """
        last = self.offset + sum((n - 1) * step for n, step in zip(self.sizes, self.strides, strict=True))
        if min((self.offset, *self.strides, *self.sizes)) < 0 or last >= storage.size:
            raise SetupError(f"a tensor of sizes {self.sizes} reaches outside its storage: the weights file is damaged")
        steps = [step * storage.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.sizes, steps, writeable=False)


def _rebuild(
    storage: tuple[str, str, int], offset: int, sizes: Sequence[int], strides: Sequence[int], *_: Any
) -> Tensor:
    dtype, key, count = storage
    return Tensor(key, count, dtype, int(offset), tuple(map(int, sizes)), tuple(map(int, strides)))


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch", "FloatStorage"): StorageType("<f4"),
    ("torch", "LongStorage"): StorageType("<i8"),
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that resolves only the four names that a state dictionary of tensors needs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise SetupError(f"the weights file asks for {module}.{name}, which no list of tensors needs: refused")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, str, int]:
        kind, storage, key, _, count, *_ = pid
        if kind != "storage" or not isinstance(storage, StorageType):
            raise SetupError(f"the weights file holds a reference of kind {kind!r}; only storages are read")
        return storage.dtype, str(key), int(count)


def read_tensors(path: Path) -> dict[str, Array]:
    """Return the tensors of a state dictionary by name, in the file's order.

    Raises:
        SetupError: the file has another format, is damaged, or contains anything but tensors.
    """
    with path.open("rb") as file:
        try:
            return _read(file)
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, SetupError):
                raise SetupError(f"{path}: {error}") from None
            raise SetupError(f"{path} is no PyTorch state dictionary of the old format ({error})") from error


def _read(file: IO[bytes]) -> dict[str, Array]:
    magic, protocol, system, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    if (magic, protocol) != (MAGIC, PROTOCOL) or not system["little_endian"]:
        raise SetupError("is no little-endian PyTorch file of the old format")
    if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise SetupError("holds something beside tensors")
    types = {tensor.key: (tensor.count, np.dtype(tensor.dtype)) for tensor in tensors.values()}
    storages = {key: _storage(file, *types[key]) for key in keys}
    return {name: tensor.view(storages[tensor.key]) for name, tensor in tensors.items()}


def _storage(file: IO[bytes], count: int, dtype: "np.dtype[Any]") -> Array:
    written = int.from_bytes(file.read(8), "little")
    content = file.read(written * dtype.itemsize) if written == count else b""
    if len(content) != count * dtype.itemsize:
        raise SetupError(f"a storage of {count} numbers is cut short: the weights file is damaged")
    return np.frombuffer(content, dtype)
