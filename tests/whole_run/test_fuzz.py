"""Damage, options and texts drawn at random: an error of this project's own, or the right result."""

import random
from collections.abc import Iterator
from pathlib import Path

import mutate
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as draw

from pipeline.errors import StoreError, UsageError
from pipeline.system.redaction import redact_text
from tests.conftest import Compose, Prepare

FEW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mutate.make_run(tmp_path_factory.mktemp("hunt"))


@pytest.fixture(scope="module")
def right(run: Path) -> dict[str, str]:
    return dict(mutate.contents(run))


@given(seed=draw.integers(0, 2**32))
@FEW
def test_a_damaged_file_is_refused_or_read_right(run: Path, right: dict[str, str], seed: int) -> None:
    _, before = mutate.mutate(run, random.Random(seed))
    assert mutate.outcome_of(run, right) in mutate.GOOD
    for path, data in before.items():
        path.write_bytes(data)


def test_other_rows_would_be_noticed(run: Path, right: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def other(folder: Path) -> Iterator[tuple[str, str]]:
        yield from {**right, "maps": "others"}.items()

    monkeypatch.setattr(mutate, "contents", other)
    assert mutate.outcome_of(run, right) == "WRONG maps"


VALUES = draw.one_of(
    draw.integers(-3, 5),
    draw.sampled_from(
        [0.5, -1.0, 1e300, "", "x", "null", "true", [], [1], [224, 224], [-1, 0], {"a": 1}, "../x", "é\n"]
    ),
    draw.none(),
    draw.booleans(),
)
KEYS = [
    "batch_size", "data.class_map", "data.classes", "data.labels", "data.limit", "data.max_failed", "data.per_class",
    "data.root", "data.transform.crop", "data.transform.interpolation", "data.transform.mean", "data.transform.resize",
    "data.transform.std", "device", "dtype", "engine.prepare", "internal_batch_size", "method.n_steps",
    "method.quadrature", "method.baselines", "model.factory", "model.weights", "num_workers", "output",
    "seed", "store.channels", "store.checkpoint_seconds", "store.dtype", "store.filter", "store.shard_size", "target",
]  # fmt: skip


@given(options=draw.dictionaries(draw.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
@FEW
def test_any_configuration_is_prepared_or_refused(
    compose: Compose, tiny: list[str], options: dict[str, object], tmp_path: Path
) -> None:
    from pipeline.run.job import prepare_job
    from pipeline.run.options import RunOptions

    config, choices = compose(*tiny, f"output_dir={tmp_path / 'run'}")
    for key, value in options.items():
        *groups, name = key.split(".")
        node = config
        for group in groups:
            node = node[group]
        node[name] = value
    try:
        prepare_job(RunOptions.from_config(config, choices))
    except UsageError as error:
        assert str(error)


@given(
    name=draw.text(min_size=1).filter(lambda text: not set(text) & set("/@ \t\n\r'\"\x0b\x0c") and text.isprintable())
)
@FEW
def test_passwords_in_addresses_go(name: str) -> None:
    for text in (f"s3://user:{name}@host/x", f"weights=https://{name}@h/a.pth", f"https://h/x?sig={name}"):
        if not set(name) & set("&"):
            assert "***" in redact_text(text) and redact_text(text).count(f":{name}@") == 0
    assert redact_text(f"data.root=/a/{name}") == f"data.root=/a/{name}"


def test_written_files_have_no_secrets(
    job: Prepare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: list[str]
) -> None:
    from tests.commands import command

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-of-the-environment")
    secret = "https://me:hunter2@host/tiny.pth?X-Amz-Signature=hunter3"
    result = command(*tiny, f'model.weights="{secret}"', f"output_dir={tmp_path / 'run'}", folder=tmp_path)
    assert result.status == 2
    quoted = f'data.class_map="{secret}"'
    result = command(
        *tiny, "data.labels=false", "method=saliency", quoted, f"output_dir={tmp_path / 'run'}", folder=tmp_path
    )
    assert result.status == 0, result.err
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"hunter" not in data and b"of-the-environment" not in data, path
    assert "https://***@host/tiny.pth?X-Amz-Signature=***" in (tmp_path / "run" / "config.yaml").read_text()


def test_an_untrusted_configuration_runs_no_code(
    tiny: list[str], tmp_path: Path, networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.commands import command

    run = tmp_path / "run"
    assert command(*tiny, "method=saliency", "store.shard_size=4", f"output_dir={run}", folder=tmp_path).status == 0
    (run / "shards/000/0000001.h5").write_bytes(b"damaged")
    (tmp_path / "evil_networks.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom tiny_networks import build\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = run / "config.yaml"
    before = config.read_text()
    config.write_text(before.replace("tiny_networks", "evil_networks"))
    for given_too in ([], tiny):
        result = command("task=verify", "task.repair=true", f"run={run}", *given_too, folder=tmp_path)
        assert result.status == 2 and "names code to run" in result.err
    config.write_text(before.replace("_target_: pipeline.methods.Saliency", "_target_: os.system"))
    result = command("task=verify", "task.repair=true", f"run={run}", *tiny, folder=tmp_path)
    assert result.status == 2 and "_target_=os.system is not in the packaged configuration" in result.err
    assert not (tmp_path / "ran").exists()
    config.write_text(before)
    assert command("task=verify", "task.repair=true", f"run={run}", *tiny, folder=tmp_path).status == 0


@pytest.mark.parametrize(
    "text", ["", "[", "a: b: c", "- 1", "{}", "names: 3", "\x00", "a: &x [*x]", "!!python/object:os"]
)
def test_a_damaged_configuration_is_one_line(tiny: list[str], compose: Compose, tmp_path: Path, text: str) -> None:
    from pipeline.tasks import perform

    run = tmp_path / "run"
    assert perform(*compose(*tiny, "method=saliency", "data.limit=2", f"output_dir={run}")) == 0
    (run / "shards/000/0000000.h5").write_bytes(b"damaged")
    (run / "config.yaml").write_text(text)
    with pytest.raises(StoreError, match=r"config\.yaml"):
        perform(*compose(*tiny, "task=verify", "task.repair=true", f"run={run}"))
