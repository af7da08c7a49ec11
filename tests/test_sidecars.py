"""XMP sidecars: read as others write them, and changed without losing a word of theirs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facecli.albums.sidecars import (
    Area,
    Region,
    area_overlap,
    merged,
    read_regions,
    started,
    stored_area,
    tagged,
)
from facecli.albums.sidecars.packet import NAMESPACES
from facecli.errors import FacecliError

ADA, BOB = Region("Ada", (0.25, 0.5, 0.1, 0.2)), Region("Bob", (0.75, 0.5, 0.1, 0.2))
SIZE = (4000, 3000)

OTHERS = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<!-- kept -->
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Another program">
 <r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <r:Description r:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"
    xmlns:d="http://purl.org/dc/elements/1.1/"
    xmlns:w="http://www.metadataworkinggroup.com/schemas/regions/"
    xmlns:a="http://ns.adobe.com/xmp/sType/Area#">
   <d:title><r:Alt><r:li xml:lang="x-default">At &lt;sea&gt; &amp; land</r:li></r:Alt></d:title>
   <d:subject><r:Bag><r:li>holiday</r:li></r:Bag></d:subject>
   <w:Regions r:parseType="Resource">
    <w:RegionList><r:Bag>
     <r:li><r:Description w:Name="Eve" w:Type="Face">
       <w:Area a:x="0.5" a:y="0.2" a:w="0.1" a:h="0.2" a:unit="normalized"/>
     </r:Description></r:li>
     <r:li r:parseType="Resource"><w:Type>Face</w:Type>
       <w:Area r:parseType="Resource"><a:x>.25</a:x><a:y>.5</a:y><a:w>.1</a:w><a:h>.2</a:h></w:Area>
     </r:li>
     <r:li r:parseType="Resource"><w:Type>Focus</w:Type><w:Name>Focus point</w:Name>
       <w:Area r:parseType="Resource"><a:x>.1</a:x><a:y>.1</a:y><a:w>.1</a:w><a:h>.1</a:h></w:Area>
     </r:li>
    </r:Bag></w:RegionList>
   </w:Regions>
  </r:Description>
 </r:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def put(data: bytes | None, *regions: Region) -> bytes:
    """Return a sidecar with regions in it, which then says all of them already."""
    made = merged(data, regions, SIZE) or data
    assert made is not None
    assert merged(made, regions, SIZE) is None
    return made


def texts(data: bytes, property_: str) -> list[str | None]:
    """Return a list property by an independent parser."""
    items = ET.fromstring(data).findall(f".//{property_}/*/rdf:li", NAMESPACES)
    return [item.text for item in items]


def names(data: bytes) -> dict[str, Area]:
    return {one.name: one.area for one in read_regions(data)}


def test_a_new_sidecar_says_it_in_every_way_that_programs_read() -> None:
    data = put(None, ADA, BOB)
    assert read_regions(data) == [replace(one, ours=True) for one in (ADA, BOB)]
    assert texts(data, "dc:subject") == ["Ada", "Bob"]
    assert texts(data, "digiKam:TagsList") == ["People/Ada", "People/Bob"]
    assert texts(data, "Iptc4xmpExt:PersonInImage") == ["Ada", "Bob"]
    root = ET.fromstring(data)
    regions = "rdf:RDF/rdf:Description/mwg-rs:Regions"
    for path, expected in (
        ("mwg-rs:AppliedToDimensions/stDim:w", "4000"),
        ("mwg-rs:AppliedToDimensions/stDim:unit", "pixel"),
        ("mwg-rs:RegionList/rdf:Bag/rdf:li/mwg-rs:Type", "Face"),
        ("mwg-rs:RegionList/rdf:Bag/rdf:li/mwg-rs:Area/stArea:x", "0.250000"),
        ("mwg-rs:RegionList/rdf:Bag/rdf:li/mwg-rs:Area/stArea:unit", "normalized"),
    ):
        assert root.findtext(f"{regions}/{path}", namespaces=NAMESPACES) == expected


def test_regions_are_read_in_either_way_of_writing_and_only_faces() -> None:
    assert names(OTHERS.encode()) == {"Eve": (0.5, 0.2, 0.1, 0.2)}


def test_what_others_wrote_stays_word_by_word() -> None:
    """Names go where there was none; a rating, a title, a comment and the layout stay."""
    data = put(OTHERS.encode(), ADA, BOB)
    assert names(data) == {"Eve": (0.5, 0.2, 0.1, 0.2), "Ada": ADA.area, "Bob": BOB.area}
    assert texts(data, "dc:subject") == ["holiday", "Ada", "Bob"]
    text = data.decode()
    for kept in ("<!-- kept -->", 'xmp:Rating="5"', "At &lt;sea&gt; &amp; land", "Focus point"):
        assert kept in text
    assert text.count("<w:Regions") == 1


def test_a_name_of_another_program_stays_where_facecli_would_say_another() -> None:
    eve = Region("Ada", (0.51, 0.2, 0.1, 0.2))
    assert merged(OTHERS.encode(), [eve], SIZE) is None


def test_facecli_s_own_names_follow_corrections() -> None:
    data = put(put(OTHERS.encode(), ADA, BOB), Region("Countess", ADA.area))
    assert names(data) == {"Eve": (0.5, 0.2, 0.1, 0.2), "Countess": ADA.area}
    assert texts(data, "dc:subject") == ["holiday", "Countess"]
    assert texts(data, "facecli:names") == ["Countess"]
    assert texts(put(put(None, ADA), Region("Countess", ADA.area)), "digiKam:TagsList") == [
        "People/Countess"
    ]


@pytest.mark.parametrize("keywords", ["d:subject", "l:hierarchicalSubject"])
def test_tags_of_others_are_never_hidden_by_ours(keywords: str) -> None:
    """Where digiKam's list is, digiKam and immich read no other: it is joined, or left out."""
    with_keywords = OTHERS.replace("d:subject", keywords).replace(
        "xmlns:d=", 'xmlns:l="http://ns.adobe.com/lightroom/1.0/" xmlns:d='
    )
    assert texts(put(with_keywords.encode(), ADA), "digiKam:TagsList") == []
    with_digikam = put(None, ADA).replace(b"People/Ada", b"holiday")
    assert texts(put(with_digikam, ADA), "digiKam:TagsList") == ["holiday", "People/Ada"]


