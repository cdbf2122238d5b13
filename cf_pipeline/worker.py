"""A training behind one seam: a spec in, a checkpoint folder out, in this process or in a child.

`vision.job.run_training` trains here. `train_in_child` starts `python -m cf_pipeline.worker SPEC
OUT` and gives the same answer: a native crash or a cancel then ends the child and nothing else. The
child says one JSON object per line on its output: batches, epochs, log records, then `done` or
`error`.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cf_pipeline import errors
from cf_pipeline.errors import CfPipelineError, TrainingDiedError
from cf_pipeline.vision.job import History, TrainingSpec, run_training

if TYPE_CHECKING:
    from cf_pipeline.vision.training import Listeners

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds a child has to go by itself before it is killed."""
_LAST_LINES, _LAST_BYTES = 20, 16_384  # of a dead child's standard error
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
_ADVICE: dict[int, str] = {
    signal.SIGKILL: "The system does that when memory runs out: lower vision.batch_size, "
    "vision.image_size or resources.threads.",
    signal.SIGBUS: "A full disk does that, decoded covers being mapped files: free space.",
    signal.SIGTERM: "Somebody stopped it: start the run again.",
}
_CRASHED = "A native library crashed: set resources.device to cpu, or lower vision.batch_size."


def train_in_child(
    spec: TrainingSpec,
    out: Path,
    listeners: Listeners | None = None,
    on_log: Callable[[str, str], None] | None = None,
) -> History:
    """`run_training` in a process of its own, which is gone when this returns or raises.

    Args:
        spec: as there.
        out: as there.
        listeners: as there, called in this process.
        on_log: hears level and message of the child's log records, WARNING and above, of this
            project INFO too; by default they go to this module's logger.

    Raises:
        CfPipelineError: the one that the training raised, of the same class.
        TrainingDiedError: the child ended without an answer.
    """
    # The spec, the child's words and its decoded covers lie in a folder of this process: a child
    # that is killed cannot clean up behind itself.
    with tempfile.TemporaryDirectory(dir=spec.training_set.parent, prefix="training-") as scratch:
        spec_file = Path(scratch) / "spec.json"
        spec_file.write_text(spec.model_dump_json(), encoding="utf-8")
        # A file takes whatever is written; a pipe that nobody reads would stop the child.
        with (
            (Path(scratch) / "stderr.txt").open("w+b") as words,
            _child([str(spec_file), str(out), str(os.getpid())], words) as process,
        ):
            history = _hear(process.stdout or (), listeners, on_log or _log)
            if history is None:
                raise _died(process.wait(), _last_lines(words))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        return history


