"""Redaction: passwords and keys in addresses are replaced by *** before a command line is written to a file."""

import re
from typing import Any

SECRET = re.compile(
    r"(?P<scheme>\b\w[\w+.-]*://)[^\s/@'\"]+(?=@)"  # scheme://user:password@host
    r"|(?P<key>[?&][\w.-]*(?:token|key|secret|sig|signature|password|credential)[\w.-]*=)[^\s&'\"]+",
    re.IGNORECASE,
)


def redact_text(text: str) -> str:
    """Return the text with *** for user names, passwords and keys in the addresses in it."""
    return SECRET.sub(r"\g<scheme>\g<key>***", text)  # a group that did not match is empty


def redact(value: Any) -> Any:
    """Redact every text in plain data: dictionaries, lists, texts; other values are returned unchanged."""
    if isinstance(value, dict):
        return {key: redact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redact(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value
