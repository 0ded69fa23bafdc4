import pytest

from pipeline.system.redaction import redact, redact_text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("s3://user:password@bucket/folder", "s3://***@bucket/folder"),
        ("data.root=https://token@host/x?size=3", "data.root=https://***@host/x?size=3"),
        ("https://host/x?size=3&api_key=abc&n=1", "https://host/x?size=3&api_key=***&n=1"),
        ("https://host/x?X-Amz-Signature=0f9", "https://host/x?X-Amz-Signature=***"),
        ("s3://bucket/monkey.png", "s3://bucket/monkey.png"),
        ("mail user@host", "mail user@host"),
    ],
)
def test_secrets_in_addresses_are_replaced(text: str, redacted: str) -> None:
    assert redact_text(text) == redacted


def test_plain_data_is_redacted_at_any_depth() -> None:
    data = {"a": ["s3://u:p@b", {"b": "s3://u:p@b"}], "n": 3, "none": None}
    assert redact(data) == {"a": ["s3://***@b", {"b": "s3://***@b"}], "n": 3, "none": None}
