# The HTTP service on the CPU, as an ordinary user. docs/platforms.md says how to run it.
FROM python:3.11.14-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FACECLI_DB=/data/gallery.db \
    FACECLI_LIBRARY=/data/photos.db \
    FACECLI_LOG=/data/decisions.db

WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY facecli facecli
RUN pip install '.[serve,heic]'

RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin facecli \
    && install --directory --owner facecli --group facecli --mode 0700 /data
WORKDIR /data
USER facecli
VOLUME /data
EXPOSE 8765

# The first answer waits until the networks are loaded.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/health', timeout=4)"]

ENTRYPOINT ["facecli"]
CMD ["serve", "--host", "0.0.0.0", "--token-file", "/run/secrets/token", "--admin-token-file", "/run/secrets/admin.token"]
