"""Why a trial failed, read from exceptions and from the standard error of programs."""

import concurrent.futures
import errno
import pickle
import subprocess
import sys
from pathlib import Path

import bo_client
import pytest
from bo_client.failures import failure_in, failure_of
from bo_client.out_of_memory import MemoryKills

Reason = bo_client.FailureReason

OUT_OF_MEMORY_TEXTS = {
    "torch": "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.69 GiB",
    "torch runtime": "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API",
    "torch cpu": "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)",
    "cublas": "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cudnn": "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "mps": "MPS backend out of memory (MPS allocated: 17.9 GB, other allocations: 1.2 MB, max allowed: 18.1 GB)",
    "hip": "HIP out of memory. Tried to allocate 32.00 MiB (GPU 0; 15.98 GiB total capacity)",
    "hip error": "HIP error: out of memory",
    "hip code": "hipErrorOutOfMemory",
    "triton": "Triton Error [CUDA]: out of memory",
    "nccl": "NCCL error in: ProcessGroupNCCL.cpp:1269, unhandled cuda error\nCuda failure 2 'out of memory'",
    "tensorflow": "OOM when allocating tensor with shape[1024,1024,512] and type float on /job:localhost/GPU:0",
    "tensorflow gpu": "failed to allocate 11.14G (11962880000 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY",
    "tensorflow copy": "Failed copying input tensor from CPU:0 to GPU:0: Dst tensor is not initialized.",
    "tensorflow request": "Failed to allocate request for 1.00GiB (1073741824B) on device ordinal 0",
    "jax": "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 34359738368 bytes.",
    "jax allocate": "RESOURCE_EXHAUSTED: Failed to allocate request for 2.0GiB (2147483648B) on device ordinal 0",
    "jax tpu": "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. "
    "Used 20.1G of 15.48G hbm. Exceeded hbm capacity by 4.6G.",
    "jax reserve": "RESOURCE_EXHAUSTED: Attempting to reserve 9.0G at the bottom of memory. That was not possible.",
    "xgboost": "[10:00:00] src/c_api/../common/device_helpers.cuh:431: Memory allocation error on worker 0: bad_alloc: "
    "cudaErrorMemoryAllocation: out of memory",
    "lightgbm": "[CUDA] out of memory /tmp/LightGBM/src/cuda/cuda_utils.cpp 56",
    "lightgbm host": "std::bad_alloc",
    "lightgbm on Windows": "bad allocation",
    "catboost": "util/memory/alloc.cpp: CUDA error 2: out of memory",
    "cupy": "Out of memory allocating 8,000,000,000 bytes (allocated so far: 0 bytes).",
    "cupy code": "cudaErrorMemoryAllocation: out of memory",
    "numba": "[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY",
    "numpy": "Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000) and data type float64",
    "fork": "[Errno 12] Cannot allocate memory",
    "opencv": "(-4:Insufficient memory) Failed to allocate 40000000000 bytes in function 'OutOfMemoryError'",
    "onnx": "Failed to allocate memory for requested buffer of size 5368709120",
    "rust": "memory allocation of 137438953472 bytes failed",
    "java": "java.lang.OutOfMemoryError: Java heap space",
    "node": "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
    "r": "Error: cannot allocate vector of size 74.5 Gb",
    "go": "fatal error: runtime: out of memory",
    "slurm": "slurmstepd: error: Detected 1 oom_kill event in StepId=42.0.",
    "plain": "out of memory",
}

OTHER_TEXTS = {
    "bounds": "index out of memory bounds map",
    "policy": "memory must be one of 'small' and 'large'",
    "illegal": "CUDA error: an illegal memory access was encountered",
    "assert": "CUDA error: device-side assert triggered",
    "capacity": "the memory bank has room for 64 items, not 65",
    "shared": "DataLoader worker is killed by signal: Bus error. It is possible that dataloader's workers are out of "
    "shared memory. Please try to raise your shared memory limit.",
    "quota": "429 RESOURCE_EXHAUSTED: Quota exceeded for memory requests per minute",
    "message": "RESOURCE_EXHAUSTED: Received message larger than max (5242880 vs. 4194304)",
    "disk": "RESOURCE_EXHAUSTED: /runs/1/checkpoint; No space left on device",
    "port": "failed to allocate a port",
    "reason": "failure.reason: is 'OOM'; give OUT_OF_MEMORY, DIVERGED, INVALID_CONFIGURATION, CRASHED",
    "room": "no room in the zoom classroom",
    "warning": "Allocator (GPU_0_bfc) ran out of memory trying to allocate 2.0GiB. The caller indicates that this "
    "is not a failure, but this may mean that there could be performance gains if more memory were available.",
}


@pytest.mark.parametrize("text", OUT_OF_MEMORY_TEXTS.values(), ids=OUT_OF_MEMORY_TEXTS)
def test_memory_that_ran_out_is_told_by_text(text: str) -> None:
    assert failure_of(RuntimeError(text)).reason is Reason.OUT_OF_MEMORY
    printed = (
        f"Epoch 1\nTraceback (most recent call last):\n  File 'train.py', line 3\n    step()\nRuntimeError: {text}\n"
    )
    for standard_error in (text, printed):
        found = failure_in(standard_error)
        assert found is not None
        assert found.reason is Reason.OUT_OF_MEMORY


