"""Cameras, streams and films through OpenCV: the only place that imports it."""

from __future__ import annotations

import os

from PIL import Image

from facecli.errors import GateError, MissingExtra

MAX_FRAME_PIXELS = 8192 * 4320
"""Frames above this, that of the largest cinema format, are refused."""

WAIT_MILLISECONDS = 10_000
"""How long a stream may take to open, and to bring its next frame."""

DECODERS = 2
"""Threads that decode a stream. Each but the first keeps a frame back, three seconds of them where
FFmpeg takes 16 for a camera of five frames a second; two decode what a gate has any use for."""

DATED = ("rtsp", "rtmp")
"""How the addresses of streams begin whose frames bear the time of the camera's clock."""

FFMPEG_QUIET = "-8"
"""FFmpeg's log level for silence, AV_LOG_QUIET."""

USUAL_RATE = 25.0
"""Frames a second of a film that does not tell when its frames are due."""


class Capture:
    """One opened camera, stream or film; frames are taken with `grab` and, if wanted, decoded."""

    def __init__(self, target: int | str) -> None:
        """Open a camera by its number, a stream by its address or a film by its path.

        Raises MissingExtra without OpenCV; what cannot be opened has no frames.
        """
        try:
            import cv2
        except ImportError as error:
            raise MissingExtra(
                "cameras, streams and films need OpenCV: pip install 'facecli[gate]'"
            ) from error
        self._cv2 = cv2
        # What goes wrong is said by us, in one line; both say it in several, at every attempt.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", FFMPEG_QUIET)
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        cv2.setNumThreads(1)  # the networks want the other cores
        if isinstance(target, int):
            self._video = cv2.VideoCapture(target)
        else:
            # FFmpeg alone: other back ends take some names for patterns or programs.
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
            how = [value for limit in limits for value in (limit, WAIT_MILLISECONDS)]
            if "://" in target:
                how += [cv2.CAP_PROP_N_THREADS, DECODERS]
            self._video = cv2.VideoCapture(target, cv2.CAP_FFMPEG, how)
        self.dated = isinstance(target, str) and target.startswith(DATED)
        self.opened: bool = self._video.isOpened()
        self.frames = int(max(0.0, self._video.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._rate = float(self._video.get(cv2.CAP_PROP_FPS))
        self._at = -1.0

    def grab(self) -> bool:
        """Go on to the next frame; tell whether there is one."""
        width, height = (
            self._video.get(one)
            for one in (self._cv2.CAP_PROP_FRAME_WIDTH, self._cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > MAX_FRAME_PIXELS:
            raise GateError(f"frames of {width:.0f}×{height:.0f} pixels are too large")
        return bool(self._video.grab())

    def decode(self) -> Image.Image | None:
        """Return the frame as upright RGB, None if it is damaged."""
        good, pixels = self._video.retrieve()
        if not good or pixels is None or not 0 < pixels.size <= 3 * MAX_FRAME_PIXELS:
            return None
        return Image.fromarray(self._cv2.cvtColor(pixels, self._cv2.COLOR_BGR2RGB))

    def at(self) -> float:
        """Return when the frame is due, in seconds from the start of a film, ever later."""
        at = self._video.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
        if not at > self._at:
            rate = self._rate if 1 <= self._rate <= 240 else USUAL_RATE
            at = self._at + 1 / rate if self._at >= 0 else 0.0
        self._at = at
        return at

    def close(self) -> None:
        """Let the camera, stream or film go."""
        self._video.release()
