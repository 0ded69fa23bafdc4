"""Damages the files of a run at random, one at a time, reads it each time, and counts what comes of it.

A mutation flips bits, cuts or lengthens a file, overwrites a stretch, or swaps two files. Whoever reads must get the
right rows or an error of this project's own: never other rows, a bare traceback, a hang, or the end of the process.

python scripts/mutate.py --mutations 10000
"""

import argparse
import hashlib
import multiprocessing
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from crash_test import start, wait_for_success, write_photographs
from tiny import OPTIONS

import pipeline
from pipeline.errors import StoreError, UsageError
from pipeline.run.provenance import read_config
from pipeline.store.ledger import Ledger
from pipeline.store.run_files import shard_path, summary_path
from pipeline.store.shard_checkpoint import load_checkpoints
from pipeline.store.verify import verify
from pipeline.store.writer import Writer

SECONDS = 20
CONTEXT = multiprocessing.get_context("fork")
GOOD = ("refused", "the right content", "a configuration of other words")


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        run = make_run(Path(scratch))
        outcomes = hunt(run, options.mutations, options.seed)
    for (outcome, way), count in sorted(outcomes.items()):
        print(f"{count:6d}  {outcome}: {way}")
    bad = sum(count for (outcome, _), count in outcomes.items() if outcome not in GOOD)
    print(f"{sum(outcomes.values())} mutated files, {bad} accepted with wrong content, crashed or hung")
    sys.exit(bool(bad))


def make_run(folder: Path) -> Path:
    """A run of five shards, the last of which is unfinished and has a part."""
    write_photographs(folder / "photographs", 20)
    run = folder / "run"
    wait_for_success(start([f"data.root={folder / 'photographs'}", *OPTIONS, "num_workers=0", "batch_size=2",
                  "store.shard_size=4", f"output_dir={run}"]), run)  # fmt: skip
    opened = pipeline.open_run(run)
    rows = Ledger(run, opened.manifest).rows(4)
    for path in (shard_path(run, 4), summary_path(run, 4)):
        path.unlink()
    with Writer(run, opened.manifest, attributes=opened.attributes) as writer:
        writer.add(rows.select_images(rows.images[:2]))
    return run


def hunt(run: Path, mutations: int, seed: int) -> Counter[tuple[str, str]]:
    """Counts of each mutation's outcomes."""
    moments = random.Random(seed)
    outcomes: Counter[tuple[str, str]] = Counter()
    right = dict(contents(run))
    process, connection = _reader(run)
    for number in range(mutations):
        if number % 500 == 0:
            print(f"{number} so far: {Counter(outcome for outcome, _ in outcomes.elements())}", flush=True)
        way, before = mutate(run, moments)
        connection.send(right)
        if connection.poll(SECONDS):
            try:
                outcome = connection.recv()
            except EOFError:
                process.join()
                outcome = f"ended by {process.exitcode}"
        else:
            process.kill()
            outcome = "hung"
        outcomes[outcome, way] += 1
        for path, data in before.items():
            path.write_bytes(data)
        if outcome not in GOOD:
            print(f"{outcome}: {way} of {', '.join(path.name for path in before)}")
        if not process.is_alive():
            process, connection = _reader(run)
    process.kill()
    return outcomes


def mutate(run: Path, moments: random.Random) -> tuple[str, dict[Path, bytes]]:
    """Damages one of the files that are read; what was done, and what the files held before."""
    shards = (path for path in (run / "shards").rglob("*") if path.is_file())
    files = sorted([run / "manifest.h5", run / "config.yaml", *shards])
    path = moments.choice(files)
    data = path.read_bytes()
    way = moments.choice(["flipped bits", "cut", "lengthened", "overwrote a stretch", "swapped"])
    if way == "swapped":
        other = moments.choice([one for one in files if one != path and one.suffix == path.suffix] or files)
        second = other.read_bytes()
        path.write_bytes(second)
        other.write_bytes(data)
        return f"{way} {path.suffix}", {path: data, other: second}
    changed, place = bytearray(data), moments.randrange(len(data))
    if way == "flipped bits":
        for _ in range(moments.choice([1, 1, 2, 9])):
            changed[moments.randrange(len(data))] ^= 1 << moments.randrange(8)
    elif way == "cut":
        del changed[place:]
    elif way == "lengthened":
        changed += moments.randbytes(moments.choice([1, 9, 999]))
    else:
        stretch = min(moments.choice([4, 64, 512]), len(data) - place)
        changed[place : place + stretch] = bytes(stretch) if moments.random() < 0.5 else moments.randbytes(stretch)
    path.write_bytes(changed)
    return f"{way} {path.suffix}", {path: data}


def contents(run: Path) -> Iterator[tuple[str, str]]:
    """All that a user or a later start may read of a run, as hashes by name."""
    opened = pipeline.open_run(run)
    manifest = opened.manifest
    ledger = Ledger(run, manifest)
    yield "images", _hash([manifest.root, *manifest.paths, manifest.label.tolist(), manifest.shards.tolist()])
    yield "names", _hash([manifest.class_names, manifest.preprocessing, manifest.identity, opened.attributes])
    yield "rows", _hash([sorted((name, values.tobytes()) for name, values in opened.table().items())])
    yield "maps", _hash([(one.index, one.target, one.map.tobytes()) for one in opened])
    yield "failures", _hash([str(failure) for failure in opened.failures()])
    yield "summaries", _hash([ledger.stored_summary(shard) for shard in sorted(ledger.published())])
    yield "verified", _hash([len(verify(run).problems)])
    for shard in range(manifest.n_shards):
        parts = [(part.images.tolist(), sorted((k, v.tobytes()) for k, v in part.columns.items()))
                 for part in load_checkpoints(run, ledger.manifest, shard)]  # fmt: skip
        yield f"parts of {shard}", _hash(parts)
    yield "configuration", _hash([sorted(map(str, read_config(run).items()))])


def _hash(values: list[Any]) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


def _reader(run: Path) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    """A process that reads a run as often as it is told to."""
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_read, args=(run, there), daemon=True)
    process.start()
    there.close()
    return process, here


def _read(run: Path, connection: Connection) -> None:
    while True:
        connection.send(outcome_of(run, connection.recv()))


def outcome_of(run: Path, right: dict[str, str]) -> str:
    """Outcome of reading a run whose contents should be these."""
    try:
        found = dict(contents(run))
    except (StoreError, UsageError):
        return "refused"
    except Exception as error:  # noqa: BLE001 - which is what is looked for
        return f"a bare {type(error).__name__}: {error}"[:200]
    wrong = [name for name in right if found[name] != right[name]]
    if wrong == ["configuration"]:
        return "a configuration of other words"
    if wrong and all(name == "verified" or name.startswith("parts") for name in wrong):
        return "refused"  # named by verify; such a part is removed, and its rows are computed again
    return f"WRONG {', '.join(wrong)}" if wrong else "the right content"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
