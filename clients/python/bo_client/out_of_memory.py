"""Detection of errors and logs that report a lack of memory: on the accelerator, on the host, and by the kernel."""

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

CLASS_NAMES = ("OutOfMemoryError", "ResourceExhaustedError", "ArrayMemoryError", "ArrowMemoryError", "MemoryError")
"""Suffixes of class names: torch.OutOfMemoryError, cupy.cuda.memory.OutOfMemoryError, numpy's _ArrayMemoryError …"""

NOT_MEMORY = re.compile(r"no space left on device|disk quota|quota exceeded|too many open files", re.I)
"""Messages about other exhausted resources, which TensorFlow also maps to ResourceExhaustedError."""

SPECIFIC = re.compile(
    r"""
      \b(?:cuda|hip|mps|xpu|rocm|gpu|metal|device)\b[^\n]{0,60}\bout\ of\ memory\b(?!\ (?:bounds?|map|range|access))
    | \b(?:CUDA|CU|HIP|VK|ZE|UR|CL)[A-Z_]*_OUT_OF_(?:DEVICE_|HOST_)?MEMORY\b
    | \b(?:cuda|hip)Error(?:MemoryAllocation|OutOfMemory)\b
    | \b[A-Z]+_(?:STATUS_)?(?:MEMORY_)?ALLOC(?:ATION)?_FAILED\b                      # cuBLAS, cuDNN, cuFFT, MIOpen …
    | \b(?:rocblas_status_memory_error|CL_MEM_OBJECT_ALLOCATION_FAILURE)\b
    | resource[_ ]exhausted:\ [^\n]*(?:\bmemory\b|\ballocat|\bOOM\b|\breserve\b|\d\ ?[KMGT]i?B\b)  # XLA, so JAX too
    | \bOOM\ when\ allocating\b
    | \bDst\ tensor\ is\ not\ initialized\b                                          # TensorFlow, copying to a full GPU
    | \bbad[_ ]alloc(?:ation)?\b                                                       # C++, so XGBoost and LightGBM
    | \bcannot\ allocate\ (?:memory\b|vector\ of\ size\b)
    | \bcan't\ allocate\ memory:                                                     # PyTorch on the CPU
    | \bunable\ to\ allocate\ (?:internal\ buffer|[\d.]+\ \w*B(?:ytes)?\b|[\d.]+\ bytes\b|array\b)
    | \bfailed\ to\ allocate\ (?:[^\n]{0,40}?\bmemory\b|[^\n]{0,40}?\d\ ?(?:[KMGT]i?)?(?:B|bytes)?\b)
    | \bmemory\ allocation\ (?:of\ \d+\ bytes\ failed|error\ on\ worker)
    | \bOutOfMemoryError\b
    | \bran\ out\ of\ (?:\w+\ )?memory\b
    | \bheap\ out\ of\ memory\b
    | \boom[-_ ]kill
    | \bpaging\ file\ is\ too\ small\b
    """,
    re.X | re.I,
)
"""Unambiguous messages, whatever the error's class."""

GENERIC = re.compile(
    r"""
      \bout\ of\ memory\b(?=\s*(?:$|[].,:;!?)('"/]|\b(?:while|when|trying|allocating|on|at|error)\b))
    | \b(?:not\ enough|insufficient)\ (?:\w+\ )?memory\b
    """,
    re.X | re.I | re.M,
)
"""Messages that are unambiguous except in a programming error."""

PROGRAMMING_ERRORS = (
    "ArgumentError", "AssertionError", "AttributeError", "ImportError", "IndexError", "KeyError", "ModuleNotFoundError",
    "NameError", "NotImplementedError", "SyntaxError", "TypeError", "UnboundLocalError", "ValueError",
)  # fmt: skip
"""Classes whose message may mention memory for other reasons."""

WRAPPERS = ("ChildFailedError", "CalledProcessError", "ProcessExitedException", "ProcessRaisedException")
"""Classes that report another process, whose own traceback precedes theirs."""

MAX_TEXT_END = 20_000
"""Maximum characters read at each end of a text."""
TRACEBACK = "Traceback (most recent call last):"
CHAINED = ("The above exception was the direct cause", "During handling of the above exception")
_PREFIX = re.compile(r"^(?:\[?rank ?\d+\]?:? |\[\d+\]: |[ ]*[|+][ ]?)")
_HARMLESS = re.compile(r"this is not a failure", re.I)
_CLASS = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?:\([^()\n]*\))?(?::|$)")


