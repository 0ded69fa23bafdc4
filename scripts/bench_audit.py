"""The audit of many synthetic images: seconds, peak memory, size of the page, and how soon a browser shows it.

    python scripts/bench_audit.py --classes 1000 --images 50 --folder /tmp/audit

A tenth of the classes have their maps in one corner. What the browser says is the median of five visits.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from pipeline.audit.analyse import analyse
from pipeline.audit.audit_files import write_audit
from pipeline.audit.page.audit_page import write_audit_page
from pipeline.data.image_paths import ImagePaths
from pipeline.data.preprocessing import Preprocessing
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.schema import Rows
from pipeline.store.shard_reader import ShardReader
from pipeline.store.writer import Writer

SIDE, PER_SHARD, VISITS = 64, 1000, 5
ATTRIBUTES = {
    "method": "ig", "options": {}, "target_option": "label", "output": "logit", "dtype": "float32", "channels": "sum",
    "geometry": {"kind": "pixels", "shape": [3, SIDE, SIDE], "channels": "sum"}, "model": "synthetic",
    "weights_sha256": "0" * 64, "versions": {},
}  # fmt: skip


def write_run(folder: Path, classes: int, images: int) -> Path:
    """Images of a class are links to one photograph of noise."""
    count, run = classes * images, folder / "run"
    names = [b"%04d/%03d.jpg" % (number // images, number % images) for number in range(count)]
    manifest = Manifest(
        root=os.fsencode(folder / "photographs"),
        paths=ImagePaths.from_bytes(names),
        label=(np.arange(count) // images).astype(np.int32),
        shards=np.append(np.arange(0, count, PER_SHARD), count),
        identity={"method": "ig", "classes": classes, "images": images},
        class_names=[f"class {number:04d}" for number in range(classes)],
        preprocessing=Preprocessing(SIDE, (SIDE, SIDE), (0.5,) * 3, (0.5,) * 3).to_json(),
    )
    _photographs(folder / "photographs", classes, images)
    generator = np.random.default_rng(0)
    with Writer(run, freeze_manifest(run, manifest), attributes=ATTRIBUTES) as writer:
        for shard in range(len(manifest.shards) - 1):
            writer.add(_rows(manifest, np.arange(*manifest.range(shard)), generator))
    return run


def _photographs(root: Path, classes: int, images: int) -> None:
    generator = np.random.default_rng(1)
    for number in range(classes):
        folder = root / f"{number:04d}"
        folder.mkdir(parents=True)
        coarse = Image.fromarray(generator.integers(0, 256, (7, 7, 3), np.uint8))
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / "000.jpg")
        for image in range(1, images):
            (folder / f"{image:03d}.jpg").hardlink_to(folder / "000.jpg")


def _rows(manifest: Manifest, index: np.ndarray, generator: np.random.Generator) -> Rows:
    label, n = manifest.label[index], len(index)
    maps = generator.standard_normal((n, 1, SIDE, SIDE), np.float32)
    maps[label % 10 == 0, :, -SIDE // 4 :, -SIDE // 4 :] += 4
    logits = generator.standard_normal((n, len(manifest.class_names)), np.float32)
    logits[np.arange(n), label] += 4
    predicted = logits.argmax(1).astype(np.int32)
    columns = {
        "attribution": maps.astype(np.float16), "scale": np.ones(n, np.float32), "index": index, "label": label,
        "prediction": logits, "features": np.empty((n, 0), np.float32), "predicted": predicted, "target": label,
        "score": logits[np.arange(n), label],
        "baseline_score": np.zeros(n, np.float32), "evaluations": np.ones(n, np.int32),
        "convergence_delta": generator.normal(0, 0.1, n).astype(np.float32),
        "error_estimate": np.full(n, np.nan, np.float32), "crop": np.zeros((n, 6), np.int32),
    }  # fmt: skip
    return Rows(columns, [])


def audit(run: Path) -> dict[str, Any]:
    began = time.perf_counter(), time.process_time()
    source = ShardReader(run)
    found = analyse(source)
    write_audit(found, run)
    surveyed = time.perf_counter()
    page = write_audit_page(found, source)
    pictures = [path.stat().st_size for path in (run / "audit" / "pictures").rglob("*.jpg")]
    return {
        "survey_seconds": surveyed - began[0],
        "page_seconds": time.perf_counter() - surveyed,
        "cpu_seconds": time.process_time() - began[1],
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "page_megabytes": page.stat().st_size / 1e6,
        "pictures": len(pictures),
        "pictures_megabytes": sum(pictures) / 1e6,
    }


def visit(browser: Browser, address: str) -> dict[str, float]:
    """Milliseconds until something is painted, the table is there, all is there, and a class is open."""
    page = browser.new_page()
    page.goto(address, wait_until="commit")
    page.wait_for_selector("#classes tbody tr")
    table = page.evaluate("performance.now()")
    page.wait_for_selector("html[data-ready]")
    ready = page.evaluate("performance.now()")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    opened = page.evaluate("""() => new Promise(done => {
        const began = performance.now();
        location.hash = document.querySelector("#classes tbody a").hash;
        const seen = () => done(performance.now() - began);
        addEventListener("hashchange", () => requestAnimationFrame(() => setTimeout(seen)));
    })""")
    page.close()
    return {"first_paint": painted, "table": table, "ready": ready, "class_open": opened}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--images", type=int, default=50, help="of each class")
    parser.add_argument("--folder", type=Path, required=True, help="an empty one")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    run = options.folder / "run"
    if not run.exists():
        write_run(options.folder, options.classes, options.images)
    figures = audit(run)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        visits = [visit(browser, (run / "audit" / "index.html").as_uri()) for _ in range(VISITS)]
        browser.close()
    figures |= {f"{name}_milliseconds": median(one[name] for one in visits) for name in visits[0]}
    print(json.dumps({"classes": options.classes, "images": options.images, **figures}, indent=1))


if __name__ == "__main__":
    main()