def test_a_slash_in_a_name_parts_no_tags_and_comes_back_from_digikam() -> None:
    """DigiKam 7.9 spells a slash in a person's name as a backslash."""
    name = Region("Ann/Bob", ADA.area)
    data = put(None, name)
    assert texts(data, "digiKam:TagsList") == ["People/Ann\\Bob"]
    assert texts(data, "dc:subject") == ["Ann\\Bob"]
    by_digikam = data.replace(b">Ann/Bob</mwg-rs:Name", b">Ann\\Bob</mwg-rs:Name")
    assert by_digikam != data
    assert read_regions(by_digikam) == [replace(name, ours=True)]
    corrected = put(by_digikam, Region("Cleo", ADA.area))
    assert b"Ann" not in corrected


def test_names_that_facecli_gave_are_known_again_in_any_writing_of_its_namespace() -> None:
    """Exiv2 ends every namespace with a slash or #; 0.2.0 wrote ours without."""
    assert all(one[-1] in "/#" for one in NAMESPACES.values())
    first = put(None, ADA).replace(b"urn:facecli:xmp:1/", b"urn:facecli:xmp:1")
    assert read_regions(first) == [replace(ADA, ours=True)]
    assert names(put(first, Region("Countess", ADA.area))).keys() == {"Countess"}


def test_a_name_that_was_there_before_facecli_is_never_taken_for_its_own() -> None:
    data = put(OTHERS.encode(), Region("Eve", (0.5, 0.2, 0.1, 0.2)))
    assert texts(data, "facecli:names") == []
    assert names(put(data, Region("Ada", (0.5, 0.2, 0.1, 0.2)))).keys() == {"Eve"}


regions = st.lists(
    st.builds(
        Region,
        st.text(min_size=1).filter(lambda text: text.strip() == text and text.isprintable()),
        st.tuples(*[st.floats(0.2, 0.8)] * 2, *[st.floats(0.01, 0.2)] * 2),
    ),
    max_size=4,
    unique_by=(lambda one: one.name, lambda one: one.area[0]),
)


@pytest.mark.slow
@given(regions, regions)
def test_any_names_survive_and_nothing_of_others_is_lost(
    first: list[Region], second: list[Region]
) -> None:
    """After any two writes the faces that touch nobody else's are the second's."""
    data = merged(OTHERS.encode(), _apart(first), SIZE) or OTHERS.encode()
    wanted = [one for one in _apart(second) if area_overlap(one.area, (0.5, 0.2, 0.1, 0.2)) < 0.4]
    data = merged(data, wanted, SIZE) or data
    found = names(data)
    assert set(found) == {"Eve", *(one.name for one in wanted)}
    assert "holiday" in texts(data, "dc:subject")


