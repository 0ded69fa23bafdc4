import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.decode import UnreadableImage
from pipeline.data.fetch import fetch_image
from pipeline.data.find_images import find_labels
from pipeline.data.image_index import sample
from pipeline.data.webdataset import index_archives
from pipeline.errors import UsageError
from tests.data.options import data_options

DATA = data_options()


def picture(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4 + shade, 4), (shade, shade, shade)).save(stream, "png")
    return stream.getvalue()


def write_tar(path: Path, members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_images_are_read_in_place(tmp_path: Path, form: int) -> None:
    long = f"./deep/{'n' * 80}/3.png"
    write_tar(
        tmp_path / "b.tar", {"1.png": picture(1), "1.cls": b"7\n", "x.txt": b"?", "2.PNG": picture(2), "2.cls": b"0"}
    )
    write_tar(tmp_path / "sub/a.tar", {long: picture(3), long.replace(".png", ".json"): b'{"label": 4, "n": 1}'}, form)
    index = index_archives(str(tmp_path))
    assert list(index.paths) == [b"b.tar/1.png", b"b.tar/2.PNG", f"sub/a.tar/{long[2:]}".encode()]
    assert find_labels(index, DATA, 8).tolist() == [7, 0, 4]
    assert index.archive is not None and index.archive.tolist() == [0, 0, 1]
    images = [fetch_image(bytes(tmp_path), index.paths.location(number)) for number in range(3)]
    assert [image.width for image in images] == [5, 6, 7]


def test_a_sample_keeps_archives_and_byte_ranges(tmp_path: Path) -> None:
    for name in "abc":
        write_tar(tmp_path / f"{name}.tar", {f"{n}.{end}": picture(n) if end == "png" else b"cat" for n in range(3)
                                        for end in ("png", "cls")})  # fmt: skip
    index = sample(index_archives(str(tmp_path)), limit=4)
    assert list(index.paths) == [b"a.tar/0.png", b"a.tar/2.png", b"b.tar/1.png", b"c.tar/0.png"]
    assert index.archive is not None and index.archive.tolist() == [0, 0, 1, 2]
    assert [fetch_image(bytes(tmp_path), index.paths.location(number)).width for number in range(4)] == [4, 6, 5, 4]
    assert index.folders == ["cat"]


def test_without_labels(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.png": picture(1)})
    with pytest.raises(UsageError, match=r"a\.tar/1\.png has no label"):
        index_archives(str(tmp_path))
    index = index_archives(str(tmp_path), labels=False)
    assert (index.folder.tolist(), index.folders) == ([-1], [])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:2000], "unexpected end of data"),
        (lambda data: data[:1024] + b"?" * 512 + data[1536:], "no header at byte"),
        (lambda data: b"", "empty file"),
        (lambda data: b"\x1f\x8b" + data, "bad checksum"),
    ],
)
def test_a_damaged_archive_is_named(tmp_path: Path, damage, message: str) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.png": picture(1), "1.cls": b"0", "2.png": picture(2), "2.cls": b"1"})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=rf"'a\.tar' cannot be read: .*({message})"):
        index_archives(str(tmp_path))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"readme.txt": b"?"}, "no images in its 1 archives"),
        ({"../1.png": b"?", "../1.cls": b"0"}, "leads out of it"),
        ({"1.png": b"?", "1.json": b"{"}, r"a\.tar/1\.json is not JSON"),
        ({"1.png": b"?", "1.json": b'{"class": 1}'}, "has no label"),
    ],
)
def test_an_invalid_member_is_named(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    write_tar(tmp_path / "a.tar", members)
    with pytest.raises(UsageError, match=message):
        index_archives(str(tmp_path))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"22.05.png": b"?", "22.05.cls": b"0", "22.06.png": b"?", "22.06.cls": b"1"}, r"'22\.05\.png'.*'22\.06\.png'"),
        ({"I_1.0_a.png": b"?", "I_1.0_b.png": b"?"}, r"'I_1\.0_a\.png'.*'I_1\.0_b\.png'.*up to the first dot"),
        ({"1.png": b"?", "1.cls": b"3", "1.json": b'{"label": 4}'}, r"'1\.cls'.*'1\.json'.*differ, '3' and '4'"),
        ({"1.png": b"?", "1.cls": b"3", "1.CLS": b"3"}, r"'1\.cls'.*'1\.CLS'.*both \.cls"),
        ({"1.png": b"?", "./1.png": b"?"}, r"'1\.png' \(byte 0\) and '1\.png' \(byte 1024\)"),
    ],
)
def test_members_that_compete_are_refused(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    write_tar(tmp_path / "a.tar", members)
    with pytest.raises(UsageError, match=message):
        index_archives(str(tmp_path))


def test_concatenated_archives_are_refused(tmp_path: Path) -> None:
    parts = [write_tar(tmp_path / f"{n}.tar", {f"{n}.png": picture(n), f"{n}.cls": b"0"}) for n in range(2)]
    (tmp_path / "0.tar").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(UsageError, match=r"'0\.tar' cannot be read: more follows its end at byte 2048.*concatenated"):
        index_archives(str(tmp_path))


def test_a_segmentation_beside_an_image_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write_tar(tmp_path / "a.tar", {"a.seg.png": picture(1), "a.png": picture(2), "a.cls": b"1", "b.HEIC": b"?"})
    assert list(index_archives(str(tmp_path)).paths) == [b"a.tar/a.png"]
    assert "1 images named beside that of their sample" in caplog.text and "left out (1 .heic)" in caplog.text


def write_links(path: Path, links: dict[str, tuple[bytes, str]]) -> None:
    """Archive of ``x/0.png``, ``x/0.cls`` and links of a type to a name."""
    with tarfile.open(path, "w") as archive:
        for name, content in {"x/0.png": picture(3), "x/0.cls": b"7"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, (kind, target) in links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            archive.addfile(link)


def test_links_are_read_as_the_files_that_they_lead_to(tmp_path: Path) -> None:
    hard, soft = tarfile.LNKTYPE, tarfile.SYMTYPE
    links = {"x/1.png": (hard, "x/0.png"), "x/1.cls": (hard, "x/0.cls")}
    links |= {"y/2.png": (soft, "../x/1.png"), "y/2.cls": (soft, "../x/1.cls")}
    links |= {"y/3.png": (soft, "../x/0.png"), "y/3.cls": (hard, "./x/1.cls")}
    write_links(tmp_path / "a.tar", links)
    index = index_archives(str(tmp_path))
    assert list(index.paths) == [b"a.tar/x/0.png", b"a.tar/x/1.png", b"a.tar/y/2.png", b"a.tar/y/3.png"]
    assert find_labels(index, DATA, 8).tolist() == [7] * 4
    assert {fetch_image(bytes(tmp_path), index.paths.location(n)).width for n in range(4)} == {7}


def test_a_link_out_of_the_archive_is_refused(tmp_path: Path) -> None:
    write_links(tmp_path / "a.tar", {"x/1.png": (tarfile.LNKTYPE, "../gone.png")})
    with pytest.raises(UsageError, match=r"'x/1\.png' is a link to '\.\./gone\.png', which is no file of the archive"):
        index_archives(str(tmp_path), labels=False)


def test_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").touch()
    with pytest.raises(UsageError, match=r"no \.tar below it"):
        index_archives(str(tmp_path))


def test_an_archive_removed_or_truncated_later_makes_its_images_unreadable(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.png": picture(1), "2.png": np.random.default_rng(0).bytes(9000)})
    index = index_archives(str(tmp_path), labels=False)
    with pytest.raises(UnreadableImage, match="no image of a known format"):
        fetch_image(bytes(tmp_path), index.paths.location(1))
    path.write_bytes(path.read_bytes()[:2100])
    assert fetch_image(bytes(tmp_path), index.paths.location(0)).width == 5
    with pytest.raises(UnreadableImage, match="the archive ends within it"):
        fetch_image(bytes(tmp_path), index.paths.location(1))
    path.unlink()
    with pytest.raises(UnreadableImage, match="No such file"):
        fetch_image(bytes(tmp_path), index.paths.location(0))