@pytest.mark.parametrize("text", OTHER_TEXTS.values(), ids=OTHER_TEXTS)
@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
def test_other_texts_are_not(text: str, kind: type[Exception]) -> None:
    assert failure_of(kind(text)).reason is Reason.CRASHED
    assert failure_in(f"Traceback (most recent call last):\n  File 'a'\n{kind.__name__}: {text}\n") is None
    assert failure_in(text) is None


@pytest.mark.parametrize("kind", [ValueError, TypeError, KeyError, AssertionError, NotImplementedError])
def test_a_programming_error_may_quote_the_words(kind: type[Exception]) -> None:
    error = kind("unknown policy: 'out of memory'")
    assert failure_of(error).reason is Reason.CRASHED
    assert failure_in(f"Traceback (most recent call last):\n  File 'a'\n{kind.__name__}: {error}") is None


class XGBoostError(ValueError):
    """As in xgboost."""


class OutOfMemoryError(RuntimeError):
    """As in torch and cupy."""


class ResourceExhaustedError(Exception):
    """As in tensorflow."""


class _ArrayMemoryError(MemoryError):
    """As in numpy."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        _ArrayMemoryError("a big array"),
        OutOfMemoryError("9 GiB"),
        type("Mine", (OutOfMemoryError,), {})("9 GiB"),
        ResourceExhaustedError("{{node}} here"),
        XGBoostError("out of memory"),
        OSError(errno.ENOMEM, "no luck"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_memory_that_ran_out_is_told_by_class(error: Exception) -> None:
    assert failure_of(error).reason is Reason.OUT_OF_MEMORY


@pytest.mark.parametrize("text", ["/runs/1; No space left on device", "Too many open files"])
def test_a_full_disk_is_the_machines_fault(text: str) -> None:
    assert failure_of(ResourceExhaustedError(text)).reason is Reason.CRASHED


def raised(action) -> BaseException:
    with pytest.raises(BaseException) as caught:
        action()
    return caught.value


def wrapped_by_cause() -> None:
    try:
        raise RuntimeError("CUDA out of memory")
    except RuntimeError as error:
        raise ValueError("training failed") from error


def handled_then_other() -> None:
    try:
        raise RuntimeError("CUDA out of memory")
    except RuntimeError:
        pass
    raise ValueError("another fault")


def deliberately_other() -> None:
    try:
        raise RuntimeError("CUDA out of memory")
    except RuntimeError:
        raise ValueError("another fault") from None


def in_context() -> None:
    try:
        raise MemoryError("9 GB")
    except MemoryError:
        raise LookupError("cleaning up failed")  # noqa: B904 - the context is the point


def in_groups() -> None:
    inner = ExceptionGroup("threads", [OSError("disk"), RuntimeError("CUDA error: out of memory")])
    raise ExceptionGroup("all", [ValueError("x"), inner])


@pytest.mark.parametrize("action", [wrapped_by_cause, in_context, in_groups])
def test_it_is_found_within(action) -> None:
    failure = failure_of(raised(action))
    assert failure.reason is Reason.OUT_OF_MEMORY
    assert "memory" in failure.message.lower()


@pytest.mark.parametrize("action", [handled_then_other, deliberately_other])
def test_what_was_survived_is_not_the_failure(action) -> None:
    assert failure_of(raised(action)).reason is Reason.CRASHED


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert failure_of(first) == bo_client.Failure(Reason.CRASHED, "ValueError: a")


def exhaust(_: int) -> None:
    raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")


def test_errors_from_other_processes() -> None:
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        assert failure_of(raised(lambda: list(pool.map(exhaust, [1])))).reason is Reason.OUT_OF_MEMORY


REMOTE = """\x1b[36mray::train()\x1b[39m (pid=42, ip=10.0.0.2)
Traceback (most recent call last):
  File "train.py", line 3, in train
    if "out of memory" in str(error): raise
{error}"""


class RayTaskError(Exception):
    """As in ray: the remote traceback is its text, and the error its cause, where that could be sent."""

    def __init__(self, text: str, cause: Exception | None = None) -> None:
        super().__init__(text)
        self.cause = cause


def test_remote_tracebacks_are_read_without_their_source_lines() -> None:
    found = failure_of(RayTaskError(REMOTE.format(error="torch.OutOfMemoryError: CUDA out of memory.")))
    assert found.reason is Reason.OUT_OF_MEMORY
    assert found.message == "RayTaskError: torch.OutOfMemoryError: CUDA out of memory."
    assert failure_of(RayTaskError("it failed", MemoryError("9 GB"))).reason is Reason.OUT_OF_MEMORY
    other = failure_of(RayTaskError(REMOTE.format(error="KeyError: 'lr'")))
    assert other == bo_client.Failure(Reason.CRASHED, "RayTaskError: KeyError: 'lr'")


def test_what_a_python_program_survived_is_not_why_it_ended(tmp_path: Path) -> None:
    """A program's own words, as the interpreter prints them."""
    program = tmp_path / "train.py"

    def standard_error(body: str) -> str:
        program.write_text(f"import logging, sys\n{body}")
        return subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=280).stderr

    survived = "try:\n  raise RuntimeError('CUDA out of memory')\nexcept RuntimeError: {}\n{{}}['lr']\n"
    assert failure_in(standard_error(survived.format("logging.exception('a smaller batch')"))) is None
    assert failure_in(standard_error(survived.format("print('CUDA out of memory, again', file=sys.stderr)"))) is None
    assert failure_in(standard_error("if 'out of memory': {}['lr']")) is None
    wrapped = "try:\n  raise RuntimeError('CUDA out of memory')\nexcept RuntimeError as error:\n  raise OSError('x')"
    assert failure_in(standard_error(wrapped)) is not None
    assert failure_in(standard_error(f"{wrapped} from error")) is not None


def test_a_launchers_traceback_hides_none_of_its_programs() -> None:
    text = (
        "[rank0]: Traceback (most recent call last):\n[rank0]:   File 'train.py', line 1\n[rank0]:     step()\n"
        "[rank0]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n"
        "Traceback (most recent call last):\n  File 'torchrun', line 8\n    sys.exit(main())\n"
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:\n"
        "====\ntrain.py FAILED\n----\nexitcode  : 1 (pid: 42)\n"
    )
    assert failure_in(text) is not None


@pytest.mark.parametrize(
    "error",
    [
        FloatingPointError("overflow encountered in multiply"),
        OverflowError("math range error"),
        RuntimeError("Function 'MulBackward0' returned nan values in its 0th output."),
        RuntimeError("probability tensor contains either `inf`, `nan` or element < 0"),
        ValueError(
            "Expected parameter loc (Tensor of shape (2,)) of distribution Normal(loc: torch.Size([2])) to satisfy the "
            "constraint Real(), but found invalid values:\ntensor([nan, nan])"
        ),
        ValueError("cannot convert float NaN to integer"),
        OverflowError("cannot convert float infinity to integer"),
        ValueError("array must not contain infs or NaNs"),
        RuntimeError("Loss is nan, stopping training"),
        ValueError("The loss became inf in epoch 3"),
        ValueError("Solver produced non-finite parameter weights. The input data may contain large values"),
    ],
)
def test_results_beyond_numbers_diverged(error: Exception) -> None:
    assert failure_of(error).reason is Reason.DIVERGED


def test_an_objective_may_say_the_reason_itself() -> None:
    error = bo_client.TrialFailed(Reason.INVALID_CONFIGURATION, "seven heads don't divide 64")
    failure = bo_client.Failure(Reason.INVALID_CONFIGURATION, "seven heads don't divide 64")
    assert failure_of(error) == failure_of(pickle.loads(pickle.dumps(error))) == failure


def test_everything_else() -> None:
    assert failure_of(ZeroDivisionError("by nothing")) == bo_client.Failure(
        Reason.CRASHED, "ZeroDivisionError: by nothing"
    )
    assert failure_of(KeyboardInterrupt()).reason is Reason.PREEMPTED
    assert failure_of(SystemExit(3)).reason is Reason.PREEMPTED
    assert len(failure_of(ValueError("x" * 100_000)).message) <= 2000
    assert failure_of(ValueError()).message == "ValueError"


class Mute(RuntimeError):
    """An error that can't even say what it is."""

    def __str__(self) -> str:
        raise ValueError("no text")


def test_errors_that_can_not_be_read() -> None:
    assert failure_of(Mute()) == bo_client.Failure(Reason.CRASHED, "Mute")
    long = failure_of(RuntimeError("x " * 10_000_000 + "CUDA out of memory"))
    assert long.reason is Reason.OUT_OF_MEMORY


def test_killed_processes_are_told_from_those_that_the_kernel_killed_for_memory(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 2\noom_kill 2\noom_group_kill 0\n")
    kills = MemoryKills([events])
    error = RuntimeError("DataLoader worker (pid 42) is killed by signal: Killed. ")
    assert (kills.since(), failure_of(error, kills).reason) == (0, Reason.CRASHED)
    events.write_text("low 0\noom 3\noom_kill 3\noom_group_kill 0\n")
    assert (kills.since(), failure_of(error, kills).reason) == (1, Reason.OUT_OF_MEMORY)
    assert failure_of(KeyError("x"), kills).reason is Reason.CRASHED


def test_a_system_that_does_not_count_its_kills(tmp_path: Path) -> None:
    assert MemoryKills([tmp_path / "vmstat"]).since() is None


def test_the_machines_count_is_used_where_the_control_group_has_none(tmp_path: Path) -> None:
    machine = tmp_path / "vmstat"
    machine.write_text("pgfault 1\noom_kill 7\n")
    kills = MemoryKills([tmp_path / "none", machine])
    machine.write_text("pgfault 1\noom_kill 8\n")
    assert kills.since() == 1
