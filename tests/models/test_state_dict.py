import pytest
import torch

from pipeline.errors import UsageError
from pipeline.models.state_dict import find_state_dict

ONE, TWO = ({"conv.weight": torch.full((1,), value)} for value in (1.0, 2.0))


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": ONE, "model": TWO},
        {"model": TWO, "state_dict": ONE},
        {"metrics": {"accuracy": torch.ones(())}, "model": ONE},
        {"model": ONE, "optimizer": {"state": {0: {"step": torch.ones(())}}, "model": TWO["conv.weight"]}},
        {"ema": TWO, "model": ONE, "step": torch.ones(())},
        {"epoch": 3, "model": {"state_dict": ONE, "ema": TWO}},
    ],
)
def test_a_known_key_comes_before_others_and_plain_before_ema(content):
    assert find_state_dict(content, "w") is ONE


def test_a_layer_named_ema_belongs_to_the_network():
    content = ONE | {"ema.gate.weight": torch.ones(1), "ema.conv1x1.weight": torch.ones(1)}
    assert find_state_dict(content, "w") == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "its keys are none"),
        (3, "it has a int"),
        ({"epoch": 3, "optimizer": {"state": {}}}, "its keys are epoch, optimizer; expected tensors by name"),
        (ONE | {"epoch": 3}, r"other values, epoch \(int\)"),
        ({"teacher": ONE, "student": TWO}, "several state dicts, teacher, student"),
    ],
)
def test_a_content_without_one_state_dict_is_refused(content, message):
    with pytest.raises(UsageError, match=message):
        find_state_dict(content, "w")
