"""The readers that go with an export, beside the toolkit's own."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from seq2seq.data.readers import ReaderConfig, read_file
from seq2seq.errors import UserError
from seq2seq.exported.inputs import Fault, read

SOUND = ReaderConfig("sound", rate=8_000, bands=23, window_seconds=0.032, step_seconds=0.013)


@pytest.mark.parametrize("samples", [200, 255, 256, 1_000, 4_001])
def test_sound_becomes_the_same_frames(samples: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(samples).normal(0, 0.1, samples)
    soundfile.write(tmp_path / "a.wav", noise, SOUND.rate, subtype="PCM_16")
    expected = read_file(SOUND, tmp_path / "a.wav")
    found = read(tmp_path / "a.wav", asdict(SOUND), [None, SOUND.bands])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)  # of logarithms, the smallest of which is -13.8


def test_pictures_become_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (30, 41, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    resized = read_file(ReaderConfig("image"), tmp_path / "a.png").resize((20, 12))
    expected = np.asarray(resized, np.float32).transpose(2, 0, 1) / 255
    np.testing.assert_array_equal(read(tmp_path / "a.png", {"kind": "image"}, [3, 12, 20]), expected)


def test_pictures_of_16_bits_are_the_same_as_of_8(tmp_path: Path) -> None:
    """Pillow alone would cut all values at 255: a white picture."""
    ramp = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48) % 256
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "8.png")
    Image.fromarray(ramp * 257).save(tmp_path / "16.png")
    eight, sixteen = (read(tmp_path / name, {"kind": "image"}, [3, 9, 9]) for name in ("8.png", "16.png"))
    np.testing.assert_array_equal(sixteen, eight)
    eight, sixteen = (np.asarray(read_file(ReaderConfig("image"), tmp_path / name)) for name in ("8.png", "16.png"))
    np.testing.assert_array_equal(sixteen, eight)
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(Fault, match=r"f\.tiff: its pixels are F, of no known range"):
        read(tmp_path / "f.tiff", {"kind": "image"}, [3, 9, 9])
    with pytest.raises(UserError, match=r"f\.tiff: .*its pixels are F, of no known range"):
        read_file(ReaderConfig("image"), tmp_path / "f.tiff")


def test_numbers_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2.5\n\n-3,4e1\n")
    np.save(tmp_path / "a.npy", np.array([4, 5]))
    for name, shape in (("a.csv", [None, 2]), ("a.npy", [None])):
        found = read(tmp_path / name, {"kind": "array"}, shape)
        np.testing.assert_array_equal(found, read_file(ReaderConfig(), tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content", "reader", "shape", "told"),
    [
        ("a.wav", b"no sound", asdict(SOUND), [None, 23], "not a WAV file"),
        ("a.png", b"no picture", {"kind": "image"}, [3, 4, 4], "cannot be read as a picture"),
        ("a.csv", b"1,x\n", {"kind": "array"}, [None, 2], "not a .npy file or a .csv file of numbers"),
        ("a.npy", b"1,x\n", {"kind": "array"}, [None, 2], "not a .npy file or a .csv file of numbers"),
        ("a.csv", b"1,nan\n", {"kind": "array"}, [None, 2], "numbers that are not finite"),
        ("a.csv", b"1,2,3\n", {"kind": "array"}, [None, 2], r"reads numbers \[S, 2\], not \[1, 3\]"),
        ("a.csv", b"", {"kind": "array"}, [None, 2], "reads numbers"),
    ],
)
def test_what_cannot_be_read_is_named(name, content, reader, shape, told, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Fault, match=f"{name}.*{told}"):
        read(tmp_path / name, reader, shape)


def test_sound_that_ends_too_early_is_named_with_the_reason(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "whole.wav", np.zeros(900), SOUND.rate, subtype="PCM_16")
    whole = (tmp_path / "whole.wav").read_bytes()
    for size in range(44):  # the length of a header
        (tmp_path / "a.wav").write_bytes(whole[:size])
        with pytest.raises(Fault, match=r"a\.wav: not a WAV file \(\S.*\)"):
            read(tmp_path / "a.wav", asdict(SOUND), [None, SOUND.bands])
    (tmp_path / "a.wav").write_bytes(whole[:100])
    with pytest.raises(Fault, match=r"a\.wav: is cut off after 28 of 900 samples; replace it"):
        read(tmp_path / "a.wav", asdict(SOUND), [None, SOUND.bands])
    soundfile.write(tmp_path / "a.wav", np.zeros(28), SOUND.rate, subtype="PCM_16")
    with pytest.raises(Fault, match=r"a\.wav: too short for a recording; a frame alone has 256 samples"):
        read(tmp_path / "a.wav", asdict(SOUND), [None, SOUND.bands])


def test_ids_are_whole_numbers_of_the_models(tmp_path: Path) -> None:
    for content, fits in (("4\n0\n", True), ("4.5\n", False), ("9\n", False), ("-1\n", False), ("nan\n", False)):
        (tmp_path / "a.csv").write_text(content)
        if fits:
            assert read(tmp_path / "a.csv", {"kind": "array", "ids": 9}, [None]).tolist() == [4, 0]
            continue
        with pytest.raises(
            Fault,
            match=r"a\.csv: (ids are whole numbers from 0 to 8|the model reads numbers|holds numbers that are not)",
        ):
            read(tmp_path / "a.csv", {"kind": "array", "ids": 9}, [None])


def test_damaged_and_huge_files_are_faults(tmp_path: Path) -> None:
    np.savez(tmp_path / "a", np.zeros(3))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    (tmp_path / "a.csv").write_text("1" * 200_000 + "\n")
    Image.new("1", (6_000, 6_000)).save(tmp_path / "a.png")
    for name, kind, shape in (("a.npy", "array", [None]), ("a.csv", "array", [None]), ("a.png", "image", [3, 4, 4])):
        with pytest.raises(Fault, match=name):
            read(tmp_path / name, {"kind": kind}, shape)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (8_000, 2)])
def test_other_recordings_are_to_be_converted(rate: int, channels: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((900, channels)), rate, subtype="PCM_16")
    with pytest.raises(Fault, match="convert it to one channel of 16 bits with 8000 samples per second"):
        read(tmp_path / "a.wav", asdict(SOUND), [None, 23])


def test_complex_numbers_are_refused_here_and_there(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((5, 1)) * 1j)
    with pytest.raises(Fault, match=r"a\.npy: holds complex numbers"):
        read(tmp_path / "a.npy", {"kind": "array"}, [None, 1])
    with pytest.raises(UserError, match=r"a\.npy: holds complex numbers"):
        read_file(ReaderConfig(), tmp_path / "a.npy")
