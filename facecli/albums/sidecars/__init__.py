"""XMP sidecars: files next to photos that say who is where, for other programs to read and write.

Faces are regions of the Metadata Working Group ("Guidelines for handling image metadata" 2.0,
section 5.9). Centre, width and height of a region are shares of the stored picture, before the EXIF
orientation turns it upright: digiKam, immich and photoprism read them this way. Names are also
written as tags (dc:subject), as persons shown (IPTC), and as digiKam's tags below "People", unless
these would hide the tags of others.

All other content of a sidecar stays as it is, also the names that other programs gave to faces. The
names that facecli gave are listed in a field of its own, and change with corrections.

What a whole picture shows is no face and no person: its name is a tag and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.dom import minidom

from facecli.albums.sidecars import packet
from facecli.albums.sidecars.areas import Area, area_overlap, stored_area
from facecli.albums.sidecars.packet import NAMESPACES, XMLNS, started

__all__ = [
    "Area",
    "Region",
    "area_overlap",
    "merged",
    "read_regions",
    "started",
    "stored_area",
    "tagged",
]

FACE = "Face"
OURS = "facecli:names"
"""The field that lists the names that facecli gave."""

OUR_TAGS = "facecli:tags"
"""The field that lists the names that facecli gave whole pictures."""

SAME_REGION = 0.4
"""Overlap (intersection over union) from which two regions are the same face.

Other programs draw other boxes: with the hair, or only around eyes and mouth.
"""

TAGS = "digiKam:TagsList"
KEYWORDS = ("dc:subject", "lr:hierarchicalSubject")
"""Where other programs list tags. If there are `TAGS`, digiKam and immich do not read these."""

LISTS = (
    ("dc:subject", "rdf:Bag"),
    (TAGS, "rdf:Seq"),
    ("Iptc4xmpExt:PersonInImage", "rdf:Bag"),
    (OURS, "rdf:Bag"),
)
"""The properties that list names besides the regions, and the kind of each list."""

NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow (section 2.2)."""


@dataclass(frozen=True, slots=True)
class Region:
    """A named face and its area in the stored picture.

    `ours` is true if facecli wrote the name.
    """

    name: str
    area: Area
    ours: bool = False


def read_regions(data: bytes) -> list[Region]:
    """Return the named faces in a sidecar; raise FacecliError if it is not XMP."""
    document = packet.parsed(data)
    ours = _ours(document)
    return [
        Region(ours.get(name, name), area, name in ours)
        for node, area in _region_nodes(document)
        if (name := _name(node)) and packet.fields(node).get("Type", FACE) == FACE
    ]


def merged(data: bytes | None, regions: Sequence[Region], size: tuple[int, int]) -> bytes | None:
    """Return the content of a sidecar with these faces in it, or None if nothing changes.

    `data` is the content before, None if there is no sidecar; `size` is width and height of the
    stored picture. Names that facecli gave earlier are removed from faces that have another name or
    none now. Raises FacecliError for a sidecar that cannot be read.
    """
    document = packet.parsed(packet.EMPTY.encode() if data is None else data)
    before = document.toxml()
    ours = _ours(document)
    lists = _lists(document)
    wanted = [Region(NO_XML.sub("\ufffd", one.name), one.area) for one in regions]
    nodes = list(_region_nodes(document))
    changed: set[str] = set()
    for region in wanted:
        best = max(nodes, key=lambda item: area_overlap(item[1], region.area), default=None)
        if best is None or area_overlap(best[1], region.area) < SAME_REGION:
            _add_region(document, region, size)
            changed.add(region.name)
        elif not (name := _name(best[0])) or name in ours:
            changed.add(region.name)
            if name != region.name:
                _set_name(best[0], region.name)
    for node, area in nodes:
        near = (area_overlap(area, one.area) >= SAME_REGION for one in wanted)
        if _name(node) in ours and not any(near):
            packet.remove(node)
    there = {_name(node) for node, _ in _region_nodes(document)}
    gone = {spelt for spelt, name in ours.items() if name not in there}
    for property_, container in lists:
        names = changed if property_ == OURS else changed | (there & {one.name for one in wanted})
        packet.update_list(
            document,
            property_,
            container,
            wanted=[_spelt(property_, name) for name in sorted(names)],
            gone={_spelt(property_, name) for name in gone},
        )
    return None if document.toxml() == before else document.toxml(encoding="utf-8")


