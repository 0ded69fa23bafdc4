"""The command line: composes the configuration with Hydra, checks it, and performs the task."""

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
    """Runs the command line; in a sweep, the first exit status above 0 of its runs is the sweep's."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors are raised to here, not printed by Hydra
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)  # for this package; others log warnings
    arguments = sys.argv[1:]
    statuses: list[int] = []
    try:
        check_arguments(arguments)
        _register_torchvision()
        with _sweep_folder(arguments) as sweep:
            _application(statuses)()
            statuses += _statuses(sweep)
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_refuse(_one_line(error, arguments)))
    except UsageError as error:
        sys.exit(_refuse(str(error)))
    except KeyboardInterrupt:  # before a task installed its signal handlers
        sys.exit(130)
    sys.exit(next((status for status in statuses if status), 0))


def _application(statuses: list[int]):  # type: ignore[no-untyped-def] # Hydra's decorator has no type
    """Function that Hydra calls, once or for each run of a sweep."""

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
    def application(config: DictConfig) -> None:
        status = _perform(config)
        hydra_config = HydraConfig.get()
        if hydra_config.mode == RunMode.MULTIRUN:  # a launcher may run this in another process, or on another machine
            (Path(hydra_config.sweep.dir) / f"{hydra_config.job.num}{STATUS}").write_text(str(status))
        else:
            statuses.append(status)

    return application


def _statuses(sweep: Path) -> list[int]:
    """Exit statuses of a sweep's runs, in order."""
    files = sorted(sweep.glob(f"*{STATUS}"), key=lambda file: int(file.stem))
    return [int(file.read_text()) for file in files]


def _perform(config: DictConfig) -> int:
    """Performs the task, and turns errors of the user and signals into exit statuses."""
    from pipeline.tasks import perform  # imports PyTorch and everything else: only once the arguments are checked

    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        assert isinstance(plain, dict)
        return perform({str(key): value for key, value in plain.items()}, dict(HydraConfig.get().runtime.choices))
    except UsageError as error:
        return _refuse(str(error))
    except OmegaConfBaseException as error:
        return _refuse(_one_line(error, []))
    except StoreError as error:
        log.error(f"pipeline: {error}")
        return STORE_REFUSES
    except Stopped as stopped:
        log.info(f"pipeline: {stopped}; finished rows are saved; the same command resumes")
        sys.exit(stopped.status)  # ends a sweep too: its other runs do not start


def _refuse(message: str) -> int:
    log.error(f"pipeline: {message}")
    return WRONG_ARGUMENTS


def _register_torchvision() -> None:
    """Registers ``model=NAME`` for every classifier of torchvision, beside the files in ``conf/model``."""
    template = OmegaConf.load(conf_folder() / "model" / "torchvision.yaml")
    for name in torchvision_models.names():
        node = OmegaConf.merge(template, {"name": name})
        ConfigStore.instance().store(group="model", name=name, node=node, provider="torchvision")


@contextmanager
def _sweep_folder(arguments: list[str]) -> Iterator[Path]:
    """Temporary folder for the files of a sweep by Hydra and its launchers; all others are in the folders of the runs.

    With Slurm as launcher it is in ``outputs``, since other machines must see it.
    """
    shared = "hydra/launcher=submitit_slurm" in arguments
    if shared:
        Path("outputs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sweep-", dir=Path("outputs").absolute() if shared else None) as folder:
        if {"-m", "--multirun"} & set(arguments):
            sys.argv.append(f"hydra.sweep.dir={folder}")
        yield Path(folder)


def _one_line(error: Exception, arguments: list[str]) -> str:
    """One line for the user, from Hydra's several lines for programmers."""
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
        if line := unknown_option(one, _known_options(one)):
            return line
    return " ".join(str(error).split())


def _known_options(overrides: list[str]) -> set[str]:
    """Names of the options that exist with the chosen groups."""
    groups = {folder.name for folder in conf_folder().iterdir() if folder.is_dir()}
    chosen = [override for override in overrides if override.partition("=")[0] in groups]
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            composed = hydra.compose("config", overrides=chosen)
        except HydraException:  # the choice itself is unknown, and reported elsewhere
            return {override.partition("=")[0] for override in overrides}
    options = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(options, dict)
    return groups | set(flatten({str(key): value for key, value in options.items()}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
