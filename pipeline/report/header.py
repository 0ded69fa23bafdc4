"""Header and footer of a report: method, options, model, images, versions, time and fingerprint of the run."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.models.class_names import class_name
from pipeline.report.formatting import method_title, option_line, printable, significant, utc_time
from pipeline.report.run_summary import RunSummary
from pipeline.run.provenance import CONFIG, read_config
from pipeline.store.manifest import Manifest
from pipeline.store.reader import Run
from pipeline.store.run_files import shard_path

CHANNELS = {"sum": "summed", "keep": "kept apart"}
TARGETS = {"pred": "the class that the model predicts", "label": "the class of its folder"}


def page_header(run: Run, summary: RunSummary) -> dict[str, Any]:
    """Fills in title, lede, facts, command and footer of a page.

    Raises:
        StoreError: No shard is published yet.
    """
    config = _config(run.folder)
    attributes, root = run.attributes, printable(run.manifest.root)
    method = method_title(config["method"]["_target_"]) if "method" in config else attributes["method"]
    target = _target(attributes["target_option"], run.manifest)
    versions = {name: version for name, version in attributes["versions"].items() if version}
    if attributes["options"].get("view") == "neuron":
        target = f"neuron {attributes['options']['neuron']} of {attributes['options']['layer']}"
    facts = {
        "Method": f"{method}\n{option_line(attributes['options'])}".strip(),
        "Explained": f"{target}, by {attributes['output'].replace('_', ' ')}",
        "Model": f"{attributes['model']}\nweights sha256 {attributes['weights_sha256'][:12]}",
        "Images": f"{root}\n{summary.images:,} images, {len(summary.classes):,} classes",
        "Preprocessing": _preprocessing(run.manifest.preprocessing),
        "Numbers": f"computed in {attributes['dtype']}, channels {CHANNELS[attributes['channels']]}",
        "Finished": _finished(run, summary),
        "Versions": ", ".join(f"{name}\N{NO-BREAK SPACE}{version}" for name, version in versions.items()),
    }
    return {
        "title": f"{method} on {attributes['model']}",
        "lede": f"{summary.images:,} images of {Path(root).name}, each explained for {target}.",
        "facts": facts,
        "command": config.get("command"),
        "footer": _footer(config, run, summary),
    }


def _config(folder: Path) -> dict[str, Any]:
    """Reads the stored configuration as data; empty for a run that was written from Python."""
    return read_config(folder) if (folder / CONFIG).exists() else {}


def _target(option: str | int | list[int], manifest: Manifest) -> str:
    if isinstance(option, str):
        return TARGETS[option] if option in TARGETS else f"its {option[3:]} likeliest classes"
    return ", ".join(
        class_name(manifest.class_names, number) for number in (option if isinstance(option, list) else [option])
    )


def _preprocessing(fields: dict[str, Any]) -> str:
    resize = "no resizing" if fields["resize"] is None else f"resize {_size(fields['resize'])}"
    mean, std = (", ".join(significant(value) for value in fields[name]) for name in ("mean", "std"))
    return f"{resize}, centre crop {_size(fields['crop'])}, {fields['interpolation']}\nmean {mean}\nstd {std}"


def _size(size: int | list[int]) -> str:
    return str(size) if isinstance(size, int) else " × ".join(map(str, size))  # noqa: RUF001


def _finished(run: Run, summary: RunSummary) -> str:
    """Time when the last shard was written: the latest modification time of a shard's file."""
    shards = set(range(run.manifest.n_shards)) - set(summary.missing_shards)
    latest = max(shard_path(run.folder, shard).stat().st_mtime for shard in shards)
    return utc_time(datetime.fromtimestamp(latest, UTC))


def _footer(config: dict[str, Any], run: Run, summary: RunSummary) -> str:
    commit = f" · commit {config['git_commit'][:12]}" if config.get("git_commit") else ""
    return f"fingerprint {summary.fingerprint} · shards {summary.sha256[:16]}{commit} · {printable(str(run.folder))}"
