# anneal/transformers: our own OpenAI-compatible server on transformers, for CPU, and what verifies, starts and probes it.
#   docker build -f server_image/transformers.Dockerfile --build-arg TORCH_IMAGE=anneal/torch -t anneal/transformers .
ARG TORCH_IMAGE=anneal/torch
FROM ${TORCH_IMAGE}

USER 0:0
ARG UV_CACHE_DIR=/root/.cache/uv
COPY requirements/transformers.txt /usr/share/anneal/
RUN --mount=type=cache,target=/root/.cache/uv sh /usr/share/anneal/install.sh /usr/share/anneal/transformers.txt

# Our own code comes last: a change to it rebuilds these small layers only.
COPY operator/anneal_api /app/anneal_api
COPY server_image/anneal_server /app/anneal_server
RUN python -m compileall -q /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "anneal_server"]
