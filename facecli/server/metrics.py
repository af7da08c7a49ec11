"""Count what the service does, in the text format of Prometheus, version 0.0.4."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper limits of the histogram buckets, in seconds."""

Sample = tuple[str, str, float]
"""One line of a metric: the suffix of the metric's name, the labels as text, and the value."""


class Metrics:
    """The number of requests, their durations, and the decisions since the service started.

    Labels hold only words of this program. They never hold a person's name or text from a client.
    """

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(SECONDS) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._faces: Counter[str] = Counter()

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count one request and its duration in seconds."""
        self._requests[path, status] += 1
        self._buckets[path][bisect_left(SECONDS, seconds)] += 1
        self._seconds[path] += seconds

    def faces(self, statuses: Iterable[str]) -> None:
        """Count the answers about faces."""
        self._faces.update(statuses)

    def text(self, **gauges: int) -> str:
        """Return all metrics as text; `gauges` are values of this moment."""
        requests: list[Sample] = [
            ("", f'{{path="{path}",status="{status}"}}', count)
            for (path, status), count in self._requests.items()
        ]
        faces: list[Sample] = [
            ("", f'{{status="{status}"}}', count) for status, count in self._faces.items()
        ]
        lines = [
            *_metric("requests_total", "counter", requests),
            *_metric("request_seconds", "histogram", self._durations()),
            *_metric("faces_total", "counter", faces),
        ]
        for name, value in gauges.items():
            lines += _metric(name, "gauge", [("", "", value)])
        return "\n".join(lines) + "\n"

    def _durations(self) -> Iterator[Sample]:
        for path, counts in self._buckets.items():
            total = 0
            for end, count in zip([*map(str, SECONDS), "+Inf"], counts, strict=True):
                total += count
                yield "_bucket", f'{{path="{path}",le="{end}"}}', total
            yield "_sum", f'{{path="{path}"}}', self._seconds[path]
            yield "_count", f'{{path="{path}"}}', total


def _metric(name: str, kind: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# TYPE facecli_{name} {kind}"
    for ending, labels, value in samples:
        yield f"facecli_{name}{ending}{labels} {value!r}"
