"""XMP as XML: any program's XMP can be read, and changes leave all else as it is.

Properties are named with their usual prefix, whatever prefix the document uses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from xml.dom import minidom
from xml.parsers import expat

from facecli.errors import FacecliError

MAX_BYTES = 16 * 2**20
"""Larger files are refused; no program writes so much."""

DEEPEST, MOST_PARTS = 100, 100_000
"""Most levels of elements, and most elements and attributes. XMP of programs has 15 and 10,000."""

XMLNS = "http://www.w3.org/2000/xmlns/"
NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "facecli": "urn:facecli:xmp:1/",
}
FIRST_NAMESPACE = re.compile(rb"""(["'])urn:facecli:xmp:1\1""")
"""The namespace of facecli 0.2.0. Exiv2, as digiKam uses it, needs a slash or # at its end."""

DARKTABLE = "http://darktable.sf.net/"
EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    f'<rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}"/></x:xmpmeta>'
    '<?xpacket end="w"?>'
)


def parsed(data: bytes) -> minidom.Document:
    """Parse XMP; raise FacecliError for other files, and for a document type.

    A document type could make a small file expand without end. Deep nesting would end in a
    RecursionError, and many small parts would take a thousand times their size in memory.
    """
    depth = parts = 0

    def refuse(*_: object) -> None:
        raise FacecliError("holds a document type, which XMP never does")

    def enter(_: str, attributes: list[str]) -> None:
        nonlocal depth, parts
        depth += 1
        parts += 1 + len(attributes) // 2
        if depth > DEEPEST or parts > MOST_PARTS:
            raise FacecliError("is nested too deeply or has too many parts for XMP")

    def leave(_: str) -> None:
        nonlocal depth
        depth -= 1

    if len(data) > MAX_BYTES:
        raise FacecliError(f"is larger than {MAX_BYTES // 2**20} MiB")
    data = FIRST_NAMESPACE.sub(rb"\1urn:facecli:xmp:1/\1", data)
    checker = expat.ParserCreate()
    checker.StartDoctypeDeclHandler = refuse
    checker.ordered_attributes = True
    checker.StartElementHandler, checker.EndElementHandler = enter, leave
    try:
        checker.Parse(data, True)
        document = minidom.parseString(data)  # noqa: S318 - document types are refused above
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise FacecliError(f"is no XMP: {error}") from error
    if not document.getElementsByTagNameNS(NAMESPACES["rdf"], "RDF"):
        raise FacecliError("is no XMP: it has no rdf:RDF")
    return document


def started(own: bytes | None) -> bytes | None:
    """Return the start of a new sidecar: the photo's own XMP, or None if it cannot be read.

    If there is a sidecar, digiKam no longer reads the XMP in the photo. The edits that darktable
    exported with a photo are left out: darktable would apply them again.
    """
    try:
        document = parsed(own or b"")
    except FacecliError:
        return None
    for node in document.getElementsByTagNameNS(NAMESPACES["rdf"], "Description"):
        for attribute in [*node.attributes.values()]:
            if attribute.namespaceURI == DARKTABLE:
                node.removeAttributeNode(attribute)
        for child in [*elements(node)]:
            if child.namespaceURI == DARKTABLE:
                remove(child)
    return document.toxml(encoding="utf-8")


def elements(node: minidom.Node) -> Iterator[minidom.Element]:
    """Yield the child elements."""
    return (child for child in node.childNodes if isinstance(child, minidom.Element))


def body(node: minidom.Element) -> minidom.Element:
    """Return the element with the fields of a structure: the node, or the rdf:Description in it."""
    for child in elements(node):
        if (child.namespaceURI, child.localName) == (NAMESPACES["rdf"], "Description"):
            return child
    return node


def fields(node: minidom.Element) -> dict[str, str]:
    """Return the plain fields of a structure by local name, from attributes and elements."""
    holder = body(node)
    found = {
        str(attribute.localName): str(attribute.value).strip()
        for attribute in holder.attributes.values()
        if attribute.namespaceURI not in (XMLNS, NAMESPACES["rdf"])
    }
    for child in elements(holder):
        found[child.localName] = text_of(child)
    return found


def text_of(node: minidom.Element) -> str:
    """Return the text of an element, stripped."""
    texts = (part.data for part in node.childNodes if isinstance(part, minidom.Text))
    return "".join(texts).strip()


def find(document: minidom.Document, property_: str) -> minidom.Element | None:
    """Return a property, or None."""
    prefix, local = property_.split(":")
    found = document.getElementsByTagNameNS(NAMESPACES[prefix], local)
    return found[0] if found else None


def items(node: minidom.Element | None) -> Iterator[minidom.Element]:
    """Yield the items of a property that is a bag or a sequence."""
    if node is not None:
        for container in elements(node):
            yield from (one for one in elements(container) if one.localName == "li")


def new(parent: minidom.Element, name: str, text: str = "", **attributes: str) -> minidom.Element:
    """Append an element that declares its own prefix, so that it is valid anywhere."""
    document = parent.ownerDocument
    assert document is not None
    prefix = name.split(":")[0]
    node = document.createElementNS(NAMESPACES[prefix], name)
    node.setAttributeNS(XMLNS, f"xmlns:{prefix}", NAMESPACES[prefix])
    for key, value in attributes.items():
        node.setAttributeNS(XMLNS, "xmlns:rdf", NAMESPACES["rdf"])
        node.setAttributeNS(NAMESPACES["rdf"], f"rdf:{key}", value)
    if text:
        node.appendChild(document.createTextNode(text))
    parent.appendChild(node)
    return node


def own(document: minidom.Document, property_: str) -> minidom.Element:
    """Return a property; an empty one is created if there is none."""
    found = find(document, property_)
    if found is not None:
        return found
    (rdf, *_) = document.getElementsByTagNameNS(NAMESPACES["rdf"], "RDF")
    return new(new(rdf, "rdf:Description", about=""), property_)


def structure(parent: minidom.Element, name: str, fields: Iterable[tuple[str, str]]) -> None:
    """Append a structure of plain fields."""
    node = new(parent, name, parseType="Resource")
    for key, value in fields:
        new(node, key, value)


def listed(document: minidom.Document, property_: str) -> list[str]:
    """Return the texts in a property that is a bag or a sequence."""
    return [text_of(item) for item in items(find(document, property_))]


def update_list(
    document: minidom.Document,
    property_: str,
    container: str,
    *,
    wanted: Sequence[str],
    gone: Collection[str],
) -> None:
    """Add the `wanted` texts that a list lacks, and remove those that are `gone`."""
    for item in list(items(find(document, property_))):
        if text_of(item) in gone:
            remove(item)
    present = listed(document, property_)
    missing = [text for text in dict.fromkeys(wanted) if text not in present]
    if missing:
        holder = own(document, property_)
        bag = next(elements(holder), None) or new(holder, container)
        for text in missing:
            new(bag, "rdf:li", text)


def remove(node: minidom.Element) -> None:
    """Remove an element from its parent."""
    assert node.parentNode is not None
    node.parentNode.removeChild(node)
