"""The command line: composes the configuration, checks it and hands it over."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from pipeline.errors import StoreError, UsageError
from pipeline.models import torchvision_models
from pipeline.system.configuration import check_arguments, conf_folder, flatten, nearest, unknown_option
from pipeline.system.signals import Stopped

log = logging.getLogger("pipeline")

WRONG_ARGUMENTS, STORE_REFUSES = 2, 4
STATUS = ".status"


def main() -> None:
    """Runs the command line; the exit status is 0 only if every job's is."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here, not to Hydra's own printing
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)  # of this package; of others, warnings
    arguments = sys.argv[1:]
    statuses: list[int] = []
    try:
        check_arguments(arguments)
        _register_torchvision()
        with _sweep_folder(arguments) as sweep:
            _application(statuses)()
            statuses += _statuses(sweep)
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_refuse(_in_words(error, arguments)))
    except UsageError as error:
        sys.exit(_refuse(str(error)))
    except KeyboardInterrupt:  # before a job began and took the signals over
        sys.exit(130)
    sys.exit(next((status for status in statuses if status), 0))


def _application(statuses: list[int]):  # type: ignore[no-untyped-def] # the type is Hydra's own affair
    """The function that Hydra runs, once or for each job of a sweep."""

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
    def application(config: DictConfig) -> None:
        status = _job(config)
        of_hydra = HydraConfig.get()
        if of_hydra.mode == RunMode.MULTIRUN:  # perhaps in another process, or on another machine
            (Path(of_hydra.sweep.dir) / f"{of_hydra.job.num}{STATUS}").write_text(str(status))
        else:
            statuses.append(status)

    return application


def _statuses(sweep: Path) -> list[int]:
    """Exit statuses of a sweep's jobs, in their order."""
    files = sorted(sweep.glob(f"*{STATUS}"), key=lambda file: int(file.stem))
    return [int(file.read_text()) for file in files]


def _job(config: DictConfig) -> int:
    from pipeline.tasks import perform  # after the arguments were checked: it imports everything

    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        assert isinstance(plain, dict)
        return perform({str(key): value for key, value in plain.items()}, dict(HydraConfig.get().runtime.choices))
    except UsageError as error:
        return _refuse(str(error))
    except OmegaConfBaseException as error:
        return _refuse(_in_words(error, []))
    except StoreError as error:
        log.error(f"pipeline: {error}")
        return STORE_REFUSES
    except Stopped as stopped:
        log.info(f"pipeline: {stopped}; finished work is saved, the same command goes on")
        sys.exit(stopped.status)  # of a sweep too: its other jobs do not begin


def _refuse(message: str) -> int:
    log.error(f"pipeline: {message}")
    return WRONG_ARGUMENTS


def _register_torchvision() -> None:
    """``model=NAME`` for every classifier of torchvision, beside the files in ``conf/model``."""
    template = OmegaConf.load(conf_folder() / "model" / "torchvision.yaml")
    for name in torchvision_models.names():
        node = OmegaConf.merge(template, {"name": name})
        ConfigStore.instance().store(group="model", name=name, node=node, provider="torchvision")


@contextmanager
def _sweep_folder(arguments: list[str]) -> Iterator[Path]:
    """Somewhere for what Hydra, its launchers and the jobs of a sweep write of it; a run's own folder has the rest.

    Other machines must see it too where Slurm runs the jobs: there it is in ``outputs``.
    """
    elsewhere = "hydra/launcher=submitit_slurm" in arguments
    if elsewhere:
        Path("outputs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sweep-", dir=Path("outputs").absolute() if elsewhere else None) as folder:
        if {"-m", "--multirun"} & set(arguments):
            sys.argv.append(f"hydra.sweep.dir={folder}")
        yield Path(folder)


def _in_words(error: Exception, arguments: list[str]) -> str:
    """One line for the user, from Hydra's several for programmers."""
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} must be given: {error.full_key}=..."
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name}: no such choice{nearest(name, error.options)}"
    overrides = [argument for argument in arguments if "=" in argument]
    for override in overrides:
        try:
            OverridesParser.create().parse_override(override)
        except HydraException:
            key, _, value = override.partition("=")
            return f"cannot read {override}: quote the value, '{key}=\"{value}\"'"
    for method in dict(argument.split("=", 1) for argument in overrides).get("method", "ig").split(","):
        one = [*(override for override in overrides if not override.startswith("method=")), f"method={method}"]
        if line := unknown_option(one, _known(one)):
            return line
    return " ".join(str(error).split())


def _known(overrides: list[str]) -> set[str]:
    """Names of the options that exist for the chosen groups."""
    groups = {folder.name for folder in conf_folder().iterdir() if folder.is_dir()}
    chosen = [override for override in overrides if override.partition("=")[0] in groups]
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            composed = hydra.compose("config", overrides=chosen)
        except HydraException:  # the group's choice is what is wrong
            return {override.partition("=")[0] for override in overrides}
    options = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(options, dict)
    return groups | set(flatten({str(key): value for key, value in options.items()}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