def tagged(data: bytes | None, names: Sequence[str]) -> bytes | None:
    """Return the content of a sidecar with these names as tags, or None if nothing changes.

    `data` is as in `merged`. Tags that facecli gave earlier are removed if they are not among the
    names now. Raises FacecliError for a sidecar that cannot be read.
    """
    document = packet.parsed(packet.EMPTY.encode() if data is None else data)
    before = document.toxml()
    wanted = sorted({_without_slash(NO_XML.sub("\ufffd", name)) for name in names})
    gone = set(packet.listed(document, OUR_TAGS)) - set(wanted)
    lists = [("dc:subject", "rdf:Bag"), (OUR_TAGS, "rdf:Bag")]
    if packet.find(document, TAGS) is not None:  # then digiKam does not read dc:subject
        lists.append((TAGS, "rdf:Seq"))
    for property_, container in lists:
        packet.update_list(document, property_, container, wanted=wanted, gone=gone)
    return None if document.toxml() == before else document.toxml(encoding="utf-8")


def _ours(document: minidom.Document) -> dict[str, str]:
    """Return the names that facecli gave, by their own spelling and by that of digiKam."""
    names = packet.listed(document, OURS)
    return {_without_slash(name): name for name in names} | {name: name for name in names}


def _lists(document: minidom.Document) -> list[tuple[str, str]]:
    """Return the lists to write: without `TAGS` if new ones would hide the tags of others."""
    tagged = any(packet.listed(document, one) for one in KEYWORDS)
    hiding = tagged and packet.find(document, TAGS) is None
    return [one for one in LISTS if one[0] != TAGS or not hiding]


def _spelt(property_: str, name: str) -> str:
    """Spell a name as in a list: in tags a slash would separate levels."""
    if property_ == TAGS:
        return f"People/{_without_slash(name)}"
    return _without_slash(name) if property_ in KEYWORDS else name


def _without_slash(name: str) -> str:
    """Spell a name as digiKam spells the name of a person."""
    return name.replace("/", "\\")


def _region_nodes(document: minidom.Document) -> Iterator[tuple[minidom.Element, Area]]:
    """Yield the regions with a usable area."""
    for node in packet.items(packet.find(document, "mwg-rs:RegionList")):
        if (area := _area(node)) is not None:
            yield node, area


def _name(node: minidom.Element) -> str:
    return packet.fields(node).get("Name", "")


def _area(node: minidom.Element) -> Area | None:
    """Return the area of a region, or None if it has no usable one."""
    for child in packet.elements(packet.body(node)):
        if (child.namespaceURI, child.localName) == (NAMESPACES["mwg-rs"], "Area"):
            fields = packet.fields(child)
            try:
                x, y, w, h = (float(fields[name]) for name in "xywh")
            except (KeyError, ValueError):
                return None
            usable = 0 <= x <= 1 and 0 <= y <= 1 and 0 < w <= 1 and 0 < h <= 1
            return (x, y, w, h) if usable else None
    return None


def _add_region(document: minidom.Document, region: Region, size: tuple[int, int]) -> None:
    regions = packet.find(document, "mwg-rs:Regions")
    if regions is None:
        regions = packet.own(document, "mwg-rs:Regions")
        regions.setAttributeNS(XMLNS, "xmlns:rdf", NAMESPACES["rdf"])
        regions.setAttributeNS(NAMESPACES["rdf"], "rdf:parseType", "Resource")
        packet.structure(
            regions,
            "mwg-rs:AppliedToDimensions",
            [("stDim:w", str(size[0])), ("stDim:h", str(size[1])), ("stDim:unit", "pixel")],
        )
    body = packet.body(regions)
    faces = packet.find(document, "mwg-rs:RegionList")
    if faces is None:
        faces = packet.new(body, "mwg-rs:RegionList")
    bag = next(packet.elements(faces), None)
    if bag is None:
        bag = packet.new(faces, "rdf:Bag")
    node = packet.new(bag, "rdf:li", parseType="Resource")
    packet.new(node, "mwg-rs:Name", region.name)
    packet.new(node, "mwg-rs:Type", FACE)
    numbers = [
        (f"stArea:{key}", f"{value:.6f}") for key, value in zip("xywh", region.area, strict=True)
    ]
    packet.structure(node, "mwg-rs:Area", [*numbers, ("stArea:unit", "normalized")])


def _set_name(node: minidom.Element, name: str) -> None:
    """Write the name of a region in the way its other fields are written."""
    body = packet.body(node)
    old = body.getAttributeNodeNS(NAMESPACES["mwg-rs"], "Name")
    if old is not None:
        old.value = name
        return
    for child in [one for one in packet.elements(body) if one.localName == "Name"]:
        packet.remove(child)
    packet.new(body, "mwg-rs:Name", name)
