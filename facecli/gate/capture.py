"""Read cameras, streams and video files with OpenCV. Only this module opens them."""

from __future__ import annotations

import os

from PIL import Image

from facecli.errors import GateError, MissingExtra

MAX_FRAME_PIXELS = 8192 * 4320
"""Larger frames are refused. This is the size of the largest cinema format."""

WAIT_MILLISECONDS = 10_000
"""How long a stream may take to open, and how long to its next frame."""

DECODERS = 2
"""Threads that decode a stream.

Every thread but the first delays the stream by one frame. By default FFmpeg may start 16: at five
frames a second this is a delay of three seconds. Two threads are fast enough for a gate.
"""

TIMED = ("rtsp", "rtmp")
"""Protocols whose frames carry the time of the camera's clock."""

FFMPEG_QUIET = "-8"
"""FFmpeg's log level AV_LOG_QUIET: no messages."""

USUAL_RATE = 25.0
"""Frames per second of a video file that gives no times and no plausible frame rate."""


class Capture:
    """An open camera, stream or video file: call `grab` for each frame, then `decode` if needed.

    `timed` is true if frames carry the time of the camera's clock. `frames` is the number of frames
    that a video file announces.
    """

    def __init__(self, target: int | str) -> None:
        """Open a camera by its number, a stream by its address, or a video file by its path.

        If it cannot be opened, `opened` is false. Raises MissingExtra without OpenCV.
        """
        try:
            import cv2
        except ImportError as error:
            raise MissingExtra(
                "cameras, streams and video files need OpenCV: pip install 'facecli[gate]'"
            ) from error
        self._cv2 = cv2
        # Errors are reported by facecli in one line. FFmpeg and OpenCV print several lines for
        # each attempt.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", FFMPEG_QUIET)
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        cv2.setNumThreads(1)  # the networks need the other cores
        if isinstance(target, int):
            self._video = cv2.VideoCapture(target)
        else:
            # Only FFmpeg: other back ends read some names as patterns or as programs to run.
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
            parameters = [value for limit in limits for value in (limit, WAIT_MILLISECONDS)]
            if "://" in target:
                parameters += [cv2.CAP_PROP_N_THREADS, DECODERS]
            self._video = cv2.VideoCapture(target, cv2.CAP_FFMPEG, parameters)
        self.timed = isinstance(target, str) and target.startswith(TIMED)
        self.opened: bool = self._video.isOpened()
        self.frames = int(max(0.0, self._video.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._rate = float(self._video.get(cv2.CAP_PROP_FPS))
        self._at = -1.0

    def grab(self) -> bool:
        """Go to the next frame and return whether there is one.

        Raises GateError if the frames are too large.
        """
        width, height = (
            self._video.get(one)
            for one in (self._cv2.CAP_PROP_FRAME_WIDTH, self._cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > MAX_FRAME_PIXELS:
            raise GateError(f"frames of {width:.0f}×{height:.0f} pixels are too large")
        return bool(self._video.grab())

    def decode(self) -> Image.Image | None:
        """Return the current frame as upright RGB, or None if it is damaged."""
        good, pixels = self._video.retrieve()
        if not good or pixels is None or not 0 < pixels.size <= 3 * MAX_FRAME_PIXELS:
            return None
        return Image.fromarray(self._cv2.cvtColor(pixels, self._cv2.COLOR_BGR2RGB))

    @property
    def rate(self) -> float:
        """Frames per second: those of the file if they are plausible."""
        return self._rate if 1 <= self._rate <= 240 else USUAL_RATE

    def at(self) -> float:
        """Return the time of the current frame, in seconds from the start.

        Each frame gets a later time than the one before. Where the file gives no such time, it is
        computed from the frame rate.
        """
        at = self._video.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
        if not at > self._at:
            at = self._at + 1 / self.rate if self._at >= 0 else 0.0
        self._at = at
        return at

    def close(self) -> None:
        """Close the camera, stream or video file."""
        self._video.release()