def _apart(listed: Sequence[Region]) -> list[Region]:
    """Leave out regions that area_overlap an earlier one, which detectors never give."""
    kept: list[Region] = []
    for one in listed:
        if all(area_overlap(one.area, other.area) < 0.05 for other in kept) and one.name != "Eve":
            kept.append(one)
    return kept


def test_a_new_sidecar_starts_from_the_photo_s_own_xmp_but_for_darktable_s_edits() -> None:
    """Beside a sidecar digiKam reads no XMP in the photo; darktable obeys the history in one."""
    edited = OTHERS.replace("<d:title>", "<e:history>edits</e:history><d:title>").replace(
        'xmp:Rating="5"', 'xmp:Rating="5" xmlns:e="http://darktable.sf.net/" e:history_end="1"'
    )
    data = started(edited.encode())
    assert data is not None
    root = ET.fromstring(data)
    assert not any("darktable" in one.tag + str(one.attrib) for one in root.iter())
    assert b'xmp:Rating="5"' in data
    assert texts(data, "dc:subject") == ["holiday"]
    assert names(data) == {"Eve": (0.5, 0.2, 0.1, 0.2)}
    for unusable in (None, b"", b"not XML", b"<!DOCTYPE x><x/>"):
        assert started(unusable) is None


def test_hostile_sidecars_are_refused_in_one_line() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'
    for data, reason in (
        (bomb.encode(), "holds a document type"),
        (b"not XML", "is no XMP"),
        (b"<x/>", "no rdf:RDF"),
        (b"", "is no XMP"),
        (b" " * (16 * 2**20 + 1), "larger than 16 MiB"),
        (b'<?xml version="1.0" encoding="none"?><x/>', "is no XMP"),
    ):
        with pytest.raises(FacecliError, match=reason) as caught:
            merged(data, [ADA], SIZE)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", ["", "nan", "1e400", "-1", "x"])
def test_a_region_without_a_usable_area_is_passed_over_and_kept(broken: str) -> None:
    data = OTHERS.replace('a:x="0.5"', f'a:x="{broken}"').encode()
    assert read_regions(data) == []
    assert b'w:Name="Eve"' in put(data, ADA)


def test_overlap_by_hand() -> None:
    assert area_overlap((0.5, 0.5, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2)) == pytest.approx(1)
    assert area_overlap((0.5, 0.5, 0.2, 0.2), (0.6, 0.5, 0.2, 0.2)) == pytest.approx(1 / 3)
    assert area_overlap((0.2, 0.2, 0.1, 0.1), (0.8, 0.8, 0.1, 0.1)) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_areas_are_of_the_picture_as_it_is_stored(orientation: int) -> None:
    """Pillow turns a picture with one dark block upright; its box leads back to the block."""
    pixels = np.full((60, 100), 255, np.uint8)
    pixels[10:30, 20:70] = 0
    stored = Image.fromarray(pixels)
    stored.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored))
    rows, columns = (np.flatnonzero((upright == 0).any(axis=axis)) for axis in (1, 0))
    # Pixel 0 has its centre at 0, so that the block reaches from half a pixel before its first.
    box = (columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5)
    area = stored_area(tuple(map(float, box)), upright.shape[::-1], orientation)  # type: ignore[arg-type]
    assert area == pytest.approx((0.45, 1 / 3, 0.5, 1 / 3))


def test_names_of_whole_pictures_are_tags_that_follow_corrections() -> None:
    before = put(OTHERS.encode(), ADA)
    made = tagged(before, ["Kiwi", "a/b"])
    assert made is not None
    assert tagged(made, ["Kiwi", "a/b"]) is None
    assert set(texts(made, "dc:subject")) == {"holiday", "Ada", "Kiwi", "a\\b"}
    assert texts(made, "Iptc4xmpExt:PersonInImage") == texts(before, "Iptc4xmpExt:PersonInImage")
    assert names(made) == names(before)
    again = tagged(made, [])
    assert again is not None
    assert texts(again, "dc:subject") == texts(before, "dc:subject")


def test_names_of_faces_and_of_whole_pictures_do_not_end_each_other() -> None:
    made = tagged(put(None, ADA), ["Kiwi"])
    assert made is not None
    both = put(made, replace(ADA, name="Bob"))
    assert set(texts(both, "dc:subject")) == {"Bob", "Kiwi"}
    assert set(texts(both, "digiKam:TagsList")) == {"People/Bob", "Kiwi"}
    last = tagged(both, ["Lime"])
    assert last is not None
    assert set(texts(last, "dc:subject")) == {"Bob", "Lime"}
    assert [one.name for one in read_regions(last)] == ["Bob"]
