"""What a run writes down of a command line: without the passwords in its addresses."""

import re
from typing import Any

SECRET = re.compile(
    r"(?P<scheme>\b\w[\w+.-]*://)[^\s/@'\"]+(?=@)"  # scheme://user:password@host
    r"|(?P<key>[?&][\w.-]*(?:token|key|secret|sig|signature|password|credential)[\w.-]*=)[^\s&'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """The text, with *** for user names, passwords and keys in the addresses that it holds."""
    return SECRET.sub(r"\g<scheme>\g<key>***", text)


def redacted(value: Any) -> Any:
    """The same of every text in plain data."""
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value
