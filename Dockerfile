# sorce: the encoder service and the ingest. No container engine was there to run this: it is checked by a linter.
#
#   docker build -t sorce .
#   docker build -t sorce:cuda --build-arg TORCH=cu128 .
FROM python:3.12-slim-bookworm

# The PyTorch build: cpu, or a CUDA version in uv's words (cu126, cu128).
ARG TORCH=cpu

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 HF_HOME=/models

RUN useradd --uid 1000 --create-home sorce && install -d -o sorce /models /photos

WORKDIR /opt/sorce
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY dashboards dashboards
COPY engine engine
COPY evaluate evaluate
COPY ingest ingest
COPY locate locate
COPY mappings mappings
COPY models models
COPY pictures pictures
COPY plugin plugin
COPY sorce sorce
# uv knows where the builds of PyTorch are; the usual one is for CUDA, and larger by gigabytes.
RUN pip install --constraint constraints.txt uv \
    && uv pip install --system --no-cache --torch-backend "${TORCH}" --constraints constraints.txt '.[serve]'

USER 1000
WORKDIR /photos
VOLUME /models
EXPOSE 8100

# The service answers only when its model is loaded. The ingest runs once, and needs no check.
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8100/ready', timeout=4)"]

ENTRYPOINT ["sorce"]
CMD ["serve", "--model", "mini", "--host", "0.0.0.0", "--port", "8100"]
