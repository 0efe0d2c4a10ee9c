"""Import from the log folders of the KAKURENBO authors' scripts, read by position.

Read: report_time.log (EPOCH: seconds of rank 0), fraction_per_epoch.log (share hidden, written one epoch late),
loss_hist_per_epoch.log (its C lines count what was hidden), val_accuracy_per_epoch.log, val_loss_per_epoch.log.
Not read, as kbench has no column for them: accuracy_per_epoch.log and loss_per_epoch.log (of one batch), the parts
of report_time.log (they overlap, and those that are 0 were never measured).  Source: github
TruongThaoNguyen/kakurenbo @6cb9f88.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from kbench.importers.log import (
    Log,
    checked,
    diverged,
    fraction,
    is_not_finite,
    number,
    read_lines,
    refuse,
    whole,
    with_elapsed,
)
from kbench.importers.registry import ImportFormat
from kbench.records.imported import Cell

TIMES, SHARES, HIDDEN = "report_time.log", "fraction_per_epoch.log", "loss_hist_per_epoch.log"
ACCURACY, LOSS = "val_accuracy_per_epoch.log", "val_loss_per_epoch.log"
READ = (TIMES, SHARES, HIDDEN, ACCURACY, LOSS)
OF_ONE_BATCH = ("accuracy_per_epoch.log", "loss_per_epoch.log")
FIELDS = (11, 12)  # of a row of report_time.log; its header names one less
Rows = list[dict[str, Cell]]


def read(paths: Sequence[Path]) -> list[Log]:
    """Read each folder that holds such logs, below ``paths`` or around them, as one run.

    The epoch column starting over means another stage; the last stage is phase ``train``, those
    before it ``stage1``, ``stage2``.  Raises ResultsError, with file and line, for what is torn.
    """
    return [_log(folder, files) for folder, files in _folders(paths).items()]


def _folders(paths: Sequence[Path]) -> dict[Path, dict[str, Path]]:
    found: dict[Path, dict[str, Path]] = {}
    for path in paths:
        files = sorted(path.rglob("*.log")) if path.is_dir() else [path]
        known = [file for file in files if file.name in (*READ, *OF_ONE_BATCH)]
        if not known:
            raise refuse(str(path), f"holds none of {', '.join(READ)}", do="name a folder of these logs, or such files")
        for file in known:
            found.setdefault(file.parent, {})[file.name] = file
    return found


def _log(folder: Path, files: dict[str, Path]) -> Log:
    remarks = [f"{name} was not read: it tells of one batch" for name in OF_ONE_BATCH if name in files]
    filled = {name: path for name, path in files.items() if name in READ and path.read_bytes().strip()}
    remarks += [f"{name} is empty" for name in files if name in READ and name not in filled]
    if TIMES in filled:
        rows = _timed(filled[TIMES])
        remarks += _stages(rows, filled[TIMES])
    else:
        counted = [path for name, path in filled.items() if name in (ACCURACY, LOSS)]
        if not counted:
            raise refuse(
                str(folder), f"nothing in it counts epochs, wanted {TIMES} or {ACCURACY}", do="add one of them"
            )
        rows = [{"phase": "train", "epoch": epoch} for epoch in range(len(read_lines(counted[0])))]
    if ACCURACY in filled:
        remarks += _add_each(rows, filled[ACCURACY], "val_acc1", fraction)
    if LOSS in filled:
        remarks += _add_each(rows, filled[LOSS], "val_loss", number)
    if SHARES in filled:
        _add_shares(rows, filled[SHARES])
    if HIDDEN in filled:
        _add_counts(rows, filled[HIDDEN])
    epochs = [checked(row, f"{folder}: epoch {row['epoch']}") for row in with_elapsed(rows)]
    used = tuple(filled[name] for name in READ if name in filled)
    return Log(run=folder.absolute().name, files=used, epochs=tuple(epochs), remarks=tuple(remarks))


def _timed(path: Path) -> Rows:
    """The epochs of report_time.log with their seconds; ``[rank] epoch EPOCH ...`` by position."""
    rows: Rows = []
    stage, before = 1, -1
    for n, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if not fields or fields[0] == "RANK":
            continue
        place = f"{path}:{n}"
        if len(fields) not in FIELDS or not (fields[0].startswith("[") and fields[0].endswith("]")):
            raise refuse(
                place, f"must be [rank], epoch and 9 or 10 times, got {line[:60]!r}", do="the line is torn; remove it"
            )
        epoch = whole(fields[1], place, column="epoch")
        if epoch != before + 1 and epoch != 0:
            raise refuse(
                place, f"epoch: must be {before + 1}, or 0 where a stage begins, got {epoch}", do="mend the line"
            )
        stage += epoch == 0 and bool(rows)
        seconds = [number(text, place, column="time") for text in fields[2:]]
        if seconds[0] <= 0:
            raise refuse(place, f"EPOCH: must be above 0 seconds, got {fields[2]}", do="mend the line")
        rows.append({"phase": f"stage{stage}", "epoch": epoch, "train_s": seconds[0]})
        before = epoch
    if not rows:
        raise refuse(str(path), "holds no epoch", do="leave it out")
    for row in rows:
        row["phase"] = "train" if row["phase"] == f"stage{stage}" else row["phase"]
    return rows


def _stages(rows: Rows, path: Path) -> list[str]:
    """A remark where there are several, as a run that was started again in the same folder looks the same."""
    counts = Counter(str(row["phase"]) for row in rows)
    if len(counts) == 1:
        return []
    lengths = ", ".join(f"{phase} of {n} epochs" for phase, n in counts.items())
    return [
        f"{path}: epochs begin again at 0: counted as {len(counts)} stages of one run, {lengths}; "
        "if it was started again in the same folder, split the file"
    ]


def _add_each(rows: Rows, path: Path, column: str, as_value: Callable[..., float]) -> list[str]:
    """A line per epoch: of all stages, or of the last, as the first stages of FORGET are not validated."""
    lines = read_lines(path)
    last = [row for row in rows if row["phase"] == "train"]
    if len(lines) not in (len(rows), len(last)):
        raise refuse(str(path), f"has {len(lines)} lines for {_counted(rows)}", do="leave it out, or mend it")
    for n, (row, line) in enumerate(zip(rows if len(lines) == len(rows) else last, lines, strict=True), start=1):
        row[column] = None if is_not_finite(line) else as_value(line.strip(), f"{path}:{n}", column=column)
    n_odd = sum(map(is_not_finite, lines))
    return [diverged(n_odd, str(path))] if n_odd else []


def _add_shares(rows: Rows, path: Path) -> None:
    """Line e of a stage is the share hidden in its epoch e - 1; its last epoch's is not written.

    A line more than epochs is of an epoch that was begun, and holds the share of the last one that ended.
    """
    shares = [fraction(line.strip(), f"{path}:{n}", column="share") for n, line in enumerate(read_lines(path), start=1)]
    if len(shares) not in (len(rows), len(rows) + 1):
        raise refuse(str(path), f"has {len(shares)} lines for {_counted(rows)}", do="leave it out, or mend it")
    for i, row in enumerate(rows):
        is_last = i + 1 < len(rows) and rows[i + 1]["epoch"] == 0
        if i + 1 < len(shares) and not is_last:
            row["hidden_share"] = shares[i + 1]
            if shares[i + 1] == 0:
                row["n_hidden"] = 0  # whatever the number of samples, which the log does not hold


def _add_counts(rows: Rows, path: Path) -> None:
    """``C epoch moved_back hidden ceiling samples`` of KAKURENBO; what FORGET writes there is passed over."""
    by_epoch = {row["epoch"]: row for row in rows if row["phase"] == "train"}
    for n, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if not fields or fields[0] != "C":
            continue
        place = f"{path}:{n}"
        if len(fields) != 6:
            raise refuse(place, f"must be C and 5 numbers, got {line[:60]!r}", do="the line is torn; remove it")
        epoch, _, hidden, ceiling, samples = (whole(text, place, column="count") for text in fields[1:])
        if not hidden <= ceiling <= samples:
            raise refuse(place, f"hidden {hidden}, at most {ceiling}, of {samples}: cannot be", do="mend the line")
        if epoch in by_epoch:
            share = hidden / samples if samples else None
            counts: dict[str, Cell] = {"n_hidden": hidden, "n_samples": samples, "hidden_share": share}
            by_epoch[epoch].update(counts, ceiling=ceiling / samples if samples else None)


def _counted(rows: Rows) -> str:
    stages = len({row["phase"] for row in rows})
    return f"{len(rows)} epochs" + (f" in {stages} stages" if stages > 1 else "")


KAKURENBO_LOG = ImportFormat("log folders of the KAKURENBO authors' scripts", read)
