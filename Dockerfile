# vicinal serve in a container: no compiler, no PyTorch, no root. See docs/server.md.
#
#   docker build -t vicinal .
#   docker run -p 8080:8080 -e VICINAL_API_KEY=secret vicinal
#
# A model of the hub baked in, which then needs no network:
#
#   docker build -t vicinal --build-arg MODEL=sentence-transformers/all-MiniLM-L6-v2 .

FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY vicinal vicinal
RUN python -m venv /opt/vicinal \
    && /opt/vicinal/bin/pip install --no-cache-dir -c constraints.txt '.[server]'

FROM python:3.12-slim
ARG MODEL=""
# libgomp: what OpenVINO's threads need and slim leaves out.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 vicinal \
    && mkdir /data /cache \
    && chown vicinal /data /cache
COPY --from=build /opt/vicinal /opt/vicinal
ENV PATH=/opt/vicinal/bin:$PATH \
    HF_HOME=/opt/models \
    VICINAL_HOST=0.0.0.0 \
    VICINAL_CACHE=/cache/embeddings.db \
    VICINAL_MODEL=$MODEL
RUN if [ -n "$MODEL" ]; then vicinal download "$MODEL"; fi
USER vicinal
WORKDIR /data
VOLUME ["/cache"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('VICINAL_PORT', '8080') + '/health', timeout=4)"]
# SIGTERM: requests in flight are answered first.
STOPSIGNAL SIGTERM
ENTRYPOINT ["vicinal", "serve"]
