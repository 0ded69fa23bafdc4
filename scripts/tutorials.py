"""The pictures of docs/tutorials.md: runs its Python blocks unchanged, one after the other.

python scripts/tutorials.py docs/tutorials
"""

import argparse
import os
import re
import tempfile
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "tutorials.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target.resolve()
    source = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        exec(compile(source, str(PAGE), "exec"), {})
        target.mkdir(parents=True, exist_ok=True)
        for picture in sorted(Path(folder).glob("*.jpg")):
            (target / picture.name).write_bytes(picture.read_bytes())
            print(f"{picture.stat().st_size // 1000} kB {target / picture.name}")


if __name__ == "__main__":
    main()