@contextlib.contextmanager
def _child(arguments: list[str], words: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    """A worker process, ended and reaped on the way out, whatever the reason for leaving is."""
    # Popen closes every descriptor but these three in the child (close_fds), so the home's lock
    # is not inherited: it must be free as soon as this process is dead.
    with subprocess.Popen(
        [sys.executable, "-m", "cf_pipeline.worker", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
        encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            try:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
            finally:  # a second interrupt may cut the waiting short
                process.kill()
                process.wait()


def _hear(
    lines: Iterable[str], listeners: Listeners | None, on_log: Callable[[str, str], None]
) -> History | None:
    """Pass on what the child says up to its answer; None where it ends without one."""
    for line in lines:
        said = None
        with contextlib.suppress(ValueError):
            said = json.loads(line)
        if listeners and _passed_on(said, listeners):
            continue
        match said:
            case {"event": "batch" | "epoch" | "neighbours"}:
                pass
            case {"event": "log", "level": level, "message": message}:
                on_log(level, message)
            case {"event": "error", "kind": kind, "message": message}:
                raise getattr(errors, kind, CfPipelineError)(message)
            case {"event": "done", "history": list(history)}:
                return history
            case _:  # written before the child had its standard output to itself, or cut short
                on_log("INFO", line.rstrip())
    return None


def _passed_on(said: Any, listeners: Listeners) -> bool:
    """Tell listeners what is for them; whether it was."""
    match said:
        case {"event": "batch", "done": done, "total": total, "figures": figures}:
            listeners.on_batch(done, total, figures)
        case {"event": "epoch", "epoch": epoch, "figures": figures}:
            listeners.on_epoch(epoch, figures)
        case {"event": "neighbours", "epoch": epoch, "rows": rows}:
            listeners.on_neighbours(epoch, rows)
        case _:
            return False
    return True


def _log(level: str, message: str) -> None:
    logger.log(logging.getLevelNamesMapping().get(level, logging.WARNING), "%s", message)


def _last_lines(words: IO[bytes]) -> str:
    size = words.seek(0, os.SEEK_END)
    words.seek(max(0, size - _LAST_BYTES))
    return "\n".join(words.read().decode("utf-8", "replace").splitlines()[-_LAST_LINES:])


def _died(status: int, words: str) -> TrainingDiedError:
    """What to say of a child that ended without an answer; a negative status is a signal."""
    how = f"ended with status {status} and no checkpoint"
    advice = "Mend what the last line names and start the run again."
    if status < 0:
        name = {one.value: one.name for one in signal.Signals}.get(-status, f"signal {-status}")
        how = f"was ended by {name}"
        advice = _ADVICE.get(-status, _CRASHED)
    last = f"Its standard error ends with:\n{words}" if words else "Its standard error is empty."
    return TrainingDiedError(f"the training process {how}. {advice} {last}")


class _Channel(logging.Handler):
    """The child's standard output, for JSON lines alone; log records are some of them."""

    def __init__(self) -> None:
        super().__init__()
        # Libraries print, from native code too: to them, standard output is standard error now.
        sys.stdout.flush()
        self._lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._one_by_one = threading.Lock()

    def say(self, event: str, **values: Any) -> None:
        with self._one_by_one:
            self._lines.write(json.dumps({"event": event, **values}) + "\n")
            self._lines.flush()

    def emit(self, record: logging.LogRecord) -> None:
        self.say("log", level=record.levelname, message=self.format(record))


def _die_with(parent: int) -> None:
    """End this process when the parent ends, whatever ends it.

    Two ways, since each has a gap. The signal is Linux's only, and comes when the thread that
    started the child ends, which is the one that waits for it; a parent that died before it was
    asked for is noticed by its number. The pipe on standard input ends with the parent on every
    system, but not while a forked process of the parent's holds a copy, nor is it heard by a child
    that is stuck in native code.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    def watch() -> None:
        os.read(0, 1)  # nothing is ever written there: it returns at the end of the file
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    # A Ctrl-C reaches the whole group of processes; it is the parent that decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(arguments: list[str]) -> int:
    """The child: run SPEC into OUT; with a third argument, end when that process does."""
    channel = _Channel()  # before libraries that may print are loaded
    logging.getLogger().addHandler(channel)
    logging.getLogger("cf_pipeline").setLevel(logging.INFO)
    logging.captureWarnings(True)
    spec_file, out = (Path(argument) for argument in arguments[:2])

    from cf_pipeline.vision.training import Listeners

    say = channel.say
    listeners = Listeners(
        on_batch=lambda done, total, figures: say("batch", done=done, total=total, figures=figures),
        on_epoch=lambda epoch, figures: say("epoch", epoch=epoch, figures=figures),
        on_neighbours=lambda epoch, rows: say("neighbours", epoch=epoch, rows=rows),
    )
    try:
        spec = TrainingSpec.model_validate_json(spec_file.read_text(encoding="utf-8"))
        history = run_training(spec, out, listeners, scratch=spec_file.parent)
    except CfPipelineError as error:
        say("error", kind=type(error).__name__, message=str(error))
        return 1
    say("done", folder=str(out), history=history)
    return 0


if __name__ == "__main__":
    if sys.argv[3:]:
        _die_with(int(sys.argv[3]))
    faulthandler.enable()  # a native crash names the line of Python that it came from
    raise SystemExit(main(sys.argv[1:]))
