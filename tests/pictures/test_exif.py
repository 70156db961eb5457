"""What EXIF says about a photo, and what of it is left out because no index accepts it."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from PIL import Image

from sorce.mappings import Photo, PhotoFile
from sorce.pictures.exif import camera, taken_at

NOON = "2024:12:31 12:00:00"


def photo(taken: str = NOON, zone: str | None = None, **makers: str) -> Image.Image:
    image = Image.new("RGB", (4, 4))
    exif = image.getexif()
    exif.get_ifd(0x8769)[0x9003] = taken
    if zone is not None:
        exif.get_ifd(0x8769)[0x9011] = zone
    exif.update({{"maker": 0x010F, "model": 0x0110}[name]: text for name, text in makers.items()})
    return image


@pytest.mark.parametrize("zone", ["+14:00", "-12:00", "+05:45", "+00:00"])
def test_a_zone_that_there_is_on_earth_is_kept(zone: str) -> None:
    assert taken_at(photo(zone=zone)) == datetime.fromisoformat(f"2024-12-31T12:00:00{zone}")


@pytest.mark.fault("6.4.1")
@pytest.mark.fault("6.4.2")
@pytest.mark.parametrize("zone", ["+19:00", "-23:59", "+14:01", "-12:01", "+02:00:30", "+02:00:00.5", "west", "   :  "])
def test_a_zone_that_there_is_not_costs_itself_and_not_the_date(zone: str) -> None:
    assert taken_at(photo(zone=zone)) == datetime(2024, 12, 31, 12)


@pytest.mark.fault("6.s.41")
@pytest.mark.parametrize(
    "taken", ["2024-12-31 12:00:00", "2024-12-31T12:00:00", "2024/12/31 12:00:00", "2024:12:31  12:00:00.52"]
)
def test_a_date_that_another_program_wrote_is_read(taken: str) -> None:
    assert taken_at(photo(taken)) == datetime(2024, 12, 31, 12)
    assert taken_at(photo(f"{taken}+01:00", "+09:00")) == datetime.fromisoformat("2024-12-31T12:00:00+01:00")
    assert taken_at(photo(f"{taken}Z")) == datetime.fromisoformat("2024-12-31T12:00:00+00:00")


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "2024:13:01 12:00:00", "2024:12:31 12:00:62", "today"])
def test_a_date_that_makes_no_sense_is_none(taken: str) -> None:
    assert taken_at(photo(taken, "+01:00")) is None


@pytest.mark.fault("6.5.1")
@pytest.mark.parametrize(
    ("taken", "zone", "day"),
    [
        ("2024:12:31 22:00:00", "-05:00", date(2024, 12, 31)),
        ("2025:01:01 03:00:00", "+09:00", date(2025, 1, 1)),
        ("2024:12:31 23:59:59", None, date(2024, 12, 31)),
    ],
)
def test_the_day_of_a_photo_is_its_local_one(taken: str, zone: str | None, day: date) -> None:
    file = PhotoFile("id", "a.jpg", "a.jpg", ".", "hash", 1)
    assert Photo(file, 4, 4, taken_at=taken_at(photo(taken, zone))).taken_on == day


@pytest.mark.fault("6.s.24")
def test_the_name_of_a_camera_holds_nothing_that_moves_a_terminal() -> None:
    assert camera(photo(maker="Evil\x1b[2J", model="A\n1\u202e")) == "Evil [2J A 1"
