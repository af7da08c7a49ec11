"""Detectors, encoders and their cards; the networks that ship: one file each, with its card."""

DIMENSION = 128
"""Numbers in an embedding of the networks that facecli trains; others say theirs on their card."""

DEFAULT_DETECTOR = "yunet-onet"
DETECTORS = (DEFAULT_DETECTOR, "mtcnn")
"""The names of all detectors."""

NO_DETECTOR = "none"
"""How training is told that a model shall look at whole pictures, in place of a detector's name."""

TRUNKS = ("efficientnet-lite0", "small-conv")
"""The trunks without a head that a model of whole pictures may start from."""

PRECISIONS = ("float32", "bf16")
"""The arithmetic for many faces; the first is the default."""
