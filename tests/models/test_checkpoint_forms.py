import logging
import re
import warnings
from pathlib import Path

import pytest
import torch

from pipeline.errors import UsageError
from pipeline.models.weights import load_weights, read_weights, weights_sha256
from tests.models.checkpoint_forms import EMA_READ, READ, REFUSED, network

RECIPES = Path(__file__).parents[2] / "docs" / "recipes.md"


def loaded(path: Path, **options) -> torch.nn.Module:
    other = network(seed=9)
    load_weights(other, read_weights(path, **options), source=path)
    return other


@pytest.mark.parametrize("form", READ)
def test_the_weights_of_a_form_are_read(tmp_path, form):
    if "timm" in form:
        pytest.importorskip("timm")
    own = network()
    images = torch.rand(2, 3, 8, 8)
    tolerance = 1e-3 if "half" in form else 0
    path = READ[form](tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = loaded(path)
    torch.testing.assert_close(read(images), own(images), rtol=tolerance, atol=tolerance)
    assert next(read.parameters()).dtype == torch.float32


@pytest.mark.parametrize("form", EMA_READ)
def test_of_weights_and_their_average_the_chosen_ones_are_read_and_logged(tmp_path, form, caplog):
    if "timm" in form:
        pytest.importorskip("timm")
    path = EMA_READ[form](tmp_path)
    plain, average = weights_sha256(network()), weights_sha256(network(1))
    caplog.set_level(logging.INFO)
    expected = {"plain": plain, "ema": average, None: plain}
    for state, sha256 in expected.items():
        caplog.clear()
        assert weights_sha256(loaded(path, state=state)) == sha256
        assert f"({state or 'plain'} weights)" in caplog.text and "model.state chooses" in caplog.text
    assert weights_sha256(loaded(path, ema_first=True)) == average


def test_only_averages_are_read_without_a_choice_and_an_absent_state_is_refused(tmp_path):
    torch.save({"state_dict_ema": network(1).state_dict()}, tmp_path / "ema.pth")
    torch.save(network().state_dict(), tmp_path / "plain.pth")
    assert weights_sha256(loaded(tmp_path / "ema.pth")) == weights_sha256(network(1))
    with pytest.raises(UsageError, match=r"has no plain weights \(it has state_dict_ema\): leave model\.state=null"):
        loaded(tmp_path / "ema.pth", state="plain")
    with pytest.raises(UsageError, match=r"has no ema weights \(it has the state dict alone\)"):
        loaded(tmp_path / "plain.pth", state="ema")
    with pytest.raises(UsageError, match=r"model\.state=both: expected null or one of plain, ema"):
        loaded(tmp_path / "plain.pth", state="both")


@pytest.mark.parametrize("form", REFUSED)
def test_a_refused_form_is_named_in_one_line(tmp_path, form):
    write, message = REFUSED[form]
    path = write(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UsageError, match=message) as refusal:
            loaded(path)
    assert "\n" not in str(refusal.value) and str(path) in str(refusal.value)
    assert "damaged" not in str(refusal.value)


def test_the_documentation_lists_the_same_forms():
    section = RECIPES.read_text().partition("### Checkpoints")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (.+?) \| (read|refused)", section, re.MULTILINE))
    expected = dict.fromkeys([*READ, *EMA_READ], "read") | dict.fromkeys(REFUSED, "refused")
    assert rows == expected
