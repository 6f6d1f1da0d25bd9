# anneal/torch: the layer that the trainer and the engine images share, so that a node stores it once.
#   docker build -f trainer_image/torch.Dockerfile -t anneal/torch .
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

# Numba and vLLM load OpenMP from the system; the slim base lacks it.
RUN ldconfig -p | grep -q libgomp.so.1 \
 || (apt-get update -q && apt-get install -qy --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*)
# A name for the uid: torch asks who it is when it names its cache folder.
RUN useradd --uid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin anneal

# Where the wheels are kept between builds. A local build mounts a folder there and says which.
ARG UV_CACHE_DIR=/root/.cache/uv
COPY requirements/install.sh requirements/torch.txt /usr/share/anneal/
RUN --mount=type=cache,target=/root/.cache/uv sh /usr/share/anneal/install.sh /usr/share/anneal/torch.txt

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    HF_HUB_DISABLE_TELEMETRY=1 \
    DO_NOT_TRACK=1
USER 10001:10001
WORKDIR /tmp
