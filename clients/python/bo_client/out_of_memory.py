"""How errors and logs say that memory ran out: on the accelerator, on the host, and by the kernel's hand."""

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

CLASS_NAMES = ("OutOfMemoryError", "ResourceExhaustedError", "ArrayMemoryError", "ArrowMemoryError", "MemoryError")
"""Ends of class names: torch.OutOfMemoryError, cupy.cuda.memory.OutOfMemoryError, numpy's _ArrayMemoryError …"""

NOT_MEMORY = re.compile(r"no space left on device|disk quota|quota exceeded|too many open files", re.I)
"""Other resources that may be exhausted: TensorFlow maps them to ResourceExhaustedError as well."""

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
    | \bbad_alloc(?:ation)?\b                                                        # C++, so XGBoost and LightGBM
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
"""Nothing else is meant by these, whatever the error's class."""

GENERIC = re.compile(
    r"""
      \bout\ of\ memory\b(?=\s*(?:$|[].,:;!?)('"/]|\b(?:while|when|trying|allocating|on|at|error)\b))
    | \b(?:not\ enough|insufficient)\ (?:\w+\ )?memory\b
    """,
    re.X | re.I | re.M,
)
"""Meant so, except where a programming error quotes it."""

PROGRAMMING_ERRORS = (
    "ArgumentError", "AssertionError", "AttributeError", "ImportError", "IndexError", "KeyError", "ModuleNotFoundError",
    "NameError", "NotImplementedError", "SyntaxError", "TypeError", "UnboundLocalError", "ValueError",
)  # fmt: skip
"""Classes whose text may speak of memory without having run out of it."""

WRAPPERS = ("ChildFailedError", "CalledProcessError", "ProcessExitedException", "ProcessRaisedException")
"""Classes that tell of another process, whose own traceback stands before theirs."""

LONGEST = 20_000
"""Characters that are read at each end of a text."""
TRACEBACK = "Traceback (most recent call last):"
CHAINED = ("The above exception was the direct cause", "During handling of the above exception")
_PREFIX = re.compile(r"^(?:\[?rank ?\d+\]?:? |\[\d+\]: |[ ]*[|+][ ]?)")
_HARMLESS = re.compile(r"this is not a failure", re.I)
_CLASS = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?:\([^()\n]*\))?(?::|$)")


def is_memory_error(error: BaseException) -> bool:
    """Whether this error itself, not what it wraps, says that memory ran out."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = text_of(error)
    if any(kind.__name__.endswith(CLASS_NAMES) for kind in type(error).__mro__):
        return not NOT_MEMORY.search(text)
    if TRACEBACK in text:
        return said_in(text) is not None
    return _said(text, type(error).__name__)


def text_of(error: BaseException) -> str:
    """What the error says; of a very long text the beginning and the end, and nothing where it can't be had."""
    try:
        text = str(error)
    except Exception:
        return ""
    return storable(text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]}\n{text[-LONGEST:]}")


def storable(text: str) -> str:
    """The text with '?' for NUL and for what UTF-8 can't hold: neither databases nor log files take these."""
    return text.replace("\0", "?").encode(errors="replace").decode()


def said_in(text: str) -> str | None:
    """The line of a program's standard error, or of a traceback as text, that says that memory ran out.

    Of a Python program only the errors count that ended it: neither its source lines in the traceback, nor what it
    logged before, such as an earlier failure that it survived.
    """
    return next((line for line in telling_lines(text) if _is_said(line)), None)


def _said(text: str, class_name: str) -> bool:
    kept = "\n".join(line for line in text.splitlines() if not _HARMLESS.search(line))
    if NOT_MEMORY.search(kept) and not re.search(r"out of memory", kept, re.I):
        return False
    return bool(SPECIFIC.search(kept) or (class_name not in PROGRAMMING_ERRORS and GENERIC.search(kept)))


def _is_said(line: str) -> bool:
    found = _CLASS.match(line)
    name = found[1] if found else ""
    if name.endswith(CLASS_NAMES):
        return not NOT_MEMORY.search(line)
    return _said(line, name)


def telling_lines(text: str) -> Iterator[str]:
    """The lines of a program's standard error, or of a traceback as text, that tell how it ended."""
    lines = [_PREFIX.sub("", line) for line in text.splitlines()]
    first = _start(lines)
    for line in lines[first:]:
        if line.strip() and not (first < len(lines) and TRACEBACK in text and line[:1].isspace()):
            yield line.strip()


def _start(lines: list[str]) -> int:
    """Where the last chain of tracebacks begins, 0 where there is none."""
    starts = [i for i, line in enumerate(lines) if line.strip().startswith(TRACEBACK)]
    if not starts:
        return 0
    rest = [found[1] for line in lines[starts[-1] :] if (found := _CLASS.match(line))]
    if any(name in WRAPPERS for name in rest):
        return starts[0]
    chain = len(starts) - 1
    while chain and any(line.startswith(CHAINED) for line in lines[starts[chain - 1] : starts[chain]]):
        chain -= 1
    return starts[chain]


class MemoryKills:
    """Counts the processes that the kernel has killed for lack of memory, from the moment this is made."""

    def __init__(self, files: Sequence[Path] | None = None) -> None:
        """`files` have the count; the first that can be read is taken. By default this process's control group's."""
        self._files = _event_files() if files is None else files
        self._before = self._count()

    def since(self) -> int | None:
        """How many there were; None where this system doesn't say."""
        now = self._count()
        return None if now is None or self._before is None else max(0, now - self._before)

    def _count(self) -> int | None:
        for file in self._files:
            try:
                found = re.search(r"^oom_kill (\d+)$", file.read_text(), re.M)
            except (OSError, UnicodeDecodeError):
                continue
            if found:
                return int(found[1])
        return None


def killed(kills: MemoryKills) -> tuple[bool, str]:
    """Whether a process that SIGKILL has ended was killed for lack of memory, and in words how that is known.

    The kernel counts its kills; where the count has risen since `kills` was made, it was one of them. Otherwise a
    person or a scheduler sent the signal, for which the parameters are not to blame.
    """
    count = kills.since()
    if count:
        return True, "by the kernel, which ran out of memory"
    if count is None:
        return False, "perhaps for lack of memory: this system doesn't say"
    return False, "and not by the kernel for lack of memory"


def _event_files() -> list[Path]:
    """Of this process's control group, in cgroup v2, then v1; only where neither tells, of the whole machine."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    found: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found.append(Path("/sys/fs/cgroup") / path.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            found.append(Path("/sys/fs/cgroup/memory") / path.lstrip("/") / "memory.oom_control")
            found.append(Path("/sys/fs/cgroup/memory/memory.oom_control"))  # as a container sees it
    return [*found, Path("/proc/vmstat")]
