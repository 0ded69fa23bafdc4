"""The wheel holds all that a run needs: built, installed without this checkout, run from another folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path, folder: Path, python_path: Path | None = None) -> str:
    """Standard output of a program; fails with all of its output."""
    environment = os.environ | {"PYTHONPATH": str(python_path or ""), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    result = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, f"{arguments}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel; its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("site")
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel),
        folder=folder,
    )
    return folder


def test_every_file_of_the_package_travels(wheel: Path) -> None:
    sources = [*(ROOT / "pipeline").rglob("*"), *(ROOT / "conf").rglob("*")]
    files = {path.relative_to(ROOT) for path in sources if path.is_file() and path.suffix != ".pyc"}
    expected = {str("pipeline" / path if path.parts[0] == "conf" else path) for path in files}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected
    not_python = {
        "pipeline/conf/config.yaml",
        "pipeline/data/imagenet_wordnet_ids.txt",
        "pipeline/report/page.html.jinja",
        "pipeline/audit/page/index.html.jinja",
        "pipeline/audit/page/style.css",
        "pipeline/audit/page/main.js",
    }
    assert not_python <= found


def test_the_licence_travels(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


@pytest.mark.slow
def test_the_installed_package_runs_from_another_folder(site: Path, tmp_path: Path) -> None:
    where = run(sys.executable, "-c", "import pipeline; print(pipeline.__file__)", folder=tmp_path, python_path=site)
    assert where.strip() == str(site / "pipeline" / "__init__.py")
    composed = run(sys.executable, "-m", "pipeline", "--cfg", "job", folder=tmp_path, python_path=site)
    assert "_target_: pipeline.methods.IntegratedGradients" in composed
    command = site / "bin" / "image-attribution-pipeline"
    run(sys.executable, command, "method=saliency", "data.limit=1", folder=tmp_path, python_path=site)
    (report,) = tmp_path.glob("outputs/*/report/index.html")
    assert report.stat().st_size > 0