def is_memory_error(error: BaseException) -> bool:
    """Return whether this error itself, not one that it wraps, reports a lack of memory."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = text_of(error)
    if any(kind.__name__.endswith(CLASS_NAMES) for kind in type(error).__mro__):
        return not NOT_MEMORY.search(text)
    if TRACEBACK in text:
        return memory_error_line(text) is not None
    return _reports_lack_of_memory(text, type(error).__name__)


def text_of(error: BaseException) -> str:
    """Return the error's message; of a very long one the beginning and the end, and nothing if it cannot be read."""
    try:
        text = str(error)
    except Exception:
        return ""
    return storable(text if len(text) <= 2 * MAX_TEXT_END else f"{text[:MAX_TEXT_END]}\n{text[-MAX_TEXT_END:]}")


def storable(text: str) -> str:
    """Return the text with '?' for NUL and invalid characters, which databases and log files cannot store."""
    return text.replace("\0", "?").encode(errors="replace").decode()


def memory_error_line(text: str) -> str | None:
    """Return the line of a traceback or a program's standard error that reports a lack of memory.

    Of a Python program only the errors that ended it count, neither source lines in the traceback nor earlier log
    lines.
    """
    return next((line for line in exception_lines(text) if _is_memory_error_line(line)), None)


def _reports_lack_of_memory(text: str, class_name: str) -> bool:
    relevant = "\n".join(line for line in text.splitlines() if not _HARMLESS.search(line))
    if NOT_MEMORY.search(relevant) and not re.search(r"out of memory", relevant, re.I):
        return False
    return bool(SPECIFIC.search(relevant) or (class_name not in PROGRAMMING_ERRORS and GENERIC.search(relevant)))


def _is_memory_error_line(line: str) -> bool:
    match = _CLASS.match(line)
    name = match[1] if match else ""
    if name.endswith(CLASS_NAMES):
        return not NOT_MEMORY.search(line)
    return _reports_lack_of_memory(line, name)


def exception_lines(text: str) -> Iterator[str]:
    """Yield the lines of a traceback or a program's standard error that describe how it ended."""
    lines = [_PREFIX.sub("", line) for line in text.splitlines()]
    first = _start(lines)
    for line in lines[first:]:
        if line.strip() and not (first < len(lines) and TRACEBACK in text and line[:1].isspace()):
            yield line.strip()


def _start(lines: list[str]) -> int:
    """Return the index at which the last chain of tracebacks begins; 0 without one."""
    starts = [i for i, line in enumerate(lines) if line.strip().startswith(TRACEBACK)]
    if not starts:
        return 0
    rest = [match[1] for line in lines[starts[-1] :] if (match := _CLASS.match(line))]
    if any(name in WRAPPERS for name in rest):
        return starts[0]
    chain = len(starts) - 1
    while chain and any(line.startswith(CHAINED) for line in lines[starts[chain - 1] : starts[chain]]):
        chain -= 1
    return starts[chain]


class MemoryKills:
    """A counter of the processes that the kernel killed for lack of memory since its creation."""

    def __init__(self, files: Sequence[Path] | None = None) -> None:
        """Start to count.

        Args:
            files: files with the count, of which the first readable one is used; by default those of this process's
                control group.
        """
        self._files = _event_files() if files is None else files
        self._before = self._count()

    def since(self) -> int | None:
        """Return the number of kills; None if this system does not count them."""
        now = self._count()
        return None if now is None or self._before is None else max(0, now - self._before)

    def _count(self) -> int | None:
        for file in self._files:
            try:
                match = re.search(r"^oom_kill (\d+)$", file.read_text(), re.M)
            except (OSError, UnicodeDecodeError):
                continue
            if match:
                return int(match[1])
        return None


def killed(kills: MemoryKills) -> tuple[bool, str]:
    """Return whether a process ended by SIGKILL was killed for lack of memory, and an explanation.

    The kernel counts its kills; if the count has risen since `kills` was created, the process was one of them.
    Otherwise a user or scheduler sent the signal, which the parameters did not cause.
    """
    count = kills.since()
    if count:
        return True, "by the kernel, which ran out of memory"
    if count is None:
        return False, "perhaps for lack of memory: this system does not count such kills"
    return False, "and not by the kernel for lack of memory"


def _event_files() -> list[Path]:
    """Return the files of this process's control group, in cgroup v2, then v1, and then of the whole machine."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    files: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            files.append(Path("/sys/fs/cgroup") / path.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            files.append(Path("/sys/fs/cgroup/memory") / path.lstrip("/") / "memory.oom_control")
            files.append(Path("/sys/fs/cgroup/memory/memory.oom_control"))  # as a container sees it
    return [*files, Path("/proc/vmstat")]
