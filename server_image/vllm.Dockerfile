# anneal/vllm: vLLM and the program that verifies, starts and probes it.
#   docker build -f server_image/vllm.Dockerfile --build-arg TORCH_IMAGE=anneal/torch --build-arg VLLM=cuda -t anneal/vllm .
# VLLM=cpu (x86_64 with AVX-512) is what the project's own tests run. VLLM=cuda, for NVIDIA GPUs, resolves and is
# locked, but has not been run by the project's tests.
ARG TORCH_IMAGE=anneal/torch
FROM ${TORCH_IMAGE}

USER 0:0
ARG UV_CACHE_DIR=/root/.cache/uv
ARG VLLM=cpu
COPY requirements/vllm-${VLLM}.txt /usr/share/anneal/
RUN --mount=type=cache,target=/root/.cache/uv sh /usr/share/anneal/install.sh /usr/share/anneal/vllm-${VLLM}.txt

# cpu: the kernels are linked against libnuma; without it vLLM only warns, and its worker fails later.
# cuda: Triton compiles its kernels' launchers when they are first used, with the system's C compiler.
RUN case "$VLLM" in cpu) packages=libnuma1 ;; *) packages="gcc libc6-dev" ;; esac \
 && apt-get update -q && apt-get install -qy --no-install-recommends $packages && rm -rf /var/lib/apt/lists/*

# Our own code comes last: a change to it rebuilds these small layers only.
COPY operator/anneal_api /app/anneal_api
COPY server_image/vllm_python /app
COPY server_image/anneal_server /app/anneal_server
RUN python -m compileall -q /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "anneal_server"]
